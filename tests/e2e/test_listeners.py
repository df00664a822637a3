"""Where connections come in, who of the workers gets them, and which chain takes them by address, port and name."""
import contextlib
import errno
import itertools
import os
import re
import socket
import stat

import pytest

from lib import clients
from lib.fork import chain, config, echoed, fork, rows, taker
from lib.hello import hello
from lib.nuncio import run_nuncio
from lib.peers import Echo, Hang
from lib.poll import eventually
from lib.ports import free_port, listening, lone_port
from lib.process import command
from lib.tools import threads

ECHO = "listeners: [{{name: edge, bind: {bind}, filters: [echo]}}]\n"


def echo_on(nuncio, *binds, **more):
    return nuncio(ECHO.format(bind=str(list(binds)).replace("'", '"')), **more)


def says(address, data=b"hello"):
    """Whether an echo answers there."""
    with clients.connect(address) as client:
        client.sendall(data)
        return echoed(client, data)


def connect_from(source, address):
    """A client socket that comes from that (host, port)."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
    client = socket.socket(family)
    client.settimeout(10)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(source)
    client.connect((host.strip("[]"), int(port)))
    return client


# --- addresses

def test_several_binds_of_all_kinds(nuncio, workers):
    proxy = echo_on(nuncio, "127.0.0.1:0", "127.0.0.2:0", "[::1]:0", "unix:edge.sock", "unix:@nuncio-test-" + str(os.getpid()),
                    workers=workers)
    found = proxy.addresses("edge")
    assert len(set(found)) == 5 and not any(address.endswith(":0") for address in found)
    assert found[0].startswith("127.0.0.1:") and found[2].startswith("[::1]:") and found[3].endswith("/edge.sock")
    for address in (*found[:4], found[4].replace("@", "\0")):
        assert says(address), address
    assert proxy.ctl("listeners").splitlines() == [f"edge::{address}" for address in found]


def test_ipv4_and_ipv6_wildcards_share_a_port(nuncio):
    port = lone_port()
    proxy = echo_on(nuncio, f"0.0.0.0:{port}", f"[::]:{port}", workers=2)
    for host in ("127.0.0.1", "127.0.0.9", "[::1]"):
        assert says(f"{host}:{port}"), host
    proxy.wait_stat("listener.edge.downstream_cx_total", 3)


def test_an_ipv6_wildcard_is_for_ipv6(nuncio):
    port = echo_on(nuncio, "[::]:0").port("edge")
    assert says(f"[::1]:{port}")
    with pytest.raises(ConnectionRefusedError):
        clients.connect(f"127.0.0.1:{port}")


def test_without_a_name_the_address_is_one(nuncio):
    proxy = nuncio("listeners:\n  - {bind: '127.0.0.1:0', filters: [echo]}\n  - {bind: 'unix:x.sock', filters: [echo]}\n")
    assert says(proxy.address("127.0.0.1:0")) and says(f"unix:{proxy.dir}/x.sock")
    assert proxy.stats()["listener.127.0.0.1:0.downstream_cx_total"] == 1


def test_the_same_port_again_at_once(nuncio):
    """Connections that the first one closed keep the port in TIME_WAIT; that is nobody's obstacle."""
    first = nuncio(ECHO.format(bind='"127.0.0.1:0"').replace("[echo]", "[{echo: {idle_timeout: 20ms}}]"))
    with first.connect("edge") as client:
        assert clients.recv_all(client) == b""
    address = first.address("edge")
    first.stop()
    first.stop = first.close = lambda: None
    assert says(echo_on(nuncio, address).address("edge"))


def test_the_queue_is_as_long_as_asked(nuncio):
    proxy = nuncio("listeners: [{name: edge, bind: '127.0.0.1:0', backlog: 7, filters: [echo]}]\n", workers=2)
    rows = command("ss", "-Hltn", f"sport = :{proxy.port('edge')}").stdout.splitlines()
    assert [row.split()[2] for row in rows] == ["7", "7"]


def test_a_listener_counts(nuncio):
    proxy = echo_on(nuncio, "127.0.0.1:0")
    with proxy.connect("edge") as one, proxy.connect("edge"):
        one.sendall(b"x")
        assert echoed(one, b"x")
        now = proxy.wait_stat("listener.edge.downstream_cx_active", 2)
        assert (now["listener.edge.downstream_cx_total"], now["listener.edge.downstream_cx_destroy"]) == (2, 0)
    after = proxy.wait_stat("listener.edge.downstream_cx_active", 0)
    assert (after["listener.edge.downstream_cx_total"], after["listener.edge.downstream_cx_destroy"]) == (2, 2)


# --- workers

@pytest.mark.threads
def test_four_workers_share_400_connections(nuncio):
    proxy = echo_on(nuncio, "127.0.0.1:0", workers=4)
    assert proxy.wait_ready() == (1, 4)
    mine = f"0100007F:{proxy.port('edge'):04X}"
    assert sum(1 for row in listening("/proc/net/tcp") if row[1] == mine) == 4, "a listening socket for each"
    before = threads(proxy)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(proxy.connect("edge")) for _ in range(400)]
        for client in held:
            client.sendall(b"x")
        assert all(echoed(client, b"x") for client in held)
        spent = sorted((cpu - before[thread] for thread, cpu in threads(proxy).items()), reverse=True)
        assert proxy.stats()["listener.edge.downstream_cx_active"] == 400
    assert spent[3] >= 100_000, f"four threads worked, each for a tenth of a millisecond at least: {spent}"


