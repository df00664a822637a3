"""gRPC as frames: deadlines, answers of the proxy's own, retries, the log, stats. Real clients and servers: test_grpc_peers.py."""
import json

import pytest

from lib import h2
from lib.config import cluster
from lib.h2 import data, headers, reset
from lib.h2_server import H2Server
from lib.http import Client, front, http
from lib.poll import patiently

LOG = {"path": "grpc.json", "json": {
    "status": "%GRPC_STATUS%", "snake": "%GRPC_STATUS(SNAKE_STRING)%", "number": "%GRPC_STATUS_NUMBER%", "text": "%GRPC_STATUS(NUMBER)%",
    "http": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%"}}
CALL = [(":method", "POST"), (":scheme", "http"), (":path", "/a.S/M"), (":authority", "a.test"), ("content-type", "application/grpc"),
        ("te", "trailers")]
MESSAGE = b"\0\0\0\0\3abc"


def start(stream):
    return headers(stream, [(":status", "200"), ("content-type", "application/grpc")], False)


def trailers(stream, status, message=None):
    return headers(stream, [("grpc-status", str(status)), *([("grpc-message", message)] if message else [])])


def alone(stream, status, message=""):
    """A response of trailers alone."""
    return headers(stream, [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", str(status)), ("grpc-message", message)])


def echo(conn, request):
    return start(request.stream) + data(request.stream, request.body) + trailers(request.stream, 0)


def call(client, stream, *fields, body=MESSAGE, end=True):
    """Asks, and gives what came: its `grpc` is (status, message) wherever they stood."""
    client.send(headers(stream, [*CALL, *fields], False), data(stream, body, end))
    return heard(client, stream)


def heard(client, stream):
    got = client.response(stream)
    told = dict(got.trailers or got.fields)
    got.grpc = (told.get("grpc-status"), told.get("grpc-message"))
    return got


def to(*servers, more=None, **keys):
    return front(*servers, to={"protocol": "http2", **(more or {})}, access_log=LOG, **keys)


def logged(proxy, least=1):
    return [json.loads(line) for line in proxy.file_lines("grpc.json", least)][-1]


# --- what servers say

def test_trailers_status_in_log_and_stats(nuncio, peer):
    server = peer(H2Server, lambda conn, request: start(request.stream) + data(request.stream, request.body)
                  + trailers(request.stream, request.fields["want"], "gr%C3%BC%C3%9F"))
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        for status in [*range(17), 77]:
            got = call(client, 2 * status + 1, ("want", str(status)))
            assert (got.status, got.body, got.grpc) == (200, MESSAGE, (str(status), "gr%C3%BC%C3%9F"))
        assert server.requests[-1].fields["te"] == "trailers"
        client.get(199, "/plain", ("want", "5"))
    rows = [json.loads(line) for line in proxy.file_lines("grpc.json", 19)]
    shown = [(row["status"], row["snake"], row["number"], row["text"]) for row in rows]
    assert shown[4] == ("DeadlineExceeded", "DEADLINE_EXCEEDED", 4, "4") and shown[1][:2] == ("Canceled", "CANCELLED")
    assert shown[17] == ("77", "77", 77, "77") and shown[18] == (None,) * 4
    stats = proxy.stats()
    assert [stats[f"cluster.c.grpc.{status}"] for status in range(17)] == [1] * 17
    assert [stats[f"cluster.c.grpc.{name}"] for name in ("total", "success", "failure")] == [18, 1, 17]


def test_a_response_of_trailers_alone_and_one_without_a_status(nuncio, peer):
    server = peer(H2Server, lambda conn, request: alone(request.stream, 5, "no%20such") if request.body else headers(
        request.stream, [(":status", "404")]))
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        assert call(client, 1).grpc == ("5", "no%20such")
        assert call(client, 3, body=b"").status == 404
    rows = [json.loads(line) for line in proxy.file_lines("grpc.json", 2)]
    assert [row["status"] for row in rows] == ["NotFound", "Unimplemented"]


# --- deadlines

def test_a_deadline_passes(nuncio, peer):
    def begin(factor):
        server, told = peer(H2Server, lambda conn, request: None), f"{50 * factor}m"
        proxy = nuncio(to(server))
        with h2.connect(proxy) as client:
            got = call(client, 1, ("grpc-timeout", told))
            assert (got.status, got.grpc, got.trailers) == (200, ("4", "upstream request timeout"), None)
        assert server.saw("RST_STREAM", 1).code == "CANCEL" and server.requests[0].fields["grpc-timeout"] == told
        row = logged(proxy)
        assert (row["status"], row["http"], row["flags"], row["details"]) == ("DeadlineExceeded", 200, "UT", "response_timeout")
        assert proxy.stats()["cluster.c.upstream_rq_timeout"] == proxy.stats()["cluster.c.grpc.4"] == 1
    patiently(begin)


def test_a_deadline_passes_before_the_request_is_whole(nuncio, peer):
    def begin(factor):
        server = peer(H2Server, lambda conn, request: None)
        with h2.connect(nuncio(to(server))) as client:
            assert call(client, 1, ("grpc-timeout", f"{50 * factor}m"), end=False).grpc[0] == "4"
            assert call(client, 3, ("grpc-timeout", "0n"), end=False).grpc[0] == "4"
        assert server.saw("RST_STREAM", 1).code == "CANCEL"
    patiently(begin)


def test_a_deadline_passes_in_the_midst_of_a_stream(nuncio, peer):
    def begin(factor):
        server = peer(H2Server, lambda conn, request: start(request.stream) + data(request.stream, MESSAGE), early=True)
        proxy = nuncio(to(server))
        with h2.connect(proxy) as client:
            got = call(client, 1, ("grpc-timeout", f"{300 * factor}m"), end=False)
            assert (got.body, got.trailers, got.reset) == (
                MESSAGE, [("grpc-status", "4"), ("grpc-message", "upstream request timeout")], None)
        assert server.saw("RST_STREAM", 1).code == "CANCEL"
        assert (logged(proxy)["status"], logged(proxy)["flags"]) == ("DeadlineExceeded", "UT")
    patiently(begin)


def test_a_response_with_a_length_is_cut_by_a_deadline(nuncio, peer):
    """Trailers would make it look whole to nobody, but its length would be wrong."""
    def begin(factor):
        server = peer(H2Server, lambda conn, request: headers(request.stream, [(":status", "200"), ("content-length", "99")], False)
                      + data(request.stream, MESSAGE))
        with h2.connect(nuncio(to(server))) as client:
            got = call(client, 1, ("grpc-timeout", f"{300 * factor}m"))
            assert (got.body, got.trailers, got.reset) == (MESSAGE, None, "CANCEL")
    patiently(begin)


@pytest.mark.parametrize("keys,fields,told,late", [
    ({"max_grpc_timeout": "SHORTms"}, [("grpc-timeout", "1H")], "SHORTm", True),
    ({"max_grpc_timeout": "SHORTms"}, [], "SHORTm", True),
    ({"max_grpc_timeout": "1h"}, [("grpc-timeout", "SHORTm")], "SHORTm", True),
    ({"max_grpc_timeout": "0", "timeout": "1ms"}, [("grpc-timeout", "1H")], "1H", False),
    ({"max_grpc_timeout": "0", "timeout": "1ms"}, [], None, False),
    ({"timeout": "SHORTms"}, [("grpc-timeout", "1H")], "1H", True),
    ({"timeout": "0"}, [("grpc-timeout", "1 S")], "1 S", False),
], ids=["lowered", "given", "within", "any", "none", "route's", "nonsense"])
def test_whose_deadline_counts(nuncio, peer, keys, fields, told, late):
    def begin(factor):
        def real(text):
            return text and text.replace("SHORT", str(50 * factor))
        server = peer(H2Server, lambda conn, request: request.stream == 3 and echo(conn, request) or None)
        with h2.connect(nuncio(to(server, routes=[{"cluster": "c", **{key: real(value) for key, value in keys.items()}}]))) as client:
            client.send(headers(1, [*CALL, *[(name, real(value)) for name, value in fields]], True))
            server.wait(lambda: server.requests, "the call", 5 * factor)
            assert server.requests[0].fields.get("grpc-timeout") == real(told)
            if late:
                assert heard(client, 1).grpc[0] == "4"
                return
            assert call(client, 3).grpc == ("0", None), "and so did the one before it not end"
            server.connections[0].send(alone(1, 0))
            assert heard(client, 1).grpc[0] == "0"
    patiently(begin)


# --- answers of the proxy's own

def test_answers_of_our_own(nuncio, peer, refusing_port):
    routes = [{"match": {"path": "/down"}, "cluster": "down"},
              {"match": {"path": "/out"}, "respond": {"status": 403, "body": "grüß Gott, 100%"}},
              {"match": {"path": "/well"}, "respond": {"status": 200, "body": "ok"}},
              {"match": {"path": "/limit"}, "cluster": "down", "filters": {"local_rate_limit": {"tokens": 1, "per": "1h"}}},
              {"match": {"path": "/login"}, "cluster": "down", "filters": {"basic_auth": {"users_file": "users"}}},
              {"match": {"path": "/fault"}, "cluster": "down", "filters": {"fault": {"abort": 503}}},
              {"match": {"path": "/big"}, "cluster": "down", "filters": {"buffer": {"max_request_bytes": 4}}}]
    proxy = nuncio(http(*routes, clusters=[cluster(refusing_port, name="down", protocol="http2")], access_log=LOG), files={"users": "a:{SHA}" + "A" * 27 + "=\n"})
    unreached = "upstream connect error or disconnect/reset before headers. reset reason: connection failure"
    wanted = {"/none": ("12", None), "/down": ("14", unreached), "/out": ("7", "gr%C3%BC%C3%9F Gott, 100%25"), "/fault": ("14", "fault filter abort"),
              "/login": ("16", "User authentication failed. Missing username and password."), "/big": ("2", "Payload Too Large")}
    with h2.connect(proxy) as client:
        for stream, path in zip(range(1, 99, 2), [*wanted, "/limit", "/limit", "/well"]):
            client.send(headers(stream, [*CALL[:2], (":path", path), *CALL[3:]], False), data(stream, MESSAGE, True))
            got = heard(client, stream)
            if path in wanted:
                assert (path, got.status, got.grpc, got.trailers, got.body) == (path, 200, wanted[path], None, b"")
                assert dict(got.fields)["content-type"] == "application/grpc" and "content-length" not in dict(got.fields)
        assert (got.status, got.body, got.grpc[0]) == (200, b"ok", None), "a response that is no error stays what it is"
    rows = {json.loads(line)["flags"]: json.loads(line) for line in proxy.file_lines("grpc.json", 9)}
    assert rows["NR"]["status"] == "Unimplemented" and rows["RL"]["status"] == rows["UF"]["status"] == "Unavailable"
    assert rows["RL"]["http"] == 200


def test_answers_of_our_own_in_http_1_and_as_the_config_says(nuncio):
    replies = [{"status": 404, "body": "elsewhere", "content_type": "text/html", "headers": {"set": {"x-seen": "1"}}}]
    proxy = nuncio(http({"match": {"path": "/no"}, "respond": 200}, local_replies=replies))
    with Client(proxy) as client:
        got = client.get("/x", "a.test", "Content-Type: application/grpc+proto", method="POST", body=b"x")
        assert (got.status, got.get("grpc-status"), got.get("grpc-message"), got.get("x-seen")) == (200, "12", "elsewhere", "1")
        assert (got.get("content-type"), got.get("content-length"), got.body) == ("application/grpc", "0", b"")
        assert (client.get("/x").status, client.get("/x", "a.test", "Content-Type: application/grpc-web").status) == (404, 404)
        bad = client.ask("POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
        assert (bad.status, bad.get("grpc-status")) == (400, None), "what cannot be read is refused in its own words"


# --- resets, retries

def test_a_client_cancels_and_a_server_does(nuncio, peer):
    server = peer(H2Server, lambda conn, request: start(request.stream) + (
        reset(request.stream) if "cut" in request.fields else data(request.stream, MESSAGE)), early=True)
    proxy = nuncio(to(server))
    with h2.connect(proxy) as client:
        client.send(headers(1, CALL, False), data(1, MESSAGE))
        client.until(lambda got: got.type == "DATA")
        client.send(reset(1))
        assert server.saw("RST_STREAM", 1).code == "CANCEL"
        assert (logged(proxy)["status"], logged(proxy)["flags"]) == ("Canceled", "DC")
        assert call(client, 3, ("cut", "1"), end=False).reset == "INTERNAL_ERROR"
        assert (logged(proxy, 2)["status"], logged(proxy, 2)["flags"]) == ("Unknown", "UR")


@pytest.mark.parametrize("when,status,again", [
    ("unavailable", 14, True), ("cancelled", 1, True), ("deadline-exceeded", 4, True), ("internal", 13, True), ("resource-exhausted", 8, True),
    ("unavailable", 8, False), ("5xx", 14, False)])
def test_retries_by_status(nuncio, peer, when, status, again):
    server = peer(H2Server, lambda conn, request: alone(request.stream, status) if len(server.requests) == 1 else echo(conn, request))
    proxy = nuncio(to(server, routes=[{"cluster": "c", "retry": {"when": [when], "attempts": 1}}]))
    with h2.connect(proxy) as client:
        assert call(client, 1).grpc[0] == ("0" if again else str(status))
    assert len(server.requests) == (2 if again else 1)
    assert proxy.stats()["cluster.c.upstream_rq_retry_success"] == again


def test_no_retry_once_there_was_a_message_or_for_other_requests(nuncio, peer):
    server = peer(H2Server, lambda conn, request: start(request.stream) + data(request.stream, MESSAGE) + trailers(request.stream, 14)
                  if request.body else alone(request.stream, 14))
    proxy = nuncio(to(server, routes=[{"cluster": "c", "retry": {"when": ["unavailable"], "attempts": 3}}]))
    with h2.connect(proxy) as client:
        assert call(client, 1).grpc[0] == "14"
        client.get(3)
    assert len(server.requests) == 2
