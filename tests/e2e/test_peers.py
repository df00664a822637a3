"""Traffic of programs not written here, through one nuncio or a row of proxies: every byte arrives, ends are carried."""
import hashlib
import json
import os
import re

import pytest

from lib import servers
from lib.fork import chain, config
from lib.poll import eventually
from lib.process import command
from lib.scale import MIB, scale
from lib.tools import socat


def relay(nuncio, address, workers):
    """A plain TCP proxy to the address."""
    return nuncio(config([{"name": "edge", "bind": "127.0.0.1:0", "chains": [chain("server")]}], {"server": address}), workers=workers)


# --- iperf3

def iperf3(nuncio, peer, workers, *options):
    """What iperf3 sums up about two streams through a relay."""
    server = peer(servers.iperf3)
    proxy = relay(nuncio, server.address, workers)
    size = scale(64 * MIB)
    done = command("iperf3", "-c", "127.0.0.1", "-p", proxy.port("edge"), "-n", size, "-P", 2, "-J", *options)
    assert done.returncode == 0, done.stdout
    end = json.loads(done.stdout)["end"]
    assert sum(end[key]["bytes"] for key in end if key.startswith("sum_sent")) >= size
    if size > MIB:  # iperf3 ends a smaller one before the other side has counted anything
        assert all(end[key]["bytes"] > 0 for key in end if key.startswith("sum_received"))
    assert proxy.wait_stat("listener.edge.downstream_cx_active", 0)["cluster.server.upstream_cx_active"] == 0


@pytest.mark.parametrize("direction", [[], ["--reverse"]], ids=["up", "down"])
def test_iperf3(nuncio, peer, workers, direction):
    iperf3(nuncio, peer, workers, *direction)


def test_iperf3_both_ways_at_once(nuncio, peer):
    """One worker: which stream is which, the iperf3 server tells by the order in which they come, and several keep none."""
    iperf3(nuncio, peer, 1, "--bidir")


# --- files, hashed

@pytest.fixture
def site(peer, tmp_path):
    """An nginx with one big file; `digest` is its hash."""
    data = os.urandom(scale(24 * MIB))
    (tmp_path / "big").write_bytes(data)
    server = peer(servers.nginx, tmp_path, ["http"], lambda ports: (
        f"server {{ listen 127.0.0.1:{ports['http']}; root {tmp_path}; location /ok {{ return 200 'ok'; }} }}"))
    server.digest = hashlib.sha256(data).hexdigest()
    return server


def download(url, path, *options):
    """The hash of what curl got."""
    done = command("curl", "-sS", "--fail", "-o", path, *options, url)
    assert done.returncode == 0, done.stderr
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_downloads_arrive_whole(nuncio, site, tmp_path, workers):
    proxy = relay(nuncio, site.address, workers)
    url = f"http://{proxy.address('edge')}/big"
    assert download(url, tmp_path / "got") == site.digest
    assert download(url, tmp_path / "got", "--limit-rate", f"{max(scale(48 * MIB), 1)}") == site.digest
    many = command("curl", "-sS", "--fail", "--parallel", *(w for i in range(6) for w in ("-o", tmp_path / f"many{i}", url)))
    assert many.returncode == 0, many.stderr
    assert {hashlib.sha256((tmp_path / f"many{i}").read_bytes()).hexdigest() for i in range(6)} == {site.digest}


def haproxy_to(address):
    return lambda folder: servers.haproxy(folder, ["in"], lambda ports: (
        f"listen l\n  mode tcp\n  bind 127.0.0.1:{ports['in']}\n  server s {address}\n"))


def nginx_to(address):
    return lambda folder: servers.nginx(folder, ["in"], stream=lambda ports: (
        f"server {{ listen 127.0.0.1:{ports['in']}; proxy_pass {address}; }}"))


@pytest.mark.parametrize("front, back", [(haproxy_to, nginx_to), (nginx_to, haproxy_to)])
def test_other_proxies_before_and_behind(nuncio, peer, site, tmp_path, front, back, workers):
    behind = peer(back(site.address), tmp_path)
    proxy = relay(nuncio, behind.address, workers)
    before = peer(front(proxy.address("edge")), tmp_path)
    assert download(f"http://{before.address}/big", tmp_path / "got") == site.digest


def test_nuncio_behind_itself(nuncio, site, tmp_path):
    inner = relay(nuncio, site.address, 4)
    outer = relay(nuncio, inner.address("edge"), 1)
    assert download(f"http://{outer.address('edge')}/big", tmp_path / "got") == site.digest


# --- ends

def test_socat_hears_the_end_and_answers_after_it(nuncio, peer, tmp_path, workers):
    """The server can only know the hash once the client has half-closed; the answer comes on the open half."""
    data = os.urandom(scale(8 * MIB))
    (tmp_path / "data").write_bytes(data)
    server = peer(socat, "SYSTEM:sha256sum")
    proxy = relay(nuncio, server.address, workers)
    done = command("sh", "-c", f"socat -t 20 - TCP:{proxy.address('edge')} < {tmp_path}/data")
    assert done.stdout.split()[:1] == [hashlib.sha256(data).hexdigest()], done.stderr


def test_socat_ends_first_and_still_listens(nuncio, peer, tmp_path, workers):
    """The other way round: the server's half ends, and the client's bytes still arrive."""
    server = peer(socat, f"SYSTEM:echo over; exec 1>&-; cat > {tmp_path}/late; mv {tmp_path}/late {tmp_path}/done", options=",end-close")
    proxy = relay(nuncio, server.address, workers)
    with proxy.connect("edge") as client:
        assert client.makefile("rb").readline() == b"over\n"
        client.sendall(b"late words")
    assert eventually(lambda: (tmp_path / "done").read_text()) == "late words"


# --- many connections

def test_curl_opens_many(nuncio, site, workers):
    """A connection for every request, 50 at a time."""
    proxy = relay(nuncio, site.address, workers)
    done = command("curl", "-sS", "--fail", "--parallel", "--parallel-max", 50, "-H", "Connection: close", "-w", "%{http_code}\n",
                   "-o", "/dev/null", f"http://{proxy.address('edge')}/ok?[1-500]")
    assert done.stdout.split() == ["200"] * 500, done.stderr
    stats = proxy.wait_stat("listener.edge.downstream_cx_active", 0)
    assert stats["listener.edge.downstream_cx_total"] == stats["cluster.server.upstream_cx_total"] == 500


@pytest.mark.once
def test_openssl_shakes_hands_for_a_second(nuncio, peer, certs, tmp_path, workers):
    cert = certs.get("a.test")
    site = peer(servers.nginx_tls, tmp_path, {"a.test": cert})
    proxy = nuncio(config([{"name": "edge", "bind": "127.0.0.1:0", "chains": [chain("a", {"transport": "tls"})]}], {"a": site.address}),
                   workers=workers)
    done = command("openssl", "s_time", "-connect", proxy.address("edge"), "-new", "-time", 1, "-www", "/")
    count = int(re.search(r"(\d+) connections in \d+ real seconds", done.stdout)[1])
    assert done.returncode == 0 and count > 0, done.stdout + done.stderr
    assert proxy.stats()["listener.edge.tls_inspector.tls_found"] >= count
