"""Attacks on HTTP/2, each while others are served: who attacks is stopped and counted, others have their answers within a second, and
the memory that a connection takes stays under its bound (docs/internals/http2.md)."""
import itertools
import threading
import time

import pytest

from lib import h2
from lib.build import SANITIZED
from lib.h2 import GET, POST, connect, data, field, frame, headers, reset, settings, window
from lib.http import OK, Client, Origin, front
from lib.poll import SLOW, eventually, patiently
from lib.scale import PARANOID

AT_ONCE = 2  # attackers
ROUNDS = 8  # of the honest
FLOOD_KIB = 3 * 1024  # what is read of it at once, and 2,000 frames that wait
FULL_KIB = 24 * 1024  # one that has all it may have: streams, their heads, bodies both ways

STREAMS, BIG = (5, 70000) if PARANOID else (100, 1 << 20)  # more than a connection's window is at first


def streams(count):
    return range(1, 2 * count, 2)


def to(path, stream):
    return headers(stream, [*GET[:2], (":path", path), GET[3]])


def bomb():
    """Fields of 4 KiB for a byte each."""
    return frame("HEADERS", 5, 1, h2.block(GET) + field("x", "y" * 4000, 0x40) + b"\xbe" * 12000)


def by_hundred(one):
    """What one(stream) sends, of a thousand streams: more than a hundred at once are refused."""
    return [b"".join(one(2 * i + 1) for i in range(n, n + 90)) for n in range(0, 1000, 90)]


CALM = {  # parts of what it sends: the stat that says so; all end with ENHANCE_YOUR_CALM
    "rapid reset": (by_hundred(lambda i: headers(i, GET) + reset(i)), "reset_flood"),
    "made you reset": (by_hundred(lambda i: headers(i, POST, False) + window(i, (1 << 31) - 1)), "provoked_reset_flood"),
    "CONTINUATION": ([frame("HEADERS", 1, 1, h2.block(GET)) + frame("CONTINUATION", 0, 1, field("x", "y" * 16000)) * 100],
                     "continuation_flood"),
    "PING": ([frame("PING", 0, 0, bytes(8)) * 10000], "ping_flood"),
    "SETTINGS": ([settings((4, 1)) * 10000], "settings_flood"),
    "PRIORITY": ([frame("PRIORITY", 0, 1, bytes([0, 0, 0, 3, 1])) * 10000], "priority_flood"),
    "WINDOW_UPDATE": ([window(0, 1) * 20000], "window_update_flood"),
    "empty frames": ([headers(1, [*POST[:2], (":path", "/up"), POST[3]], False) + data(1) * 10000], "empty_frame_flood"),
    "frames that nobody knows": ([frame(0x42, 0, 0, bytes(1000)) * 3000], "unknown_frame_flood"),
    "HPACK bomb": ([bomb()], "header_bomb"),
    "zero-length headers": (by_hundred(lambda i: headers(i, GET + [("", "")] * 50)), "zero_length_header"),
    "answers that nobody reads": ([b"".join(frame("HEADERS", 5, i, b"\x82\x86\x84\x01\x06a.test") for i in streams(20000))], "outbound_flood"),
}


def flood(nuncio, parts):
    """One connection to its end: each part is behind the answer to the one before."""
    def is_answer(got):
        return got.type == "PING" and got.payload == b"answered"

    with connect(nuncio) as client:
        for part in parts:
            client.send(part, frame("PING", 0, 0, b"answered"))
            last = client.until(lambda got: got.type == "GOAWAY" or is_answer(got))
            if not last or not is_answer(last[-1]):
                break
        assert not last or not is_answer(last[-1]), "nothing stopped it"
        assert not last or last[-1].type != "GOAWAY" or last[-1].code == "ENHANCE_YOUR_CALM"


def honest(nuncio):
    """Seconds that a client of HTTP/1 and one of HTTP/2 wait, with a new connection each."""
    begun = time.monotonic()
    with Client(nuncio) as client:
        assert client.get("/here").status == 200
    with connect(nuncio) as client:
        assert client.get(1, "/here").status == 200
    return time.monotonic() - begun


def besiege(nuncio, attack, factor, kib, times=1 << 20):
    """Clients that attack so often while others ask; fails where these wait, or memory grows."""
    stop, errors, ended = threading.Event(), [], []

    def attacker():
        try:
            for _ in range(times):
                if stop.is_set():
                    return
                attack(nuncio)
                ended.append(1)
        except Exception as error:
            errors.append(error)

    before, most, waits = nuncio.rss_kb(), 0, []
    threads = [threading.Thread(target=attacker, daemon=True) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    try:
        while not errors and (len(waits) < ROUNDS or len(ended) < AT_ONCE):
            waits.append(honest(nuncio))
            most = max(most, nuncio.rss_kb())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors, errors
    assert max(waits) < factor * SLOW, waits
    assert SANITIZED or PARANOID or most - before <= AT_ONCE * kib, (before, most)


def answers(request):
    if request.start.startswith("GET /big"):
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG + bytes(BIG)
    return OK


@pytest.fixture
def proxy(nuncio, peer):
    here = {"match": {"path": "/here"}, "respond": {"status": 200, "body": "ok"}}
    routes = [here, {"match": {"path": "/"}, "respond": {"status": 200}}, {"cluster": "c"}]
    return nuncio(front(peer(Origin, answers), access_log=None, routes=routes, stream_idle_timeout="1s"))


@pytest.mark.parametrize("name", CALM)
def test_a_flood(proxy, name):
    parts, stat = CALM[name]
    honest(proxy)
    patiently(lambda factor: besiege(proxy, lambda nuncio: flood(nuncio, parts), factor, FLOOD_KIB))
    proxy.wait_stat(f"http.ingress.http2.{stat}", lambda count: count >= AT_ONCE)


def stall(nuncio, window_size):
    """All the streams that one may have, of which nothing is taken."""
    with connect(nuncio, first=h2.PREFACE + settings((4, window_size))) as client:
        client.send(*[to("/big", i) for i in streams(STREAMS)])
        gone = client.until(lambda got: got.type == "RST_STREAM" or got.end)
        assert gone[-1].type == "RST_STREAM" and gone[-1].code == "CANCEL"


def test_stalled_windows(proxy):
    """Windows of streams, that of the connection; each stream is reset when nothing was taken for stream_idle_timeout."""
    honest(proxy)
    sizes = itertools.cycle([0, (1 << 31) - 1])
    patiently(lambda factor: besiege(proxy, lambda nuncio: stall(nuncio, next(sizes)), factor, FULL_KIB, times=1))
    proxy.wait_stat("http.ingress.http2.tx_flush_timeout", lambda count: count >= AT_ONCE)
    eventually(lambda: proxy.stats()["http.ingress.downstream_rq_active"] <= 1)
