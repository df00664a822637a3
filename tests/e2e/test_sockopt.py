"""Options of sockets as the other machine sees them: marks of packets, their ways, and what the kernel says of connections."""
import re
import signal
import socket

import pytest

from lib import clients, logs, netns
from lib.config import cluster, config, listener
from lib.netns import Row, fetch
from lib.nuncio import BINARY, run_nuncio
from lib.poll import eventually


@pytest.fixture(scope="module")
def web(row, tmp_path_factory):
    child = netns.web(row.server, tmp_path_factory.mktemp("web"), f"{Row.SERVER}:80 fastopen=16", "[::]:80 fastopen=16")
    yield child
    child.end()


@pytest.fixture
def gateway(row, web, nuncio):
    """gateway(listener={}, cluster={}) starts a relay to the server, in both families, on the gateway's ports 80 and 6."""
    def start(at=None, to=None, **more):
        four = listener({"tcp_proxy": "four"}, name="four", bind=f"{Row.NEAR}:80", **(at or {}))
        six = listener({"tcp_proxy": "six"}, name="six", bind=f"[{Row.NEAR6}]:80", **(at or {}))
        clusters = [cluster(f"{Row.SERVER}:80", name="four", **(to or {})), cluster(f"[{Row.SERVER6}]:80", name="six", **(to or {}))]
        return nuncio(config(listeners=[four, six], clusters=clusters, **more), under=row.gateway.words)

    yield start
    row.reset()


def both(row):
    assert fetch(row.client, f"http://{Row.NEAR}/").endswith(f" {Row.SERVER}:80")
    assert fetch(row.client, f"http://[{Row.NEAR6}]/").endswith(f" {Row.SERVER6}:80")


def count(space, hook, **matches):
    """Counts packets that match: count(space, "input", name="ip dscp ef")."""
    counters = "\n".join(f"counter {name} {{ }}" for name in matches)
    rules = "\n".join(f"{match} counter name {name}" for name, match in matches.items())
    space.nft(f"table inet t {{\n{counters}\nchain c {{\ntype filter hook {hook} priority 0;\n{rules}\n}}\n}}")


def test_dscp_and_ttl_towards_both_sides(row, gateway):
    for space in (row.client, row.server):
        count(space, "input", dscp="ip dscp ef", ttl="ip ttl 7", dscp6="ip6 dscp ef", ttl6="ip6 hoplimit 7")
    gateway(at={"socket": {"dscp": "ef", "ttl": 7}}, to={"socket": {"dscp": 46, "ttl": 7}})
    both(row)
    for space in (row.client, row.server):
        assert min(space.counter(name) for name in ("dscp", "ttl", "dscp6", "ttl6")) >= 3


def test_options_change_on_sockets_in_service(row, gateway):
    """A reload: the same sockets, with what is asked for now; the interface takes new ones beside the old."""
    count(row.client, "input", ttl7="ip ttl 7", ttl9="ip ttl 9", plain="ip ttl > 60")
    child = gateway(at={"socket": {"ttl": 7}})
    text = child.path.read_text()

    def grown(name):
        before = row.client.counter(name)
        both(row)
        return row.client.counter(name) - before

    assert grown("ttl7") >= 3
    child.reload(text.replace('"ttl": 7', '"ttl": 9'))
    assert grown("ttl9") >= 3 and grown("ttl7") == 0
    child.reload(text.replace('"socket": {"ttl": 7}, ', ""))
    assert grown("plain") >= 3 and grown("ttl9") == 0
    child.reload(text.replace('"socket": {"ttl": 7}', '"interface": "toc", "socket": {"ttl": 7}'))
    assert grown("ttl7") >= 3
    assert row.server.command("curl", "-s", "-m", 1, f"http://{Row.NEAR}/").returncode != 0  # comes in elsewhere
    child.reload(text)
    assert grown("ttl7") >= 3


def test_marks_for_rules_and_routes(row, gateway):
    count(row.gateway, "output", near="oifname toc meta mark 0x17", far="oifname tos meta mark 18")
    gateway(at={"socket": {"mark": "0x17"}}, to={"socket": {"mark": 18}})
    both(row)
    assert row.gateway.counter("near") >= 6 and row.gateway.counter("far") >= 6


def sockets(space, port, *options):
    """ss's words about established connections with that port on either side."""
    rows = space.command("ss", "-Htnoi", *options, "state", "established", f"( sport = {port} or dport = {port} )").stdout
    return re.sub(r"\n\t", " ", rows).splitlines()


def test_keepalive_and_congestion_control(row, gateway):
    options = {"keepalive": {"time": "77s", "interval": "5s", "probes": 3}, "congestion": "reno"}
    gateway(at={"socket": options}, to={"socket": options})
    with row.client.run(lambda: netns.connect(Row.NEAR, 80)):
        lines = eventually(lambda: len(found := sockets(row.gateway, 80)) == 2 and found)
    for line in lines:
        assert re.search(r"timer:\(keepalive,(1min\d+|[45]\d)sec", line) and " reno " in line, line


def test_a_peer_that_acknowledges_nothing(row, gateway):
    """user_timeout: the server's cable is pulled; what was sent stays unacknowledged for so long and no longer."""
    child = gateway(to={"socket": {"user_timeout": "400ms"}})
    with row.client.run(lambda: netns.connect(Row.NEAR, 80)) as client:
        child.wait_stat("cluster.four.upstream_cx_active", 1)
        row.gateway.ip("link", "set", "tos", "down")
        try:
            row.gateway.ip("route", "add", f"{Row.SERVER}/32", "dev", "toc")  # a way on which nobody answers
            client.sendall(b"GET ")
            clients.how_it_ends(client)
            assert logs.last(child)["cause"] == "upstream_reset"
        finally:
            row.gateway.ip("route", "del", f"{Row.SERVER}/32")
            row.repair()


