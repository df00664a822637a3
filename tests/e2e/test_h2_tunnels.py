"""WebSocket and CONNECT over HTTP/2: RFC 8441 and RFC 9113 8.5, with clients and servers of either version."""
import json
import signal
import socket
import ssl
import struct
import threading

import pytest

from lib import clients
from lib.h2 import data, frame, headers, settings, window
from lib.h2_tunnel import OFFERED, WEBSOCKET, Tunnels, TunnelServer, connect_to
from lib.http import Origin, front, http, last_request
from lib.nuncio import ROOT
from lib.peers import Echo, Script
from lib.poll import eventually, patiently
from lib.websocket import (BINARY, CLOSE, KEY, PING, PONG, TEXT, Frames, WsClient, WsServer, accepted, client_frame, close_payload,
                           frame as ws_frame)

ALONE = {"pool": {"max_idle": 0}}
SEEN = [{"websocket": {"max_message": "1MiB"}}]
PAIRS = [(client, server) for client in ("http1", "http2") for server in ("http1", "http2")]


class Client2(Frames):
    """One WebSocket in an HTTP/2 connection of its own; as WsClient."""

    def __init__(self, nuncio, name="in", fields=(), behind=b"", path="/chat"):
        self.mux = Tunnels(nuncio, name)
        fields = [(name, path if name == ":path" else value) for name, value in WEBSOCKET] + list(fields)
        super().__init__(self.mux.open(1, fields, early=behind))
        assert self.sock.status() == 200, self.sock.answer
        self.send = self.sock.sendall

    def say(self, opcode, payload=b"", **more):
        self.send(client_frame(opcode, payload, **more))

    def half_close(self):
        self.sock.finish()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.mux.close()


CLIENTS = {"http1": WsClient, "http2": Client2}
SERVERS = {"http1": WsServer, "http2": TunnelServer}


@pytest.fixture
def pair(tight, peer):
    """Of a client's and a server's version: the server, a proxy between them, what opens a client."""
    def make(client, server, talk=None, **keys):
        behind = peer(SERVERS[server], talk)
        return behind, tight(front(behind, to={"protocol": server, **ALONE}, **keys)), CLIENTS[client]
    return make


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("client, server", PAIRS)
def test_all_pairings(pair, client, server, seen):
    """Frames both ways, a PING, a Close; what the log and the figures say of it is the same."""
    behind, nuncio, connect = pair(client, server, **({"filters": SEEN} if seen else {}))
    with connect(nuncio) as ws:
        for payload in b"", b"abc", b"x" * 3000:
            ws.say(BINARY, payload)
            assert ws.frame()[:2] == (BINARY, payload)
        ws.say(PING, b"there?")
        assert ws.frame()[:2] == (PONG, b"there?")
        ws.say(CLOSE, close_payload(3001, b"enough"))
        assert ws.frame()[:2] == (CLOSE, close_payload(3001, b"enough"))
        ws.half_close()
        assert ws.frame() is None
    row = last_request(nuncio)
    assert (row["method"], row["path"], row["status"], row["flags"]) == ("GET", "/chat", 101, None)
    assert row["protocol"] == ("HTTP/2" if client == "http2" else "HTTP/1.1")
    if seen:
        nuncio.wait_stat("http.ingress.websocket.close_other", 1)
        nuncio.wait_stat("http.ingress.websocket.rx_messages", 3)
    nuncio.wait_stat("http.ingress.downstream_rq_1xx", 1)
    nuncio.wait_stat("cluster.c.upstream_rq_active", 0)


# --- before the answer

HI = ws_frame(TEXT, b"hi")


@pytest.fixture
def late(peer):
    """A server of that version that answers when told; `heard` has what came behind the request."""
    def make(version):
        if version == "http2":
            return late2(peer)
        return late1(peer)
    return make


def late1(peer):
    go, heard = threading.Event(), []

    def serve(conn):
        rest = clients.recv_head(conn)
        key = next(line for line in rest[0].split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))[19:].decode()
        asked.set()
        go.wait(60)
        conn.sendall(accepted(key) + HI)
        heard.append(rest[1] + clients.recv_all(conn))
    asked = threading.Event()
    return peer(Script, serve), go, asked, heard


