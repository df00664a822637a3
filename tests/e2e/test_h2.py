"""HTTP/2 with clients: what requests and responses become between it and servers of HTTP/1, limits, floods, drains."""
import hashlib
import os
import signal
import subprocess
import threading

from lib import h2
from lib.config import cluster, config, listener
from lib.h2 import GET, POST, connect, data, field, frame, headers, reset, settings, window
from lib.http import OK, Client, Origin, Stuck, front, http, last_request
from lib.poll import eventually, patiently
from lib.scale import scale


def post(stream, *fields, path="/", end=False):
    return headers(stream, [*POST[:2], (":path", path), POST[3], *fields], end)


def edge(*endpoints, **keys):
    return front(*endpoints, to={"pool": {"max_idle": 0}}, **keys)


# --- messages

def answers(request):
    if request.start.startswith("GET /hints"):
        return b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK
    if request.start.startswith("GET /trailers"):
        return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Mixed: A b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"
                b"3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n")
    if request.start.startswith("GET /none"):
        return b"HTTP/1.1 204 No Content\r\nConnection: close, x-hop\r\nX-Hop: 1\r\n\r\n"
    if request.start.startswith("GET /cut"):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf"
    if request.start.startswith("HEAD"):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"
    body = hashlib.md5(request.body).hexdigest().encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_messages(tight, peer):
    origin = peer(Origin, answers)
    nuncio = tight(edge(origin))
    with connect(nuncio) as client:
        client.get(1, "/a?b", ("cookie", "a=1"), ("x-a", "1"), ("cookie", "b=2"), ("te", "trailers"), ("priority", "u=1, i"))
        got = origin.requests[-1]
        assert (got.start, got.get("host"), got.all("cookie")) == ("GET /a?b HTTP/1.1", "a.test", ["a=1; b=2"])
        assert (got.get("x-forwarded-proto"), got.all("te"), got.all("connection")) == ("http", [], [])

        answer = client.get(3, "/hints")
        assert (answer.interim, answer.status, answer.body) == ([103], 200, b"ok")

        answer = client.get(5, "/trailers")
        assert (answer.body, answer.trailers) == (b"abc", [("x-sum", "7")])
        assert [pair for pair in answer.fields if pair[0] in ("x-mixed", "set-cookie", "transfer-encoding")] == [
            ("x-mixed", "A b"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]

        answer = client.get(7, "/none")
        assert (answer.status, answer.body) == (204, b"")
        assert not {"connection", "x-hop", "content-length"} & set(dict(answer.fields))

        client.send(headers(9, [(":method", "HEAD"), *GET[1:]]))
        answer = client.response(9)
        assert (answer.status, dict(answer.fields)["content-length"], answer.body) == (200, "1234", b"")

        client.send(post(11, ("content-length", "5")), data(11, b"ab"), data(11, b"cde", True))
        assert client.response(11).body == hashlib.md5(b"abcde").hexdigest().encode()
        assert origin.requests[-1].get("content-length") == "5"

        client.send(post(13), data(13, b"abc"), headers(13, [("x-sum", "1")]))
        assert client.response(13).body == hashlib.md5(b"abc").hexdigest().encode()
        got = origin.requests[-1]
        assert (got.get("transfer-encoding"), got.trailers) == ("chunked", [("x-sum", "1")])

        client.send(headers(15, [(":method", "OPTIONS"), GET[1], (":path", "*"), ("host", "a.test")]))
        assert client.response(15).status == 200
        assert (origin.requests[-1].start, origin.requests[-1].get("host")) == ("OPTIONS * HTTP/1.1", "a.test")

        assert client.get(17, "/cut").reset == "INTERNAL_ERROR"
        # heads in pieces, padding and priority of old
        whole = h2.block([*GET[:2], (":path", "/pieces"), GET[3]])
        client.send(frame("HEADERS", h2.END_STREAM | h2.PADDED | h2.PRIORITY, 19, b"\x03" + bytes(5) + whole[:9] + bytes(3)),
                    frame("CONTINUATION", 0, 19, whole[9:10]), frame("CONTINUATION", h2.END_HEADERS, 19, whole[10:]))
        assert client.response(19).status == 200
        assert origin.requests[-1].start == "GET /pieces HTTP/1.1"
    row = last_request(nuncio, 10)
    assert row["protocol"] == "HTTP/2"
    nuncio.wait_stat("http.ingress.downstream_rq_http2_total", 10)
    nuncio.wait_stat("http.ingress.downstream_cx_http2_total", 1)
    nuncio.wait_stat("http.ingress.downstream_cx_http2_active", 0)
    nuncio.wait_stat("http.ingress.downstream_cx_http1_total", 0)
    nuncio.wait_stat("http.ingress.http2.trailers", 1)


def test_expect_and_an_early_answer(tight, peer):
    def early(request):
        return b"HTTP/1.1 100 Continue\r\n\r\n" + OK if request.get("expect") else OK
    nuncio = tight(edge(peer(Origin, early), max_body_bytes="1KiB"))
    with connect(nuncio) as client:
        client.send(post(1, ("expect", "100-continue"), end=True))
        answer = client.response(1)
        assert (answer.interim, answer.status) == ([100], 200)
        client.send(post(3, ("expect", "the-unexpected"), end=True))
        assert client.response(3).status == 417
        client.send(post(5, ("content-length", "2000")))
        answer = client.response(5)
        assert answer.status == 413
        assert client.until(lambda got: got.type == "RST_STREAM")[-1].code == "NO_ERROR"  # the rest is not wanted
        client.send(post(7), data(7, b"x" * 2000))
        assert client.response(7).status == 413
        assert client.get(9).status == 200


def test_prior_knowledge_h2c_and_pieces(tight, peer):
    nuncio = tight(edge(peer(Origin)))
    with connect(nuncio, first=b"") as client:
        for byte in h2.PREFACE + settings() + headers(1, GET):
            client.send(bytes([byte]))
        assert client.response(1).status == 200
    with Client(nuncio) as client:
        client.send("PRI")
        client.send(" / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response().status == 200
        answer = client.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                            "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n")
        assert (answer.status, answer.get("upgrade")) == (200, None)
    with Client(nuncio) as client:
        client.send("PRI * HTTP/2.0\r\n\r\n")
        client.half_close()
        assert client.rest().startswith(b"HTTP/1.1 505 ")
    only = tight(edge(peer(Origin), codec="http1"))
    with Client(only) as client:
        client.send(h2.PREFACE + settings())
        assert client.response().status in (400, 505)
    nuncio.wait_stat("http.ingress.downstream_cx_http1_total", 2)


def test_curl_nghttp_and_h2load(tight, peer, tmp_path):
    big = os.urandom(scale(3 << 20))
    (tmp_path / "big").write_bytes(big)
    nuncio = tight(edge(peer(Origin, answers), access_log=None))
    url = f"http://{nuncio.address('in')}/p"
    out = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--data-binary", f"@{tmp_path}/big", url],
                         capture_output=True, timeout=60, check=True).stdout
    assert out == hashlib.md5(big).hexdigest().encode()
    out = subprocess.run(["nghttp", "-v", url], capture_output=True, timeout=60, check=True).stdout.decode()
    assert ":status: 200" in out and "PROTOCOL_ERROR" not in out
    out = subprocess.run(["h2load", "-n300", "-c3", "-m10", url], capture_output=True, timeout=60, check=True).stdout.decode()
    assert "300 succeeded, 0 failed, 0 errored" in out