def test_where_connections_come_from(row, gateway):
    """bind_source: an address of each family; an interface; an address that the machine does not have."""
    row.gateway.ip("addr", "add", "203.0.113.7/24", "dev", "tos")
    row.gateway.ip("addr", "add", "2001:db8:5::7/64", "dev", "tos", "nodad")
    row.server.ip("route", "add", "192.0.2.9/32", "via", Row.FAR)
    row.gateway.ip("route", "add", "local", "192.0.2.9/32", "dev", "lo")  # answers find back; no address of ours for all that
    child = gateway(to={"bind_source": ["203.0.113.7", "2001:db8:5::7"]})
    assert fetch(row.client, f"http://{Row.NEAR}/").split()[0] == "203.0.113.7"
    assert fetch(row.client, f"http://[{Row.NEAR6}]/").split()[0] == "2001:db8:5::7"
    text = child.path.read_text()

    def ask(source, **more):
        child.reload(text.replace('["203.0.113.7", "2001:db8:5::7"]', source))
        return fetch(row.client, f"http://{Row.NEAR}/", **more)

    assert ask('{"interface": "tos"}').split()[0] == Row.FAR
    assert ask('{"interface": "toc"}', seconds=2) == ""
    assert ask('{"address": "192.0.2.9", "freebind": true}').split()[0] == "192.0.2.9"
    assert ask('"192.0.2.99"') == ""
    why = f"1 tried, last {Row.SERVER}:80: bind_source: Cannot assign requested address"
    eventually(lambda: why in [line["details"] for line in logs.closed(child)])


def netstat(space, name):
    """A counter of TCP or MPTCP; 0 where the kernel has none of that name."""
    found = re.search(rf"^{name} +(\d+)", space.command("nstat", "-asz", name).stdout, re.M)
    return int(found[1]) if found else 0


def test_fast_open_of_clients_and_towards_servers(row, gateway):
    for space in row.spaces:
        space.set("ipv4/tcp_fastopen=3")
    gateway(at={"socket": {"fast_open": 16}}, to={"socket": {"fast_open": True}})
    url = f"http://{Row.NEAR}/"
    for _ in range(2):  # the first fetches a cookie
        assert fetch(row.client, url, "--tcp-fastopen").endswith(f" {Row.SERVER}:80")
    assert netstat(row.gateway, "TcpExtTCPFastOpenPassive") >= 1
    assert netstat(row.gateway, "TcpExtTCPFastOpenActive") >= 1
    assert netstat(row.server, "TcpExtTCPFastOpenPassive") >= 1


def test_multipath_tcp(row, gateway):
    gateway(at={"socket": {"mptcp": True}}, to={"socket": {"mptcp": True}})

    def ask():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as sock:  # IPPROTO_MPTCP
            sock.settimeout(30)
            sock.connect((Row.NEAR, 80))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return clients.recv_all(sock)

    assert row.client.run(ask).endswith(f" {Row.SERVER}:80\n".encode())
    assert netstat(row.gateway, "MPTcpExtMPCapableSYNRX") == 1
    assert netstat(row.gateway, "MPTcpExtMPCapableSYNTX") == 1
    assert fetch(row.client, f"http://{Row.NEAR}/").endswith(f" {Row.SERVER}:80")  # who speaks TCP is served as well


def test_what_the_kernel_measured(row, gateway):
    """TCP_INFO of both sides: of a connection that ended by itself, and of one that was cut."""
    names = ("RTT_US", "RTT_VARIANCE_US", "MIN_RTT_US", "TX_SEGMENTS", "RX_SEGMENTS", "TX_RETRANSMITTED_SEGMENTS",
             "CONGESTION_WINDOW", "DELIVERY_RATE")
    log = {"path": "tcp.log", "format": " ".join(f"%{side}_{name}%" for side in ("DOWNSTREAM", "UPSTREAM") for name in names)}
    child = gateway(at={"access_log": log})
    assert fetch(row.client, f"http://{Row.NEAR}/")
    with row.client.run(lambda: netns.connect(Row.NEAR, 80)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(100)
        clients.reset(client)
    child.wait_stat("cluster.four.upstream_cx_active", 0)
    with row.client.run(lambda: netns.connect(Row.NEAR, 80)):
        child.wait_stat("cluster.four.upstream_cx_active", 1)
        child.signal(signal.SIGTERM)
        assert child.wait() == 0
    for number, line in enumerate(child.file_lines("tcp.log", 3)):
        rows = line.split()
        assert len(rows) == 16
        for rtt, _, least, sent, got, again, window, _ in (rows[:8], rows[8:]):
            assert 0 < int(rtt) < 1000000 and 0 < int(least) <= int(rtt) * 8
            assert number == 2 or int(sent) >= 1  # nobody sent anything over the last one
            assert int(got) >= 1 and 0 <= int(again) < 10 and int(window) >= 1


def test_names_that_the_kernel_does_not_know(row, tmp_path):
    path = tmp_path / "t.yaml"

    def check(**socket_options):
        path.write_text(config(listeners=[listener("echo", socket=socket_options)]))
        return run_nuncio("check", "-c", path)

    assert check(congestion="reno").returncode == 0
    done = check(congestion="fastest")
    assert done.returncode == 1 and re.search(r'has no congestion control "fastest", it has: .*reno', done.stderr)
    row.gateway.set("mptcp/enabled=0")
    path.write_text(config(listeners=[listener("echo", socket={"mptcp": True})]))
    done = row.gateway.command(BINARY, "check", "-c", path)
    row.gateway.set("mptcp/enabled=1")
    assert done.returncode == 1 and "the kernel has no MPTCP, or net.mptcp.enabled is 0" in done.stderr
