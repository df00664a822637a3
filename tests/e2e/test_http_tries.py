"""Servers that die, are slow or answer badly: which requests are sent again, and which must not be."""
import json

from lib import clients
from lib.http import OK, Client, Origin, Stuck, front, last_request
from lib.peers import Blackhole
from lib.poll import eventually, patiently
from lib.ports import RefusingPort


def test_requests_survive_servers_that_close_idle_connections(tight, peer):
    """It answers once and closes without a word: the proxy may find out too late, the client never."""
    def answer(request):
        request.conn.sendall(OK)
        return None
    nuncio = tight(front(peer(Origin, answer)))
    with Client(nuncio) as client:
        for _ in range(200):
            assert client.get().status == 200


def test_what_must_not_be_sent_twice_is_not(tight, peer):
    """A POST that the server took and then died on."""
    origin = peer(Origin, lambda r: None if "POST" in r.start else OK)
    nuncio = tight(front(origin, to={"pool": {"idle_timeout": "300ms"}}))
    with Client(nuncio) as client:
        assert client.get().status == 200
        assert client.get(method="POST", body=b"x").status == 503
        assert sum("POST" in r.start for r in origin.requests) == 1
        assert client.get().status == 200
    assert [json.loads(row)["flags"] for row in nuncio.file_lines("http.json", 3)] == [None, "UC", None]


def test_the_next_endpoint_is_tried(tight, peer, refusing_port):
    origin = peer(Origin)
    nuncio = tight(front(refusing_port, origin, to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        for _ in range(6):
            assert client.get(method="POST", body=b"x").status == 200
    assert len(origin.requests) == 6
    nuncio.wait_stat("cluster.c.upstream_rq_retry_success", lambda n: n > 0)
    nuncio.wait_stat("cluster.c.upstream_rq_pending_failure_eject", lambda n: n > 0)


def test_no_server(tight, refusing_port):
    nuncio = tight(front(refusing_port))
    with Client(nuncio) as client:
        answer = client.get()
        assert answer.status == 503 and b"connection failure" in answer.body
    assert last_request(nuncio)["flags"] == "UF"


def test_the_last_try_fails_too(tight, closing):
    first, second = closing(RefusingPort()), closing(RefusingPort())
    nuncio = tight(front(first, second))
    with Client(nuncio) as client:
        assert client.get().status == 503
    assert last_request(nuncio)["flags"] == "UF,URX"
    nuncio.wait_stat("cluster.c.upstream_rq_retry_limit_exceeded", 1)


def test_a_client_that_leaves_before_there_is_a_connection(tight, peer):
    nuncio = tight(front(peer(Blackhole)))
    with Client(nuncio) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        nuncio.wait_stat("cluster.c.upstream_rq_pending_active", 1)
        clients.reset(client.sock)
        nuncio.wait_stat("cluster.c.upstream_rq_cancelled", 1)
        nuncio.wait_stat("cluster.c.upstream_rq_pending_active", 0)


def test_what_is_in_progress_is_counted(tight, peer):
    origin = peer(Stuck)
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}))
    gauges = ["http.ingress.downstream_cx_active", "http.ingress.downstream_cx_http1_active", "http.ingress.downstream_rq_active",
              "cluster.c.upstream_rq_active", "cluster.c.upstream_cx_active"]
    with Client(nuncio) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: [nuncio.stats()[gauge] for gauge in gauges] == [1] * 5, what="all at one")
        origin.release()
        assert client.response().status == 200
    eventually(lambda: [nuncio.stats()[gauge] for gauge in gauges] == [0] * 5, what="all at zero")


def test_limits_of_the_cluster(tight, peer):
    origin = peer(Stuck)
    nuncio = tight(front(origin, to={"limits": {"connections": 1}, "pool": {"max_idle": 0}}))
    with Client(nuncio) as first, Client(nuncio) as second:
        first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: origin.requests, what="the request")
        assert second.get().status == 503
        assert last_request(nuncio)["flags"] == "UO"
        origin.release()
        assert first.response().status == 200


def states(*of):
    left = iter(of)
    return lambda request: b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % next(left)


def retrying(**retry):
    return [{"cluster": "c", "timeout": "20s", "retry": retry}]


def test_retries_by_the_routes_wish(tight, peer):
    """A cluster of one endpoint is asked again, too: it may be a name for many."""
    origin = peer(Origin, states(503, 503, 200))
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}, routes=retrying(when=["5xx"], attempts=2)))
    with Client(nuncio) as client:
        assert client.get(method="POST", body=b"abc").status == 200
    assert [r.body for r in origin.requests] == [b"abc"] * 3
    nuncio.wait_stat("cluster.c.upstream_rq_retry", 2)


def test_retries_are_used_up(tight, peer):
    origin = peer(Origin, states(503, 502, 500, 200))
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}, routes=retrying(when=["5xx"], attempts=2)))
    with Client(nuncio) as client:
        assert client.get().status == 500
    assert len(origin.requests) == 3
    assert last_request(nuncio)["flags"] == "URX"
    nuncio.wait_stat("cluster.c.upstream_rq_retry_limit_exceeded", 1)


def test_a_reset_is_retried_by_wish(tight, peer):
    answers = iter([None, None, OK])
    origin = peer(Origin, lambda r: next(answers))
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}, routes=retrying(when=["reset"], attempts=2)))
    with Client(nuncio) as client:
        assert client.get(method="POST", body=b"x").status == 200
    assert len(origin.requests) == 3


def test_a_try_has_a_time_of_its_own(tight, peer):
    """The first is too slow, the second is not."""
    def story(factor):
        origin = peer(Origin, lambda r: OK if len(origin.requests) > 1 else clients.how_it_ends(r.conn) and None)
        nuncio = tight(front(origin, to={"pool": {"max_idle": 0}},
                             routes=retrying(when=["5xx"], attempts=1, per_try_timeout=f"{300 * factor}ms")))
        with Client(nuncio) as client:
            assert client.get().status == 200
        assert len(origin.requests) == 2
        nuncio.wait_stat("cluster.c.upstream_rq_per_try_timeout", 1)
    patiently(story)


def test_every_try_is_too_slow(tight, peer):
    origin = peer(Stuck)
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}, routes=retrying(when=["5xx"], attempts=1, per_try_timeout="200ms")))
    with Client(nuncio) as client:
        answer = client.get()
        assert (answer.status, answer.body) == (504, b"upstream request timeout")
    seen = last_request(nuncio)
    assert (seen["flags"], seen["details"]) == ("UT,URX", "upstream_per_try_timeout")
    origin.release()
