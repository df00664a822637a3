"""Peers that fail in every way, and a proxy without descriptors: each is counted and logged, and nothing is left of it."""
import collections
import select
import signal
import socket
import threading

import pytest

from lib import clients, flow, held, logs, netns
from lib.config import relay
from lib.peers import Blackhole, Echo, Hang, Resetter, Script, Sink
from lib.poll import PATIENCE, SLOW, eventually
from lib.process import Child
from lib.servers import launch


def echoes(client, data=b"ping"):
    client.sendall(data)
    return clients.recv_exactly(client, len(data)) == data


def is_served(nuncio):
    with nuncio.connect("in") as client:
        return echoes(client)


def child_server(closing):
    """An echo server that is a process of its own, for one connection: it can be stopped and killed."""
    return closing(launch(["echo"], lambda ports: Child("socat", f"TCP-LISTEN:{ports['echo']},bind=127.0.0.1,reuseaddr", "PIPE")))


# --- servers

@pytest.mark.parametrize("after", [0, 1], ids=["at once", "later"])
def test_a_server_that_resets(tight, peer, workers, after):
    nuncio = tight(relay(peer(Resetter, after)), workers=workers)
    for _ in range(20):
        try:
            with nuncio.connect("in") as client:
                client.sendall(b"x")
                assert clients.how_it_ends(client) in ("rst", "fin" if after == 0 else "rst")
        except (BrokenPipeError, ConnectionResetError):
            assert after == 0  # it came before our byte, or even before connect() returned
    causes = {line["cause"] for line in logs.closed(nuncio, 20)}
    assert causes <= {"upstream_reset", "connection_failure"} if after == 0 else causes == {"upstream_reset"}


def test_a_server_that_never_answers(tight, peer):
    """It accepts; what the client says goes into its buffers. Only the idle timeout ends it."""
    nuncio = tight(relay(peer(Hang), proxy={"idle_timeout": "300ms"}))

    def ask():
        with nuncio.connect("in") as client:
            client.sendall(b"anybody there?")
            clients.how_it_ends(client)

    _, took = flow.seconds(ask)
    assert took > 0.25 and logs.last(nuncio)["cause"] == "idle_timeout"


def test_a_server_that_is_stopped(tight, closing):
    """SIGSTOP in mid-stream: the connection is up and nothing moves."""
    server = child_server(closing)
    nuncio = tight(relay(server, proxy={"idle_timeout": "2s"}))
    with nuncio.connect("in") as client:
        assert echoes(client)
        server.signal(signal.SIGSTOP)
        flow.send_until_stuck(client, flow.payload(32 << 20))
        clients.how_it_ends(client)
    assert logs.last(nuncio)["cause"] == "idle_timeout"
    server.signal(signal.SIGCONT)


def test_a_server_that_is_killed(tight, closing):
    """SIGKILL with bytes unread: its kernel resets, and so do we."""
    server = child_server(closing)
    nuncio = tight(relay(server))
    with nuncio.connect("in") as client:
        assert echoes(client)
        server.signal(signal.SIGSTOP)
        flow.send_until_stuck(client, flow.payload(32 << 20))
        nuncio.wait_stat("cluster.c.upstream_cx_tx_bytes_total", lambda count: count > 4)
        server.signal(signal.SIGKILL)
        server.signal(signal.SIGCONT)
        assert clients.how_it_ends(client) == "rst"
    assert logs.last(nuncio)["cause"] == "upstream_reset"


def test_a_server_that_closes_in_the_midst_of_a_request(tight, peer):
    """It reads a little, answers, and closes: the answer arrives, whatever becomes of the rest of the request."""
    def serve(conn):
        clients.recv_exactly(conn, 10)
        conn.sendall(b"too much")
        conn.shutdown(socket.SHUT_WR)
        while conn.recv(65536):
            pass

    nuncio = tight(relay(peer(Script, serve)))
    with nuncio.connect("in") as client:
        sender = threading.Thread(target=lambda: (client.sendall(b"x" * (8 << 20)), client.shutdown(socket.SHUT_WR)))
        sender.start()
        assert clients.recv_all(client) == b"too much"
        sender.join(PATIENCE)


