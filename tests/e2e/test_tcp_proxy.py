"""tcp_proxy end to end: who is connected to, and that every byte and every end arrives as it was sent."""
import collections
import hashlib
import os
import random
import select
import socket
import threading
import zlib

import pytest

from lib import clients, flow, held, logs
from lib.build import SANITIZED
from lib.config import cluster, config, listener, relay
from lib.peers import Blackhole, Echo, Resetter, Script, Server, Sink, Source
from lib.poll import SLOW, eventually
from lib.ports import RefusingPort
from lib.scale import MIB, PARANOID, scale

THROTTLE_NEVER = {"throttle": {"rate": "100GiB", "burst": "1GiB"}}  # sees all bytes, so that nothing is relayed directly


def who(nuncio):
    """The one letter that the server behind a new connection says."""
    with nuncio.connect("in") as client:
        return clients.recv_exactly(client, 1).decode()


def tally(nuncio, count):
    return collections.Counter(who(nuncio) for _ in range(count))


# --- who is connected to

def test_bytes_pass_both_ways(tight, peer, workers):
    nuncio = tight(relay(peer(Echo)), workers=workers)
    data = random.Random(1).randbytes(scale(8 * MIB))
    with nuncio.connect("in") as client:
        back = []
        reader = threading.Thread(target=lambda: back.append(clients.recv_all(client)))
        reader.start()
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        reader.join()
        assert back[0] == data


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_families(tight, peer, host):
    nuncio = tight(relay(peer(Echo, host=host)))
    with nuncio.connect("in") as client:
        client.sendall(b"abc")
        assert clients.recv_exactly(client, 3) == b"abc"


def test_unix_socket_endpoint(tight, peer, tmp_path):
    nuncio = tight(relay(peer(Echo, b"U", path=tmp_path / "s")))
    assert who(nuncio) == "U"


def test_round_robin_takes_turns(tight, peer):
    nuncio = tight(relay(*(peer(Echo, name) for name in (b"A", b"B", b"C"))))
    order = "".join(who(nuncio) for _ in range(9))
    assert order[:3] * 3 == order and set(order) == set("ABC")


def test_each_endpoint_has_its_weight(tight, peer, workers):
    a, b = peer(Echo, b"A"), peer(Echo, b"B")
    nuncio = tight(relay({"address": a.address, "weight": 3}, b), workers=workers)
    seen = tally(nuncio, 80)
    assert abs(seen["A"] - 60) <= 3 * (workers - 1), "each worker may stop in the midst of a round of four"


def test_each_cluster_has_its_weight(tight, peer, workers):
    ends = [cluster(peer(Echo, name.encode()), name=name) for name in "AB"]
    shares = [{"name": "A", "weight": 3}, {"name": "B", "weight": 1}]
    nuncio = tight(config(listeners=[listener({"tcp_proxy": {"clusters": shares}})], clusters=ends), workers=workers)
    seen = tally(nuncio, 400)
    # Binomial with a deviation of 8.7: six of them go wrong once in 500 million runs.
    assert abs(seen["B"] - 100) < 52, seen
    stats = nuncio.stats()
    assert stats["cluster.A.upstream_cx_total"] == seen["A"] and stats["cluster.B.upstream_cx_total"] == seen["B"]


def test_the_next_priority_is_for_when_the_first_fails(tight, peer, refusing_port):
    spare = {"address": peer(Echo, b"S").address, "priority": 1}
    assert tally(tight(relay(peer(Echo, b"A"), spare)), 5) == {"A": 5}
    assert tally(tight(relay(refusing_port, spare)), 5) == {"S": 5}


# --- connects that fail

def test_a_refused_connect_goes_to_the_next_endpoint(tight, peer, refusing_port, workers):
    nuncio = tight(relay(refusing_port, peer(Echo, b"A")), workers=workers)
    assert tally(nuncio, 10) == {"A": 10}
    stats = nuncio.stats()
    assert stats["cluster.c.upstream_cx_connect_fail"] >= 10 - workers
    assert stats["cluster.c.upstream_cx_connect_attempts_exceeded"] == 0


def test_an_unanswered_connect_goes_to_the_next_endpoint(tight, peer):
    nuncio = tight(relay(peer(Blackhole), peer(Echo, b"A"), to={"connect_timeout": "100ms"}))
    assert tally(nuncio, 4) == {"A": 4}
    assert 2 <= nuncio.stats()["cluster.c.upstream_cx_connect_timeout"] <= 4


@pytest.mark.threads
def test_a_server_that_speaks_and_closes_at_once_is_no_failed_connect(tight, peer, workers):
    """The end of the connect, the bytes and the FIN may come in one wake-up: no other endpoint may be tried then."""
    servers = [peer(Script, lambda conn, name=name: conn.sendall(name)) for name in (b"A" * 10, b"B" * 10)]
    nuncio = tight(relay(*servers), workers=workers)
    for _ in range(100):
        with nuncio.connect("in") as client:
            assert clients.recv_all(client) in (b"A" * 10, b"B" * 10)
    stats = nuncio.stats()
    assert stats["cluster.c.upstream_cx_total"] == 100 and stats["cluster.c.upstream_cx_connect_fail"] == 0
    assert {line["cause"] for line in logs.closed(nuncio, 100)} == {"upstream_closed"}


