"""Datagrams end to end: name servers, sizes, reloads, floods, and what is written of sessions."""
import json
import os
import select
import signal
import socket
import time

import pytest

from lib import logs, netns, servers, udp
from lib.config import LOGS, cluster, config
from lib.dns import Dns
from lib.nuncio import run_nuncio
from lib.poll import SLOW, eventually, patiently
from lib.ports import lone_port
from lib.process import Child, command

LOG = [*LOGS, {"path": "datagrams", "format": "%DATAGRAMS_RECEIVED% %DATAGRAMS_SENT% %BYTES_RECEIVED% %BYTES_SENT% %CLOSE_CAUSE%\n"}]


def listener(*filters, name="in", **keys):
    return {"name": name, "bind": "udp://127.0.0.1:0", "access_log": LOG, **({"filters": list(filters)} if filters else {}), **keys}


def relay(*endpoints, before=(), proxy=None, to=None, at=None, **top):
    """Listener "in" and cluster "c", a udp_proxy between them. In the end nobody waits for quiet sessions."""
    end = {"udp_proxy": {"cluster": "c", **(proxy or {})}}
    top.setdefault("drain_timeout", "20ms")
    return config(listeners=[listener(*before, end, **(at or {}))], clusters=[cluster(*endpoints, **(to or {}))], **top)


def dig(address, name, *options):
    host, port = udp.resolve(address)[1]
    done = command("dig", f"@{host}", "-p", str(port), "+tries=1", "+timeout=30", "+short", name, "A", *options)
    assert done.returncode == 0, done.stdout
    return done.stdout.split()


# --- real programs

def test_dig_through_to_dnsmasq(nuncio, closing, workers):
    dns = closing(Dns({"a.test": ["192.0.2.7"], "many.test": [f"198.51.100.{n}" for n in range(200)]}, "--edns-packet-max=4096"))
    proxy = nuncio(relay(dns.child.address, proxy={"responses": 1}), workers=workers)
    for _ in range(5):
        assert dig(proxy.address("in"), "a.test") == ["192.0.2.7"]
    assert len(dig(proxy.address("in"), "many.test", "+bufsize=4096", "+ignore")) == 200  # 3.2 KiB in one datagram
    rows = logs.closed(proxy, 6)
    assert {row["cause"] for row in rows} == {"session_complete"}
    assert proxy.file_lines("datagrams", 6)[0].startswith("1 1 ")
    proxy.wait_stat("udp.c.downstream_sess_active", 0)


def test_a_dead_name_server_is_not_noticed(nuncio, closing):
    """Half of the servers are down: every question is answered at once all the same."""
    dns = closing(Dns({"a.test": ["192.0.2.7"]}))
    proxy = nuncio(relay(f"127.0.0.1:{lone_port()}", dns.child, proxy={"responses": 1}))
    for _ in range(8):
        assert dig(proxy.address("in"), "a.test", "+timeout=10") == ["192.0.2.7"]
    proxy.wait_stat("cluster.c.udp.sess_rx_errors", lambda n: n >= 4)
    assert "127.0.0.1" in proxy.ctl("clusters")


def test_socat_on_both_ends(nuncio, closing):
    port = lone_port()
    server = closing(Child("socat", f"UDP4-RECVFROM:{port},bind=127.0.0.1,fork,reuseaddr", "SYSTEM:cat"))
    proxy = nuncio(relay(f"127.0.0.1:{port}"))
    host, there = udp.resolve(proxy.address("in"))[1]

    def echoes():
        done = command("socat", "-t0.5", "-", f"UDP4:{host}:{there}", input="through socat\n")
        return done.stdout == "through socat\n"
    eventually(echoes, what=server.output)


