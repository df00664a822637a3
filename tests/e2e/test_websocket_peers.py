"""WebSockets between programs not written here: Python's websockets, Node's ws, Chromium, with nginx and haproxy around."""
import asyncio
import hashlib
import os
import shutil
import tempfile

import websockets

from lib import servers
from lib.config import cluster
from lib.http import Origin, http
from lib.node_ws import NodeWs, node_ws
from lib.poll import eventually
from lib.process import Child
from lib.scale import PARANOID

BIG = 16 << 20 if not PARANOID else 16 << 10
SEEN = {"websocket": {"max_message": "32MiB", "max_frame": "32MiB", "messages_per_second": 0}}
UNSEEN = {"match": {"path": "/unseen"}, "cluster": "c", "filters": {"websocket": False}}


def proxy(*endpoints, at=None, to=None):
    """Frames are looked at, but for /unseen."""
    return http(UNSEEN, {"cluster": "c"}, clusters=[cluster(*endpoints, **(to or {}))], filters=[SEEN], at=at)


async def echo(ws):
    async for message in ws:
        await ws.send(message)


async def talk(url, **more):
    """Small ones compressed, a big one as it is, fragments; a PING; a Close with a reason."""
    async with websockets.connect(url, max_size=None, **more) as ws:
        for message in ("", "zażółć gęślą jaźń", "a" * 70000, b"\0\xff" * 1000):
            await ws.send(message)
            assert await ws.recv() == message
        await ws.send(["in ", "three ", "fragments"])
        assert await ws.recv() == "in three fragments"
        await (await ws.ping(b"there?"))
        await ws.close(3001, "enough")
        assert (ws.close_code, ws.close_reason) == (3001, "enough")


async def talk_big(url):
    big = os.urandom(1 << 10) * (BIG >> 10)
    async with websockets.connect(url, max_size=None, compression=None) as ws:
        await ws.send(big)
        assert hashlib.sha1(await ws.recv()).digest() == hashlib.sha1(big).digest()


def test_python_websockets(tight):
    async def story():
        async with websockets.serve(echo, "127.0.0.1", 0, max_size=None, origins=None) as server:
            nuncio = tight(proxy(f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))
            base = f"ws://127.0.0.1:{nuncio.port('in')}"
            for path in ("/seen", "/unseen"):
                await asyncio.gather(talk(base + path), talk(base + path, compression=None))
            await asyncio.gather(talk_big(base + "/seen"), talk_big(base + "/unseen"))
            return nuncio
    nuncio = asyncio.run(story())
    nuncio.wait_stat("http.ingress.websocket.rx_messages", 11)


def test_node_ws_over_tls_on_both_sides(tight, closing, certs):
    """wss to the proxy, TLS to a second listener of it, plain to Node."""
    cert = certs.get("a.test")
    tls = {"certificates": {"cert": str(cert.cert), "key": str(cert.key)}}
    server = closing(NodeWs())
    second = tight(proxy(server, at={"tls": tls}))
    first = tight(proxy(f"127.0.0.1:{second.port('in')}", at={"tls": tls}, to={"tls": {"verify": "none", "sni": "a.test"}}))
    for got in node_ws([f"wss://127.0.0.1:{first.port('in')}{path}" for path in ("/seen", "/unseen")],
                       "one", "two", "ping", "x" * 100000, "close 4321"):
        assert got == {"came": ["one", "two", "pong from the server", "x" * 100000], "code": 4321, "reason": "as asked",
                       "extensions": "permessage-deflate"}
    eventually(lambda: server.lines.count("closed 4321 as asked") == 2, what="the server's word")


UPGRADED = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"


def through_nginx(folder, target):
    return servers.nginx(folder, ["ws"], lambda ports: f"server {{ listen 127.0.0.1:{ports['ws']}; location / {{ {UPGRADED} proxy_pass http://{target}; }} }}")


def through_haproxy(folder, target):
    return servers.haproxy(folder, ["ws"], lambda ports: f"listen ws\n mode http\n timeout tunnel 60s\n bind 127.0.0.1:{ports['ws']}\n server s {target}\n")


def test_proxies_in_front_and_behind(tight, closing, tmp_path):
    """nginx and haproxy, each on either side of the proxy, with frames looked at and not."""
    server = closing(NodeWs())
    behind = [closing(through(tmp_path, server.address)) for through in (through_nginx, through_haproxy)]
    routes = [{"match": {"path": f"/{seen}{i}"}, "cluster": f"c{i}", **({"filters": {"websocket": False}} if seen == "unseen" else {})}
              for i in range(2) for seen in ("seen", "unseen")]
    nuncio = tight(http(*routes, clusters=[cluster(proxy.address, name=f"c{i}") for i, proxy in enumerate(behind)], filters=[SEEN]))
    before = [closing(through(tmp_path, nuncio.address("in"))) for through in (through_nginx, through_haproxy)]
    urls = [f"ws://{proxy.address}/{seen}{i}" for proxy in before for i in range(2) for seen in ("seen", "unseen")]
    for got in node_ws(urls, "one", "x" * 100000, "ping", "close 1013"):
        assert got["came"] == ["one", "x" * 100000, "pong from the server"] and got["code"] == 1013


PAGE = """<script>
const ws = new WebSocket('ws://' + location.host + '/chat'), came = [];
ws.onopen = () => ws.send('from a page');
ws.onmessage = e => { came.push(e.data); came.length < 3 ? ws.send('x'.repeat(came.length * 40000)) : ws.close(1000, 'seen'); };
ws.onclose = e => fetch('/told?' + [e.code, e.reason, ...came.map(m => m.length), ws.extensions]);
</script>"""


def test_a_page_in_chromium(nuncio, closing, peer):
    told = peer(Origin)
    routes = [{"match": {"path": "/"}, "respond": {"status": 200, "body": PAGE, "content_type": "text/html"}},
              {"match": {"path": "/chat"}, "cluster": "c"}, {"match": {"path": "/told"}, "cluster": "told"}]
    child = nuncio(http(*routes, {"respond": {"status": 404}}, clusters=[cluster(closing(NodeWs())), cluster(told, name="told")], filters=[SEEN]))
    home = tempfile.mkdtemp(prefix="chromium-")
    try:
        closing(Child("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
                      f"--user-data-dir={home}", f"http://{child.address('in')}/", "--remote-debugging-port=0"))
        eventually(lambda: told.requests, 90, "the page's word")
    finally:
        shutil.rmtree(home, ignore_errors=True)
    assert told.requests[0].start.split()[1] == "/told?1000,seen,11,40000,80000,permessage-deflate"
