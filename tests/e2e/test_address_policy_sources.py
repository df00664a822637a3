"""source_limit: connections and their rate, of each source, over all workers and over reloads."""
import contextlib
import re
import socket
import threading
import time

import pytest

from lib import logs, netns, proxy_header, servers
from lib.config import cluster, config, listener, relay
from lib.nuncio import ROOT
from lib.peers import Echo
from lib.poll import PATIENCE, eventually
from lib.process import command

pytestmark = pytest.mark.threads

HERE, THERE = "127.0.0.1", "127.0.0.2"


def connect(nuncio, source):
    return socket.create_connection((HERE, nuncio.port("in")), PATIENCE, (source, 0))


def served(client):
    """Whether the server, which speaks first, was reached."""
    try:
        return client.recv(1) == b"E"
    except ConnectionResetError:
        return False


def comes_in(nuncio, source):
    with connect(nuncio, source) as client:
        return served(client)


def comes_and_goes(nuncio, source):
    """Whether an HTTP request is answered."""
    with socket.create_connection((HERE, nuncio.port("web")), PATIENCE, (source, 0)) as client:
        try:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return client.recv(4) == b"HTTP"
        except OSError:
            return False


def limited(server, **limit):
    return relay(server, before=[{"source_limit": limit}])


def test_so_many_at_once_over_all_workers(tight, peer, workers):
    server = peer(Echo, b"E")
    nuncio = tight(limited(server, connections=3), workers=workers)
    with contextlib.ExitStack() as held:
        conns = [held.enter_context(connect(nuncio, THERE)) for _ in range(12)]
        assert sum(map(served, conns)) == 3
        assert comes_in(nuncio, HERE)
        stats = nuncio.wait_stat("source_limit.default.active_sources", 1)
        assert stats["source_limit.default.limited_connections"] == 9
        assert stats["source_limit.default.active_connections"] == 3 and len(server.conns) == 4  # nothing went upstream
    nuncio.wait_stat("source_limit.default.active_connections", 0)
    assert comes_in(nuncio, THERE)
    line = [row for row in logs.closed(nuncio, 14) if row["cause"] == "connection_limit"][-1]
    assert line["flags"] == "RL" and line["layer"] == "source_limit" and line["upstream"] is None


def test_a_burst_and_then_the_rate_with_curl(tight, tmp_path, closing):
    """Four at once; then one every other second, however often it is tried."""
    def http(ports):
        return f"server {{ listen 127.0.0.1:{ports['web']}; location / {{ return 200 'web\\n'; }} }}"

    def curl(source):
        return command("curl", "-s", "-m", 10, "--interface", source, f"http://{nuncio.address('in')}/").stdout == "web\n"

    web = closing(servers.nginx(tmp_path, ["web"], http))
    nuncio = tight(limited(web, rate=1, per="2s", burst=4), workers=4)
    began, told = time.monotonic(), ""

    def refused_again():
        nonlocal told
        told += "in " if curl(THERE) else "out "
        return re.fullmatch("(in ){4,}(out )+(in )+out ", told)

    eventually(refused_again)
    assert told.count("in") <= 5 + (time.monotonic() - began) / 2
    assert curl(HERE) and nuncio.stats()["source_limit.default.rate_limited"] == told.count("out")
    why = 'cause=connection_rate "source_limit: 127.0.0.2/32 opens more than 1 in 2s"'
    eventually(lambda: sum(why in line for line in logs.texts(nuncio)) >= 2)  # each worker writes when it has time


def test_a_reload_forgets_nothing(tight, peer, workers):
    """Held connections and a used-up rate, of a filter without a name that moves within the file."""
    def policy(*before, connections):
        return relay(server, before=[*before, {"source_limit": {"connections": connections, "rate": 4, "per": "1d"}}])

    server = peer(Echo, b"E")
    nuncio = tight(policy(connections=2), workers=workers)
    with connect(nuncio, THERE) as one, connect(nuncio, THERE) as two:
        assert served(one) and served(two) and not comes_in(nuncio, THERE)
        nuncio.reload(policy({"ip_filter": {"deny": "10.0.0.0/8"}}, connections=2))
        assert not comes_in(nuncio, THERE) and comes_in(nuncio, HERE)
        nuncio.reload(policy(connections=3))
        with connect(nuncio, THERE) as three:
            assert served(three) and not comes_in(nuncio, THERE)
    nuncio.wait_stat("source_limit.default.active_connections", 0)
    assert comes_in(nuncio, THERE)  # the fourth of this day
    nuncio.reload(by="ctl")
    assert not comes_in(nuncio, THERE) and comes_in(nuncio, HERE)