def test_curl_takes_an_early_answer(tight, tmp_path):
    """Before its body was read; curl 7.88 fails where RST_STREAM(NO_ERROR) comes with it."""
    (tmp_path / "big").write_bytes(bytes(1 << 20))
    nuncio = tight(http({"respond": {"status": 401}}))
    for body in ["small"] * 8 + [f"@{tmp_path}/big"] * 2:
        done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", body,
                               f"http://{nuncio.address('in')}/"], capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, b"401"), done.stderr
    assert nuncio.stats()["http.ingress.http2.rx_messaging_error"] == 0


# --- resets, both ways

def test_resets(tight, peer):
    origin = peer(Stuck)
    nuncio = tight(edge(origin, routes=[{"match": {"path": "/late"}, "cluster": "c", "timeout": "200ms"}, {"cluster": "c"}]))
    with connect(nuncio) as client:
        client.send(headers(1, GET))
        eventually(lambda: len(origin.requests) == 1)
        client.send(reset(1))
        row = last_request(nuncio)
        assert (row["flags"], row["details"]) == ("DC", "downstream_remote_disconnect")
        nuncio.wait_stat("cluster.c.upstream_rq_active", 0)
        assert client.get(3, "/late").status == 504
    nuncio.wait_stat("http.ingress.downstream_rq_rx_reset", 1)
    nuncio.wait_stat("http.ingress.http2.rx_reset", 1)
    with connect(nuncio) as client:
        client.send(post(1))
        nuncio.wait_stat("http.ingress.downstream_rq_active", 1)
    nuncio.wait_stat("http.ingress.downstream_rq_active", 0)
    nuncio.wait_stat("http.ingress.downstream_cx_destroy_active_rq", 1)


