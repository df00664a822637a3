"""The small filters of L4: echo, ip_filter, throttle, connection_limit."""
import socket
import threading

import pytest

from lib import clients, flow, logs
from lib.config import config, listener, relay
from lib.peers import Echo, Sink, Source
from lib.poll import PATIENCE, SLOW

KIB = 1024


def connect_from(source, nuncio):
    return socket.create_connection(("127.0.0.1", nuncio.port("in")), PATIENCE, (source, 0))


# --- echo

def test_echo_says_everything_back(tight, workers):
    nuncio = tight(config(listeners=[listener("echo")]), workers=workers)
    data = flow.payload(3 << 20)
    with nuncio.connect("in") as client:
        back = []
        reader = threading.Thread(target=lambda: back.append(clients.recv_all(client)))
        reader.start()
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        reader.join(PATIENCE)
        assert back == [data]
    assert logs.last(nuncio)["cause"] == "client_closed"


def test_echo_waits_for_a_client_that_does_not_read(tight):
    nuncio = tight(config(listeners=[listener("echo")]))
    with nuncio.connect("in") as client:
        assert 0 < flow.send_until_stuck(client, flow.payload(64 << 20)) < 48 << 20
        clients.reset(client)


# --- ip_filter

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.1.7")


@pytest.mark.parametrize("lists, let_in", [
    ({"deny": ["127.0.0.2"]}, ["127.0.0.1", "127.0.1.7"]),
    ({"allow": ["127.0.1.0/24"]}, ["127.0.1.7"]),
    ({"deny": ["127.0.0.0/24"], "allow": ["127.0.0.1"]}, ["127.0.0.1"]),
    ({"deny": ["127.0.0.1/32"], "allow": ["127.0.0.0/8"]}, ["127.0.0.2", "127.0.1.7"]),
    ({"deny": ["::/0", "10.0.0.0/8"]}, [*ADDRESSES]),
])
def test_ip_filter(tight, peer, lists, let_in):
    nuncio = tight(relay(peer(Echo, b"E"), before=[{"ip_filter": lists}]))
    served = []
    for source in ADDRESSES:
        with connect_from(source, nuncio) as client:
            served += [source] if client.recv(1) == b"E" else []
    assert served == let_in


# --- throttle

@pytest.mark.parametrize("upwards", [True, False], ids=["up", "down"])
def test_throttle_holds_its_rate(tight, peer, upwards):
    """640 KiB at 1 MiB a second after a burst of 64 KiB: 0.56 s, and the bytes are whole."""
    data = flow.payload(640 * KIB)
    server = peer(Sink) if upwards else peer(Source, data)
    nuncio = tight(relay(server, before=[{"throttle": {"rate": "1MiB", "burst": "64KiB"}}]))

    def run():
        with nuncio.connect("in") as client:
            if upwards:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
            assert clients.recv_all(client) == (b"" if upwards else data)

    assert 0.5 < flow.quickest(run, 0.56 * 1.25 + 0.3 * SLOW)
    if upwards:
        assert server.ended.wait(PATIENCE) and server.total == len(data)


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_throttle_of_one_direction(tight, peer, direction):
    """An echo of 320 KiB at 512 KiB a second: the throttled way takes half a second, the other nothing on top."""
    nuncio = tight(relay(peer(Echo), before=[{"throttle": {"rate": "512KiB", "burst": "64KiB", "direction": direction}}]))
    data = flow.payload(320 * KIB)

    def there_and_back():
        with nuncio.connect("in") as client:
            sender = threading.Thread(target=client.sendall, args=[data])
            sender.start()
            assert clients.recv_exactly(client, len(data)) == data
            sender.join(PATIENCE)

    assert 0.45 < flow.quickest(there_and_back, 0.5 * 1.25 + 0.3 * SLOW)


def test_throttle_is_for_each_connection(tight, peer):
    """Eight at once take as long as one."""
    data = flow.payload(64 * KIB)
    nuncio = tight(relay(peer(Source, data), before=[{"throttle": {"rate": "128KiB", "burst": "16KiB"}}]), workers=2)

    def run():
        with nuncio.connect("in") as client:
            assert clients.recv_all(client) == data

    def run_all():
        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)

    assert 0.3 < flow.quickest(run_all, 1.5 * SLOW)


# --- connection_limit

@pytest.mark.threads
def test_connection_limit_holds_over_all_workers(tight, peer, workers):
    nuncio = tight(relay(peer(Echo), before=[{"connection_limit": {"max": 3, "name": "few"}}]), workers=workers)
    conns = [nuncio.connect("in") for _ in range(8)]
    served = []
    for client in conns:
        try:
            client.sendall(b"x")
            served += [client] if client.recv(1) else []
        except OSError:
            pass
    assert len(served) == 3
    stats = nuncio.stats()
    assert stats["connection_limit.few.limited_connections"] == 5 and stats["connection_limit.few.active_connections"] == 3
    for client in conns:
        client.close()
    nuncio.wait_stat("connection_limit.few.active_connections", 0)
    with nuncio.connect("in") as client:
        client.sendall(b"again")
        assert clients.recv_exactly(client, 5) == b"again"
