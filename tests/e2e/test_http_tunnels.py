"""Upgrades and CONNECT through the http filter."""
import socket

from lib import clients
from lib.http import Client, Origin, front, http, last_request
from lib.peers import Echo, Script
from lib.poll import eventually


HANDSHAKE = ("GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
ACCEPTED = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")


def switching(conn):
    """Grants the upgrade with bytes right behind it, then echoes and closes half for half."""
    rest = clients.recv_head(conn)[1]
    conn.sendall(ACCEPTED + b"hello" + rest)
    while data := conn.recv(65536):
        conn.sendall(data)
    conn.shutdown(socket.SHUT_WR)


def test_an_upgrade_opens_a_tunnel(tight, peer):
    nuncio = tight(front(peer(Script, switching)))
    with Client(nuncio) as client:
        client.send(HANDSHAKE + "early")
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        assert client.exactly(10) == b"helloearly"
        client.send("more")
        assert client.exactly(4) == b"more"
        client.half_close()
        assert client.rest() == b""
    seen = last_request(nuncio)
    assert (seen["status"], seen["flags"], seen["bytes_sent"], seen["bytes_received"]) == (101, None, 14, 9)
    nuncio.wait_stat("http.ingress.downstream_rq_1xx", 1)
    nuncio.wait_stat("cluster.c.upstream_rq_1xx", 1)


def test_a_server_may_end_its_half_of_a_tunnel_first(tight, peer):
    def serve(conn):
        clients.recv_head(conn)
        conn.sendall(ACCEPTED + b"bye")
        conn.shutdown(socket.SHUT_WR)
        got.append(clients.recv_all(conn))
    got = []
    nuncio = tight(front(peer(Script, serve)))
    with Client(nuncio) as client:
        client.send(HANDSHAKE)
        client.until(b"\r\n\r\n")
        assert client.rest() == b"bye"
        client.send("last words")
    eventually(lambda: got == [b"last words"], what="the client's half")


def test_a_refused_upgrade_is_an_answer_like_others(tight, peer):
    origin = peer(Origin, lambda r: b"HTTP/1.1 400 no\r\nContent-Length: 2\r\n\r\nno")
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        for _ in range(2):
            answer = client.ask(HANDSHAKE)
            assert (answer.status, answer.body) == (400, b"no")
    assert origin.requests[0].get("upgrade") == "websocket" and origin.requests[0].get("connection").lower() == "upgrade"


def test_an_upgrade_that_the_route_does_not_allow_is_passed_over(tight, peer):
    origin = peer(Origin)
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}, routes=[{"cluster": "c", "upgrade": []}]))
    with Client(nuncio) as client:
        assert client.ask(HANDSHAKE).status == 200
    assert origin.requests[0].get("upgrade") is None


def test_connect_only_where_a_route_says_so(tight, peer, refusing_port):
    routes = [{"match": {"host": "echo.test"}, "connect": True, "cluster": "c"},
              {"match": {"host": "dead.test"}, "connect": True, "cluster": "dead"}, {"cluster": "c"}]
    dead = {"name": "dead", "endpoints": [refusing_port.address]}
    nuncio = tight(http(*routes, clusters=[{"name": "c", "endpoints": [peer(Echo).address]}, dead]))
    with Client(nuncio) as client:
        assert client.ask("CONNECT other.test:1 HTTP/1.1\r\nHost: other.test:1\r\n\r\n").status == 404
        assert client.ask("CONNECT dead.test:1 HTTP/1.1\r\nHost: dead.test:1\r\n\r\n").status == 503
        client.send("CONNECT echo.test:1 HTTP/1.1\r\nHost: echo.test:1\r\n\r\nabc")
        head = client.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ") and b"content-length" not in head.lower()
        assert client.exactly(3) == b"abc"
        client.half_close()
        assert client.rest() == b""
