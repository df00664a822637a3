"""Clients that do anything in any order, servers that do too, and reloads meanwhile: who behaves gets every byte, nothing stays behind."""
import os
import random
import socket
import threading

import pytest

from lib import clients
from lib.fork import LOG, chain, config, rows
from lib.hello import hello, message, record, server_name
from lib.peers import Resetter, Script
from lib.proxy_header import ProxyEcho, v1, v2
from lib.scale import scale

TOLD = (("192.0.2.1", 1), ("198.51.100.2", 2))
HEADERS = [b"", v1(*TOLD), v2(*TOLD), b"PROXY TCP9 \r\n"]
NAMES = ["good.test", "GOOD.test", "curt.test", "reset.test", "none.test", None]
THREADS, EACH = 8, 80


def config_text(round_number, clusters):
    chains = [chain("good", {"sni": "good.test"}), chain("curt", {"sni": ["curt.test"]}), chain("reset", {"sni": "reset.test"}),
              {"match": {"transport": "plain"}, "filters": ["echo"]}, chain("gone")]
    edge = {"name": "edge", "bind": ["127.0.0.1:0", "unix:edge.sock"], "proxy_protocol": "optional",
            "access_log": LOG, "chains": chains}
    more = [{"name": f"more{round_number}", "bind": "127.0.0.1:0", "filters": ["echo"]}] if round_number % 3 else []
    return config([edge, *more], clusters)


def send(client, data, end=True):
    try:
        client.sendall(data)
        if end:
            client.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it was closed while we spoke: the reader knows


def whole(client, first, body, greeting):
    """The client speaks while it listens; all of it comes back behind the greeting."""
    speaker = threading.Thread(target=send, args=(client, first + body))
    speaker.start()
    got = clients.recv_all(client)
    speaker.join()
    assert got == greeting + body, f"{len(got)} bytes of {len(greeting + body)}"


def once(dice, address):
    header, name, act = dice.choice(HEADERS), dice.choice(NAMES), dice.random()
    first = dice.choice([hello(name), hello(name, "h2"), b"plain", record(message(server_name(b"a\0")))])
    body = dice.randbytes(dice.choice([0, 1, 5000, scale(2 << 20) // 8]))
    with clients.connect(address, 30) as client:
        if act < 0.15:
            send(client, (header + first)[:dice.randrange(len(header + first) + 1)], end=False)
            return clients.reset(client) if act < 0.1 else client.close()
        if header == HEADERS[3] or first != b"plain" and (name or "").lower() != "good.test":
            send(client, header + first + body)
            assert clients.how_it_ends(client) != "silence", (header, name)
        elif first == b"plain":
            whole(client, header + first, body, first)
        elif first != record(message(server_name(b"a\0"))):
            whole(client, header + first, body, b"read\n" + first)


@pytest.mark.threads
def test_storm(nuncio, peer, refusing_port, workers):
    seed = int(os.environ.get("NU_SEED", "1"))
    clusters = {"good": {"endpoints": [peer(ProxyEcho).address], "proxy_protocol": "v2"}, "reset": peer(Resetter).address,
                "curt": peer(Script, lambda conn: conn.sendall(b"no")).address, "gone": refusing_port.address}
    proxy, errors = nuncio(config_text(0, clusters), workers=workers), []

    def run(number):
        dice = random.Random(seed + number)
        for _ in range(EACH):
            try:
                once(dice, dice.choice(addresses))
            except (AssertionError, OSError) as error:
                errors.append(error)

    addresses = proxy.addresses("edge")
    crowd = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for one in crowd:
        one.start()
    for round_number in range(1, 11):
        proxy.reload(config_text(round_number, clusters))
    for one in crowd:
        one.join()
    assert not errors and proxy.running(), (errors, proxy.output())
    left = proxy.wait_stat("listener.edge.downstream_cx_active", 0)
    assert left["listener.edge.downstream_pre_cx_active"] == 0
    assert all(value == 0 for name, value in left.items() if name.startswith("cluster.") and name.endswith("upstream_cx_active"))
    assert len(rows(proxy, THREADS * EACH)) == THREADS * EACH
