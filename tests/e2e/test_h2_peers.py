"""HTTP/2 with more programs not written here: nghttpd, nghttpx and haproxy behind, haproxy and nghttpx in front, Chromium."""
import hashlib
import os
import re

import pytest

from lib import servers
from lib.browser import Browser
from lib.config import cluster, config
from lib.http import HTTP_LOGS, Origin, front, http
from lib.node import NodeServer
from lib.process import command
from lib.scale import MIB, scale

KNOWN = "--http2-prior-knowledge"


def curl(url, *options):
    done = command("curl", "-sS", "-m", "20", *options, url)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


@pytest.fixture
def body(tmp_path):
    path = tmp_path / "body"
    path.write_bytes(os.urandom(scale(2 * MIB)))
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- behind

def haproxy_behind(peer, tmp_path, cert, node):
    """Clear text and TLS before the same server."""
    return peer(servers.haproxy, tmp_path, ["plain", "tls"], lambda ports: f"""
frontend f
  mode http
  bind 127.0.0.1:{ports["plain"]} proto h2
  bind 127.0.0.1:{ports["tls"]} ssl crt {cert.both} alpn h2
  default_backend b
backend b
  mode http
  server s {node.address}
""").ports


def nghttpx_behind(peer, tmp_path, cert, node):
    plain = peer(servers.nghttpx, ";no-tls", behind=node.address)
    tls = peer(servers.nghttpx, "", cert.key, cert.cert, behind=node.address)
    return {"plain": plain.port, "tls": tls.port}


@pytest.mark.parametrize("behind", [haproxy_behind, nghttpx_behind])
def test_proxies_behind(nuncio, peer, tmp_path, certs, body, behind):
    """Bodies both ways, in clear text and by ALPN; each over one connection."""
    cert = certs.get("a.test")
    ports = behind(peer, tmp_path, cert, peer(NodeServer))
    tls = {"sni": "a.test", "ca": str(cert.cert)}
    routes = [{"match": {"path_prefix": "/tls/"}, "cluster": "tls", "rewrite": {"path_prefix": "/"}}, {"cluster": "plain"}]
    proxy = nuncio(http(*routes, clusters=[cluster(f"127.0.0.1:{ports['plain']}", name="plain", protocol="http2"),
                                           cluster(f"127.0.0.1:{ports['tls']}", name="tls", protocol="auto", tls=tls)]))
    url, size = f"http://{proxy.address('in')}", scale(2 * MIB)
    for prefix, version in ("", "--http1.1"), ("/tls", KNOWN):
        told = curl(f"{url}{prefix}/up", version, "-T", body, "-H", "Expect:")
        assert re.search(r'"sha256":"(\w+)"', told)[1] == digest(body)
        curl(f"{url}{prefix}/big?{size}", version, "-o", tmp_path / "got")
        assert (tmp_path / "got").stat().st_size == size
    stats = proxy.stats()
    assert [stats[f"cluster.{name}.upstream_cx_http2_total"] for name in ("plain", "tls")] == [1, 1]


def test_nghttpd_behind(nuncio, peer, tmp_path, certs, body):
    """It gives an upload back, a trailer with it; and h2load's requests share few connections."""
    cert = certs.get("a.test")
    plain = peer(servers.nghttpd, "--echo-upload", "--trailer=x-end: 1", f"--htdocs={tmp_path}")
    safe = peer(servers.nghttpd, "--echo-upload", f"--htdocs={tmp_path}", cert=cert)
    tls = {"sni": "a.test", "ca": str(cert.cert)}
    proxy = nuncio(http({"match": {"path": "/tls"}, "cluster": "tls"}, {"cluster": "plain"}, clusters=[
        cluster(plain, name="plain", protocol="http2"), cluster(safe, name="tls", protocol="http2", tls=tls)]))
    url = f"http://{proxy.address('in')}"
    for path, version in ("/", KNOWN), ("/tls", "--http1.1"):
        curl(url + path, version, "--data-binary", f"@{body}", "-H", "Expect:", "-o", tmp_path / "got")
        assert digest(tmp_path / "got") == digest(body)
    done = command("nghttp", "-v", f"{url}/body").stdout
    assert "x-end: 1" in done and ":status: 200" in done
    (tmp_path / "small").write_text("ok")
    done = command("h2load", "-n", 300, "-c", 10, "-m", 10, f"{url}/small").stdout
    assert "300 succeeded, 0 failed, 0 errored" in done, done
    assert proxy.stats()["cluster.plain.upstream_cx_http2_total"] <= 3


