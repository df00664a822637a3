"""The http filter end to end: connections, framing, limits of time and size, as clients and servers see them."""
import threading

import pytest

from lib import clients, logs
from lib.http import OK, Client, Origin, Stuck, front, http, last_request
from lib.peers import SlowReader
from lib.poll import PATIENCE, eventually
from lib.process import command
from lib.scale import MIB, scale


# --- connections

def test_connections_are_kept_on_both_sides(tight, peer):
    origin = peer(Origin)
    nuncio = tight(front(origin, to={"pool": {"idle_timeout": "2s"}}))
    with Client(nuncio) as client:
        for path in "/1", "/2", "/3":
            answer = client.get(path)
            assert (answer.status, answer.body, answer.get("connection")) == (200, b"ok", None)
    assert [r.start for r in origin.requests] == [f"GET /{n} HTTP/1.1" for n in (1, 2, 3)]
    assert len(origin.conns) == 1
    nuncio.wait_stat("cluster.c.upstream_cx_idle_timeout", 1)


def test_pipelined_requests_are_answered_in_order(tight, peer):
    origin = peer(Origin, lambda r: OK.replace(b"ok", r.start[5:7].encode()))
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        client.send("".join(f"GET /{n:02d} HTTP/1.1\r\nHost: a\r\n\r\n" for n in range(20)))
        client.half_close()
        assert [client.response().body for _ in range(20)] == [b"%02d" % n for n in range(20)]
        assert client.rest() == b""


