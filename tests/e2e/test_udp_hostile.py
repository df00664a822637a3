"""Datagrams from who means no good, and from networks that behave badly: forged ends, ICMP, storms, no room."""
import os
import random
import select
import signal
import socket
import struct
from pathlib import Path

import pytest

from lib import clients as tcp_clients, logs, netns, udp
from lib.config import cluster, config
from lib.netns import Row
from lib.poll import SLOW, eventually


def listener(*filters, name="in", **keys):
    return {"name": name, "bind": "udp://127.0.0.1:0", "access_log": [{"path": "access.json", "format": "json"}],
            **({"filters": list(filters)} if filters else {}), **keys}


def relay(*endpoints, proxy=None, to=None, at=None, **top):
    top.setdefault("drain_timeout", "20ms")
    return config(listeners=[listener({"udp_proxy": {"cluster": "c", **(proxy or {})}}, **(at or {}))],
                  clusters=[cluster(*endpoints, **(to or {}))], **top)


# --- who speaks

def test_nobody_else_answers_for_the_server(nuncio, peer):
    """Who knows the proxy's own port and guesses right is not heard: answers come from the server, or not at all."""
    liar = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    liar.bind(("127.0.0.1", 0))

    def answer(data, where):
        liar.sendto(b"forged", where)
        return [data]
    proxy = nuncio(relay(peer(udp.Server, answer)))
    with udp.client(proxy.address("in")) as client:
        for number in range(20):
            assert udp.ask(client, b"%d" % number) == b"%d" % number
        assert udp.silent(client, 0.05)
    assert proxy.stats()["cluster.c.udp.sess_rx_datagrams"] == 20
    liar.close()


@pytest.mark.skipif(not netns.available(), reason="network namespaces need root")
def test_forged_senders_that_nobody_can_answer(nuncio, peer):
    """Port 0, and sums that are wrong: the first gets no answer and is counted, the second never comes."""
    proxy = nuncio(relay(peer(udp.Server)))
    host, port = udp.resolve(proxy.address("in"))[1]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        for source, check in ((0, 0), (9, 0xdead), (0, 0)):
            raw.sendto(struct.pack("!HHHH", source, port, 12, check) + b"evil", (host, port))
    with udp.client(proxy.address("in")) as client:
        assert udp.ask(client, b"x") == b"x"
    proxy.wait_stat("listener.in.udp.downstream_tx_datagram_dropped", 2)
    proxy.wait_stat("listener.in.downstream_cx_total", 2)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1"])
def test_one_socket_for_both_families(nuncio, peer, host):
    """ipv4_compat: IPv4 clients count as IPv4, and are answered from the address that they asked."""
    chains = [{"match": {"source": ["127.0.0.0/8"]}, "filters": [{"udp_proxy": "c"}]}, {"filters": ["echo"]}]
    server = peer(udp.Server, udp.named(b"four"))
    proxy = nuncio(config(listeners=[listener(bind="udp://[::]:0", ipv4_compat=True, chains=chains, socket={"ttl": 9, "dscp": "ef"})],
                          clusters=[cluster(server)], drain_timeout="20ms"))
    port = udp.resolve(proxy.address("in"))[1][1]
    with udp.client(f"[{host}]:{port}" if ":" in host else f"{host}:{port}") as client:
        assert udp.ask(client, b"x") == (b"x" if ":" in host else b"four:x")


def test_clients_on_the_link(row, nuncio):
    """fe80:: addresses mean nothing without their interface: it is the client's, also for the answer."""
    def link_local(space, interface):
        return space.command("ip", "-6", "-o", "addr", "show", "dev", interface, "scope", "link").stdout.split("inet6 ")[1].split("/")[0]
    ours = link_local(row.gateway, "toc")
    for bind in ("udp://[::]:0", f"udp://[{ours}%toc]:0"):
        proxy = nuncio(config(listeners=[listener("echo", bind=bind)], drain_timeout="20ms"), under=row.gateway.words)
        port = int(proxy.address("in").rpartition(":")[2])

        def ask(port=port):
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                sock.settimeout(20 * SLOW)
                sock.sendto(b"neighbour", (ours, port, 0, socket.if_nametoindex("tog")))
                return sock.recvfrom(100)
        data, where = row.client.run(ask)
        assert data == b"neighbour" and where[0].split("%")[0] == ours


