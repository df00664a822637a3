"""Connections of clients that have served long enough, and signs of life: HTTP/1, HTTP/2, curl, nghttp."""
import re

from lib import h2
from lib.h2 import GET, frame, headers
from lib.http import Client, Origin, Stuck, front
from lib.poll import eventually, patiently
from lib.process import command


def edge(*endpoints, **keys):
    """None of its own connections stay open."""
    return front(*endpoints, to={"pool": {"max_idle": 0}}, **keys)


def curl(url, times):
    """Statuses of so many requests, and how many connections they took."""
    done = command("curl", "-sS", "-m", "20", "-w", "%{http_code} %{num_connects}\n",
                   *[word for _ in range(times) for word in ("-o", "/dev/null", url)])
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0] for row in rows}, sum(int(row[1]) for row in rows)


def test_an_old_connection_of_http_1(tight, peer):
    """It ends with a response that says so; while nothing is asked it stays, for a request may be on its way."""
    nuncio = tight(edge(peer(Origin), max_connection_duration="200ms", idle_timeout="1h"))
    with Client(nuncio) as client, Client(nuncio) as idle:
        eventually(lambda: client.get().get("connection") == "close")
        assert client.rest() == b""
        answer = idle.get()
        assert (answer.status, answer.get("connection"), idle.rest()) == (200, "close", b"")
    nuncio.wait_stat("http.ingress.downstream_cx_max_duration_reached", 2)
    nuncio.wait_stat("http.ingress.downstream_cx_drain_close", 0)


def test_an_old_connection_of_http_2(tight, peer):
    """What crosses its GOAWAY is served, too, if it comes within a second."""
    patiently(lambda _: grow_old(tight, peer(Stuck)))


def grow_old(tight, origin):
    nuncio = tight(edge(origin, max_connection_duration="200ms"))
    with h2.connect(nuncio) as client:
        client.send(headers(1, GET))
        seen = client.until(lambda got: got.type == "PING")
        assert [(got.code, got.last) for got in seen if got.type == "GOAWAY"] == [("NO_ERROR", (1 << 31) - 1)]
        client.send(headers(3, GET), frame("PING", h2.ACK, 0, seen[-1].payload))
        assert client.until(lambda got: got.type == "GOAWAY")[-1].last == 3
        eventually(lambda: len(origin.requests) == 2)
        origin.release()
        rest = client.until(lambda got: False)
        assert {(got.stream, dict(got.fields)[":status"]) for got in rest if got.type == "HEADERS"} == {(1, "200"), (3, "200")}
    nuncio.wait_stat("http.ingress.downstream_cx_max_duration_reached", 1)


def test_so_many_requests_and_no_more(tight, peer):
    nuncio = tight(edge(peer(Origin), max_requests_per_connection=3))
    url = f"http://{nuncio.address('in')}/"
    with Client(nuncio) as client:
        assert [client.get().get("connection") for _ in range(3)] == [None, None, "close"]
        assert client.rest() == b""
    assert curl(url, 7) == ({"200"}, 3)
    nuncio.wait_stat("http.ingress.downstream_cx_max_requests_reached", 3)
    patiently(lambda _: ask_too_often(nuncio))
    nuncio.wait_stat("http.ingress.downstream_cx_max_requests_reached", lambda count: count >= 4)


def ask_too_often(nuncio):
    with h2.connect(nuncio) as client:
        client.send(headers(1, GET), headers(3, GET))
        assert client.response(3).status == 200
        client.send(headers(5, GET))
        ping = client.until(lambda got: got.type == "PING")[-1]
        client.send(headers(7, GET), frame("PING", h2.ACK, 0, ping.payload))  # which crosses the GOAWAY
        assert client.response(7).status == 200
        assert client.closed()


def test_silent_clients_are_asked(tight, peer):
    """Who answers is left alone, with and without a request; nghttp does."""
    nuncio = tight(edge(peer(Origin), http2={"ping_interval": "100ms", "ping_timeout": "20s"},
                         routes=[{"match": {"path": "/late"}, "cluster": "c", "filters": {"fault": {"delay": "500ms"}}}, {"cluster": "c"}]))
    out = command("nghttp", "-v", f"http://{nuncio.address('in')}/late").stdout
    assert re.search(r"recv .*PING frame", out) and ":status: 200" in out
    with h2.connect(nuncio) as client:
        for _ in range(2):
            ping = client.until(lambda got: got.type == "PING")[-1]
            assert not ping.flags
            client.send(frame("PING", h2.ACK, 0, ping.payload))
        assert client.get(1).status == 200
    assert nuncio.stats()["http.ingress.http2.keepalive_timeout"] == 0


def test_who_gives_no_sign_of_life_is_gone(tight, peer):
    nuncio = tight(edge(peer(Stuck), http2={"ping_interval": "100ms", "ping_timeout": "100ms"}))
    with h2.connect(nuncio) as client:
        client.send(headers(1, GET))
        assert client.until(lambda got: False)[-1].type == "PING"
    nuncio.wait_stat("http.ingress.http2.keepalive_timeout", 1)
    nuncio.wait_stat("http.ingress.downstream_rq_active", 0)