# --- in front

def haproxy_front(peer, tmp_path, proxy):
    return peer(servers.haproxy, tmp_path, ["in"], lambda ports: f"""
frontend f
  mode http
  bind 127.0.0.1:{ports["in"]} proto h2
  default_backend b
backend b
  mode http
  server s {proxy.address("in")} proto h2
""")


def nghttpx_front(peer, tmp_path, proxy):
    return peer(servers.nghttpx, ";no-tls", behind=f"{proxy.address('in')};/;proto=h2")


# nghttpx 1.52 resets streams that it never began where a GOAWAY overtakes it, which ends its connection (RFC 9113 5.1).
LIMITS = {"max_requests_per_connection": 20, "max_connection_duration": "300ms"}


@pytest.mark.parametrize("before, limits, ended", [(haproxy_front, LIMITS, True), (nghttpx_front, {}, False)])
def test_proxies_in_front(nuncio, peer, tmp_path, body, before, limits, ended):
    """Bodies both ways; and no request is lost while connections end after a few of them, for their age, and by reloads."""
    text = front(peer(NodeServer), **limits)
    proxy = nuncio(text)
    url, size = f"http://{before(peer, tmp_path, proxy).address}", scale(2 * MIB)
    assert re.search(r'"sha256":"(\w+)"', curl(url + "/up", KNOWN, "-T", body, "-H", "Expect:"))[1] == digest(body)
    curl(f"{url}/big?{size}", KNOWN, "-o", tmp_path / "got")
    assert (tmp_path / "got").stat().st_size == size
    for _ in range(2):
        done = command("h2load", "-n", 300, "-c", 6, "-m", 3, f"{url}/").stdout
        assert "300 succeeded, 0 failed, 0 errored" in done and "status codes: 300 2xx" in done, done
        proxy.reload(text)
    stats = proxy.stats()
    reached = sum(stats[f"http.ingress.downstream_cx_max_{what}_reached"] for what in ("requests", "duration"))
    assert stats["http.ingress.downstream_rq_http2_total"] >= 600 and (reached > 0) == ended


@pytest.mark.once
def test_chromium(nuncio, peer, closing, tmp_path, certs):
    """Loads a page over TLS, and forty things more over the same connection."""
    cert = certs.get("a.test")
    proxy = nuncio(config(listeners=[{
        "name": "in", "bind": "127.0.0.1:0", "tls": {"certificates": [{"cert": str(cert.cert), "key": str(cert.key)}], "alpn": ["h2", "http/1.1"]},
        "filters": [{"http": {"access_log": HTTP_LOGS, "routes": [
            {"match": {"path": "/"}, "respond": {"status": 200, "body": "<p>here", "content_type": "text/html"}}, {"cluster": "c"}]}}]}],
        clusters=[cluster(peer(Origin))]))
    page = closing(Browser(tmp_path))
    page.tell("Security.enable")
    page.tell("Security.setIgnoreCertificateErrors", ignore=True)
    page.open(f"https://{proxy.address('in')}/")
    page.until("document.body && document.body.innerText == 'here'")
    script = """Promise.all([...Array(40).keys()].map(async n => {
        const answer = await fetch('/x' + n, {method: n % 2 ? 'POST' : 'GET', body: n % 2 ? 'x'.repeat(100000) : undefined});
        return answer.status + await answer.text();
    })).then(all => new Set(all).size + ' ' + all[0])"""
    assert page.run(script) == "1 200ok"
    assert page.run("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
    stats = proxy.stats()
    assert stats["http.ingress.downstream_rq_http2_total"] >= 41 and stats["http.ingress.http2.rx_messaging_error"] == 0
    assert stats["http.ingress.downstream_cx_http2_total"] <= 2