def test_a_connection_limit_without_a_name_is_kept_too(tight, peer):
    nuncio = tight(relay(peer(Echo, b"E"), before=[{"connection_limit": 1}]))
    with connect(nuncio, HERE) as one:
        assert served(one)
        nuncio.reload(by="ctl")
        assert not comes_in(nuncio, HERE)


@pytest.mark.parametrize("policy", ["allow", "refuse"])
def test_many_sources_fill_a_table_and_free_nobody(tight, peer, policy):
    """Who has used up its rate stays refused, whatever number of others comes behind it."""
    nuncio = tight(limited(peer(Echo, b"E"), rate=1, per="1d", sources=64, when_full=policy), workers=2)
    assert comes_in(nuncio, THERE)
    crowd = [comes_in(nuncio, f"127.1.{n // 200}.{n % 200 + 1}") for n in range(150)]
    assert sum(crowd) == (63 if policy == "refuse" else 150)
    assert not comes_in(nuncio, THERE)
    stats = nuncio.stats()
    assert stats["source_limit.default.table_full"] == 87 and stats["source_limit.default.rate_limited"] == 1
    if policy == "refuse":
        assert '"source_limit: no place for 127.1.0.150/32 among 64 sources"' in "\n".join(logs.texts(nuncio, 152))


def test_the_source_is_who_the_proxy_header_names(tight, peer):
    """Also in IPv6's clothes: 192.0.2.1 and ::ffff:192.0.2.1 are one."""
    def named(source):
        with nuncio.connect("in") as client:
            client.sendall(proxy_header.v1((source, 1), ("::1" if ":" in source else "10.0.0.1", 2)))
            return served(client)

    nuncio = tight(relay(peer(Echo, b"E"), before=[{"source_limit": {"rate": 2, "per": "1d", "ipv6_prefix": 56}}],
                         at={"proxy_protocol": "require"}))
    assert [named(ip) for ip in ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2")] == [True, True, False, True]
    assert [named(ip) for ip in ("2001:db8::1", "2001:db8:0:ff::1", "2001:db8:0:7::1", "2001:db8:0:100::1")] == [True, True, False, True]


def test_an_ip4_client_of_an_ip6_socket_is_an_ip4_client(tight, peer):
    nuncio = tight(relay(peer(Echo, b"E"), at={"bind": "[::]:0", "ipv4_compat": True},
                         before=[{"ip_filter": {"deny_file": "list"}}, {"source_limit": {"rate": 1, "per": "1d", "ipv6_prefix": 8}}]),
                   files={"list": "127.7.0.0/16\n"})
    assert [comes_in(nuncio, ip) for ip in (HERE, THERE, HERE, "127.7.0.1")] == [True, True, False, False]


# --- datagrams

class DatagramEcho:
    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HERE, 0))
        self.address = f"{HERE}:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            data, client = self.socket.recvfrom(2048)
            if data == b"end":
                return
            self.socket.sendto(data, client)

    def close(self):
        self.socket.sendto(b"end", self.socket.getsockname())


def test_sessions_of_datagrams_are_limited_as_well(nuncio, peer, closing):
    """Each socket is a session: so many of a source, and none of who is on the list, until it changes."""
    def session(source):
        client = closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        client.bind((source, 0))
        client.settimeout(PATIENCE)
        client.connect((HERE, proxy.port("in")))
        client.send(b"hello")
        return client

    policy = [{"ip_filter": {"deny_file": "list"}}, {"source_limit": {"connections": 2}}]
    proxy = nuncio(config(listeners=[listener(*policy, {"udp_proxy": "c"}, bind="udp://127.0.0.1:0")], clusters=[cluster(peer(DatagramEcho))]),
                   files={"list": "127.7.0.0/16\n"}, workers=4)
    for _ in range(2):
        assert session(THERE).recv(9) == session(HERE).recv(9) == b"hello"
    session(THERE)
    proxy.wait_stat("source_limit.default.limited_connections", 1)
    session("127.7.0.1")
    proxy.wait_stat("ip_filter.default.denied", 1)
    (proxy.dir / "list").write_text("")
    proxy.wait_stat(f"ip_list.{proxy.dir}/list.update_success", 1)
    now_welcome = session("127.7.0.1")
    now_welcome.settimeout(0.5)
    eventually(lambda: now_welcome.send(b"hello") and now_welcome.recv(9) == b"hello")  # each worker takes the list when it has time
    stats = proxy.stats()
    assert stats["source_limit.default.active_connections"] == 5 and stats["source_limit.default.active_sources"] == 3