def late2(peer):
    go, asked, heard = threading.Event(), threading.Event(), []

    class Late(TunnelServer):
        def grant_it(self, conn, request):
            threading.Thread(target=self.later, args=(conn, request), daemon=True).start()
            asked.set()

        def later(self, conn, request):
            go.wait(60)
            super().grant_it(conn, request)

    def talk(frames, tunnel):
        tunnel.sendall(HI)
        heard.append(frames.rest())
    return peer(Late, talk), go, asked, heard


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("version", ["http1", "http2"])
def test_what_is_said_before_the_answer_waits(tight, late, version, seen):
    """In order behind it, its end too; and only a window's worth of it is taken."""
    server, go, asked, heard = late(version)
    nuncio = tight(front(server, to={"protocol": version, **ALONE}, **({"filters": SEEN} if seen else {})))
    text = client_frame(BINARY, b"x" * 30000)
    with Tunnels(nuncio) as mux:
        tunnel = mux.open(early=text[:16000])
        mux.send(data(1, text[16000:]), *(data(1, bytes([byte])) for byte in client_frame(CLOSE, b"\3\xe8")))
        assert asked.wait(60)
        mux.send(frame("PING", 0, 0, b"8 bytes."))
        assert not [got for got in mux.until(lambda got: got.type == "PING") if got.type == "WINDOW_UPDATE" and got.stream]
        tunnel.finish()
        go.set()
        assert tunnel.status() == 200
        assert "sec-websocket-accept" not in tunnel.answer
        assert Frames(tunnel).exactly(len(HI)) == HI
    eventually(lambda: heard and heard[0].startswith(text) and len(heard[0]) == len(text) + 8, what="what was said")


# --- answers that open nothing

