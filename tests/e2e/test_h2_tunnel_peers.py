"""WebSocket over HTTP/2 between programs not written here: Node, haproxy and nghttpx on both sides, nginx behind, Chromium."""
import json

import pytest

from lib import servers
from lib.browser import Browser
from lib.config import cluster, config
from lib.http import HTTP_LOGS, front, last_request
from lib.node_h2_ws import NodeWs2, node_ws2
from lib.node_ws import NodeWs, node_ws
from lib.poll import eventually
from lib.scale import scale

SEEN = [{"websocket": {"max_message": "32MiB", "max_frame": "32MiB"}}]
SAID = ["one", "two", "ping", "x" * scale(100000), "close 4321"]
CAME = {"came": ["one", "two", "pong from the server", "x" * scale(100000)], "code": 4321, "reason": "as asked"}


def both(*endpoints, to=None, **keys):
    """Frames are looked at, but for /unseen."""
    routes = [{"match": {"path": "/unseen"}, "cluster": "c", "filters": {"websocket": False}}, {"cluster": "c"}]
    return front(*endpoints, to=to, routes=routes, filters=SEEN, **keys)


@pytest.mark.parametrize("behind", ["http1", "http2"])
def test_node(nuncio, peer, behind):
    """Its client of HTTP/1 and of HTTP/2, ten WebSockets over one connection, to its server of either."""
    proxy = nuncio(both(peer(NodeWs2 if behind == "http2" else NodeWs), to={"protocol": behind}))
    for got in node_ws2(f"http://{proxy.address('in')}", ["/seen", "/unseen"] * 5, *SAID):
        assert got == CAME
    for got in node_ws([f"ws://{proxy.address('in')}{path}" for path in ("/seen", "/unseen")], *SAID):
        assert {key: got[key] for key in CAME} == CAME
    stats = proxy.stats()
    assert (stats["http.ingress.downstream_cx_http2_total"], stats["http.ingress.websocket.close_other"]) == (1, 6)
    assert stats["cluster.c.upstream_cx_http2_total"] == (1 if behind == "http2" else 0)


def haproxy(peer, folder, to, fore, back):
    return peer(servers.haproxy, folder, ["in"], lambda ports: f"""
frontend f
  mode http
  bind 127.0.0.1:{ports["in"]} {fore}
  default_backend b
backend b
  mode http
  timeout tunnel 60s
  server s {to} {back}
""")


@pytest.mark.once
def test_haproxy_on_both_sides(nuncio, peer, tmp_path):
    """Node - haproxy - nuncio - haproxy - Node, in HTTP/2 all the way but the last."""
    behind = haproxy(peer, tmp_path, peer(NodeWs).address, "proto h2", "")
    proxy = nuncio(both(behind, to={"protocol": "http2"}))
    before = haproxy(peer, tmp_path, proxy.address("in"), "proto h2", "proto h2")
    for got in node_ws2(f"http://{before.address}", ["/seen", "/unseen"], *SAID):
        assert got == CAME
    assert proxy.stats()["cluster.c.upstream_cx_http1_total"] == 0 and last_request(proxy, 2)["protocol"] == "HTTP/2"


@pytest.mark.once
def test_nghttpx_on_both_sides(nuncio, peer):
    """The same with nghttpx, which speaks HTTP/1 with what is behind it."""
    behind = peer(servers.nghttpx, ";no-tls", behind=peer(NodeWs).address)
    proxy = nuncio(both(behind, to={"protocol": "http2"}))
    before = peer(servers.nghttpx, ";no-tls", behind=proxy.address("in"))
    for got in node_ws2(f"http://{before.address}", ["/seen", "/unseen"], *SAID):
        assert got == CAME
    assert proxy.stats()["cluster.c.upstream_cx_http2_total"] == 1


UPGRADED = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"


@pytest.mark.once
@pytest.mark.parametrize("protocol, came", [("auto", CAME), ("http2", {"status": 501})])
def test_a_server_that_does_not_offer_it(nuncio, peer, tmp_path, certs, protocol, came):
    """nginx speaks HTTP/2, and WebSocket over HTTP/1 only: with `auto` that is what it is asked in."""
    cert, node = certs.get("a.test"), peer(NodeWs)
    site = peer(servers.nginx, tmp_path, ["http"], lambda ports: (
        f"server {{ listen 127.0.0.1:{ports['http']} ssl http2; ssl_certificate {cert.cert}; ssl_certificate_key {cert.key};"
        f" location / {{ {UPGRADED} proxy_pass http://{node.address}; }} }}"))
    proxy = nuncio(both(site, to={"protocol": protocol, "tls": {"sni": "a.test", "ca": str(cert.cert)}}))
    for _ in range(2):
        assert node_ws2(f"http://{proxy.address('in')}", ["/seen", "/unseen"], *SAID) == [came] * 2
    stats = proxy.stats()
    assert (stats["cluster.c.upstream_cx_http2_total"], stats["cluster.c.upstream_cx_http1_total"]) == (1, 4 if protocol == "auto" else 0)


@pytest.mark.once
def test_chromium(nuncio, peer, closing, tmp_path, certs):
    """Opens one over the connection that its page came in."""
    cert = certs.get("a.test")
    proxy = nuncio(config(listeners=[{
        "name": "in", "bind": "127.0.0.1:0", "tls": {"certificates": [{"cert": str(cert.cert), "key": str(cert.key)}], "alpn": ["h2", "http/1.1"]},
        "filters": [{"http": {"access_log": HTTP_LOGS, "filters": SEEN, "routes": [
            {"match": {"path": "/"}, "respond": {"status": 200, "body": "<p>here", "content_type": "text/html"}},
            {"match": {"path": "/chat"}, "cluster": "c"}, {"respond": {"status": 404}}]}}]}],
        clusters=[cluster(peer(NodeWs))]))
    page = closing(Browser(tmp_path))
    page.tell("Security.enable")
    page.tell("Security.setIgnoreCertificateErrors", ignore=True)
    page.open(f"https://{proxy.address('in')}/")
    page.until("document.body && document.body.innerText == 'here'")
    assert page.run("""new Promise((done, failed) => {
        const ws = new WebSocket('wss://' + location.host + '/chat'), came = [];
        ws.onerror = () => failed('error');
        ws.onopen = () => ws.send('from a page');
        ws.onmessage = e => { came.push(e.data.length); came.length < 3 ? ws.send('x'.repeat(came.length * 40000)) : ws.close(3000, 'seen'); };
        ws.onclose = e => done([e.code, e.reason, ...came].join(' '));
    })""") == "3000 seen 11 40000 80000"
    rows = eventually(lambda: [row for row in map(json.loads, proxy.file_lines("http.json")) if row["path"] == "/chat"])
    assert [(row["method"], row["status"], row["protocol"]) for row in rows] == [("GET", 101, "HTTP/2")]
    assert proxy.stats()["http.ingress.downstream_cx_http1_total"] == 0