# --- what the network says

ICMP = {"host-unreachable": False, "admin-prohibited": False, "port-unreachable": True}


@pytest.mark.parametrize("kind", ICMP)
def test_what_routers_say_of_a_server(row, nuncio, kind):
    """A closed port ends the session; what may pass by itself does not: the way is open again, and the session goes on."""
    server = row.server.run(lambda: udp.Server(host=Row.SERVER))
    row.server.set("ipv4/icmp_ratelimit=0")
    try:
        proxy = nuncio(relay(server.address, at={"bind": f"udp://{Row.NEAR}:0"}), under=row.gateway.words)
        sock = row.client.run(lambda: udp.client(proxy.address("in")))
        assert udp.ask(sock, b"before") == b"before"
        row.server.nft(f"table ip t {{ chain c {{ type filter hook input priority 0; udp dport {server.port} "
                       f"reject with icmp type {kind}\n }}\n}}")
        for _ in range(3):
            sock.send(b"lost")
            assert udp.silent(sock, 0.05)
        row.server.nft("")
        assert udp.answered(sock, b"after")
        ended = proxy.stats()["listener.in.downstream_cx_total"] > 1
        assert ended == ICMP[kind]
        if ended:
            assert logs.closed(proxy)[0]["cause"] == "upstream_reset"
        sock.close()
    finally:
        server.close()
        row.reset()


def test_a_narrow_way_to_the_server(row, nuncio):
    """The path takes 1280 bytes: the first long one is lost, the kernel learns of it, the next ones go in fragments."""
    server = row.server.run(lambda: udp.Server(host=Row.SERVER))
    row.gateway.ip("route", "add", f"{Row.SERVER}/32", "via", Row.SERVER, "dev", "tos", "mtu", "1280", "onlink")
    try:
        proxy = nuncio(relay(server.address, at={"bind": f"udp://{Row.NEAR}:0"}), under=row.gateway.words)
        sock = row.client.run(lambda: udp.client(proxy.address("in")))
        for size in (1200, 1252, 1400, 1472, 9000):
            assert udp.answered(sock, bytes(size)), size
        sock.close()
    finally:
        server.close()
        row.gateway.ip("route", "del", f"{Row.SERVER}/32")


def test_a_slow_way_to_the_client(row, nuncio):
    """Answers come faster than they can leave: they wait, and leave in order."""
    if row.gateway.command("tc", "qdisc", "add", "dev", "toc", "root", "tbf", "rate", "30mbit", "burst", "10kb", "limit", "4mb").returncode:
        pytest.skip("traffic control needs a kernel with it")
    server = row.server.run(lambda: udp.Server(lambda _data, _peer: [b"%03d" % n + bytes(1400) for n in range(80)], host=Row.SERVER))
    try:
        proxy = nuncio(relay(server.address, at={"bind": f"udp://{Row.NEAR}:0"}), workers=1, under=row.gateway.words)
        sock = row.client.run(lambda: udp.client(proxy.address("in")))
        udp.make_room(sock)
        for turn in range(1, 5):  # all on their way at once: more than the socket's buffer has room for
            sock.send(b"x")
            proxy.wait_stat("cluster.c.udp.sess_rx_datagrams", 80 * turn)
        got = [int(sock.recv(2000)[:3]) for _ in range(320)]
        assert got == list(range(80)) * 4
        assert proxy.stats()["listener.in.udp.downstream_tx_datagram_dropped"] == 0
        sock.close()
    finally:
        server.close()
        row.gateway.command("tc", "qdisc", "del", "dev", "toc", "root")


# --- no room

def test_no_descriptors_left(nuncio, peer):
    """More clients than descriptors: who has a session keeps it, who has none is told apart, and later there is room again."""
    proxy = nuncio(relay(peer(udp.Server), peer(udp.Server), proxy={"idle_timeout": "500ms"}), workers=1, under=("prlimit", "--nofile=64:64"))
    clients = [udp.client(proxy.address("in")) for _ in range(100)]
    with proxy.frozen():  # all at once, however long it takes to send them
        for client in clients:
            client.send(b"x")

    def served():
        return sum(not udp.silent(client, 0) for client in clients)
    eventually(lambda: served() > 10)
    proxy.wait_stat("udp.c.downstream_sess_active", 0)
    assert served() < 64

    def told():
        rows = [row for row in logs.closed(proxy) if row["cause"] == "no_descriptors"]
        return rows and len(rows) == proxy.stats()["cluster.c.upstream_cx_connect_fail"] and rows  # another server would not have helped
    assert {row["flags"] for row in eventually(told)} == {"UF"}
    assert udp.answered(clients[-1], b"again")
    for client in clients:
        client.close()