def test_what_the_client_said_meanwhile_is_not_lost(tight, peer):
    nuncio = tight(relay(peer(Blackhole), peer(Echo), to={"connect_timeout": "200ms"}))
    data = random.Random(2).randbytes(300000)
    with nuncio.connect("in") as client:
        sender = threading.Thread(target=client.sendall, args=[data])
        sender.start()
        assert clients.recv_exactly(client, len(data)) == data
        sender.join()


def test_connect_timeout(tight, peer):
    nuncio = tight(relay(peer(Blackhole), to={"connect_timeout": "300ms"}))
    with nuncio.connect("in") as client:
        end = clients.how_it_ends(client)
    assert end in ("fin", "rst") and logs.last(nuncio)["duration_ms"] >= 300
    assert logs.last(nuncio)["cause"] == "connect_timeout"


def test_connect_attempts_bound_the_tries(tight, closing):
    ports = [closing(RefusingPort()) for _ in range(6)]
    nuncio = tight(relay(*ports, proxy={"connect_attempts": 4}))
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    stats = nuncio.wait_stat("cluster.c.upstream_cx_connect_attempts_exceeded", 1)
    assert stats["cluster.c.upstream_cx_connect_fail"] == 4


# --- ends

def test_the_clients_half_close_reaches_the_server(tight, peer):
    heard = []

    def serve(conn):
        heard.append(clients.recv_all(conn))  # ends by the client's FIN
        for _ in range(50):
            conn.sendall(b"answer")

    nuncio = tight(relay(peer(Script, serve)))
    with nuncio.connect("in") as client:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert clients.recv_all(client) == b"answer" * 50 and heard == [b"question"]


def test_the_servers_half_close_reaches_the_client(tight, peer):
    heard = []

    def serve(conn):
        conn.sendall(b"all I have")
        conn.shutdown(socket.SHUT_WR)
        heard.append(clients.recv_all(conn))

    nuncio = tight(relay(peer(Script, serve)))
    with nuncio.connect("in") as client:
        assert clients.recv_all(client) == b"all I have"
        client.sendall(b"late ")
        client.sendall(b"words")
        client.shutdown(socket.SHUT_WR)
        eventually(lambda: heard == [b"late words"])


def test_the_clients_rst_reaches_the_server(tight, peer):
    ends = []
    server = peer(Script, lambda conn: ends.append(clients.how_it_ends(conn)))
    nuncio = tight(relay(server))
    client = nuncio.connect("in")
    client.sendall(b"x")
    eventually(lambda: server.conns)
    clients.reset(client)
    eventually(lambda: ends == ["rst"], what=ends)


def test_the_servers_rst_reaches_the_client(tight, peer):
    nuncio = tight(relay(peer(Resetter)))
    with nuncio.connect("in") as client:
        client.sendall(b"x")
        assert clients.how_it_ends(client) == "rst"


def test_bytes_before_a_rst_arrive(tight, peer, workers):
    # One byte an iovec makes many segments; those that wait for an ACK go with the RST: the kernel's way, not ours.
    first = random.Random(3).randbytes(500 if PARANOID else 5000)
    nuncio = tight(relay(peer(Resetter, first=first)), workers=workers)
    for _ in range(50):
        with nuncio.connect("in") as client:
            client.sendall(b"x")
            assert clients.recv_exactly(client, len(first)) == first
            assert clients.how_it_ends(client) == "rst"


# --- no byte is lost

class Collector(Server):
    """Notes a digest of what each connection brought."""

    def __init__(self, **more):
        self.digests = collections.Counter()
        super().__init__(**more)

    def serve(self, conn):
        data = clients.recv_all(conn)
        self.digests[hashlib.sha256(data).digest()] += 1