# --- clients

def test_a_client_that_resets_while_reading_is_paused(tight, peer):
    """The proxy does not read from it, since the server does not either, and still notices at once."""
    nuncio = tight(relay(peer(Hang, receive_buffer=4096)))
    client = nuncio.connect("in")
    flow.send_until_stuck(client, flow.payload(32 << 20))
    clients.reset(client)
    assert logs.last(nuncio)["cause"] == "client_reset"


def test_a_client_that_resets_while_the_server_sends(tight, peer):
    ends = []

    def serve(conn):
        try:
            conn.sendall(flow.payload(32 << 20))
        except OSError as error:
            ends.append(type(error))

    nuncio = tight(relay(peer(Script, serve)))
    client = nuncio.connect("in")
    clients.recv_exactly(client, 100000)
    clients.reset(client)
    eventually(lambda: ends)
    assert logs.last(nuncio)["cause"] == "client_reset"


def test_a_client_that_closes_while_the_server_sends(tight, peer):
    """close() with bytes unread is a reset on the wire."""
    nuncio = tight(relay(peer(Script, lambda conn: conn.sendall(flow.payload(32 << 20)))))
    with nuncio.connect("in") as client:
        clients.recv_exactly(client, 100000)
        assert readable([client], PATIENCE)
    assert logs.last(nuncio)["cause"] == "client_reset"


def test_a_client_gone_before_the_connect(tight, peer):
    """It leaves while the server has not answered yet: no leg may stay behind."""
    nuncio = tight(relay(peer(Blackhole), to={"connect_timeout": "60s"}))
    client = nuncio.connect("in")
    nuncio.wait_stat("cluster.c.upstream_cx_active", 1)
    clients.reset(client)
    nuncio.wait_stat("cluster.c.upstream_cx_active", 0)
    assert logs.last(nuncio)["cause"] == "client_reset"


# --- the cable

@pytest.fixture
def machine(closing):
    if not netns.available():
        pytest.skip("network namespaces need root")
    return closing(netns.Machine())


def test_a_server_whose_cable_is_pulled(tight, closing, machine):
    server = closing(machine.run(lambda: Echo(host=machine.there)))
    nuncio = tight(relay(server, proxy={"idle_timeout": "2s"}, to={"connect_timeout": "1s"}))
    with nuncio.connect("in") as client:
        assert echoes(client)
        machine.unplug()
        client.sendall(b"hello?")
        clients.how_it_ends(client)
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    first, second = (line["cause"] for line in logs.closed(nuncio, 2))
    assert first == "idle_timeout" and second in ("connect_timeout", "connection_failure")  # once the kernel knows that nobody is there
    machine.plug()
    eventually(lambda: is_served(nuncio), what="the way is found again")


def test_a_client_whose_cable_is_pulled(tight, peer, machine):
    """It sent no FIN and no RST; the server must hear of it all the same, in time."""
    ends = []
    server = peer(Script, lambda conn: ends.append(clients.how_it_ends(conn)))
    nuncio = tight(relay(server, at={"bind": f"{machine.here}:0"}, proxy={"idle_timeout": "1s"}))
    with machine.run(lambda: nuncio.connect("in")) as client:
        client.sendall(b"x")
        nuncio.wait_stat("cluster.c.upstream_cx_tx_bytes_total", 1)
        machine.unplug()
        eventually(lambda: ends)
    assert logs.last(nuncio)["cause"] == "idle_timeout"


# --- descriptors

def readable(conns, wait=0):
    return select.select(conns, [], [], wait)[0]