@pytest.mark.once
def test_iperf3_without_loss(nuncio, peer):
    """Its control connection goes beside it, through a TCP listener of the same port."""
    server = peer(servers.iperf3)
    port = lone_port()
    proxy = nuncio(config(
        listeners=[listener({"udp_proxy": "c"}, name="data", bind=f"udp://127.0.0.1:{port}"),
                   {"name": "control", "bind": f"127.0.0.1:{port}", "filters": [{"tcp_proxy": "c"}]}],
        clusters=[cluster(server)], drain_timeout="20ms"))

    def good(*options):
        done = command("iperf3", "-c", "127.0.0.1", "-p", str(port), "-u", "-b", "10M", "-l", "1200", "-t", "1", "-J", *options)
        end = json.loads(done.stdout)["end"]["sum"]
        assert end["packets"] > 100 and end["lost_packets"] <= 0.05 * end["packets"], end
        return end
    # iperf3 itself loses some where it waits for a CPU longer than its socket has room for: not each time.
    eventually(good, 60)
    eventually(lambda: good("-R"), 60)
    proxy.wait_stat("udp.c.downstream_sess_rx_datagrams", lambda n: n > 100)


# --- boundaries and sizes

SIZES = [0, 1, 512, 1200, 1252, 1350, 1452, 1472, 1473, 2048, 2049, 4096, 8972, 16384, 65507]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_every_size_both_ways(nuncio, peer, host):
    """QUIC's usual sizes among them, and what has to be fragmented elsewhere."""
    server = peer(udp.Server, host=host)
    shown = f"[{host}]" if ":" in host else host
    proxy = nuncio(relay(server, at={"bind": f"udp://{shown}:0"}))
    with udp.client(proxy.address("in")) as client:
        for size in SIZES:
            data = os.urandom(size)
            assert udp.ask(client, data) == data
        for size in SIZES[:8]:  # many on their way at once
            client.send(bytes([size % 251]) * size)
        assert sorted(len(client.recv(65536)) for _ in SIZES[:8]) == SIZES[:8]
    assert [len(data) for data, _ in server.seen] == SIZES + SIZES[:8]
    assert proxy.stats()["listener.in.udp.downstream_rx_datagram_dropped"] == 0


def test_too_long_for_the_other_side(nuncio, peer):
    """IPv6 has room for a little more than IPv4: what does not fit is dropped and counted, both ways."""
    four = peer(udp.Server, lambda data, _peer: [data])
    six = peer(udp.Server, lambda data, _peer: [b"z" * 65520 if data == b"long" else data], host="::1")
    proxy = nuncio(config(
        listeners=[listener({"udp_proxy": "four"}, name="up", bind="udp://[::1]:0"), listener({"udp_proxy": "six"}, name="down")],
        clusters=[cluster(four, name="four"), cluster(six, name="six")], drain_timeout="20ms"))
    with udp.client(proxy.address("up")) as client:
        client.send(b"z" * 65520)
        assert udp.ask(client, b"after it") == b"after it"
    with udp.client(proxy.address("down")) as client:
        client.send(b"long")
        assert udp.ask(client, b"after it") == b"after it"
    proxy.wait_stat("cluster.four.udp.sess_tx_errors", 1)
    proxy.wait_stat("listener.down.udp.downstream_tx_datagram_dropped", 1)


@pytest.mark.skipif(not netns.available(), reason="network namespaces need root")
def test_fragments_on_a_real_wire(nuncio, closing):
    """Over a cable of 1500 bytes, jumbo datagrams go in fragments and come whole."""
    machine = closing(netns.Machine())
    server = closing(machine.run(lambda: udp.Server(host=machine.there)))
    proxy = nuncio(relay(server.address))
    with udp.client(proxy.address("in")) as client:
        for size in (1472, 1473, 9000, 65507):
            data = os.urandom(size)
            assert udp.ask(client, data) == data


# --- addresses