@pytest.mark.parametrize("before", [0, 192], ids=["at_once", "later"])
def test_datagrams_leave_descriptors_for_others(nuncio, peer, before):
    """Where max_sessions is more than the descriptors there are, TCP clients of the same process are served all the same."""
    proxy = nuncio(config(listeners=[listener({"udp_proxy": "c"}), listener({"udp_proxy": "c"}, name="too"),
                                     {"name": "tcp", "bind": "127.0.0.1:0", "filters": ["echo"]}],
                          clusters=[cluster(peer(udp.Server, lambda data, _peer: None))], drain_timeout="20ms"),
                   workers=1, under=("prlimit", "--nofile=256:256"))
    clients = [udp.client(proxy.address(name)) for _ in range(200) for name in ("in", "too")]
    for client in clients[:before]:
        client.send(b"x")
    proxy.wait_stat("udp.c.downstream_sess_active", before)
    assert udp.silent(clients[0], 0.05)  # now they have been there for long enough to make room
    with proxy.frozen():
        for client in clients[before:]:
            client.send(b"x")

    def without_room():
        """Who was turned away, or made room."""
        stats = proxy.stats()
        return sum(stats[f"listener.{name}.{which}"] for name in ("in", "too")
                   for which in ("downstream_cx_overflow", "udp.downstream_sess_evicted"))
    eventually(lambda: without_room() == len(clients) - 192)  # of which of both depends on whose datagrams were read first
    for _ in range(20):
        with proxy.connect("tcp") as tcp:
            tcp.sendall(b"served")
            assert tcp_clients.recv_exactly(tcp, 6) == b"served"
    stats = proxy.wait_stat("udp.c.downstream_sess_active", 192)
    assert stats["cluster.c.upstream_cx_connect_fail"] == 0
    for client in clients:
        client.close()


# --- storms

@pytest.mark.threads
def test_a_storm_of_clients_over_reloads(nuncio, peer, workers):
    """Clients that come and go while the config changes under them, and TERM in the middle: each is answered until then."""
    chance = random.Random(int(os.environ.get("NU_SEED", "1")))
    servers = [peer(udp.Server), peer(udp.Server)]
    texts = [relay(server, proxy={"responses": n, "idle_timeout": "5s"}, at={"udp": {"max_sessions": 500 + n}})
             for server in servers for n in (0, 1)]
    proxy = nuncio(texts[0], workers=workers)
    address, asked = proxy.address("in"), 0
    for _ in range(12):
        clients = [udp.client(address) for _ in range(20)]
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
            if chance.random() < 0.1:
                proxy.reload(chance.choice(texts))
        for number, client in enumerate(clients):
            assert select.select([client], [], [], 30 * SLOW)[0], f"{number} of this round, and {asked} before"
            assert client.recv(100) == b"%d" % number
            client.close()
        asked += len(clients)
    assert proxy.stats()["listener.in.udp.downstream_rx_datagram_discarded"] == 0
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0


def test_workers_share_the_load(nuncio, peer):
    """Every worker's thread has some of the work of a hundred clients."""
    proxy = nuncio(relay(peer(udp.Server)), workers=4)

    def spent():
        """Nanoseconds by thread; main's is the process's first."""
        tasks = Path(f"/proc/{proxy.pid}/task").iterdir()
        return {task.name: int((task / "schedstat").read_text().split()[0]) for task in tasks if task.name != str(proxy.pid)}
    before = spent()
    clients = [udp.client(proxy.address("in")) for _ in range(100)]
    for _ in range(10):
        for client in clients:
            client.send(b"x" * 1200)
        for client in clients:
            client.recv(2000)
    used = sorted(now - before[name] for name, now in spent().items())[-4:]  # a sanitizer has one of its own
    assert len(used) == 4 and used[0] > sum(used) / 20, used
    for client in clients:
        client.close()