@pytest.mark.threads
def test_without_descriptors_accepting_pauses(nuncio, peer, workers):
    """Ten may be opened: five connections. The other clients wait in the queue, at no cost, until there is room."""
    child = nuncio(relay(peer(Echo)), workers=workers)
    base = held.sockets(child)
    unlimit = held.limit_fds(child, 10)
    conns = [child.connect("in") for _ in range(30)]
    for client in conns:
        client.sendall(b"ping")
    child.wait_line("accepting paused: no descriptors")
    eventually(lambda: held.sockets(child) >= base + 9)
    first = eventually(lambda: len(readable(conns)) >= 4 and readable(conns))
    waiting = [client for client in conns if client not in first]

    busy = child.cpu_seconds()
    select.select(waiting, [], [], 1)
    assert len(readable(waiting)) <= 5, "there is no room for them"
    assert child.cpu_seconds() - busy < 0.4 * SLOW, "it spins"

    ends = collections.Counter(ending(client) for client in first)
    unlimit()
    ends.update(ending(client) for client in waiting)
    child.wait_line("accepting again")
    stats = child.wait_stat("listener.in.downstream_cx_active", 0)
    assert stats["listener.in.downstream_cx_total"] == 30 and stats["listener.in.downstream_cx_accept_paused"] >= 1
    causes = collections.Counter(line["cause"] for line in logs.closed(child, 30))
    assert causes == {"client_closed": ends["served"], "no_descriptors": ends["turned away"]} or not ends["turned away"]
    assert ends["served"] >= 20 and ends.total() == 30
    held.wait_sockets(child, base)
    with child.connect("in") as client:
        assert echoes(client)


def test_admin_answers_without_descriptors(nuncio, peer):
    child = nuncio(relay(peer(Echo)))
    unlimit = held.limit_fds(child, 4)
    conns = [child.connect("in") for _ in range(4)]
    child.wait_line("accepting paused: no descriptors")
    assert child.ctl("ready") == "ready\n"
    for client in conns:
        client.close()
    unlimit()
    assert child.ctl("ready") == "ready\n"


def ending(client):
    """How it went for a client that has said its word; it is closed."""
    with client:
        try:
            return "served" if clients.recv_exactly(client, 4) == b"ping" else "wrong"
        except (AssertionError, ConnectionResetError):  # FIN; or RST, where its word had not been read
            return "turned away"


def test_room_is_taken_as_soon_as_it_is_there(nuncio, peer):
    """One connection at a time fits: twenty clients are served one after the other, as each leaves."""
    child = nuncio(relay(peer(Echo)))
    unlimit = held.limit_fds(child, 2)
    conns = []

    def serve_all():
        crowd = [child.connect("in") for _ in range(20)]
        conns.extend(crowd)
        for client in crowd:
            assert echoes(client)
            client.close()

    flow.quickest(serve_all, 1.5 * SLOW)  # two seconds if each waited for the next try, which comes every 100 ms
    unlimit()
    stats = child.wait_stat("listener.in.downstream_cx_active", 0)
    assert stats["listener.in.downstream_cx_total"] == len(conns)
    assert {line["cause"] for line in logs.closed(child, len(conns))} == {"client_closed"}


# --- nothing leaks

def end_somehow(nuncio, number, reset):
    with nuncio.connect("in") as client:
        client.sendall(b"x" * (1 + number * 50))
        if reset:
            clients.reset(client)
        elif number % 3 == 1:
            client.shutdown(socket.SHUT_WR)
            clients.how_it_ends(client)


@pytest.mark.threads
def test_nothing_stays_of_many_bad_ends(tight, peer, refusing_port, workers):
    """Every kind of end, many times at once; then sockets and connections are back to where they were."""
    servers = [peer(Echo), peer(Resetter, 0), peer(Resetter, 1), refusing_port, peer(Sink)]
    nuncio = tight(relay(*servers, proxy={"idle_timeout": "2s"}), workers=workers)

    def run(turn):
        for number in range(60):
            try:
                end_somehow(nuncio, number, number % 3 == turn % 3)
            except OSError:
                pass  # some are reset before connect() returns

    threads = [threading.Thread(target=run, args=[turn]) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    nuncio.wait_stat("listener.in.downstream_cx_active", 0)
    stats = nuncio.wait_stat("cluster.c.upstream_cx_active", 0)
    assert stats["listener.in.downstream_cx_total"] == stats["listener.in.downstream_cx_destroy"] == 240
    assert len(logs.closed(nuncio, 240)) == 240
