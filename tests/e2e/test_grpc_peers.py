"""gRPC's own client and server (C core) with the proxy between them: calls of all four kinds, what ends them, checks."""
import json
import queue
import re

import pytest

from lib.grpc_peer import Calls, GrpcServer, grpc
from lib.http import front
from lib.poll import PATIENCE, SLOW, eventually, patiently
from lib.scale import MIB, scale

LOG = {"path": "grpc.json", "json": {"path": "%REQ(:PATH)%", "status": "%GRPC_STATUS%", "flags": "%RESPONSE_FLAGS%", "code": "%RESPONSE_CODE%"}}
LONG = PATIENCE * SLOW


@pytest.fixture
def server(peer):
    return peer(GrpcServer)


def to(*servers, more=None, **keys):
    return front(*servers, to={"protocol": "http2", **(more or {})}, access_log=LOG, **keys)


@pytest.fixture
def calls(nuncio, server, closing):
    proxy = nuncio(to(server, routes=[{"cluster": "c", "timeout": "0"}]))
    calls = closing(Calls(proxy.address("in")))
    calls.proxy = proxy
    return calls


def logged(proxy, path):
    """The newest line about a method, once there is one."""
    def look():
        rows = [json.loads(line) for line in proxy.file_lines("grpc.json")]
        return [row for row in rows if row["path"] == f"/t.T/{path}"]
    return eventually(look, what=f"a line of {path}")[-1]


def failed(call):
    """(code, text) of a call that fails."""
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code(), error.value.details()


def forever():
    """A stream of requests that says nothing and does not end."""
    return iter(queue.Queue().get, None)


# --- calls

def test_unary_with_metadata(calls):
    got, call = calls.echo.with_call(b"hello", metadata=[("x-a", "1"), ("x-raw-bin", b"\0\xff")], timeout=LONG)
    assert got == b"hello"
    assert ("x-a", "1") in call.initial_metadata() and ("x-raw-bin", b"\0\xff") in call.initial_metadata()
    assert {("x-a-end", "1"), ("x-raw-end-bin", b"\0\xff")} <= {*call.trailing_metadata()}
    assert logged(calls.proxy, "Echo") == {"path": "/t.T/Echo", "status": "OK", "flags": None, "code": 200}


def test_errors(calls):
    text = "grüß Gott: 100 %\nund mehr ☃"
    assert failed(lambda: calls.fail(b"9 " + text.encode(), timeout=LONG)) == (grpc.StatusCode.FAILED_PRECONDITION, text)
    assert logged(calls.proxy, "Fail")["status"] == "FailedPrecondition"
    assert failed(lambda: calls.none(b"", timeout=LONG))[0] == grpc.StatusCode.UNIMPLEMENTED
    eventually(lambda: calls.proxy.stats()["cluster.c.grpc.failure"] == 2)


def test_streams_of_the_client_and_of_the_server(calls):
    assert calls.collect((b"x" * n for n in range(200)), timeout=LONG) == b"%d" % sum(range(200))
    got = [*calls.count(b"200 50", timeout=LONG)]
    assert got == [bytes([n]) * 50 for n in range(200)]


def test_both_ways_at_once(calls):
    """Each message is an answer to the one before: nothing is held back."""
    say = queue.Queue()
    call = calls.chat(iter(say.get, None), timeout=LONG)
    for n in range(50):
        say.put(b"%d" % n)
        assert next(call) == b"%d" % n
    say.put(None)
    assert [*call] == [] and call.code() == grpc.StatusCode.OK


def test_big_messages(calls):
    big = bytes(range(256)) * (scale(8 * MIB) // 256)
    assert calls.echo(big, timeout=LONG) == big
    assert sum(map(len, calls.count(b"4 %d" % scale(2 * MIB), timeout=LONG))) == 4 * scale(2 * MIB)
    assert calls.collect(iter([big, big]), timeout=LONG) == b"%d" % (2 * len(big))


def test_compressed_messages(nuncio, peer, closing):
    server = peer(GrpcServer, "compress")
    calls = closing(Calls(nuncio(to(server)).address("in"), compression=grpc.Compression.Gzip))
    text = b"again and again " * 5000
    assert calls.echo(text, timeout=LONG) == text


# --- ends

def test_a_deadline(calls, server):
    def attempt(factor):
        assert failed(lambda: [*calls.hang(forever(), timeout=0.2 * factor)])[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    patiently(attempt)
    server.wait_line("^over$")
    assert logged(calls.proxy, "Hang")["status"] != "OK", "which of the three was the first to notice is chance"


def test_the_route_s_timeout_is_a_deadline_too(nuncio, server, closing):
    def attempt(factor):
        proxy = nuncio(to(server, routes=[{"cluster": "c", "max_grpc_timeout": f"{int(200 * factor)}ms"}]))
        calls = Calls(proxy.address("in"))
        call = calls.hang(forever())
        assert next(call) == b"begun"
        assert failed(lambda: next(call))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
        calls.close()
        assert logged(proxy, "Hang")["status"] == "DeadlineExceeded", "the server's word, which was told of it, or ours"
    patiently(attempt)


def test_the_client_cancels(calls, server):
    call = calls.hang(forever(), timeout=LONG)
    assert next(call) == b"begun"
    call.cancel()
    server.wait_line("^over$")
    assert logged(calls.proxy, "Hang") == {"path": "/t.T/Hang", "status": "Canceled", "flags": "DC", "code": 200}


def test_the_server_cancels(calls):
    say = queue.Queue()
    call = calls.hang(iter(say.get, None), timeout=LONG)
    assert next(call) == b"begun"
    say.put(b"leave")
    assert failed(lambda: next(call))[0] in (grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL)
    say.put(None)


def test_no_server(nuncio, refusing_port, closing):
    calls = closing(Calls(nuncio(to(refusing_port, routes=[{"match": {"path": "/t.T/Echo"}, "cluster": "c"}])).address("in")))
    code, text = failed(lambda: calls.echo(b"", timeout=LONG))
    assert code == grpc.StatusCode.UNAVAILABLE and "connection failure" in text
    assert failed(lambda: calls.fail(b"", timeout=LONG))[0] == grpc.StatusCode.UNIMPLEMENTED


# --- checks

def checks(proxy):
    """How each endpoint's last check went, in the config's order."""
    return re.findall(r"^c::[^:]*:\d+::health_check::(.*)$", proxy.ctl("clusters"), re.M)


def test_health_checks(nuncio, peer, closing):
    servers = [peer(GrpcServer), peer(GrpcServer)]
    check = {"grpc": {}, "interval": "50ms", "timeout": "10s", "unhealthy": 1, "healthy": 1}
    proxy = nuncio(to(*servers, more={"health_check": check}))
    calls = [closing(Calls(server.address)) for server in servers]
    eventually(lambda: checks(proxy) == ["passed"] * 2, what="both are well")
    calls[0].be(b"\x08\x02")
    eventually(lambda: checks(proxy) == ["failed: NOT_SERVING", "passed"], what="one is not")
    proxy.wait_stat("cluster.c.membership_healthy", 1)
    calls[0].be(b"\x08\x01")
    proxy.wait_stat("cluster.c.membership_healthy", 2)


def test_health_of_a_service_and_by_http(nuncio, server):
    check = {"interval": "1h", "timeout": "10s"}
    proxy = nuncio(to(server, more={"health_check": {**check, "grpc": "a.Service"}}))
    eventually(lambda: checks(proxy) == ["failed: grpc-status 5 NOT_FOUND: unknown service"], what=checks(proxy))
