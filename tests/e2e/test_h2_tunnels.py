"""WebSocket and CONNECT over HTTP/2: RFC 8441 and RFC 9113 8.5, with clients and servers of either version."""
import socket

import pytest

from lib import clients
from lib.h2 import data, headers
from lib.h2_server import H2Server
from lib.h2_tunnel import OFFERED, WEBSOCKET, Tunnels, TunnelServer, connect_to
from lib.http import Client, Origin, front, http, last_request
from lib.peers import Echo, Script
from lib.poll import eventually
from lib.websocket import BINARY, CLOSE, PING, PONG, TEXT, Frames, WsClient, WsServer, client_frame, close_payload

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
        return behind, tight(front(behind, to={"protocol": server}, **keys)), CLIENTS[client]
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