@pytest.mark.threads
def test_many_short_connections_lose_nothing(tight, peer, workers):
    """Each sends something of its own and closes at once."""
    server = peer(Collector)
    nuncio = tight(relay(server), workers=workers)
    sent = collections.Counter()

    def run(seed):
        rng = random.Random(seed)
        for _ in range(100):
            data = rng.randbytes(rng.randrange(1, 20000))
            sent[hashlib.sha256(data).digest()] += 1
            with nuncio.connect("in") as client:
                client.sendall(data)

    threads = [threading.Thread(target=run, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: server.digests.total() == 400, what=server.digests.total)
    assert server.digests == sent
    assert len(logs.closed(nuncio, 400)) == 400


@pytest.mark.parametrize("before", [(), (THROTTLE_NEVER,)], ids=["direct", "filtered"])
def test_a_transfer_closed_at_once_is_whole(tight, peer, workers, before):
    """Sent and closed while most of it is still on its way, to a server that reads little by little."""
    sink, data = peer(Sink, receive_buffer=8192), flow.payload(scale(32 * MIB))
    nuncio = tight(relay(sink, before=before), workers=workers)
    with nuncio.connect("in") as client:
        client.sendall(data)
    assert sink.ended.wait(60 * SLOW)
    assert (sink.total, sink.digest) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("before", [(), (THROTTLE_NEVER,)], ids=["direct", "filtered"])
def test_an_answer_closed_at_once_is_whole(tight, peer, workers, before):
    """The server closes entirely with all of its answer in flight; the client looks at it later."""
    data = flow.payload(scale(16 * MIB))
    nuncio = tight(relay(peer(Script, lambda conn: conn.sendall(data)), before=before), workers=workers)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.settimeout(60 * SLOW)
        client.connect(("127.0.0.1", nuncio.port("in")))
        assert clients.recv_all(client) == data


def test_both_ways_at_once_and_at_full_speed(tight, peer, workers):
    up, down = flow.payload(scale(16 * MIB)), flow.payload(scale(24 * MIB))[::-1]
    heard = []

    def serve(conn):
        sender = threading.Thread(target=conn.sendall, args=[down])
        sender.start()
        heard.append(clients.recv_all(conn))
        sender.join()

    nuncio = tight(relay(peer(Script, serve)), workers=workers)
    with nuncio.connect("in") as client:
        sender = threading.Thread(target=lambda: (client.sendall(up), client.shutdown(socket.SHUT_WR)))
        sender.start()
        assert clients.recv_all(client) == down
        sender.join()
        eventually(lambda: heard == [up])


# --- back-pressure

@pytest.mark.parametrize("before", [(), (THROTTLE_NEVER,)], ids=["direct", "filtered"])
def test_a_slow_reader_costs_no_memory(tight, peer, before):
    """1 GiB to a server that stops reading again and again, each time until the client is stuck."""
    total, stops = scale(1024 * MIB) // (8 if SANITIZED else 1), 8
    sink = peer(flow.PacedSink)
    nuncio = tight(relay(sink, before=before))
    with nuncio.connect("in") as warm_up:
        warm_up.sendall(b"x")
        sink.allow(2)
    eventually(lambda: sink.ends == 1)
    held.reset_peak(nuncio)
    before_kb, crc, sent, stuck = nuncio.rss_kb(), 0, 0, 0
    with nuncio.connect("in") as client:
        client.setblocking(False)
        while sent < total:
            data = memoryview(flow.block(sent // MIB))[sent % MIB:][:total - sent]
            if not select.select([], [client], [], 0.05)[1]:
                stuck += 1
                sink.allow(total // stops)
                continue
            count = client.send(data)
            crc = zlib.crc32(data[:count], crc)
            sent += count
        client.settimeout(60 * SLOW)
        client.shutdown(socket.SHUT_WR)
        sink.allow(total)
        eventually(lambda: sink.ends == 2, 60)
    assert (sink.total, sink.crc) == (total, crc)
    assert PARANOID or stuck >= 2, "the reader was to be slow"  # less often than it stopped: kernel buffers grow up to 32 MiB each
    if not SANITIZED and not PARANOID:
        assert held.peak_kb(nuncio) - before_kb < 1024


def test_a_stopped_reader_stops_the_sender(tight, peer):
    """What a stuck way holds is bounded: kernel buffers and a little of ours, not what the client would send."""
    sink = peer(flow.PacedSink, receive_buffer=4096)
    nuncio = tight(relay(sink))
    data = flow.payload(128 * MIB)
    with nuncio.connect("in") as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        sent = 0

        def stuck():
            nonlocal sent
            sent += flow.send_until_stuck(client, data[sent:])
            return nuncio.stats()["tcp.c.downstream_flow_control_paused_reading_total"] >= 1
        eventually(stuck)
        assert 0 < sent < len(data) // 2
        clients.reset(client)
    sink.allow(len(data))


def test_a_slow_client_stops_the_server(tight, peer):
    data = flow.payload(scale(32 * MIB))
    source = peer(Source, data)
    nuncio = tight(relay(source))
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60 * SLOW)
        client.connect(("127.0.0.1", nuncio.port("in")))
        total, crc = 0, 0
        while chunk := client.recv(1 << 16):
            total, crc = total + len(chunk), zlib.crc32(chunk, crc)
        assert (total, crc) == (len(data), zlib.crc32(data))


def test_an_abstract_unix_server(nuncio, peer):
    """`unix:@name` is no file, towards servers either."""
    server = peer(Echo, path="\0nuncio-test-%d" % os.getpid())
    child = nuncio(relay(f"unix:@nuncio-test-{os.getpid()}"))
    with child.connect("in") as client:
        client.sendall(b"hello")
        assert clients.recv_exactly(client, 5) == b"hello"
    assert not list(child.dir.glob("@*")) and server.conns
