"""nuncio-tap --replay: recorded requests once more, to a server of one's choice, and what it answers now."""
import gzip
import re
import threading

import pytest

from lib.http import OK, Origin
from lib.packets import Talk, request, response
from lib.poll import PATIENCE
from lib.ports import free_port
from lib.servers import nginx
from lib.tap import tap

HELLO = response(200, b"hello\n")


def replay(path, to, *words, **more):
    """What it says, line by line; the summary is the last."""
    return tap("-r", path, "--replay", f"http://{to}", *words, **more).stdout.splitlines()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """nginx with three answers."""
    folder = tmp_path_factory.mktemp("replay")
    (folder / "long").write_bytes(b"0123456789" * 50000)
    child = nginx(folder, ["http"], http=lambda ports: f"""
        gzip on; gzip_min_length 1; gzip_types text/plain;
        server {{ listen 127.0.0.1:{ports['http']}; root {folder};
            location = /a {{ return 200 "hello\\n"; }}
            location = /gone {{ return 410; }} }}""")
    yield child
    child.end()


def test_answers_as_recorded(of_talks, server):
    """Kept and parallel connections; one answer was recorded plain and comes compressed now."""
    long = b"0123456789" * 50000
    talks = [Talk(client=f"10.0.0.1:{4000 + n}", at=n / 100).ask(request("/a"), HELLO).ask(request("/long"), response(200, long))
             .ask(request("/a", fields="Accept-Encoding: gzip\r\n"), HELLO).close() for n in range(10)]
    *shown, summary = replay(of_talks(*talks), server.address, "--diff", "--pace", "max")
    assert shown == [] and "30 requests to " in summary and ": 30 answered, 30 as recorded" in summary


def test_differences_are_shown_and_fail(of_talks, server):
    talk = (Talk().ask(request("/a?token=s3cret"), response(200, b"hellO\n")).ask(request("/gone"), response(200))
            .ask(request("/a", method="HEAD"), b"HTTP/1.1 200 X\r\nContent-Length: 6\r\n\r\n").close())
    path = of_talks(talk)
    body, status, summary = replay(path, server.address, "--diff", code=1)
    assert "#1.1 GET http://a.test/a?token=***  was 200 6B in 5.0ms, now 200 6B" in body
    assert body.endswith('  !another body, from byte 4 on: was "O\\n", now "o\\n"')
    assert "/gone  was 200 0B" in status and "now 410" in status and "!another status" in status
    assert "3 answered, 1 as recorded, 1 with another status, 2 with another body" in summary
    assert len(replay(path, server.address)) == 4  # without --diff it is no failure, and all are shown


def test_what_is_sent(of_talks, peer):
    """Host kept, what is for one connection dropped, the body decoded; HTTP/2 becomes HTTP/1.1."""
    origin = peer(Origin)
    zipped = gzip.compress(b"plain", mtime=0)
    fields = "Connection: x-mine\r\nX-Mine: 1\r\nX-Kept: 2\r\nContent-Encoding: gzip\r\nExpect: 100-continue\r\n"
    h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5)
    block = b"\x82\x86\x84\x41\x06b.test" + b"".join(b"\x0f\x11\x03" + cookie for cookie in (b"a=1", b"b=2"))
    heads = bytes([0, 0, len(block)]) + b"\x01\x05\0\0\0\x01" + block
    answer = bytes(3) + b"\4" + bytes(5) + b"\0\0\x01\x01\x05\0\0\0\x01\x88"
    talks = [Talk().ask(request("/a?b", method="PUT", fields=fields, body=zipped), response(200, b"ok")).close(),
             Talk(client="10.0.0.1:2", at=1).ask(h2 + heads, answer).close()]
    replay(of_talks(*talks), origin.address, "--pace", "max")
    put, get = sorted(origin.requests, key=lambda r: r.start, reverse=True)
    assert (put.start, put.body) == ("PUT /a?b HTTP/1.1", b"plain")
    assert sorted(put.fields) == [("Content-Length", "5"), ("Host", "a.test"), ("X-Kept", "2")]
    assert get.start == "GET / HTTP/1.1" and sorted(get.fields) == [("Host", "b.test"), ("cookie", "a=1; b=2")]


def test_what_is_not_sent_is_counted(of_talks, peer):
    origin = peer(Origin)
    talks = [Talk().ask(request("b.test:1", method="CONNECT"), b"HTTP/1.1 200 X\r\n\r\n").close(),
             Talk(client="10.0.0.1:2").send(True, request("/cut", body=b"x" * 99)[:-3]).reset(),
             Talk(client="10.0.0.1:3").ask(request("/long", method="POST", body=b"x" * 5_000_000), OK).close(),
             Talk(client="10.0.0.1:4").ask(request("/fine"), OK).close()]
    summary = replay(of_talks(*talks), origin.address, "--pace", "max")[-1]
    assert summary.startswith("1 request to ")
    assert all(why in summary for why in ("1 (not captured whole)", "1 (CONNECT or an upgrade)", "1 (a long body)"))
    assert [r.start for r in origin.requests] == ["GET /fine HTTP/1.1"]


