"""nuncio-tap --join: the client's side of a proxy and the server's in one line, and never those that are not."""
import os
import re
import signal

import pytest

from lib import servers
from lib.config import cluster, config, listener
from lib.http import OK, Origin
from lib.packets import Talk, request, response
from lib.process import Child, command
from lib.tap import TAP, lines, objects, tap

CLIENT, EDGE, PROXY, ORIGIN = "10.0.0.9:40000", "10.0.0.1:80", "10.0.0.1:50000", "10.0.0.2:8080"
FORWARDED = "X-Forwarded-For: 10.0.0.9\r\n"


def front(target, at, fields="", took=0.02, client=CLIENT, **more):
    """Asked at `at` + 3 ms."""
    return Talk(client, EDGE, at).ask(request(target, fields=fields), response(200, **more), wait=took).close()


def back(target, at, fields="", took=0.002, client=PROXY, **more):
    return Talk(client, ORIGIN, at).ask(request(target, fields=fields), response(200, **more), wait=took).close()


def ties(path, *words):
    """{id: id of its server's side}"""
    found = objects(path, "--join", *words, kind="http")
    tied = {one["id"]: one["upstream"]["id"] for one in found if "upstream" in one}
    assert {one["id"]: one["downstream"] for one in found if "downstream" in one} == {back: front for front, back in tied.items()}
    return tied


def test_a_line_has_both_sides(of_talks):
    path = of_talks(front("/v1/cart", 0), back("/api/cart", 0.006, FORWARDED))
    line, = lines(path, "--join")
    assert line.endswith("#1.1  10.0.0.9:40000 h1  GET http://a.test/v1/cart -> 200 0B plain  ttfb 21.0ms total 21.0ms"
                         "  => #2.1 h1 10.0.0.2:8080 http://a.test/api/cart  ttfb 3.0ms total 3.0ms  proxy 18.0ms")
    assert len(lines(path)) == 2


def test_objects_name_each_other(of_talks):
    path = of_talks(front("/v1/cart?token=x", 0), back("/api/cart?token=x", 0.006, FORWARDED + "Authorization: Basic YTpi\r\n"))
    asked, = (one for one in objects(path, "--join", "-v", kind="http") if "upstream" in one)
    assert asked["upstream"] == {
        "id": "2.1", "server": ORIGIN, "proto": "h1", "tls": False, "method": "GET", "host": "a.test", "target": "/api/cart?token=***",
        "status": 200, "ttfb_ms": 3.0, "total_ms": 3.0, "proxy_ms": 18.0, "by": "forwarded",
        "request_headers": [["Host", "a.test"], ["X-Forwarded-For", "10.0.0.9"], ["Authorization", "Basic ***"]],
        "response_headers": [["Content-Type", "text/plain"], ["Content-Length", "0"]]}
    plain = [{key: value for key, value in one.items() if key not in ("upstream", "downstream")} for one in objects(path, "--join")]
    assert sorted(plain, key=str) == sorted(objects(path), key=str)  # nothing else is told otherwise


def test_what_the_proxy_changed_is_shown(of_talks):
    path = of_talks(Talk(CLIENT, EDGE).ask(request("/", fields="X-Odd: 1\r\nCookie: a=b\r\n"), response(200, fields="server: edge\r\n"), wait=0.02).close(),
                Talk(PROXY, ORIGIN, 0.006).ask(request("/", fields=FORWARDED + "Authorization: Bearer s3cret\r\n" + "Cookie: a=b\r\n"),
                                               response(200, fields="Server: app\r\n")).close())
    shown = lines(path, "--join", "-v")
    changes = [line.strip() for line in shown if re.match("    [-+]", line)]
    assert changes == ["-> X-Odd: 1", "+> X-Forwarded-For: 10.0.0.9", "+> Authorization: Bearer ***", "-< Server: app", "+< server: edge"]


def test_pooled_connections_and_http2_in_front(of_talks):
    """Three streams of one connection on two kept connections, each not in the order that they came in."""
    start = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5)

    def asks(stream, path):
        block = b"\x82\x86\x44" + bytes([len(path)]) + path + b"\x41\x06a.test"
        return bytes([0, 0, len(block), 1, 5, 0, 0, 0, stream]) + block

    def answers(stream):
        return bytes([0, 0, 1, 1, 5, 0, 0, 0, stream]) + b"\x88"

    client = (Talk(CLIENT, EDGE).send(True, start + asks(1, b"/a") + asks(3, b"/b")).send(False, bytes(3) + b"\4" + bytes(5)).wait(0.02)
              .send(False, answers(3)).send(True, asks(5, b"/c")).wait(0.02).send(False, answers(1) + answers(5)).close())
    one = Talk("10.0.0.1:5001", ORIGIN).wait(0.003).ask(request("/x/b"), response(200)).wait(0.02).ask(request("/x/c"), response(200)).close()
    two = Talk("10.0.0.1:5002", ORIGIN).wait(0.004).ask(request("/x/a"), response(200), wait=0.03).close()
    assert ties(of_talks(client, one, two)) == {"1.1": "3.1", "1.2": "2.1", "1.3": "2.2"}


