"""Connections on which nothing happens: the timeouts that end them, and ten thousand that wait."""
import resource
import select
import socket
import threading

import pytest

from lib import clients, flow, logs, many
from lib.build import SANITIZED
from lib.config import relay
from lib.http import Origin, front
from lib.peers import Echo, Hang, Script
from lib.poll import SLOW, patiently
from lib.scale import PARANOID


def ends_by_itself(nuncio, *said):
    """A connection that says that much, half-closes if it says anything, and waits."""
    with nuncio.connect("in") as client:
        for word in said:
            client.sendall(word)
            client.shutdown(socket.SHUT_WR)
        assert clients.how_it_ends(client) != "silence"


def test_idle_timeout_ends_a_silent_connection(tight, peer):
    nuncio = tight(relay(peer(Echo), proxy={"idle_timeout": "300ms"}))
    _, took = flow.seconds(ends_by_itself, nuncio)
    assert took > 0.25
    assert logs.last(nuncio)["cause"] == "idle_timeout"
    assert nuncio.stats()["tcp.c.idle_timeout"] == 1


@pytest.mark.parametrize("upwards", [True, False], ids=["up", "down"])
def test_bytes_in_one_direction_keep_it_alive(tight, peer, upwards):
    """Something every 100 ms for three times the timeout; then nothing, and it ends."""
    stop = threading.Event()

    def drip(conn):
        while not stop.wait(0.1):
            conn.sendall(b"x")
        clients.how_it_ends(conn)

    server = peer(Script, (lambda conn: clients.how_it_ends(conn)) if upwards else drip)
    def outlives(factor):
        nuncio = tight(relay(server, proxy={"idle_timeout": f"{int(400 * SLOW * factor)}ms"}))
        stop.clear()
        with nuncio.connect("in") as client:
            for _ in range(int(12 * factor)):
                if upwards:
                    client.sendall(b"x")
                    assert not select.select([client], [], [], 0.1)[0], "closed while in use"
                else:
                    assert clients.recv_exactly(client, 1) == b"x"
            stop.set()
            clients.how_it_ends(client)
        assert logs.last(nuncio)["cause"] == "idle_timeout"
    patiently(outlives)


def test_idle_timeout_of_zero_means_never(tight, peer):
    nuncio = tight(relay(peer(Echo), proxy={"idle_timeout": 0, "half_close_timeout": 0}))
    with nuncio.connect("in") as client:
        client.settimeout(1)
        assert clients.how_it_ends(client) == "silence"
        client.settimeout(30 * SLOW)
        client.sendall(b"x")
        assert clients.recv_exactly(client, 1) == b"x"


def test_half_close_timeout_ends_the_other_half(tight, peer):
    """The server heard the client's FIN and never answers."""
    nuncio = tight(relay(peer(Hang), proxy={"half_close_timeout": "300ms"}))
    _, took = flow.seconds(ends_by_itself, nuncio, b"x")
    assert took > 0.25
    assert logs.last(nuncio)["cause"] == "half_close_timeout"
    assert nuncio.stats()["tcp.c.half_close_timeout"] == 1


def test_a_half_closed_connection_in_use_stays(tight, peer):
    def outlives(factor):
        def serve(conn):
            clients.recv_all(conn)
            for _ in range(int(10 * factor)):
                conn.sendall(b"x")
                select.select([], [], [], 0.1)

        nuncio = tight(relay(peer(Script, serve), proxy={"half_close_timeout": f"{int(400 * SLOW * factor)}ms"}))
        with nuncio.connect("in") as client:
            client.shutdown(socket.SHUT_WR)
            assert clients.recv_all(client) == b"x" * int(10 * factor)
        assert logs.last(nuncio)["cause"] == "client_closed"
    patiently(outlives)


