"""HTTP/1 with programs not written here: curl, wrk, h2load and Node as clients; nginx, haproxy and Node as servers and in front."""
import hashlib
import json
import os
import re

import pytest

from lib import servers
from lib.http import front
from lib.node import NodeServer, node_client
from lib.poll import PATIENCE
from lib.process import command
from lib.scale import MIB, scale


def curl(url, *options):
    done = command("curl", "-sS", "-m", PATIENCE, *options, url)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def url_of(nuncio):
    return f"http://{nuncio.address('in')}"


# --- curl, before nginx

@pytest.fixture
def big(tmp_path):
    """A file of random bytes."""
    path = tmp_path / "big"
    path.write_bytes(os.urandom(scale(4 * MIB)))
    return path


@pytest.fixture
def site(peer, tmp_path, big):
    """nginx with the file, /small, and a folder /up/ that takes PUT."""
    (tmp_path / "small").write_text("0123456789")
    (tmp_path / "text.txt").write_text("word " * 5000)
    (tmp_path / "up").mkdir()
    return peer(servers.nginx, tmp_path, ["http"], lambda ports: (
        f"types {{ text/plain txt; }} server {{ listen 127.0.0.1:{ports['http']}; root {tmp_path}; client_max_body_size 0;"
        " location /up/ { dav_methods PUT; } location /text.txt { gzip on; gzip_types text/plain; } }"))


@pytest.fixture
def shop(nuncio, site):
    """Nuncio before that nginx."""
    return nuncio(front(site, to={"pool": {"idle_timeout": "1m"}}))


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
def test_curl_downloads(shop, big, tmp_path, version):
    told = curl(url_of(shop) + "/big", version, "-o", tmp_path / "got", "-w", "%{http_code} %{http_version}")
    assert told == "200 1.1" and digest(tmp_path / "got") == digest(big)


def test_curl_asks_for_heads_ranges_and_what_is_new(shop):
    url = url_of(shop)
    head = curl(url + "/small", "-I")
    assert "Content-Length: 10" in head and "0123456789" not in head
    assert curl(url + "/small", "-r", "2-4", "-w", " %{http_code}") == "234 206"
    parts = curl(url + "/small", "-r", "0-1,8-9")
    assert "multipart/byteranges" not in parts and "bytes 0-1/10" in parts and "bytes 8-9/10" in parts
    assert curl(url + "/small", "-r", "50-", "-o", "/dev/null", "-w", "%{http_code}") == "416"
    etag = re.search(r"(?i)^etag: (\S+)", head, re.M)[1]
    assert curl(url + "/small", "-H", f"If-None-Match: {etag}", "-w", "%{http_code}") == "304"
    assert curl(url + "/text.txt", "--compressed") == "word " * 5000
    assert curl(url + "/none", "-o", "/dev/null", "-w", "%{http_code}") == "404"


def test_curl_keeps_its_connection(shop):
    url = url_of(shop)
    told = curl(url + "/small", url + "/none", "-I", url + "/small", "-o", "/dev/null", "-w", "%{num_connects} ",
                "-o", "/dev/null", "-o", "/dev/null")
    assert told == "1 0 0 "
    stats = shop.stats()
    assert (stats["http.ingress.downstream_cx_total"], stats["http.ingress.downstream_rq_total"], stats["cluster.c.upstream_cx_total"]) == (1, 3, 1)


@pytest.mark.parametrize("framing", [["-T", "{}"], ["-T", "-"], ["-T", "{}", "-H", "Expect: 100-continue"], ["--http1.0", "-T", "{}"]],
                         ids=["length", "chunked", "expect", "http1.0"])
def test_curl_uploads(shop, big, tmp_path, framing):
    with open(big) as data:
        done = command("curl", "-sSv", "-m", PATIENCE, "-o", "/dev/null", "-w", "%{http_code}", *(str(big) if w == "{}" else w for w in framing),
                       url_of(shop) + "/up/it", stdin=data)
    assert done.stdout == "201" and digest(tmp_path / "up/it") == digest(big), done.stderr
    assert ("100 Continue" in done.stderr) == ("Expect: 100-continue" in done.stderr)


# --- Node on both sides

@pytest.fixture
def node(nuncio, peer):
    return nuncio(front(peer(NodeServer), to={"pool": {"idle_timeout": "1m"}}, routes=[{"cluster": "c", "timeout": "0"}]))


def test_curl_sends_forms(node, big):
    told = json.loads(curl(url_of(node) + "/form", "-F", f"file=@{big}", "-F", "name=value"))
    assert told["method"] == "POST" and told["headers"]["content-type"].startswith("multipart/form-data; boundary=")
    assert told["bytes"] == int(told["headers"]["content-length"]) > scale(4 * MIB)
    told = json.loads(curl(url_of(node) + "/form?a=%20b", "--data-urlencode", "x=ä&"))
    assert (told["url"], told["bytes"]) == ("/form?a=%20b", len("x=%C3%A4%26"))


def test_curl_streams_through_node(node, big, tmp_path):
    """Up and down at once."""
    curl(url_of(node) + "/echo", "-T", big, "-X", "POST", "-o", tmp_path / "got")
    assert digest(tmp_path / "got") == digest(big)


def test_node_keeps_its_sockets(node):
    told = node_client(node.port("in"), "/", count=200, sockets=4)
    assert (told["statuses"], told["sockets"]) == ({"200": 200}, 4)
    stats = node.wait_stat("http.ingress.downstream_rq_2xx", 200)
    assert stats["http.ingress.downstream_cx_total"] == 4
    assert stats["cluster.c.upstream_cx_total"] <= 4