def test_a_malformed_request_is_logged(tight, peer):
    nuncio = tight(edge(peer(Origin)))
    with connect(nuncio) as client:
        client.send(headers(1, [*GET, ("connection", "close")]))
        assert client.fate() == ("RST_STREAM", "PROTOCOL_ERROR")
        row = last_request(nuncio)
        assert (row["flags"], row["details"]) == ("DPE", "http2.connection_header")
        client.send(headers(3, [(":method", "CONNECT"), (":authority", "a.test:443")]))
        assert client.response(3).status == 404
    nuncio.wait_stat("http.ingress.http2.rx_messaging_error", 1)


# --- sizes and times

def test_large_heads(tight, peer):
    nuncio = tight(edge(peer(Origin), max_header_bytes="2KiB", max_headers=10))
    with connect(nuncio) as client:
        assert client.get(1, "/", ("x", "y" * 2000)).status == 431
        assert client.get(3, "/", *[("x", "y")] * 11).status == 431
        assert client.get(5).status == 200
        # a few bytes that mean many: an entry of the table, said again and again
        bomb = h2.block(GET) + field("x", "y" * 4000, 0x40) + b"\xbe" * 12000
        client.send(frame("HEADERS", 5, 7, bomb))
        assert client.fate() == ("GOAWAY", "ENHANCE_YOUR_CALM")
    with connect(nuncio) as client:
        client.send(frame("HEADERS", 1, 1, h2.block(GET)), *[frame("CONTINUATION", 0, 1)] * 9)
        assert client.fate() == ("GOAWAY", "ENHANCE_YOUR_CALM")
    with connect(nuncio) as client:
        assert client.get(1).status == 200
    for name, count in ("header_overflow", 2), ("header_bomb", 1), ("continuation_flood", 1):
        nuncio.wait_stat(f"http.ingress.http2.{name}", count)


def test_times(tight, peer):
    nuncio = tight(edge(peer(Stuck), headers_timeout="150ms", idle_timeout="2s", stream_idle_timeout="300ms"))
    with connect(nuncio) as slow, connect(nuncio) as idle, connect(nuncio) as stuck:
        slow.send(frame("HEADERS", 1, 1, h2.block(GET)))
        stuck.send(headers(1, GET))
        assert slow.fate() == ("GOAWAY", "ENHANCE_YOUR_CALM")
        assert idle.fate() == ("GOAWAY", "NO_ERROR")
        assert idle.closed()
        assert stuck.response(1).status == 504
    nuncio.wait_stat("http.ingress.downstream_rq_header_timeout", 1)
    nuncio.wait_stat("http.ingress.downstream_cx_idle_timeout", lambda count: count >= 1)


def test_a_client_that_takes_nothing(tight, peer):
    """Its window is shut: the server is held, and in the end the stream is given up; others go on."""
    size = scale(4 << 20)
    body = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + bytes(100)
    answers = {"/big": body, "/whole": whole}
    nuncio = tight(edge(peer(Origin, lambda r: answers.get(r.start.split()[1], OK)), stream_idle_timeout="1500ms"))
    with connect(nuncio) as client:
        client.send(settings((4, 10)))
        client.send(headers(1, [*GET[:2], (":path", "/big"), GET[3]]), headers(3, GET),
                    headers(5, [*GET[:2], (":path", "/whole"), GET[3]]))  # all of that waits already
        seen = client.until(lambda got: got.type == "RST_STREAM") + client.until(lambda got: got.type == "RST_STREAM")
        assert {(got.stream, got.code) for got in seen if got.type == "RST_STREAM"} == {(1, "CANCEL"), (5, "CANCEL")}
        assert b"".join(got.payload for got in seen if (got.type, got.stream) == ("DATA", 3)) == b"ok"
    nuncio.wait_stat("http.ingress.downstream_rq_idle_timeout", 2)


def test_a_server_that_takes_nothing(tight, peer):
    """Its stream's window is not given back; the connection's is, and the others'."""
    stop = threading.Event()

    class Deaf(Origin):
        def talk(self, conn, reader):
            if reader.until(b"\r\n\r\n").startswith(b"POST /deaf"):
                stop.wait(20)
            else:
                conn.sendall(OK)
    origin = peer(Deaf, receive_buffer=4096)
    nuncio = tight(edge(origin, http2={"connection_window": "64KiB"}))
    with connect(nuncio) as client:
        client.send(post(1, path="/deaf"), post(3, path="/deaf"), *[data(1, b"x" * 16000)] * 4)
        client.until(lambda got: got.type == "WINDOW_UPDATE" and got.stream == 0)
        client.send(*[data(3, b"x" * 16000)] * 2)
        assert client.get(5).status == 200
        stop.set()


# --- floods