REFUSED = ([("cluster", b"HTTP/1.1 403 no\r\nContent-Length: 2\r\n\r\nno", 403, "via_upstream"),
            ("cluster", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", 502, "upstream_reset_before_response_started"),
            ("barred", b"", 501, "upgrade_not_allowed"), ("respond", b"", 501, "upgrade_not_allowed"),
            ("nowhere", b"", 404, "route_not_found"), ("redirect", b"", 308, "direct_response")])


@pytest.mark.parametrize("route, says, status, details", REFUSED)
def test_no_answer_opens_what_it_should_not(tight, peer, route, says, status, details):
    """A 2xx would be an open tunnel to the client; it is never told so. The connection goes on."""
    origin = peer(Origin, lambda request: says)
    routes = [{"match": {"path": "/barred"}, "cluster": "c", "upgrade": []}, {"match": {"path": "/cluster"}, "cluster": "c"},
              {"match": {"path": "/respond"}, "respond": {"status": 200, "body": "ok"}},
              {"match": {"path": "/redirect"}, "redirect": {"path": "/", "status": 308}}]
    nuncio = tight(front(origin, routes=routes, to=ALONE))
    with Tunnels(nuncio) as mux:
        tunnel = mux.open(1, [(name, f"/{route}" if name == ":path" else value) for name, value in WEBSOCKET], early=b"abc")
        assert tunnel.status() == status
        mux.wait(lambda: tunnel.end)
        assert last_request(nuncio)["details"].startswith(details)
        assert mux.get(3, "/respond").body == b"ok"


def test_what_a_handshake_must_have(tight, peer):
    """Another version is 426, with the one that is spoken; a key is nobody's business."""
    origin = peer(Origin, lambda request: b"HTTP/1.1 403 no\r\nContent-Length: 0\r\n\r\n")
    nuncio = tight(front(origin, to=ALONE))
    with Tunnels(nuncio) as mux:
        old = mux.open(1, WEBSOCKET[:-1] + [("sec-websocket-version", "8")])
        assert (old.status(), old.answer["sec-websocket-version"]) == (426, "13")
        assert last_request(nuncio)["details"] == "websocket_version"
        keyed = mux.open(3, WEBSOCKET + [("sec-websocket-key", "no key at all"), ("sec-websocket-protocol", "chat")])
        assert keyed.status() == 403
    asked = origin.requests[0]
    assert (asked.start, asked.get("upgrade"), asked.get("connection").lower()) == ("GET /chat HTTP/1.1", "websocket", "upgrade")
    assert len(asked.all("sec-websocket-key")) == 1 and asked.get("sec-websocket-key") != "no key at all"
    assert (asked.get("sec-websocket-version"), asked.get("sec-websocket-protocol")) == ("13", "chat")


# --- what servers of HTTP/2 offer

def test_the_server_is_asked_as_rfc_8441_says(tight, peer):
    server = peer(TunnelServer)
    nuncio = tight(front(server, to={"protocol": "http2", **ALONE}))
    with WsClient(nuncio, fields="Sec-WebSocket-Protocol: chat\r\nOrigin: http://a.test\r\n") as ws:
        assert accepted(KEY).split(b"Accept: ")[1].split()[0] in ws.head
    asked = server.requests[0].fields
    assert {name: asked.get(name) for name in (":method", ":protocol", ":scheme", ":path", ":authority", "sec-websocket-version",
                                               "sec-websocket-protocol", "origin")} == {
        ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/chat", ":authority": "a.test",
        "sec-websocket-version": "13", "sec-websocket-protocol": "chat", "origin": "http://a.test"}
    assert not asked.keys() & {"upgrade", "connection", "sec-websocket-key", "content-length"}


class Slow(TunnelServer):
    """Offers it, or not, only when `told` says so."""

    def __init__(self, offer):
        self.offer, self.told = offer, threading.Event()
        super().__init__(first=b"", mute=True)

    def take(self, conn, got):
        if got.type == "SETTINGS" and not got.flags:
            threading.Thread(target=lambda: self.told.wait(60) and conn.send(self.offer), daemon=True).start()
        super().take(conn, got)


def test_settings_that_come_late(nuncio, peer):
    """Until then nobody knows whether it may be asked."""
    server = peer(Slow, OFFERED)
    proxy = nuncio(front(server, to={"protocol": "http2"}))
    with Tunnels(proxy) as mux:
        tunnel = mux.open(early=client_frame(TEXT, b"hello"))
        server.saw("SETTINGS", 0)
        assert not server.requests
        server.told.set()
        assert tunnel.status() == 200
        assert Frames(tunnel).frame()[:2] == (TEXT, b"hello")
    assert len(server.connections) == 1


def test_a_server_that_offers_nothing(nuncio, peer):
    """501, also for those who wait for it to say so, and at once when it is known."""
    server = peer(Slow, settings())
    proxy = nuncio(front(server, to={"protocol": "http2"}))
    with Tunnels(proxy) as mux:
        waiting = [mux.open(1), mux.open(3)]
        server.wait(lambda: server.connections, "a connection")
        server.told.set()
        assert [tunnel.status() for tunnel in waiting] == [501, 501]
        assert last_request(proxy)["details"] == "upgrade_over_http2"
        assert mux.open(5).status() == 501
    assert len(server.connections) == 1 and not server.requests


# --- ends

def resets(conn):
    """An abortive close."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


@pytest.mark.parametrize("client, server", PAIRS[1:])
@pytest.mark.parametrize("seen", [True, False])
def test_each_half_ends_by_itself(pair, client, server, seen):
    """The server says all it has and ends; the client's last words still reach it."""
    def talk(frames, conn):
        conn.sendall(ws_frame(TEXT, b"bye"))
        conn.shutdown(socket.SHUT_WR) if server == "http1" else conn.finish()
        heard.append(frames.rest())
    heard = []
    _, nuncio, connect = pair(client, server, talk, **({"filters": SEEN} if seen else {}))
    with connect(nuncio) as ws:
        assert (ws.frame()[:2], ws.frame()) == ((TEXT, b"bye"), None)
        ws.send(words := client_frame(TEXT, b"last words"))
        ws.half_close()
        eventually(lambda: heard == [words], what="the client's half")
    assert last_request(nuncio)["flags"] is None


@pytest.mark.parametrize("client, server", PAIRS[1:])
def test_a_cut_is_a_cut_on_the_other_side(pair, client, server):
    """By the server: RST_STREAM(CANCEL) or a TCP reset, and so by the client."""
    def talk(frames, conn):
        word = frames.exactly(9)
        if word.endswith(b"cut"):
            return resets(conn) if server == "http1" else conn.cut()
        conn.sendall(b"heard")
        try:
            said.append(frames.rest())
        except OSError as error:
            said.append(error)
    said = []
    _, nuncio, connect = pair(client, server, talk)
    with connect(nuncio) as ws:
        ws.send(b"by it cut")
        with pytest.raises(ConnectionResetError) as cut:
            ws.rest()
        assert client == "http1" or cut.value.args == ("CANCEL",)
    assert last_request(nuncio)["flags"] == ("UC" if server == "http1" else "UR")
    with connect(nuncio) as ws:
        ws.send(b"by me, ok")
        assert ws.exactly(5) == b"heard"  # a cut overtakes what waits
        resets(ws.sock) if client == "http1" else ws.sock.cut()
        eventually(lambda: said and isinstance(said[0], ConnectionResetError), what="the cut")
        assert server == "http1" or said[0].args == ("CANCEL",)
    assert last_request(nuncio, 2)["flags"] == "DC"


def test_a_broken_rule_ends_both_sides(pair):
    """Frames are looked at in all of them: 1002 to both."""
    server, nuncio, connect = pair("http2", "http2", filters=SEEN)
    with connect(nuncio) as ws:
        ws.say(TEXT, b"x", rsv=2)
        assert ws.close_code() == 1002
        ws.half_close()
        assert ws.frame() is None
    eventually(lambda: any(getattr(got, "__getitem__", None) and got[0] == CLOSE for got in server.said), what="its Close")
    assert last_request(nuncio)["flags"] == "DPE"


def test_a_drain_says_goodbye_to_each(nuncio, peer):
    """1001 to each within the window, though they share connections."""
    def story(factor):
        server = peer(TunnelServer)
        child = nuncio(front(server, to={"protocol": "http2"}, filters=SEEN) + f"drain_timeout: {factor}s\n")
        with Tunnels(child) as mux:
            sockets = [mux.open(stream) for stream in range(1, 21, 2)]
            assert [tunnel.status() for tunnel in sockets] == [200] * 10
            child.signal(signal.SIGTERM)
            for tunnel in sockets:
                assert Frames(tunnel).close_code() == 1001
                tunnel.sendall(client_frame(CLOSE, close_payload(1001)))
                tunnel.finish()
            assert child.wait() == 0
        assert [json.loads(row)["details"] for row in child.file_lines("http.json", 10)] == ["websocket_drain"] * 10
    patiently(story)


@pytest.mark.parametrize("by_route", [False, True])
def test_a_tunnel_in_which_nothing_moves(tight, peer, by_route):
    """tunnel_idle_timeout is for streams, too, in place of stream_idle_timeout; a route's idle_timeout is before both."""
    def story(factor):
        nuncio = tight(front(peer(WsServer), routes=[{"cluster": "c", **({"idle_timeout": f"{200 * factor}ms"} if by_route else {})}],
                             stream_idle_timeout=f"{100 * factor}ms", tunnel_idle_timeout="1h" if by_route else f"{300 * factor}ms"))
        with Tunnels(nuncio) as mux:
            tunnel = mux.open()
            assert tunnel.status() == 200
            mux.wait(lambda: tunnel.reset)
            assert tunnel.reset == "CANCEL"
        assert last_request(nuncio)["flags"] == "SI"
    patiently(story)


# --- CONNECT

def test_connect_by_a_route(tight, peer, refusing_port):
    """As over HTTP/1: to a cluster's endpoint, in plain bytes."""
    routes = [{"match": {"host": "echo.test"}, "connect": True, "cluster": "c"},
              {"match": {"host": "dead.test"}, "connect": True, "cluster": "dead"}, {"cluster": "c"}]
    dead = {"name": "dead", "endpoints": [refusing_port.address]}
    nuncio = tight(http(*routes, clusters=[{"name": "c", "endpoints": [peer(Echo).address], "protocol": "http2"}, dead]))
    with Tunnels(nuncio) as mux:
        assert mux.open(1, connect_to("other.test:1")).status() == 404
        assert mux.open(3, connect_to("dead.test:1")).status() == 503
        tunnel = mux.open(5, connect_to("echo.test:1"), early=b"abc")
        assert (tunnel.status(), tunnel.answer.keys() & {"content-length", "transfer-encoding"}) == (200, set())
        assert Frames(tunnel).exactly(3) == b"abc"
        tunnel.finish()
        assert tunnel.recv(1) == b"" and tunnel.end and not tunnel.reset
    row = last_request(nuncio, 3)
    assert (row["method"], row["status"], row["flags"], row["bytes_sent"], row["bytes_received"]) == ("CONNECT", 200, None, 3, 3)


def test_a_cut_of_connect(tight, peer):
    """A TCP error is CONNECT_ERROR (RFC 9113 8.5); header fields are out of place there."""
    nuncio = tight(front(peer(Script, lambda conn: conn.recv(1) and resets(conn)), routes=[{"connect": True, "cluster": "c"}]))
    with Tunnels(nuncio) as mux:
        for stream, frames, code in (1, data(1, b"x"), "CONNECT_ERROR"), (3, headers(3, [("a", "b")]), "PROTOCOL_ERROR"):
            tunnel = mux.open(stream, connect_to("a.test:1"))
            assert tunnel.status() == 200
            mux.send(frames)
            mux.wait(lambda: tunnel.reset)
            assert tunnel.reset == code


# --- the example

def test_example_http2_tunnels(nuncio, peer, example_certs, monkeypatch):
    """docs/examples/http2-tunnels.yaml: two WebSockets and a CONNECT over one connection; behind it all is HTTP/2, too."""
    certs = {"certificates": {"cert": str(example_certs / "service.pem"), "key": str(example_certs / "service.key")}, "alpn": ["h2"]}
    chat = nuncio(front(peer(WsServer), at={"tls": certs}))
    for key, value in {"CERTS": example_certs, "CHAT": chat.address("in"), "DB": peer(Echo).address, "HTTPS_PORT": 0}.items():
        monkeypatch.setenv(key, str(value))
    proxy = nuncio(ROOT / "docs/examples/http2-tunnels.yaml")
    context = ssl.create_default_context(cafile=example_certs / "ca.pem")
    context.set_alpn_protocols(["h2"])
    with Tunnels(proxy, wrap=lambda sock: context.wrap_socket(sock, server_hostname="www.test")) as mux:
        https = [(name, {":scheme": "https", ":authority": "www.test"}.get(name, value)) for name, value in WEBSOCKET]
        sockets = [mux.open(stream, https, early=client_frame(TEXT, b"hello")) for stream in (1, 3)]
        assert [Frames(ws).frame()[:2] for ws in sockets] == [(TEXT, b"hello")] * 2
        db = mux.open(5, connect_to("db.internal:5432"), early=b"select")
        assert (db.status(), Frames(db).exactly(6)) == (200, b"select")
        sockets[0].sendall(client_frame(BINARY, b"x" * 65537)[:1000])
        assert Frames(sockets[0]).close_code() == 1009
    assert proxy.stats()["cluster.chat.upstream_cx_http2_total"] == 1


# --- many at once

def test_tunnels_of_a_connection_do_not_stall_each_other(tight, peer):
    """One client takes nothing of a flood, one server nothing; twenty others talk on, both ways over one connection each."""
    def talk(frames, tunnel):
        if tunnel.request.path == "/flood":
            for _ in range(16):
                tunnel.sendall(b"f" * 4096)
            return frames.rest()
        if tunnel.request.path == "/deaf":
            return None
        return server.echo(frames, tunnel)
    server = peer(TunnelServer, talk, first=settings((8, 1), (4, 65535)), grant=True)
    nuncio = tight(front(server, to={"protocol": "http2", **ALONE}))
    with Tunnels(nuncio, grant=False) as mux:
        def ask(stream, path):
            return mux.open(stream, [(name, path if name == ":path" else value) for name, value in WEBSOCKET])
        ask(1, "/flood")
        deaf = ask(3, "/deaf")
        assert deaf.status() == 200
        mux.send(window(0, 1 << 20))
        mux.send(*(data(3, b"d" * 16000) for _ in range(4)))
        others = [ask(stream, "/") for stream in range(5, 45, 2)]
        for tunnel in others:
            assert tunnel.status() == 200
            tunnel.sendall(client_frame(BINARY, b"x" * 1000))
        assert all(Frames(tunnel).frame()[1] == b"x" * 1000 for tunnel in others)
    assert len(server.connections) == 1
