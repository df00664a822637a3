"""WebSockets whose bytes pass from socket to socket: the stream is put away meanwhile, and nobody can tell at the end."""
import select
import signal

import pytest

from lib import clients
from lib.build import SANITIZED
from lib.config import cluster
from lib.http import front, http, last_request
from lib.poll import SLOW
from lib.scale import PARANOID
from lib.websocket import BINARY, CLOSE, ManyWs, WsClient, WsServer, close_payload, open_all
from test_idle import WANTED, as_many_as_possible

FORMAT = ("%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:PATH)% %REQ(:AUTHORITY)% %QUERY_PARAM(q)% %PROTOCOL% %RESPONSE_CODE% "
          "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %REQ(USER-AGENT)% %REQ(X-Odd)% %REQ(X-Unsent)% "
          "%RESP(X-Even)% %RESP(:STATUS)% %STREAM_ID% %ROUTE_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_REQUEST_ATTEMPT_COUNT% "
          "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%")


def figures(nuncio, **values):
    for name, value in values.items():
        nuncio.wait_stat(f"http.ingress.{name}" if name.startswith("downstream") else f"cluster.c.{name}", value)


def exchange(client):
    client.say(BINARY, b"there")
    assert client.frame()[:2] == (BINARY, b"there")


def test_the_log_has_all_of_it(tight, peer):
    """Heads, a rewritten path, the client that a header names: what formats ask for is there hours later."""
    server = peer(WsServer, fields="X-Even: 2\r\nX-Unasked: 9\r\n")
    route = {"name": "chat", "match": {"path": "/chat"}, "rewrite": {"path": "/talk"}, "cluster": "c"}
    nuncio = tight(http(route, clusters=[cluster(server)], access_log=[{"path": "ws.log", "format": FORMAT}],
                        trusted_hops=1))
    fields = "User-Agent: test\r\nX-Odd: 1\r\nX-Unasked: 8\r\nX-Request-ID: id-7\r\nX-Forwarded-For: 192.0.2.7\r\n"
    with WsClient(nuncio, fields=fields, path="/chat?q=5") as client:
        exchange(client)
        client.say(CLOSE, close_payload(1000))
        assert client.frame()[0] == CLOSE
        assert client.rest() == b""
    assert nuncio.file_lines("ws.log", 1) == [
        "GET /chat?q=5 /talk?q=5 a.test 5 HTTP/1.1 101 - via_upstream 19 11 test 1 - 2 101 id-7 chat c 1 192.0.2.7 127.0.0.1"]
    figures(nuncio, downstream_rq_active=0, downstream_rq_completed=1, upstream_rq_active=0, upstream_rq_completed=1, upstream_cx_active=0)


def test_how_each_end_is_told(tight, peer):
    """FIN, RST and silence, from either side: flags, details and figures are those of a stream that was there all the time."""
    def end(frames, conn):
        said = frames.frame()
        conn.sendall(b"\x82\x00")
        if said[1] == b"rst":
            clients.reset(conn)
        elif said[1] == b"stay":
            frames.rest()
    nuncio = tight(front(peer(WsServer, end), tunnel_idle_timeout="300ms"))
    for count, (told, flags, details) in enumerate((
            (b"fin", None, "via_upstream"),
            (b"rst", "UC", "upstream_reset_after_response_started{connection_termination}"),
            (b"stay", "SI", "stream_idle_timeout"),
            (b"gone", "DC", "downstream_remote_disconnect")), 1):
        with WsClient(nuncio) as client:
            client.say(BINARY, told)
            assert client.frame()[0] == BINARY
            if told == b"gone":
                clients.reset(client.sock)
            else:
                clients.how_it_ends(client.sock)
        last = last_request(nuncio, count)
        assert (last["flags"], last["details"]) == (flags, details), told
    figures(nuncio, downstream_rq_active=0, upstream_rq_active=0, upstream_cx_active=0, downstream_rq_idle_timeout=1)


def test_a_half_close_wakes_it(tight, peer):
    def late(frames, conn):
        frames.rest()
        conn.sendall(b"behind your end")
    nuncio = tight(front(peer(WsServer, late)))
    with WsClient(nuncio) as client:
        client.half_close()
        assert client.rest() == b"behind your end"


def test_a_drain_finds_those_that_rest(nuncio, peer):
    child = nuncio(front(peer(WsServer)) + "drain_timeout: 300ms\n")
    with WsClient(child) as client:
        exchange(client)
        child.signal(signal.SIGTERM)
        clients.how_it_ends(client.sock)
        assert child.wait() == 0
    assert last_request(child)["flags"] == "DT"


@pytest.mark.once
@pytest.mark.deadline(60)
def test_ten_thousand_idle_websockets(tight, peer, capsys):
    count = as_many_as_possible()
    nuncio = tight(front(peer(ManyWs), to={"limits": {"connections": WANTED + 200}}, access_log=[]), workers=1)
    first = open_all(nuncio.address("in"), 100)  # what is allocated once
    before_kb = nuncio.rss_kb()
    conns = open_all(nuncio.address("in"), count - 100)
    try:
        each = (nuncio.rss_kb() - before_kb) * 1024 / len(conns)
        with capsys.disabled():
            print(f"\n  {count} idle WebSockets: {each:.0f} bytes each")
        assert SANITIZED or PARANOID or each < 1229  # docs/performance.md promises 1.2 KiB
        busy = nuncio.cpu_seconds()
        assert not select.select([conns[0]], [], [], 0.3)[0]
        assert nuncio.cpu_seconds() - busy < 0.1 * SLOW, "idle WebSockets cost no time"
        for client in conns[::10]:
            client.sendall(b"x")
        for client in conns[::10]:
            assert clients.recv_exactly(client, 1) == b"x"
    finally:
        for client in first + conns:
            client.close()
    figures(nuncio, downstream_rq_active=0, upstream_rq_active=0)
    assert nuncio.stats()["http.ingress.downstream_rq_1xx"] == count