def test_a_condition_chooses(of_talks, peer):
    origin = peer(Origin)
    path = of_talks(Talk().ask(request("/get"), OK).ask(request("/post", method="POST", body=b"x"), OK).close())
    replay(path, origin.address, "--where", 'method == "GET"', "--pace", "max")
    assert [r.start for r in origin.requests] == ["GET /get HTTP/1.1"]


def test_paces(of_talks, peer):
    """A quarter of a second was recorded between the two; an hour would be too long to wait for."""
    origin = peer(Origin)

    def took_ms(*words):
        number, unit = re.search(r" in ([\d.]+)(ms|s): 2 answered", replay(path, origin.address, *words)[-1]).groups()
        return float(number) * (1000 if unit == "s" else 1)

    path = of_talks(*(Talk(client=f"10.0.0.1:{n}", at=n / 4).ask(request("/"), OK).close() for n in (1, 2)))
    assert took_ms() >= 250 and took_ms("--pace", "2x") >= 125 and took_ms("--pace", "10/s") >= 100
    path = of_talks(*(Talk(client=f"10.0.0.1:{n}", at=n * 3600).ask(request("/"), OK).close() for n in (1, 2)))
    assert took_ms("--pace", "max") < 3600_000


def test_requests_of_a_connection_wait_for_their_answers(of_talks, peer):
    """On one connection each, and two of them side by side: neither first one is answered before both have come."""
    both = threading.Barrier(2)

    def answer(request):
        if request.start.endswith("/first HTTP/1.1"):
            both.wait(PATIENCE)
        return OK

    origin = peer(Origin, answer)
    talks = [Talk(client=f"10.0.0.1:{n}").ask(request(f"/{n}/first"), OK).ask(request(f"/{n}/2"), OK).ask(request(f"/{n}/3"), OK).close()
             for n in (1, 2)]
    assert "6 as recorded" in replay(of_talks(*talks), origin.address, "--pace", "max", "--diff")[-1]
    assert len({(r.conn, r.start[:6]) for r in origin.requests}) == len({r.conn for r in origin.requests}) == 2


@pytest.mark.parametrize("answer, said", [
    (None, "closed without an answer"),
    (b"no HTTP at all\r\n\r\n", "no HTTP"),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\ncut", "the answer was cut short"),
])
def test_servers_that_fail(of_talks, peer, answer, said):
    origin = peer(Origin, lambda request: answer)
    one, summary = replay(of_talks(Talk().ask(request("/"), OK).close()), origin.address, code=1)
    assert one == f"#1.1 GET http://a.test/  was 200 2B in 5.0ms, now no answer  !{said}" and ": 0 answered" in summary
    assert summary.endswith(", 1 not answered")


def test_a_kept_connection_that_is_closed_meanwhile(of_talks, peer):
    """The server closes behind each answer without saying so: each request reaches it all the same."""
    origin = peer(Origin, lambda request: request.conn.sendall(OK))
    talk = Talk().ask(request("/1"), OK).ask(request("/2"), OK).ask(request("/3"), OK).close()
    assert "3 as recorded" in replay(of_talks(talk), origin.address, "--pace", "max")[-1]


@pytest.mark.parametrize("url, said", [
    ("http://127.0.0.1:{}", "Connection refused"),
    ("https://127.0.0.1", "only http:// is spoken here"),
    ("ftp://x", "is no http://HOST[:PORT]"),
    ("http://u@x", "is no http://HOST[:PORT]"),
    ("http://x/path", "is no http://HOST[:PORT]"),
    ("http://:80", "is no http://HOST[:PORT]"),
])
def test_targets_that_are_none(of_talks, url, said):
    url = url.format(free_port())
    assert f"{url}: {said}" in tap("-r", of_talks(Talk().ask(request("/"), OK)), "--replay", url, code=1).stderr


@pytest.mark.parametrize("words, said", [
    (["--diff"], "--diff is for --replay URL"),
    (["--pace", "1x"], "--pace is for --replay URL"),
    (["--replay", "http://x", "--pace", "fast"], '"fast" is none of 1x, 2x, 100/s, max'),
    (["--replay", "http://x", "--json"], "--replay has an output of its own"),
])
def test_wrong_usage(words, said):
    assert said in tap("-r", "a", *words, code=2).stderr