def test_node_streams_with_trailers(node):
    told = node_client(node.port("in"), "/echo", count=10)
    assert told["statuses"] == {"200": 10} and told["bytes"] == 10 * 40000 and told["trailers"] == 10


@pytest.mark.parametrize("path", ["big", "chunks"])
def test_node_downloads(node, path):
    size = scale(2 * MIB)
    told = node_client(node.port("in"), f"/{path}?{size}", count=4)
    assert told["statuses"] == {"200": 4} and told["bytes"] == 4 * size


def test_a_node_that_closes_idle_connections_is_not_noticed(nuncio, peer):
    """It does so after 5 ms, just when many a next request comes."""
    proxy = nuncio(front(peer(NodeServer, keep=5)))
    for _ in range(3):
        assert node_client(proxy.port("in"), "/", count=60, sockets=2)["statuses"] == {"200": 60}


# --- loads

def test_wrk_sees_no_error_and_counts_the_same(nuncio, site, workers):
    proxy = nuncio(front(site), workers=workers)
    done = command("wrk", "-t", 1, "-c", 20, "-d", "1s", "--timeout", "30s", url_of(proxy) + "/small")
    count = int(re.search(r"(\d+) requests in", done.stdout)[1])
    assert done.returncode == 0 and count > 10 and not re.search("Socket errors|Non-2xx", done.stdout), done.stdout
    stats = proxy.wait_stat("http.ingress.downstream_cx_active", 0)
    begun, answered = stats["http.ingress.downstream_rq_total"], stats["http.ingress.downstream_rq_2xx"]
    assert count <= answered <= begun <= count + 20  # wrk leaves in the midst of what each connection has begun
    assert stats["http.ingress.downstream_rq_5xx"] == stats["http.ingress.downstream_rq_4xx"] == 0
    assert stats["cluster.c.upstream_rq_total"] == begun


def h2load(url, count, *options):
    """All are answered with 2xx; how many those are it cannot tell where a status line comes in pieces."""
    done = command("h2load", "--h1", "-n", count, *options, url)
    assert f"{count} succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout and "2xx, 0 3xx, 0 4xx, 0 5xx" in done.stdout, done.stdout


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_h2load_counts_the_same(nuncio, site, certs, workers, scheme):
    cert = certs.get("a.test")
    tls = {"tls": {"certificates": {"cert": str(cert.cert), "key": str(cert.key)}, "alpn": "http/1.1"}}
    proxy = nuncio(front(site, at=tls if scheme == "https" else None), workers=workers)
    h2load(f"{scheme}://{proxy.address('in')}/small", 1000, "-c", 10, "-m", 4)
    stats = proxy.wait_stat("http.ingress.downstream_cx_active", 0)
    assert stats["http.ingress.downstream_rq_total"] == stats["http.ingress.downstream_rq_2xx"] == 1000
    assert stats["http.ingress.downstream_cx_total"] == 10


# --- other proxies before and behind

def nginx_to(address):
    return lambda folder: servers.nginx(folder, ["in"], lambda ports: (
        f"upstream u {{ server {address}; keepalive 8; }} server {{ listen 127.0.0.1:{ports['in']}; client_max_body_size 0;"
        " location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_request_buffering off; }"
        " location /old/ { proxy_pass http://u/; } }"))


def haproxy_to(address):
    return lambda folder: servers.haproxy(folder, ["in"], lambda ports: (
        f"listen l\n  mode http\n  bind 127.0.0.1:{ports['in']}\n  option forwardfor\n  http-reuse always\n  server s {address}\n"))


@pytest.mark.parametrize("before, behind", [(nginx_to, haproxy_to), (haproxy_to, nginx_to)], ids=["nginx", "haproxy"])
def test_other_proxies_before_and_behind(nuncio, peer, big, tmp_path, before, behind):
    node = peer(NodeServer)
    back = peer(behind(node.address), tmp_path)
    proxy = nuncio(front(back, trusted_hops=1))
    url = f"http://{peer(before(proxy.address('in')), tmp_path).address}"
    size = scale(4 * MIB)
    assert len(curl(f"{url}/big?{size}")) == len(curl(f"{url}/chunks?{size}")) == size
    for options in ["-T", big], ["-T", big, "-H", "Transfer-Encoding: chunked"]:
        told = json.loads(curl(f"{url}/tell", *options))
        assert (told["method"], told["sha256"]) == ("PUT", digest(big))
    assert "200 OK" in curl(f"{url}/tell", "-I")
    h2load(f"{url}/tell", 300, "-c", 5)
    stats = proxy.wait_stat("http.ingress.downstream_rq_2xx", 305)
    assert stats["http.ingress.downstream_rq_total"] == 305
    assert stats["http.ingress.downstream_cx_total"] < 100  # they keep connections to us


def test_nginx_before_speaks_http_1_0(nuncio, peer, tmp_path):
    """As it does by default: a connection for each request, no chunks."""
    proxy = nuncio(front(peer(NodeServer)))
    url = f"http://{peer(nginx_to(proxy.address('in')), tmp_path).address}"
    assert len(curl(f"{url}/old/chunks?100000")) == 100000
    assert json.loads(curl(f"{url}/old/tell", "-d", "x=1"))["bytes"] == 3
    assert all('HTTP/1.0"' in line for line in proxy.file_lines("http.log", 2))