def test_answers_come_from_where_the_client_sent_to(nuncio, peer):
    """Bound to all addresses, each answer has the one that was asked; sessions are apart."""
    server = peer(udp.Server)
    proxy = nuncio(relay(server, at={"bind": ["udp://0.0.0.0:0", "udp://[::]:0"]}))
    four, six = (udp.resolve(address)[1][1] for address in proxy.addresses("in"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(20 * SLOW)
        for host in ("127.0.0.1", "127.0.0.2", "127.9.9.9"):
            client.sendto(host.encode(), (host, four))
            assert client.recvfrom(100) == (host.encode(), (host, four))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.settimeout(20 * SLOW)
        client.sendto(b"six", ("::1", six))
        assert client.recvfrom(100)[1][:2] == ("::1", six)
    assert proxy.stats()["listener.in.downstream_cx_total"] == 4
    assert len({peer for _, peer in server.seen}) == 4


def test_chains_by_address_and_port(nuncio, peer):
    a, b = peer(udp.Server, udp.named(b"a")), peer(udp.Server, udp.named(b"b"))
    chains = [{"match": {"source": ["127.0.0.2/32"]}, "filters": [{"udp_proxy": "a"}]},
              {"match": {"destination": ["127.0.0.1/32"]}, "filters": [{"ip_filter": {"deny": ["127.0.0.3"]}}, {"udp_proxy": "b"}]}]
    proxy = nuncio(config(listeners=[listener(bind="udp://0.0.0.0:0", chains=chains)],
                          clusters=[cluster(a, name="a"), cluster(b, name="b")], drain_timeout="20ms"))
    port = udp.resolve(proxy.address("in"))[1][1]
    with udp.client(f"127.0.0.5:{port}", "127.0.0.2") as client:
        assert udp.ask(client, b"x") == b"a:x"
    with udp.client(f"127.0.0.1:{port}") as client:
        assert udp.ask(client, b"x") == b"b:x"
    with udp.client(f"127.0.0.1:{port}", "127.0.0.3") as client:
        for _ in range(5):
            client.send(b"x")
        assert udp.silent(client)
    with udp.client(f"127.0.0.5:{port}") as client:
        client.send(b"x")
        assert udp.silent(client)
    causes = {(row["cause"], row["chain"]) for row in logs.closed(proxy, 2)}
    assert len(causes) == 2 and {cause for cause, _ in causes} == {"filter_denied", "no_chain_matched"}
    proxy.wait_stat("listener.in.udp.downstream_rx_datagram_discarded", 6)
    assert f"in::udp://0.0.0.0:{port}\n" in proxy.ctl("listeners")


def test_sessions_are_balanced(nuncio, peer):
    a, b = peer(udp.Server, udp.named(b"a")), peer(udp.Server, udp.named(b"b"))
    proxy = nuncio(relay(a, b))
    took = []
    for _ in range(6):
        with udp.client(proxy.address("in")) as client:
            first = udp.ask(client, b"1")[:1]
            assert udp.ask(client, b"2")[:1] == first  # the whole session
            took.append(first)
    assert sorted(took) == [b"a"] * 3 + [b"b"] * 3


# --- the life of a session

def test_a_quiet_session_ends(nuncio, peer):
    def story(factor):
        server = peer(udp.Server)
        proxy = nuncio(relay(server, proxy={"idle_timeout": f"{300 * factor}ms", "name": "n"}))
        with udp.client(proxy.address("in")) as client:
            for _ in range(5):  # longer than the timeout in all
                assert udp.ask(client, b"four") == b"four"
                select.select([], [], [], 0.08 * factor)
            proxy.wait_stat("udp.n.downstream_sess_active", 0)
            assert proxy.file_lines("datagrams") == ["5 5 20 20 session_idle"]
            assert proxy.stats()["udp.n.idle_timeout"] == 1
            assert udp.ask(client, b"again") == b"again"  # a session of its own
        assert len({peer for _, peer in server.seen}) == 2
        row = logs.closed(proxy)[0]
        assert (row["closed_by"], row["flags"], row["cluster"], row["upstream"]) == ("local", None, "c", server.address)
    patiently(story)


def test_either_side_keeps_a_session(nuncio, peer, closing):
    """A player who only watches, and a sensor that hears nothing back: neither is quiet."""
    def story(factor):
        server = closing(udp.Server(lambda _data, _peer: None))
        proxy = nuncio(relay(server.address, proxy={"idle_timeout": f"{400 * factor}ms"}))
        with udp.client(proxy.address("in")) as watcher, udp.client(proxy.address("in")) as sensor:
            watcher.send(b"watch")
            eventually(lambda: server.seen)
            _, there = server.seen[0]
            for turn in range(10):
                server.sock.sendto(b"news", there)
                sensor.send(b"%d" % turn)
                assert watcher.recv(100) == b"news"
                select.select([], [], [], 0.1 * factor)
            stats = proxy.stats()
            assert stats["udp.c.downstream_sess_total"] == stats["udp.c.downstream_sess_active"] == 2
            proxy.wait_stat("udp.c.idle_timeout", 2)
    patiently(story)


def test_a_server_that_goes_ends_its_sessions(nuncio, closing):
    server = udp.Server()
    spare = closing(udp.Server(udp.named(b"spare")))
    proxy = nuncio(relay({"address": server.address}, {"address": spare.address, "priority": 1}))
    with udp.client(proxy.address("in")) as client:
        assert udp.ask(client, b"x") == b"x"
        server.close()
        client.send(b"lost")
        assert logs.last(proxy)["cause"] == "upstream_reset"
        eventually(lambda: udp.ask(client, b"y") == b"spare:y")


def test_nobody_there(nuncio):
    proxy = nuncio(relay(f"127.0.0.1:{lone_port()}"))
    with udp.client(proxy.address("in")) as client:
        client.send(b"x")
        row = logs.last(proxy)
    assert (row["cause"], row["flags"], row["layer"]) == ("connection_refused", "UF", "udp_proxy")


def test_a_name_that_is_not_known(nuncio):
    proxy = nuncio(relay("nobody.test:1"), env={"NUNCIO_DNS": f"127.0.0.1:{lone_port()}"})
    with udp.client(proxy.address("in")) as client:
        client.send(b"x")
        assert logs.last(proxy)["cause"] == "no_healthy_upstream"
    assert proxy.stats()["udp.c.downstream_sess_no_route"] == 1


def test_answers_that_nobody_reads_in_time_are_counted(nuncio, peer):
    """A throttle on the way back: the kernel keeps what it has room for, and the rest is lost, not queued."""
    server = peer(udp.Server, lambda data, _peer: [data * 1000] * 3000)
    throttle = {"throttle": {"rate": "50B", "burst": "1kB", "direction": "download"}}
    proxy = nuncio(relay(server, before=[throttle], proxy={"idle_timeout": "1s"}))
    with udp.client(proxy.address("in")) as client:
        client.send(b"z")
        assert client.recv(2000) == b"z" * 1000
        proxy.wait_stat("cluster.c.udp.sess_rx_datagrams_dropped", lambda now: now and now > 1000)


# --- limits

def test_the_limit_of_sessions(nuncio, peer, workers):
    proxy = nuncio(relay(peer(udp.Server), at={"udp": {"max_sessions": 10}}), workers=workers)
    inside = [udp.client(proxy.address("in")) for _ in range(10)]
    for client in inside:
        assert udp.ask(client, b"x") == b"x"
        assert udp.ask(client, b"x") == b"x"
    outside = [udp.client(proxy.address("in")) for _ in range(10)]
    for client in outside:
        client.send(b"x")
    proxy.wait_stat("listener.in.downstream_cx_overflow", 10)
    assert all(udp.silent(client, 0) for client in outside)
    for client in inside:
        assert udp.ask(client, b"y") == b"y"
    stats = proxy.wait_stat("listener.in.udp.downstream_rx_datagram_discarded", 10)
    assert stats["listener.in.downstream_cx_active"] == 10
    for client in inside + outside:
        client.close()


def test_a_source_has_its_share(nuncio, peer):
    proxy = nuncio(relay(peer(udp.Server), at={"udp": {"max_sessions_per_source": 3}}), workers=4)
    greedy = [udp.client(proxy.address("in"), "127.0.0.2") for _ in range(8)]
    for client in greedy:
        client.send(b"x")
    proxy.wait_stat("listener.in.udp.downstream_rx_datagram_discarded", 5)
    eventually(lambda: sum(not udp.silent(client, 0) for client in greedy) == 3)
    with udp.client(proxy.address("in"), "127.0.0.3") as other:
        assert udp.ask(other, b"x") == b"x"
    for client in greedy:
        client.close()


def calm_clients(proxy, count=12):
    clients = [udp.client(proxy.address("in"), f"127.0.1.{n + 1}") for n in range(count)]
    for client in clients:
        assert udp.ask(client, b"hello") == b"hello"
        assert udp.ask(client, b"hello") == b"hello"
    return clients


@pytest.mark.parametrize("fresh", [False, True], ids=["one_sender", "forged_senders"])
def test_a_flood_takes_nobody_elses_service(nuncio, peer, closing, fresh):
    """Somebody sends as fast as the machine can: those who are there are served, and so are those who come."""
    echo = peer(udp.Server)
    sink = peer(udp.Server, lambda data, _peer: None)
    chains = [{"match": {"source": ["127.0.1.0/24", "127.0.2.0/24"]}, "filters": [{"udp_proxy": "c"}]},
              {"filters": [{"udp_proxy": "sink"}]}]
    proxy = nuncio(config(listeners=[listener(chains=chains, access_log=[], udp={"max_sessions": 500, "receive_buffer": "64KiB"})],
                          clusters=[cluster(echo), cluster(sink, name="sink")], drain_timeout="20ms"))
    clients = calm_clients(proxy)
    closing(udp.Flood(proxy.address("in"), None if fresh else "127.0.0.9", fresh))
    figure = "listener.in.udp.downstream_sess_evicted" if fresh else "udp.sink.downstream_sess_rx_datagrams"
    proxy.wait_stat(figure, lambda now: now and now > 1000)
    tries = []
    for turn in range(4):
        clients.append(udp.client(proxy.address("in"), f"127.0.2.{turn + 1}"))
        tries += [udp.answered(client, b"still there? %d" % turn) for client in clients]
    assert 0 not in tries, tries
    assert tries.count(1) > 0.5 * len(tries), tries  # nine of ten are the flood's where it is not held back
    for client in clients:
        client.close()


# --- reload and the end

@pytest.mark.threads
@pytest.mark.parametrize("filters", [[], [{"throttle": "100MB"}]], ids=["same", "other"])
def test_reloads_lose_nothing(nuncio, closing, workers, filters):
    """Two games in full swing while the config changes: not one datagram is lost, and each player has one session."""
    games = [closing(udp.Game()) for _ in range(2)]
    text = {more: relay(games[0].address, before=[{"ip_filter": {"deny": ["192.0.2.0/24"]}}, *more_filters])
            for more, more_filters in ((False, []), (True, filters))}
    proxy = nuncio(text[False].replace('"c"', '"one"'), workers=workers)
    games[0].start(proxy.address("in"))
    eventually(lambda: len(games[0].got[1]) > 20)
    for turn in range(6):
        changed = text[turn % 2 == 0]
        # Sessions stay with their endpoint also where the cluster has another one now, or another name.
        target = games[1].address if turn % 2 == 0 else games[0].address
        proxy.reload(changed.replace(games[0].address, target).replace('"c"', '"two"' if turn % 2 else '"three"'))
        if turn == 0:
            games[1].start(proxy.address("in"))
        now = [len(game.got[1]) for game in games]
        eventually(lambda: all(len(game.got[1]) > before + 10 for game, before in zip(games, now)))
    assert [game.stop() for game in games] == [([], []), ([], [])]
    assert [len(game.players) for game in games] == [1, 1]


@pytest.mark.threads
def test_a_removed_listener_finishes_its_sessions(nuncio, peer, closing):
    game = closing(udp.Game())
    proxy = nuncio(relay(game.address, drain_timeout="60s"))
    address = proxy.address("in")
    game.start(address)
    eventually(lambda: len(game.got[1]) > 20)
    proxy.reload(config(listeners=[listener("echo", name="other")], drain_timeout="60s"))
    with udp.client(address) as late:
        late.send(b"x")
        assert udp.silent(late)
    since = len(game.got[1])
    eventually(lambda: len(game.got[1]) > since + 20)
    assert game.stop() == ([], [])
    assert logs.last(proxy)["cause"] == "session_idle"


def test_a_drain_waits_for_who_still_speaks(nuncio, closing):
    """TERM: sessions that are quiet end within a second or two, others at drain_timeout."""
    def story(factor):
        game = closing(udp.Game())
        quiet_one = listener("echo", name="quiet")
        proxy = nuncio(config(listeners=[listener({"udp_proxy": "c"}), quiet_one], clusters=[cluster(game)], drain_timeout=f"{2 * factor}s"))
        game.start(proxy.address("in"))
        with udp.client(proxy.address("quiet")) as quiet:
            assert udp.ask(quiet, b"hi") == b"hi"
            eventually(lambda: len(game.got[1]) > 20)
            began = time.monotonic()
            proxy.signal(signal.SIGTERM)
            assert proxy.wait(60) == 0
            assert time.monotonic() - began > 1.9 * factor
            causes = [json.loads(line)["cause"] for line in (proxy.dir / "access.json").read_text().splitlines()]
            assert sorted(causes) == ["drain_timeout", "session_idle"]
    patiently(story)


def test_a_drain_of_quiet_sessions_is_short(nuncio, peer):
    proxy = nuncio(relay(peer(udp.Server), drain_timeout="30s"))
    with udp.client(proxy.address("in")) as client:
        assert udp.ask(client, b"x") == b"x"
        began = time.monotonic()
        proxy.signal(signal.SIGTERM)
        assert proxy.wait(60) == 0
        assert time.monotonic() - began < 20 * SLOW


@pytest.mark.threads
def test_many_clients_on_all_workers(nuncio, peer):
    """The kernel spreads clients over the workers; each keeps its own, in order."""
    proxy = nuncio(relay(peer(udp.Server)), workers=4)
    clients = [udp.client(proxy.address("in")) for _ in range(100)]
    for turn in range(5):
        for number, client in enumerate(clients):
            client.send(b"%d %d" % (number, turn))
        for number, client in enumerate(clients):
            assert client.recv(100) == b"%d %d" % (number, turn)
    stats = proxy.stats()
    assert stats["listener.in.downstream_cx_total"] == 100
    assert stats["udp.c.downstream_sess_tx_datagrams"] == 500
    for client in clients:
        client.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_socket_that_systemd_passes(nuncio, host):
    """The datagram that starts the program is its first one, and answers come from where it was sent to."""
    port = lone_port()
    proxy = nuncio(config(listeners=[listener("echo", bind=f"udp://{host}:{port}")], drain_timeout="20ms"), ready=False, workers=2,
                   under=("systemd-socket-activate", "-d", "-l", f"{host}:{port}"))
    proxy.wait_line("^Listening on")
    for here in ("127.0.0.1", "127.0.0.2")[:1 if host == "127.0.0.1" else 2]:
        with udp.client(f"{here}:{port}") as client:
            assert udp.ask(client, b"wake up") == b"wake up"
            assert udp.ask(client, b"still there?") == b"still there?"
    proxy.wait_ready()


def test_the_limit_of_the_cluster(nuncio, peer):
    proxy = nuncio(relay(peer(udp.Server), to={"limits": {"connections": 1}}))
    with udp.client(proxy.address("in")) as first, udp.client(proxy.address("in")) as second:
        assert udp.ask(first, b"x") == b"x"
        second.send(b"x")
        row = logs.last(proxy)
        assert (row["cause"], row["flags"]) == ("upstream_overflow", "UO")
        assert udp.ask(first, b"y") == b"y"


def test_without_a_file(nuncio, peer):
    proxy = nuncio(None, "--from", "127.0.0.1:0", "--to", f"udp://{peer(udp.Server).address}")
    assert proxy.address("from1").startswith("udp://127.0.0.1:")
    with udp.client(proxy.address("from1")) as client:
        assert udp.ask(client, b"x") == b"x"


def test_what_is_printed_of_it_checks(tmp_path):
    (tmp_path / "a.yaml").write_text(relay("127.0.0.1:1", at={"udp": {"max_sessions": 5}}))
    done = run_nuncio("check", "-c", tmp_path / "a.yaml", "--print", check=True)
    assert "udp://127.0.0.1:0" in done.stdout and "max_sessions: 5" in done.stdout
    (tmp_path / "b.yaml").write_text(done.stdout)
    assert run_nuncio("check", "-c", tmp_path / "b.yaml", "--print", check=True).stdout == done.stdout