def test_who_is_behind_a_proxy_header(of_talks):
    """The same request of two clients at once, host and path rewritten."""
    header = "PROXY TCP4 10.0.0.9 10.0.0.1 {} 80\r\n"
    backs = [Talk(f"10.0.0.1:{n}", ORIGIN, 0.004 + n / 1e6).send(True, header.format(of).encode() + request("/in", host="b.test")).wait(0.004)
             .send(False, response(200)).close() for n, of in ((5001, 40002), (5002, 40001))]
    fronts = [front("/out", n / 1e6, client=f"10.0.0.9:{40000 + n}") for n in (1, 2)]
    assert ties(of_talks(*fronts, *backs)) == {"1.1": "4.1", "2.1": "3.1"}


def test_alike_at_once_are_tied_by_ids_only(of_talks):
    """Nobody can say which is whose; by X-Request-Id and by a trace it can be said."""
    def talks(*fields):
        return [front("/", 0.0004 * n, field, client=f"10.0.0.9:4000{n}") for n, field in enumerate(fields)] + [
            back("/", 0.01 - 0.0005 * n, field + FORWARDED, client=f"10.0.0.1:5000{n}") for n, field in enumerate(fields)]

    assert ties(of_talks(*talks("", ""))) == {}
    assert ties(of_talks(*talks("X-Request-Id: 1\r\n", "X-Request-Id: 2\r\n"))) == {"1.1": "4.1", "2.1": "3.1"}
    many = [f"X-Request-Id: {n}\r\n" for n in range(9)]
    assert ties(of_talks(*talks(*many))) == {f"{n}.1": f"{19 - n}.1" for n in range(1, 10)}
    trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319{0}-b7ad6b716920333{0}-01\r\n"
    assert ties(of_talks(*talks(trace.format(1), trace.format(2)))) == {"1.1": "4.1", "2.1": "3.1"}
    assert ties(of_talks(*talks("X-Request-Id: 1\r\n", "X-Request-Id: 1\r\n"))) == {}


def test_two_services_that_are_probed_are_no_proxy(of_talks):
    """The one is slow, the other is asked the same meanwhile, on the same machine."""
    slow = Talk("127.0.0.1:4000", "127.0.0.1:8001").ask(request("/healthz", host="127.0.0.1:8001"), OK, wait=0.1).close()
    fast = Talk("127.0.0.1:4001", "127.0.0.1:8002", 0.01).ask(request("/healthz", host="127.0.0.1:8002"), OK).close()
    assert ties(of_talks(slow, fast)) == {}


def test_conditions_and_files_are_as_ever(of_talks, tmp_path):
    """What fits on either side is shown, with both."""
    path = of_talks(front("/v1/a", 0), back("/api/a", 0.006, FORWARDED), front("/v1/b", 1, client="10.0.0.9:40001"),
                back("/api/b", 1.006, FORWARDED, client="10.0.0.1:50001"))
    assert ties(path, "--where", 'target == "/api/b"') == {"3.1": "4.1"}
    assert [("=>" in line) for line in lines(path, "--join", "--where", 'target == "/v1/a"')] == [True]
    tap("-r", path, "--join", "-w", tmp_path / "out.pcapng", "--har", tmp_path / "out.har")
    assert ties(tmp_path / "out.pcapng") == ties(path) == {"1.1": "2.1", "3.1": "4.1"}


def test_more_at_once_than_there_is_room_for(of_talks):
    """They are told as they are, and it is said how many; none is taken for another."""
    long = [Talk(f"10.0.0.9:{n}", EDGE, n / 1e5).ask(request("/x"), response(200, b"x" * n), wait=0.5).close() for n in range(1, 1200)]
    assert ties(of_talks(*long)) == {}
    done = tap("-r", of_talks(*long), "--join", "--max-memory", "4MiB")
    assert len(done.stdout.splitlines()) == 1199 and re.search(r"\d+ exchanges not joined, for memory", done.stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root")
def test_live_through_haproxy_and_nuncio(nuncio, peer, closing, tmp_path):
    """Two proxies in a row, the second one rewrites the path: one line has all three."""
    origin = peer(Origin)
    routes = [{"cluster": "c", "rewrite": {"path_prefix": "/api/"}, "match": {"path_prefix": "/v1/"}}]
    proxy = nuncio(config(listeners=[listener({"http": {"routes": routes}})], clusters=[cluster(origin)]))
    edge = peer(servers.haproxy, tmp_path, ["edge"], lambda ports: f"""
listen edge
  mode http
  option forwardfor
  bind 127.0.0.1:{ports['edge']}
  server s {proxy.address('in')}
""")
    ports = [at.rsplit(":", 1)[1] for at in (edge.address, proxy.address("in"), origin.address)]
    child = closing(Child(TAP, "-i", "lo", "--join", *" or ".join(f"tcp port {port}" for port in ports).split()))
    child.wait_line("listens on lo")
    command("curl", "-sf", f"http://{edge.address}/v1/one", check=True)
    child.wait_line(r"GET http://127.0.0.1:\d+/v1/one -> 200 .* => #\d+.1 h1 \S+  ttfb .* => #\d+.1 h1 \S+ http://\S+/api/one  ttfb .* proxy ")
    child.signal(signal.SIGINT)
    assert child.wait() == 0 and len(re.findall("/one", child.output())) == 2