@pytest.mark.threads
def test_four_workers_share_a_unix_socket(nuncio):
    proxy = echo_on(nuncio, "unix:edge.sock", workers=4)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(proxy.connect("edge")) for _ in range(200)]
        for client in held:
            client.sendall(b"x")
        assert all(echoed(client, b"x") for client in held)


@pytest.mark.threads
def test_max_connections_holds_over_all_workers(nuncio, peer, workers):
    proxy = fork(nuncio, peer, {"echo": None}, workers, max_connections=8)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(proxy.connect("edge")) for _ in range(8)]
        assert {taker(client) for client in held} == {"echo"}
        for _ in range(20):
            with proxy.connect("edge") as refused:
                assert taker(refused) in ("fin", "rst")
        proxy.wait_stat("listener.edge.downstream_cx_overflow", 20)
        held.pop().close()

        def taken():
            with proxy.connect("edge") as again:
                return taker(again) == "echo"
        eventually(taken)

    def refusals():
        found = [row for row in rows(proxy, 20) if row["cause"] == "connection_limit"]
        return len(found) >= 20 and found
    limits = eventually(refusals)
    assert {(row["flags"], row["chain"]) for row in limits} == {("RL", None)}


# --- UNIX socket files

def test_a_stale_socket_file_is_replaced_and_removed(nuncio, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    proxy = nuncio(f"listeners: [{{name: edge, bind: 'unix:{path}', mode: '0620', filters: [echo]}}]\n")
    assert says(f"unix:{path}") and stat.S_IMODE(path.stat().st_mode) == 0o620
    proxy.stop()
    proxy.close = lambda: None
    assert not path.exists()


def refused(tmp_path, *binds):
    """What `nuncio run` says when it cannot listen; its exit code must be 1."""
    path = tmp_path / "nuncio.yaml"
    path.write_text("".join(["listeners:\n", *(f"  - {{bind: '{bind}', filters: [echo]}}\n" for bind in binds)]))
    done = run_nuncio("run", "-c", path)
    assert done.returncode == 1 and "ready:" not in done.stderr, done.stderr
    return done.stderr


def test_a_socket_that_somebody_listens_on_is_busy(peer, tmp_path):
    path = tmp_path / "s"
    peer(Hang, path=path)
    said = refused(tmp_path, f"unix:{path}")
    assert re.search(rf"nuncio\.yaml:2:\d+: listeners\[0\]\.bind.*{path}.*in use", said), said
    clients.connect(f"unix:{path}").close()


def test_a_socket_whose_queue_is_full_is_busy(tmp_path):
    """Somebody listens there, who only has no time now."""
    path = tmp_path / "s"
    with contextlib.ExitStack() as stack:
        slow = stack.enter_context(socket.socket(socket.AF_UNIX))
        slow.bind(str(path))
        slow.listen(0)
        full = False
        while not full:
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            full = client.connect_ex(str(path)) == errno.EAGAIN
        assert "in use" in refused(tmp_path, f"unix:{path}") and path.is_socket()


def test_a_file_that_is_no_socket_stays(tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")
    said = refused(tmp_path, f"unix:{path}")
    assert f"{path}" in said and path.read_text() == "precious", said


def test_a_folder_that_is_not_there(tmp_path):
    said = refused(tmp_path, f"unix:{tmp_path}/no/s")
    assert "no such file or directory" in said, said


# --- addresses that cannot be had

def test_all_busy_ports_are_named(peer, tmp_path):
    busy = [peer(Hang).port, peer(Hang).port]
    said = refused(tmp_path, f"127.0.0.1:{busy[0]}", "127.0.0.1:0", f"127.0.0.1:{busy[1]}")
    for place, port in (("2:12: listeners[0].bind", busy[0]), ("4:12: listeners[2].bind", busy[1])):
        assert re.search(rf"nuncio\.yaml:{re.escape(place)}: .*127\.0\.0\.1:{port}.*in use", said), said


def test_a_port_that_another_nuncio_has_is_busy(nuncio, tmp_path):
    """SO_REUSEPORT alone would let two of them share it, each with half of the clients."""
    proxy = echo_on(nuncio, "127.0.0.1:0")
    assert "in use" in refused(tmp_path, proxy.address("edge"))
    assert says(proxy.address("edge"))


def test_an_address_of_another_machine(tmp_path):
    assert "cannot assign requested address" in refused(tmp_path, "192.0.2.1:0")


# --- which chain: addresses and ports

def test_the_longest_prefix_chooses(nuncio, peer):
    proxy = fork(nuncio, peer, {
        "here": {"source": "127.0.0.0/8"}, "near": {"source": ["127.1.0.0/16", "127.2.0.0/16"]}, "one": {"source": "127.1.0.1"},
        "there": {"destination": "127.9.0.0/16"}, "host": {"destination": "127.9.9.9/32"}, "rest": None}, bind="0.0.0.0:0")
    port = proxy.port("edge")
    for source, destination, wanted in (
            ("127.0.0.1", "127.0.0.1", "here"), ("127.1.0.2", "127.0.0.1", "near"), ("127.2.255.255", "127.0.0.1", "near"),
            ("127.1.0.1", "127.0.0.1", "one"), ("127.1.0.1", "127.9.0.1", "there"), ("127.1.0.1", "127.9.9.9", "host"),
            ("127.0.0.1", "127.8.9.9", "here")):
        with connect_from((source, 0), f"{destination}:{port}") as client:
            assert taker(client) == wanted, (source, destination)


def test_ipv6_prefixes_and_mapped_addresses(nuncio, peer):
    proxy = fork(nuncio, peer, {"six": {"source": "::1/128", "destination": "::/0"}, "four": {"source": "127.0.0.0/8"}},
                 bind=["[::1]:0", "127.0.0.1:0"])
    for address, wanted in zip(proxy.addresses("edge"), ("six", "four")):
        with clients.connect(address) as client:
            assert taker(client) == wanted


def test_ports_choose(nuncio, peer):
    ports, mine = [free_port(), free_port()], [free_port(), free_port()]
    proxy = fork(nuncio, peer, {"first": {"destination_port": ports[0]}, "second": {"destination_port": ports[1]},
                                "mine": {"destination_port": ports[1], "source_port": mine}},
                 bind=[f"127.0.0.1:{port}" for port in ports])
    for source, port, wanted in ((0, ports[0], "first"), (0, ports[1], "second"), (mine[0], ports[1], "mine"),
                                 (mine[1], ports[1], "mine"), (mine[0], ports[0], "first")):
        with connect_from(("127.0.0.1", source), f"127.0.0.1:{port}") as client:
            assert taker(client) == wanted
    assert proxy.stats()["listener.edge.downstream_cx_total"] == 5


def test_unix_clients_match_no_address(nuncio, peer):
    proxy = fork(nuncio, peer, {"net": {"source": "0.0.0.0/0"}, "net6": {"source": "::/0"}, "rest": None}, bind="unix:edge.sock")
    with proxy.connect("edge") as client:
        assert taker(client) == "rest"


# --- which chain: what comes before what

LEVELS = {"destination_port": None, "destination": "127.0.0.1", "sni": "*.test", "transport": "tls", "alpn": "h2",
          "source": "127.0.0.0/8", "source_port": None}


def test_each_level_comes_before_those_behind_it(nuncio, peer):
    """One listener for each pair of levels, with a chain for either; the config's order says nothing."""
    server, mine = {name: peer(Echo, f"{name}\n".encode()) for name in LEVELS}, free_port()
    pairs = list(itertools.combinations(LEVELS, 2))
    listeners = []
    for at, (better, worse) in enumerate(pairs):
        port = free_port() if better == "destination_port" else 0
        values = {**LEVELS, "destination_port": port, "source_port": mine}
        chains = [chain(level, {level: values[level]}) for level in (worse, better)]
        listeners.append({"name": f"l{at}", "bind": f"127.0.0.1:{port}", "chains": chains})
    proxy = nuncio(config(listeners, {name: one.address for name, one in server.items()}))
    for at, (better, worse) in enumerate(pairs):
        with connect_from(("127.0.0.1", mine), proxy.address(f"l{at}")) as client:
            client.sendall(hello("a.test", "h2"))
            assert taker(client) == better, (better, worse)


def test_what_fails_further_down_falls_back(nuncio, peer):
    """The best name alone does not decide: its chain asks for more, and the next best name gets its turn."""
    proxy = fork(nuncio, peer, {
        "h2": {"sni": "www.a.test", "alpn": "h2"}, "far": {"sni": "*.a.test", "source": "10.0.0.0/8"},
        "wild": {"sni": "*.test", "alpn": ["h3", "h2"]}, "tls": {"transport": "tls", "alpn": "http/1.1"}, "rest": None})
    for name, offered, wanted in (
            ("www.a.test", ["h2"], "h2"), ("www.a.test", ["h3"], "wild"), ("www.a.test", ["http/1.1"], "tls"),
            ("www.a.test", [], "rest"), ("b.a.test", ["h2"], "wild"), ("b.a.test", [], "rest"), (None, ["http/1.1"], "tls")):
        with proxy.connect("edge") as client:
            client.sendall(hello(name, *offered))
            assert taker(client) == wanted, (name, offered)


def test_two_chains_for_the_same_are_a_mistake(tmp_path):
    path = tmp_path / "nuncio.yaml"
    path.write_text(config([{"name": "edge", "bind": "127.0.0.1:0", "chains": [
        chain("a", {"sni": ["b.test", "a.test"]}), chain("b", {"sni": "A.test."})]}], {"a": "127.0.0.1:1", "b": "127.0.0.1:1"}))
    done = run_nuncio("check", "-c", path)
    assert done.returncode == 1 and "sni a.test" in done.stderr, done.stderr
