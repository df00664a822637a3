"""HTTP/2 with servers: what requests and responses become, streams that are refused, cut or stuck, and hostile servers."""
import struct
import threading

import pytest

from lib import h2
from lib.h2 import block, data, frame, headers, reset, settings, window
from lib.h2_server import H2Server, goaway, ok
from lib.http import Client, front, last_request
from lib.peers import Server
from lib.poll import eventually

POST = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody"


def to(*servers, more=None, **keys):
    return front(*servers, to={"protocol": "http2", **(more or {})}, **keys)


def status(stream, code, *fields, end=False):
    return headers(stream, [(":status", str(code)), *fields], end)


# --- messages

def talk(conn, request):
    stream, path = request.stream, request.path
    if path == "/hints":
        return status(stream, 103, ("link", "</a>")) + ok(stream)
    if path == "/trailers":
        return status(stream, 200) + data(stream, b"abc") + headers(stream, [("x-sum", "7")])
    if path == "/none":
        return status(stream, 204, end=True)
    if request.fields[":method"] == "HEAD":
        return status(stream, 200, ("content-length", "1234"), end=True)
    return ok(stream, request.body or b"ok", ("x-a", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2"))


def test_messages_from_clients_of_http_1(nuncio, peer):
    server = peer(H2Server, talk)
    proxy = nuncio(to(server))
    client = Client(proxy)
    got = client.get("/a?b", "A.test:81", "X-Mixed: A b", "Cookie: a=1; b=2", "TE: trailers", "Connection: te, x-hop", "X-Hop: 1")
    asked = server.requests[-1].fields
    assert {name: asked[name] for name in (":method", ":scheme", ":authority", ":path", "x-mixed", "cookie", "te")} == {
        ":method": "GET", ":scheme": "http", ":authority": "A.test:81", ":path": "/a?b", "x-mixed": "A b",
        "cookie": "a=1; b=2", "te": "trailers"}
    assert not asked.keys() & {"host", "connection", "x-hop", "content-length", "transfer-encoding"}
    assert (got.status, got.body, got.get("x-a"), got.all("set-cookie")) == (200, b"ok", "1", ["a=1", "b=2"])

    got = client.get("/hints")
    assert ([head.status for head in got.interim], got.status) == ([103], 200)
    got = client.get("/trailers")
    assert (got.body, got.trailers) == (b"abc", [("x-sum", "7")])
    assert (client.get("/none").status, client.get("/", method="HEAD").get("content-length")) == (204, "1234")

    assert client.get("/", body=b"hello", method="POST").body == b"hello"
    assert server.requests[-1].fields["content-length"] == "5"
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-End: 1\r\n\r\n")
    assert client.response("POST").body == b"abc"
    assert server.requests[-1].trailers == [("x-end", "1")] and "content-length" not in server.requests[-1].fields
    client.sock.close()
    assert len(server.connections) == 1
    stats = proxy.stats()
    assert (stats["cluster.c.upstream_cx_http2_total"], stats["cluster.c.upstream_rq_total"]) == (1, 7)


def test_messages_from_clients_of_http_2(nuncio, peer):
    server = peer(H2Server, talk)
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        client.get(1, "/a", ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"))
        asked = server.requests[-1].fields
        assert (asked["cookie"], asked["te"], asked[":authority"]) == ("a=1; b=2", "trailers", "a.test")
        got = client.get(3, "/hints")
        assert (got.interim, got.status, got.body) == ([103], 200, b"ok")
        got = client.get(5, "/trailers")
        assert (got.body, got.trailers) == (b"abc", [("x-sum", "7")])
        assert (client.get(7, "/none").status, client.get(9).body) == (204, b"ok")
        client.send(headers(11, h2.POST, False), data(11, b"abc"), headers(11, [("x-end", "1")]))
        assert client.response(11).body == b"abc" and server.requests[-1].trailers == [("x-end", "1")]
    assert len(server.connections) == 1


def test_a_client_that_waits_to_be_asked(nuncio, peer):
    """Expect: the server's 100 comes before the body is sent."""
    def answer(conn, request):
        return status(request.stream, 100) if request.fields.get("expect") else ok(request.stream)
    server = peer(H2Server, answer, early=True)
    client = Client(nuncio(to(server)))
    client.send(POST.replace("\r\n\r\nbody", "\r\nExpect: 100-continue\r\n\r\n"))
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    client.send("body")
    request = server.wait(lambda: server.requests[-1].body == b"body" and server.requests[-1], "the body")
    request.conn.send(ok(request.stream))
    assert client.response("POST").body == b"ok"


def test_an_answer_in_the_middle_of_an_upload(nuncio, peer):
    """The response is the client's; what is left of the upload ends at us, and the connection serves on."""
    def early(conn, request):
        if request.fields[":method"] == "GET":
            return ok(request.stream)
        return status(request.stream, 413) + data(request.stream, b"no", True) + reset(request.stream, 0)
    server = peer(H2Server, early, early=True)
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        client.send(headers(1, h2.POST, False), data(1, b"x"))
        got = client.response(1)
        assert (got.status, got.body) == (413, b"no")
        assert client.get(3).body == b"ok"
    client = Client(proxy)
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nx")
    assert client.response("POST").status == 413
    client.sock.close()


# --- connections

def test_one_connection_carries_many_requests(nuncio, peer):
    """All of them wait at once; and while it is being opened, they wait for the same one."""
    server = peer(H2Server, lambda conn, request: None)
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        client.send(*(headers(stream, h2.GET) for stream in range(1, 41, 2)))
        server.wait(lambda: len(server.requests) == 20, "20 requests")
        assert len(server.connections) == 1
        for request in reversed(server.requests):
            request.conn.send(ok(request.stream))
        ended = set()
        while len(ended) < 20:
            got = client.next()
            ended |= {got.stream} if got.end else set()


def test_what_the_server_allows_is_respected(nuncio, peer):
    """A request over SETTINGS_MAX_CONCURRENT_STREAMS has a connection of its own."""
    server = peer(H2Server, lambda conn, request: None if request.path == "/wait" else ok(request.stream),
                  first=settings((3, 1)))
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        assert client.get(1).body == b"ok"
        client.send(headers(3, [*h2.GET[:2], (":path", "/wait"), h2.GET[3]]))
        server.wait(lambda: server.paths() == ["/", "/wait"], "the second")
        assert client.get(5).body == b"ok"
    assert [request.conn is server.connections[0] for request in server.requests] == [True, True, False]


def test_more_than_max_concurrent_streams_of_the_config(nuncio, peer):
    server = peer(H2Server, lambda conn, request: None)
    proxy = nuncio(to(server, more={"http2": {"max_concurrent_streams": 2}}))
    with h2.connect(proxy) as client:
        client.send(*(headers(stream, h2.GET) for stream in (1, 3, 5, 7, 9)))
        server.wait(lambda: len(server.requests) == 5, "5 requests")
    assert len(server.connections) == 3


def test_max_requests(nuncio, peer):
    server = peer(H2Server)
    client = Client(nuncio(to(server, more={"pool": {"max_requests": 2}})))
    assert [client.get().body for _ in range(3)] == [b"ok"] * 3
    assert server.saw("GOAWAY", 0).code == "NO_ERROR"
    assert [request.stream for request in server.requests] == [1, 3, 1]


def test_idle_timeout(nuncio, peer):
    server = peer(H2Server)
    proxy = nuncio(to(server, more={"pool": {"idle_timeout": "100ms"}}))
    assert Client(proxy).get().body == b"ok"
    assert server.saw("GOAWAY", 0).code == "NO_ERROR"
    proxy.wait_stat("cluster.c.upstream_cx_idle_timeout", 1)
    proxy.wait_stat("cluster.c.upstream_cx_active", 0)


def test_a_server_that_takes_nothing(nuncio, peer):
    """SETTINGS_MAX_CONCURRENT_STREAMS 0: its connections are not kept."""
    server = peer(H2Server, lambda conn, request: reset(request.stream, 7), first=settings((3, 0)))
    proxy = nuncio(to(server, more={"pool": {"idle_timeout": "1h"}}))
    client = Client(proxy)
    assert [client.get().status for _ in range(2)] == [503, 503]
    proxy.wait_stat("cluster.c.upstream_cx_active", 0)
    client.sock.close()


def test_a_reload_loses_no_request(nuncio, peer):
    """A cluster that is another one opens a connection of its own; the old one serves what it has, and goes."""
    server = peer(H2Server, lambda conn, request: None if request.path == "/wait" else ok(request.stream))
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        client.send(headers(1, [*h2.GET[:2], (":path", "/wait"), h2.GET[3]]))
        server.wait(lambda: server.requests, "one")
        proxy.reload(to(server, more={"http2": {"max_concurrent_streams": 7}}))
        assert client.get(3).body == b"ok" and len(server.connections) == 2
        server.connections[0].send(ok(1))
        assert client.response(1).body == b"ok"
        assert server.saw("GOAWAY", 0).code == "NO_ERROR"


def test_a_server_that_goes_away_loses_no_request(nuncio, peer):
    """What GOAWAY says was not looked at is sent again, elsewhere, whatever its method is; the rest is served."""
    waiting = []

    def answer(conn, request):
        if conn is not server.connections[0]:
            return ok(request.stream, b"second")
        waiting.append(request)
        if len(waiting) < 3:
            return None
        return goaway(3) + b"".join(ok(stream, b"first") for stream in (1, 3))
    server = peer(H2Server, answer)
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        for stream in (1, 3, 5):
            client.send(headers(stream, h2.POST, False), data(stream, b"x", True))
            server.wait(lambda: len(waiting) == (stream + 1) // 2, stream)
        bodies = {got.stream: got.payload for got in client.until(lambda got: got.end and got.stream == 5)
                  if got.type == "DATA" and got.payload}
        assert bodies[5] == b"second"
    assert [(request.path, request.body) for request in server.requests] == [("/", b"x")] * 4
    proxy.wait_stat("cluster.c.upstream_cx_close_notify", 1)


def test_a_stream_that_was_refused_is_sent_again(nuncio, peer):
    def answer(conn, request):
        return reset(request.stream, 7) if len(server.requests) == 1 else ok(request.stream, request.body)
    server = peer(H2Server, answer)
    client = Client(nuncio(to(server)))
    assert client.ask(POST, "POST").body == b"body"
    assert len(server.requests) == 2 and len(server.connections) == 1


# What a server does to a request, its method; then what comes of it: tries, status, flags, code of a client's stream.
ENDS = [("reset", "GET", 1, 503, "UR", None), ("reset", "POST", 1, 503, "UR", None), ("refused", "POST", 3, 503, "UR,URX", None),
        ("close", "GET", 1, 503, "UC", None), ("close", "POST", 1, 503, "UC", None),
        ("head_reset", "GET", 1, 200, "UR", "INTERNAL_ERROR"), ("head_close", "GET", 1, 200, "UC", "INTERNAL_ERROR")]


@pytest.mark.parametrize("how, method, tries, code, flags, cut", ENDS, ids=lambda value: str(value))
def test_what_servers_cut(nuncio, peer, how, method, tries, code, flags, cut):
    def answer(conn, request):
        if how.startswith("head"):
            conn.send(status(request.stream, 200) + data(request.stream, b"half"))
            assert seen.wait(60)  # a cut overtakes what waits
        if how.endswith("close"):
            conn.sock.shutdown(2)
            return None
        return reset(request.stream, 7 if how == "refused" else 2)
    seen, server = threading.Event(), peer(H2Server, answer)
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        client.send(headers(1, h2.POST if method == "POST" else h2.GET))
        head = next(got for got in client.until(lambda got: got.type == ("DATA" if cut else "HEADERS")) if got.type == "HEADERS")
        seen.set()
        assert (dict(head.fields)[":status"], client.response(1).reset) == (str(code), cut)
    assert last_request(proxy)["flags"] == flags and len(server.requests) == tries
    assert proxy.stats()["cluster.c.http2.rx_reset"] == (0 if how.endswith("close") else tries)


def test_a_connection_that_breaks_cuts_only_its_own(nuncio, peer):
    """Those that were not answered are sent again where that is safe."""
    def answer(conn, request):
        if request.path == "/last":
            conn.sock.shutdown(2)
        return None if 1 < len(server.requests) < 5 else ok(request.stream)
    server = peer(H2Server, answer)
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        assert client.get(7).body == b"ok"
        client.send(headers(9, h2.GET), headers(11, h2.POST))
        server.wait(lambda: len(server.requests) == 3, "two more")
        client.send(headers(13, [*h2.POST[:2], (":path", "/last"), h2.GET[3]]))
        statuses = {}
        while len(statuses) < 3:
            got = client.next()
            if got.type == "HEADERS":
                statuses[got.stream] = dict(got.fields)[":status"]
    assert (statuses[9], statuses[11], statuses[13]) == ("200", "503", "503")


def test_a_client_that_leaves(nuncio, peer):
    """Its stream is reset; the connection, and the others on it, stay."""
    server = peer(H2Server, lambda conn, request: None)
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client, h2.connect(proxy) as other:
        client.send(headers(1, h2.GET))
        server.wait(lambda: len(server.requests) == 1, "one")
        other.send(headers(1, h2.GET))
        server.wait(lambda: len(server.requests) == 2, "two")
        client.send(reset(1))
        assert server.saw("RST_STREAM", 1).code == "CANCEL"
        server.requests[1].conn.send(ok(3))
        assert other.response(1).body == b"ok"
    assert len(server.connections) == 1
    proxy.wait_stat("cluster.c.http2.tx_reset", 1)


def test_a_silent_connection_is_asked_and_given_up(nuncio, peer):
    server = peer(H2Server, lambda conn, request: None, mute=True)
    proxy = nuncio(to(server, more={"http2": {"ping_interval": "50ms", "ping_timeout": "100ms"}}))
    assert Client(proxy).ask(POST, "POST").status == 503
    assert server.saw("PING", 0)
    assert last_request(proxy)["flags"] == "UC" and proxy.stats()["cluster.c.http2.keepalive_timeout"] == 1


# --- windows

def test_a_stuck_client_holds_its_own_stream_only(nuncio, peer):
    """A server that streams to it is stopped by the stream's window; the others on the connection flow."""
    def answer(conn, request):
        if request.path != "/big":
            return ok(request.stream)
        conn.send(status(request.stream, 200))
        threading.Thread(target=pour, args=(conn, request.stream), daemon=True).start()

    def pour(conn, stream):
        sent, piece = 0, data(stream, bytes(16384))
        while sent < 8 << 20:
            granted = 65535 + sum(int.from_bytes(got.payload, "big") for got in conn.frames
                                  if got.type == "WINDOW_UPDATE" and got.stream == stream)
            if sent + 16384 > granted:
                stuck.append(sent)
                return
            conn.send(piece)
            sent += 16384
    stuck = []
    server = peer(H2Server, answer, first=settings())
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        client.send(headers(1, [*h2.GET[:2], (":path", "/big"), h2.GET[3]]))
        eventually(lambda: stuck, what="the server is stopped")
        assert stuck[0] < 1 << 20
        assert client.get(3).body == b"ok"  # on the same connections, both


def test_an_upload_waits_for_the_server(nuncio, peer):
    """No more than the server's window leaves; the client is held, not buffered for."""
    server = peer(H2Server, lambda conn, request: None, grant=False)
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        client.send(headers(1, h2.POST, False))
        server.wait(lambda: len(server.requests) == 1, "the head")
        sent = 0
        room = {0: 65535, 1: 65535}
        while sent < 300_000 and min(room.values()) >= 16384:
            client.send(data(1, bytes(16384)))
            sent += 16384
            room = {key: value - 16384 for key, value in room.items()}
        request = server.wait(lambda: len(server.requests[0].body) >= 49152 and server.requests[0], "what fits its window")
        assert len(request.body) <= 65535
        request.conn.send(window(1, 1 << 20), window(0, 1 << 20))
        server.wait(lambda: len(request.body) == sent, "all of it")


# --- hostile servers

ENDED = {"two_lengths", "length_without_body", "data_first", "interim_ends"}  # there is nothing left to reset
HEADS = {
    "no_status": lambda s: headers(s, [("x", "1")], False),
    "bad_status": lambda s: headers(s, [(":status", "20")], False),
    "status_101": lambda s: headers(s, [(":status", "101")], False),
    "two_statuses": lambda s: headers(s, [(":status", "200"), (":status", "200")], False),
    "request_pseudo": lambda s: headers(s, [(":status", "200"), (":path", "/")], False),
    "late_status": lambda s: headers(s, [("x", "1"), (":status", "200")], False),
    "capitals": lambda s: headers(s, [(":status", "200"), ("X-A", "1")], False),
    "line_break": lambda s: headers(s, [(":status", "200"), ("x", "a\r\nset-cookie: b")], False),
    "connection": lambda s: headers(s, [(":status", "200"), ("connection", "close")], False),
    "transfer_encoding": lambda s: headers(s, [(":status", "200"), ("transfer-encoding", "chunked")], False),
    "two_lengths": lambda s: headers(s, [(":status", "200"), ("content-length", "1"), ("content-length", "1")], False) + data(s, b"x", True),
    "length_without_body": lambda s: headers(s, [(":status", "200"), ("content-length", "9")], True),
    "data_first": lambda s: status(s, 103) + data(s, b"x", True),
    "interim_ends": lambda s: status(s, 103, end=True),
    "interims": lambda s: status(s, 103) * 101,
    "large": lambda s: large(s),
    "many": lambda s: headers(s, [(":status", "200"), *[("x", "y")] * 101], False),
}


def large(stream):
    bytes_ = block([(":status", "200"), *[("x", "y" * 1000)] * 70])
    parts = [bytes_[at:at + 16000] for at in range(0, len(bytes_), 16000)]
    out = frame("HEADERS", 0, stream, parts[0])
    for part in parts[1:-1]:
        out += frame("CONTINUATION", 0, stream, part)
    return out + frame("CONTINUATION", 4, stream, parts[-1])


def test_responses_that_break_the_rules(nuncio, peer):
    """502 for the client, RST_STREAM for the server, and the connection serves on."""
    server = peer(H2Server, lambda conn, request: HEADS[request.path[1:]](request.stream) if request.path != "/" else ok(request.stream))
    proxy = nuncio(to(server, routes=[{"cluster": "c"}]))
    with h2.connect(proxy) as client:
        for number, name in enumerate(HEADS):
            stream = 1 + 2 * number
            got = client.get(stream, "/" + name)
            assert (name, got.status) == (name, 502)
            if name not in ENDED:
                assert (name, server.saw("RST_STREAM", server.requests[-1].stream).code) == (name, "PROTOCOL_ERROR")
        assert client.get(stream + 2).body == b"ok"
    assert len(server.connections) == 1 and last_request(proxy, len(HEADS) + 1)["status"] == 200
    stats = proxy.stats()
    assert (stats["cluster.c.http2.rx_messaging_error"], stats["cluster.c.http2.header_overflow"]) == (len(HEADS), 2)


BODIES = {
    "too_long": lambda s: status(s, 200, ("content-length", "2")) + data(s, b"abc", True),
    "too_short": lambda s: status(s, 200, ("content-length", "4")) + data(s, b"abc", True),
    "of_204": lambda s: status(s, 204) + data(s, b"abc", True),
    "pseudo_trailer": lambda s: status(s, 200) + headers(s, [(":status", "200")]),
    "open_trailer": lambda s: status(s, 200) + headers(s, [("x", "1")], False),
    "barred_trailer": lambda s: status(s, 200) + headers(s, [("content-length", "1")]),
}


def test_bodies_that_break_the_rules(nuncio, peer):
    """The head may be on its way already: then the client's stream is reset, and nothing looks whole."""
    server = peer(H2Server, lambda conn, request: BODIES[request.path[1:]](request.stream) if request.path != "/" else ok(request.stream))
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        for number, name in enumerate(BODIES):
            got = client.get(1 + 2 * number, "/" + name)
            assert (name, got.reset == "INTERNAL_ERROR" or got.status == 502) == (name, True)
        assert client.get(99).body == b"ok"
    assert len(server.connections) == 1


WHOLE = {
    "push": (lambda s: frame("PUSH_PROMISE", 4, s, struct.pack(">I", 2) + block(h2.GET)), "PROTOCOL_ERROR"),
    "own_stream": (lambda s: headers(2, [(":status", "200")]), "PROTOCOL_ERROR"),
    "idle_stream": (lambda s: data(99, b"x"), "PROTOCOL_ERROR"),
    "window_0": (lambda s: window(0, 0), "PROTOCOL_ERROR"),
    "window_over": (lambda s: window(0, (1 << 31) - 1), "FLOW_CONTROL_ERROR"),
    "hpack": (lambda s: frame("HEADERS", 4, s, b"\xff\xff\xff\xff\xff"), "COMPRESSION_ERROR"),
    "long_frame": (lambda s: frame("DATA", 0, s, b"", 16385), "FRAME_SIZE_ERROR"),
    "http_1": (lambda s: b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "FRAME_SIZE_ERROR"),
    "pings": (lambda s: frame("PING", 0, 0, bytes(8)) * 3000, "ENHANCE_YOUR_CALM"),
    "settings": (lambda s: settings() * 100, "ENHANCE_YOUR_CALM"),
    "empty_data": (lambda s: status(s, 200) + data(s) * 200, "ENHANCE_YOUR_CALM"),
    "continuations": (lambda s: frame("HEADERS", 0, s, block([(":status", "200")])) + frame("CONTINUATION", 0, s, b"") * 50, "ENHANCE_YOUR_CALM"),
    "bomb": (lambda s: frame("HEADERS", 4, s, h2.field("x", "y" * 4000, 0x40) + b"\xbe" * 200), "ENHANCE_YOUR_CALM"),
}


@pytest.mark.parametrize("what", WHOLE)
def test_connections_that_break_the_rules(nuncio, peer, what):
    """GOAWAY with the right code; the request is 502 or cut, and the next one goes by another connection."""
    frames, code = WHOLE[what]
    server = peer(H2Server, lambda conn, request: frames(request.stream) if request.path == "/bad" else ok(request.stream))
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        got = client.get(1, "/bad")
        assert got.status == 502 or got.reset == "INTERNAL_ERROR"
        assert client.get(3).body == b"ok"
    assert server.saw("GOAWAY", 0).code == code and len(server.connections) > 1
    proxy.wait_stat("cluster.c.upstream_cx_protocol_error", lambda count: count >= 1)


def test_the_last_word_reaches_a_server_that_goes_on_talking(nuncio, peer):
    """What it says is read for nothing, lest the kernel throws the GOAWAY away; its place under the limit is free meanwhile."""
    def answer(conn, request):
        if request.path != "/bad":
            return ok(request.stream)
        conn.send(window(0, 0) + bytes(4 << 20))
        assert other_was_served.wait(60)
    other_was_served = threading.Event()
    server = peer(H2Server, answer)
    proxy = nuncio(to(server, more={"limits": {"connections": 1}}))
    with h2.connect(proxy) as client:
        assert client.get(1, "/bad").status == 502
        assert client.get(3).body == b"ok"
        other_was_served.set()
    assert server.saw("GOAWAY", 0).code == "PROTOCOL_ERROR"
    proxy.wait_stat("cluster.c.upstream_cx_destroy_local", 1)


class Stays(Server):
    """Says and hears nothing, and goes on doing so."""

    def __init__(self):
        self.halt = threading.Event()
        super().__init__()

    def serve(self, conn):
        conn.sendall(settings())
        self.halt.wait(60)

    def close(self):
        self.halt.set()
        super().close()


def test_a_server_that_never_ends_is_left(tight, peer):
    """A second after the last word to it: then its socket is gone, too."""
    proxy = tight(to(peer(Stays), more={"pool": {"max_idle": 0}}, routes=[{"cluster": "c", "timeout": "100ms"}]))
    with Client(proxy) as client:
        assert client.get().status == 504
    proxy.wait_stat("cluster.c.upstream_cx_active", 0)


def test_upgrades_are_for_http_1(nuncio, peer):
    server = peer(H2Server)
    proxy = nuncio(to(server))
    got = Client(proxy).get("/", "a.test", "Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    assert got.status == 501 and not server.requests
    assert last_request(proxy)["details"] == "upgrade_over_http2"