def test_a_stuck_connection_is_idle(tight, peer):
    """Bytes wait on both sides and none moves: that is idle too, else a dead reader would hold it for ever."""
    bytes_enough = flow.payload(32 << 20)

    def ends(factor):
        nuncio = tight(relay(peer(Hang, receive_buffer=4096), proxy={"idle_timeout": f"{int(1500 * SLOW * factor)}ms"}))
        with nuncio.connect("in") as client:
            flow.send_until_stuck(client, bytes_enough)
            assert clients.how_it_ends(client) in ("fin", "rst")
        assert logs.last(nuncio)["cause"] == "idle_timeout"
    patiently(ends)


# --- ten thousand

WANTED = 10000


def as_many_as_possible():
    """Two descriptors a connection, both in the proxy (which has our limits) and here, where both ends live."""
    return min(WANTED, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200) // 2)


@pytest.mark.once
@pytest.mark.deadline(180)
def test_ten_thousand_idle_connections(tight, peer, workers, capsys):
    count = as_many_as_possible() // (10 if PARANOID else 1)
    nuncio = tight(relay(peer(many.ManyEcho)), workers=workers)
    for client in many.connect_all(nuncio.address("in"), 200):  # what is allocated once
        client.close()
    nuncio.wait_stat("listener.in.downstream_cx_active", 0)
    before_kb, spent = nuncio.rss_kb(), nuncio.cpu_seconds()
    conns = many.connect_all(nuncio.address("in"), count)
    try:
        nuncio.wait_stat("cluster.c.upstream_cx_active", count, 60)
        each = (nuncio.rss_kb() - before_kb) * 1024 / count
        spent = (nuncio.cpu_seconds() - spent) / count * 1e6
        with capsys.disabled():
            short = "" if count >= WANTED or PARANOID else f" ({WANTED} wanted, more descriptors are not allowed here)"
            print(f"\n  {count} idle connections{short}, workers {nuncio.workers}: {each:.0f} bytes and {spent:.0f} us CPU each")
        assert SANITIZED or PARANOID or each < 1100  # docs/performance.md promises 1 KiB, and malloc rounds up
        busy = nuncio.cpu_seconds()
        assert not select.select([conns[0]], [], [], 0.5)[0]
        assert nuncio.cpu_seconds() - busy < 0.1 * SLOW, "idle connections cost no time"
        for client in conns:
            client.sendall(b"x")
        for client in conns:
            assert clients.recv_exactly(client, 1) == b"x"
    finally:
        for client in conns:
            client.close()
    nuncio.wait_stat("listener.in.downstream_cx_active", 0, 60)
    assert nuncio.stats()["listener.in.downstream_cx_total"] == count + 200
    with nuncio.connect("in") as client:
        client.sendall(b"still here")
        assert clients.recv_exactly(client, 10) == b"still here"


def ask_once(client):
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = client.recv(4096)
    while not answer.endswith(b"\r\n\r\nok"):
        answer += client.recv(4096)


def test_kept_http_connections_that_wait(tight, peer, capsys):
    """One after another asks and stays; all share a leg to the server."""
    count = min(4000, as_many_as_possible()) // (10 if PARANOID else 1)
    nuncio = tight(front(peer(Origin), to={"pool": {"idle_timeout": "500ms"}}), workers=1)
    conns = many.connect_all(nuncio.address("in"), 200)  # what is allocated once
    try:
        for client in conns:
            ask_once(client)
        before_kb = nuncio.rss_kb()
        conns += (more := many.connect_all(nuncio.address("in"), count))
        for client in more:
            ask_once(client)
        each = (nuncio.rss_kb() - before_kb) * 1024 / count
        with capsys.disabled():
            print(f"\n  {count} kept HTTP/1 connections: {each:.0f} bytes each")
        assert SANITIZED or PARANOID or each < 614  # docs/performance.md promises 0.6 KiB
    finally:
        for client in conns:  # also where it fails: other tests of the process cannot select() among so many
            client.close()
    nuncio.wait_stat("listener.in.downstream_cx_active", 0, 60)