FLOODS = {
    "reset": lambda n: b"".join(headers(i, GET) + reset(i) for i in range(1, 2 * n, 2)),
    "provoked_reset": lambda n: b"".join(headers(i, GET + [("x", " ")]) for i in range(1, 2 * n, 2)),
    "ping": lambda n: frame("PING", 0, 0, bytes(8)) * n,
    "settings": lambda n: settings() * n,
    "priority": lambda n: frame("PRIORITY", 0, 1, bytes([0, 0, 0, 3, 1])) * n,
    "window_update": lambda n: window(0, 1) * n,
    "empty_frame": lambda n: post(1) + data(1) * n,
    "unknown_frame": lambda n: frame(0x42, 0, 0, b"x") * n,
}


def test_floods(tight, peer):
    """Each ends its connection with ENHANCE_YOUR_CALM and is counted; another client is answered meanwhile."""
    nuncio = tight(edge(peer(Origin), access_log=None, http2={"max_concurrent_streams": 1000}))
    with connect(nuncio) as honest:
        for i, (name, flood) in enumerate(FLOODS.items()):
            with connect(nuncio) as client:
                client.send(flood(6000))
                last = client.until(lambda got: got.type == "GOAWAY")
                assert not last or last[-1].type != "GOAWAY" or last[-1].code == "ENHANCE_YOUR_CALM", name
            nuncio.wait_stat(f"http.ingress.http2.{name}_flood", 1)
            assert honest.get(2 * i + 1).status == 200


def test_a_client_that_does_not_read_what_it_provokes(tight):
    nuncio = tight(http({"respond": {"status": 200}}, access_log=None))
    request = b"\x82\x86\x84\x01\x06a.test"  # as short as one can be
    with connect(nuncio) as client:
        client.send(b"".join(frame("HEADERS", 5, i, request) for i in range(1, 40000, 2)))
        client.closed()
    nuncio.wait_stat("http.ingress.http2.outbound_flood", 1)


# --- the end of connections

def test_a_drain_loses_no_request(nuncio, peer):
    """What crosses the first GOAWAY is served, if it comes within a second; the second one names it."""
    patiently(lambda _: drain(nuncio, peer(Stuck)))


def drain(nuncio, origin):
    proxy = nuncio(edge(origin) + "drain_timeout: 20s\n")
    with connect(proxy) as client:
        client.send(headers(1, GET))
        eventually(lambda: len(origin.requests) == 1)
        proxy.ctl("drain")
        first = client.until(lambda got: got.type == "PING" and not got.flags)
        assert (first[-2].code, first[-2].last) == ("NO_ERROR", (1 << 31) - 1)
        client.send(headers(3, GET), frame("PING", h2.ACK, 0, first[-1].payload))
        last = client.until(lambda got: got.type == "GOAWAY")[-1]
        assert (last.code, last.last) == ("NO_ERROR", 3)
        eventually(lambda: len(origin.requests) == 2)
        origin.release()
        rest = client.until(lambda got: False)
        assert sorted((got.stream, dict(got.fields)[":status"]) for got in rest if got.type == "HEADERS") == [
            (1, "200"), (3, "200")]
    eventually(lambda: not proxy.running())


def test_a_connection_leaves_before_its_listener(nuncio, peer):
    """While TERM waits for who has not noticed, an answer comes with GOAWAY."""
    chain = {"http": {"routes": [{"cluster": "c"}]}}
    proxy = nuncio(config(listeners=[listener(chain)], clusters=[cluster(peer(Origin))], drain_timeout="10s",
                          drain_delay="1h"))
    with connect(proxy) as client:
        assert client.get(1).status == 200
        proxy.signal(signal.SIGTERM)
        proxy.wait_line("draining timeout_ms=10000")
        client.send(headers(3, GET))
        got = client.until(lambda got: False)
        assert ["NO_ERROR"] * 2 == [one.code for one in got if one.type == "GOAWAY"]
        assert [dict(one.fields)[":status"] for one in got if one.type == "HEADERS"] == ["200"]
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0


def test_a_reload_reaches_the_next_request(tight, peer):
    origin = peer(Stuck)
    nuncio = tight(edge(origin))
    with connect(nuncio) as client:
        client.send(headers(1, GET))
        eventually(lambda: len(origin.requests) == 1)
        nuncio.reload(http({"respond": {"status": 201}}))
        assert client.get(3).status == 201
        nuncio.reload(http({"respond": {"status": 202}}, at={"filters": [{"tcp_proxy": {"cluster": "c"}}]},
                           clusters=[cluster(origin)]))
        client.send(headers(5, GET))
        missing = {("GOAWAY", 0), ("HEADERS", 5)}
        client.until(lambda got: missing.discard((got.type, got.stream)) or not missing)
        origin.release()
        assert client.response(1).status == 200
        assert client.closed()