def test_a_client_that_closes_its_half_is_answered(tight, peer):
    nuncio = tight(front(peer(Origin), to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.half_close()
        assert client.response().body == b"ok"  # with "Connection: close" if it was seen in time
        assert client.rest() == b""


def test_http_1_0(tight, peer):
    nuncio = tight(front(peer(Origin), to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        assert client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").get("connection") == "keep-alive"
        assert client.ask("GET / HTTP/1.0\r\n\r\n").get("connection") == "close"
        assert client.rest() == b""


@pytest.mark.parametrize("status", [204, 304])
def test_responses_without_a_body(tight, peer, status):
    nuncio = tight(front(peer(Origin, lambda r: b"HTTP/1.1 %d x\r\n\r\n" % status), to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        assert client.get().status == status
        assert client.get().status == status


def test_head_has_the_length_and_no_body(tight, peer):
    nuncio = tight(front(peer(Origin, lambda r: OK[:-2]), to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        for _ in range(2):
            answer = client.get(method="HEAD")
            assert (answer.status, answer.get("content-length")) == (200, "2")


def test_a_body_until_close_becomes_chunks(tight, peer):
    origin = peer(Origin, lambda r: b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nthe end")
    nuncio = tight(front(origin))
    with Client(nuncio) as client:
        answer = client.get()
        assert (answer.body, answer.get("transfer-encoding")) == (b"the end", "chunked")
        assert client.get().body == b"the end"
    with Client(nuncio) as old:
        answer = old.ask("GET / HTTP/1.0\r\n\r\n")
        assert (answer.body, answer.get("connection"), answer.get("transfer-encoding")) == (b"the end", "close", None)


def test_interim_responses_pass(tight, peer):
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    nuncio = tight(front(peer(Origin, lambda r: early + OK), to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        answer = client.get()
        assert [i.status for i in answer.interim] == [103] and answer.interim[0].get("link") == "</a.css>"
    with Client(nuncio) as old:
        assert old.ask("GET / HTTP/1.0\r\n\r\n").interim == []


def test_continue_is_the_servers_to_say(tight, peer):
    def serve(conn):
        clients.recv_head(conn)
        conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert clients.recv_exactly(conn, 4) == b"body"
        conn.sendall(OK)
    origin = peer(Origin)
    origin.serve = serve
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        client.send("body")
        assert client.response().status == 200


def test_trailers_pass_both_ways(tight, peer):
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"
    origin = peer(Origin, lambda r: answer)
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        got = client.ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-up: 1\r\n\r\n")
        assert (got.body, got.trailers) == (b"ok", [("x-sum", "7")])
    assert (origin.requests[0].body, origin.requests[0].trailers) == (b"abc", [("x-up", "1")])


def test_fields_of_one_connection_stay_there(tight, peer):
    origin = peer(Origin, lambda r: OK.replace(b"\r\n\r\n", b"\r\nConnection: x-mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n\r\n"))
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        answer = client.get("/", "a", "Connection: x-hop, keep-alive", "X-Hop: 1", "TE: gzip", "X-End: 2", "Upgrade: h2c")
        names = {name.lower() for name, _ in answer.fields}
        assert not names & {"x-mine", "keep-alive", "connection"}
    names = {name.lower() for name, _ in origin.requests[0].fields}
    assert "x-end" in names and not names & {"x-hop", "te", "connection", "upgrade"}


def test_absolute_form_is_the_same_request(tight, peer):
    origin = peer(Origin)
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        assert client.ask("GET http://a.test/x?y HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
    assert (origin.requests[0].start, origin.requests[0].get("host")) == ("GET /x?y HTTP/1.1", "a.test")


# --- bodies

def test_big_bodies_arrive_whole(tight, peer):
    data = bytes(range(256)) * (scale(8 * MIB) // 256)
    origin = peer(Origin, lambda r: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(r.body) + r.body)
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        assert client.get("/", "a", method="POST", body=data).body == data
        sender = threading.Thread(target=client.send, args=(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(data) + data + b"\r\n0\r\n\r\n",))
        sender.start()
        assert client.response().body == data
        sender.join(PATIENCE)


def test_curl_gets_and_puts(tight, peer, tmp_path):
    origin = peer(Origin, lambda r: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(r.body) + r.body)
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}))
    (tmp_path / "up").write_bytes(b"x" * scale(3 * MIB))
    done = command("curl", "-sf", "-T", tmp_path / "up", "-o", tmp_path / "down", f"http://{nuncio.address('in')}/a")
    assert done.returncode == 0 and (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()


def test_a_slow_server_holds_the_client(nuncio, peer):
    """What it does not take, nobody keeps for it."""
    nuncio = nuncio(front(peer(SlowReader)))
    before = nuncio.rss_kb()
    with Client(nuncio) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        client.sock.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 900_000_000:
                sent += client.sock.send(b"x" * 65536)
        assert nuncio.rss_kb() - before < 16384


def test_a_response_cut_short_is_seen_to_be_cut(tight, peer):
    def answer(request):
        framing = {"/length": b"Content-Length: 9", "/chunks": b"Transfer-Encoding: chunked"}[request.start.split()[1]]
        request.conn.sendall(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + (b"abc" if b"9" in framing else b"3\r\nabc\r\n"))
        return None
    nuncio = tight(front(peer(Origin, answer)))
    for number, path in enumerate(["/length", "/chunks"], 1):
        with Client(nuncio) as client:
            client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
            got = client.until(b"\r\n\r\n")
            assert b"200" in got and clients.how_it_ends(client.sock) == "rst"
        seen = last_request(nuncio, number)
        assert (seen["status"], seen["flags"]) == (200, "UC")
    nuncio.wait_stat("cluster.c.upstream_cx_destroy_with_active_rq", 2)


# --- early answers

def test_an_answer_in_mid_upload(tight, peer):
    """The server refuses after the head; the client still gets the answer, then the end."""
    def serve(conn):
        clients.recv_head(conn)
        conn.sendall(b"HTTP/1.1 413 no\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")
        while conn.recv(65536):
            pass
    origin = peer(Origin)
    origin.serve = serve
    nuncio = tight(front(origin))
    with Client(nuncio) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + "x" * 1000)
        answer = client.response()
        assert (answer.status, answer.body, answer.get("connection")) == (413, b"no\n", "close")
        assert clients.how_it_ends(client.sock) in ("fin", "rst")


def test_a_short_rest_is_read_for_nothing(tight, peer):
    nuncio = tight(http({"respond": {"status": 200, "body": "hi"}}))
    with Client(nuncio) as client:
        for _ in range(3):
            assert client.get("/", "a", method="POST", body=b"x" * 5000).body == b"hi"


# --- what is refused

REFUSED = [
    ("GET / HTTP/1.1\r\n\r\n", 400, "http1.missing_host"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "http1.multiple_hosts"),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "http1.space_before_colon"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
     "http1.content_length_and_transfer_encoding"),
    ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "path.invalid_escape"),
    ("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", 417, "expectation_failed"),
    ("GET /" + "x" * 9000 + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "http1.target_too_long"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: " + "x" * 70000 + "\r\n\r\n", 431, "http1.headers_too_large"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n", 413, "http1.payload_too_large"),
]


@pytest.mark.parametrize("text, status, details", REFUSED, ids=[row[2] for row in REFUSED])
def test_refused(tight, peer, text, status, details):
    origin = peer(Origin)
    nuncio = tight(front(origin, max_body_bytes=1000))
    with Client(nuncio) as client:
        assert client.ask(text).status == status
    seen = last_request(nuncio)
    assert (seen["status"], seen["details"]) == (status, details)
    assert not origin.requests and not origin.conns
    counted = "downstream_rq_too_large" if status == 413 else "downstream_cx_protocol_error"
    assert nuncio.stats()[f"http.ingress.{counted}"] == ("http1" in details)


@pytest.mark.parametrize("answer, flag", [
    (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "UPE"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "UPE"),
    (b"garbage\r\n\r\n", "UPE"),
])
def test_a_servers_nonsense_is_a_bad_gateway(tight, peer, answer, flag):
    nuncio = tight(front(peer(Origin, lambda r: answer)))
    with Client(nuncio) as client:
        assert client.get().status == 502
        assert client.get().status == 502
    assert last_request(nuncio, 2)["flags"] == flag
    nuncio.wait_stat("cluster.c.upstream_cx_protocol_error", 2)


# --- time

def test_slow_heads_are_cut(tight):
    nuncio = tight(http({"respond": {"status": 200}}, headers_timeout="300ms"))
    with Client(nuncio) as client:
        client.send("GET / HT")
        assert client.response().status == 408
    assert last_request(nuncio)["details"] == "request_header_timeout"
    nuncio.wait_stat("http.ingress.downstream_rq_header_timeout", 1)


def test_slow_bodies_are_cut(tight, peer):
    origin = peer(Origin)
    nuncio = tight(front(origin, request_timeout="300ms"))
    with Client(nuncio) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        answer = client.response()
        assert (answer.status, answer.get("connection")) == (408, "close")
    assert last_request(nuncio)["details"] == "request_overall_timeout"
    nuncio.wait_stat("http.ingress.downstream_rq_timeout", 1)


@pytest.mark.parametrize("sent, status", [("abc", 408), ("abcdefghi", 504)], ids=["client", "server"])
def test_streams_on_which_nothing_moves(tight, peer, sent, status):
    origin = peer(Stuck)
    nuncio = tight(front(origin, stream_idle_timeout="300ms"))
    with Client(nuncio) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n" + sent)
        assert client.response().status == status
    seen = last_request(nuncio)
    assert (seen["details"], seen["flags"]) == ("stream_idle_timeout", "SI")
    nuncio.wait_stat("http.ingress.downstream_rq_idle_timeout", 1)
    origin.release()


def test_the_routes_timeout(tight, peer):
    origin = peer(Stuck)
    nuncio = tight(front(origin, routes=[{"cluster": "c", "timeout": "300ms"}]))
    with Client(nuncio) as client:
        answer = client.get()
        assert (answer.status, answer.body) == (504, b"upstream request timeout")
    seen = last_request(nuncio)
    assert (seen["details"], seen["flags"]) == ("response_timeout", "UT")
    nuncio.wait_stat("cluster.c.upstream_rq_timeout", 1)


def test_idle_connections_are_closed(tight):
    nuncio = tight(http({"respond": {"status": 200}}, idle_timeout="2s"))
    with Client(nuncio) as client:
        assert client.get().status == 200
        assert client.rest() == b""
    nuncio.wait_stat("http.ingress.downstream_cx_idle_timeout", 1)


def test_a_client_that_left(tight, peer):
    origin = peer(Stuck)
    nuncio = tight(front(origin))
    with Client(nuncio) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: origin.requests, what="the request")
    seen = last_request(nuncio)
    assert (seen["status"], seen["flags"], seen["details"]) == (
        0, "DC", "downstream_remote_disconnect")
    origin.release()
    nuncio.wait_stat("cluster.c.upstream_rq_tx_reset", 1)


def test_a_client_that_leaves_in_mid_upload(tight, peer):
    origin = peer(Origin)
    nuncio = tight(front(origin))
    client = Client(nuncio)
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    eventually(lambda: origin.conns, what="the connection")
    clients.reset(client.sock)
    assert last_request(nuncio)["flags"] == "DC"
    assert logs.last(nuncio)["cause"] == "client_reset"
    nuncio.wait_stat("http.ingress.downstream_cx_destroy_active_rq", 1)


def test_a_client_that_closes_in_mid_upload(tight, peer):
    """It can have no answer to what it never said whole; the server must not take it for whole."""
    origin = peer(Origin)
    nuncio = tight(front(origin))
    with Client(nuncio) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        eventually(lambda: origin.conns, what="the connection")
    seen = last_request(nuncio)
    assert (seen["status"], seen["flags"], seen["details"]) == (0, "DC", "downstream_remote_disconnect")
    assert origin.requests == []
    nuncio.wait_stat("http.ingress.downstream_cx_destroy_active_rq", 1)