# --- the example

def test_example_address_policy(nuncio, tmp_path, closing, monkeypatch):
    def http(ports):
        return f"server {{ listen 127.0.0.1:{ports['web']}; location / {{ return 200 'web\\n'; }} }}"

    def curl(*words):
        return command("curl", "-s", "-m", 10, *words, f"http://{proxy.address('web')}/").stdout

    web = closing(servers.nginx(tmp_path, ["web"], http))
    for key, value in (("WEB_PORT", "0"), ("WEB", web.address), ("ADMIN", f"unix:{tmp_path}/a")):
        monkeypatch.setenv(key, value)
    proxy = nuncio(ROOT / "docs/examples/address-policy.yaml")
    assert curl() == "web\n" and curl("--interface", "127.9.9.1") == ""
    proxy.wait_line(r'cause=filter_denied "ip_filter: 127\.9\.9\.1 denied by 127\.9\.9\.0/24 \(blocked\.txt:6\)"')
    assert eventually(lambda: [comes_and_goes(proxy, "127.0.0.3") for _ in range(40)].count(True) < 40)
    proxy.wait_line(r'cause=connection_rate "source_limit: 127\.0\.0\.3/32 opens more than 10 in 1s"')
    assert proxy.stats()["source_limit.web.rate_limited"] > 0


# --- from another machine

V6 = "fd4e:75::"  # unique local (RFC 4193); the cable's alone


@pytest.fixture
def machine(closing):
    """Another machine with addresses in two networks of IPv6, and another IPv4 address."""
    if not netns.available():
        pytest.skip("network namespaces need root")
    other = closing(netns.Machine())
    netns.ip("addr", "add", f"{V6}1/32", "dev", other.near, "nodad")
    for address in (f"{V6}2", f"{V6}3", f"{V6}4", "fd4e:75:0:1::2"):
        other.ip_there("addr", "add", f"{address}/32", "dev", other.far, "nodad")
    return other


def test_a_machine_with_many_addresses_is_one_source(tight, tmp_path, closing, machine):
    """curl from each of them: those of one /64 share its rate, another /64 and IPv4 have their own."""
    def http(ports):
        return f"server {{ listen 127.0.0.1:{ports['web']}; location / {{ return 200 'web\\n'; }} }}"

    def curl(source):
        address = nuncio.addresses("in")[":" not in source]
        host = f"[{V6}1]" if ":" in source else machine.here
        done = command("nsenter", f"--net=/run/netns/{machine.name}", "curl", "-s", "-m", 10, "--interface", source,
                       f"http://{host}:{address.rpartition(':')[2]}/")
        return done.stdout == "web\n"

    web = closing(servers.nginx(tmp_path, ["web"], http))
    nuncio = tight(relay(web, before=[{"ip_filter": {"deny_file": "blocked"}}, {"source_limit": {"rate": 2, "per": "1d"}}],
                         at={"bind": ["[::]:0", "0.0.0.0:0"]}), files={"blocked": "# nobody\n"}, workers=2)
    assert [curl(f"{V6}{n}") for n in (2, 3, 4, 2)] == [True, True, False, False]
    assert curl("fd4e:75:0:1::2") and curl(machine.there) and curl(machine.there) and not curl(machine.there)
    rows = logs.closed(nuncio, 8)
    assert [row["cause"] for row in rows].count("connection_rate") == 3
    (nuncio.dir / "blocked").write_text("fd4e:75:0:1::/64\n")
    nuncio.wait_stat(f"ip_list.{nuncio.dir}/blocked.update_success", 1)
    eventually(lambda: not curl("fd4e:75:0:1::2"))
    eventually(lambda: any(row["cause"] == "filter_denied" for row in logs.closed(nuncio, 9)))
