"""The client's address kept towards servers, and foreign addresses taken: between machines of our own."""
import os
import socket

import pytest

from lib import logs, netns
from lib.config import cluster, config, listener
from lib.netns import Row, fetch
from lib.nuncio import BINARY, run_nuncio
from lib.poll import eventually
from lib.process import Child

# Answers to connections of ours that came from a client's address are for us.
BACK = """table inet t {
  chain pre { type filter hook prerouting priority mangle;
    iifname "tos" meta l4proto tcp socket transparent 1 meta mark set 1 accept; }
}"""


@pytest.fixture(scope="module")
def web(row, tmp_path_factory):
    child = netns.web(row.server, tmp_path_factory.mktemp("web"), f"{Row.SERVER}:80", "[::]:80", f"{Row.PUBLIC}:80")
    yield child
    child.end()


@pytest.fixture
def gateway(row, web, nuncio):
    def start(text, rules=BACK, **more):
        row.gateway.nft(rules)
        return nuncio(text, under=row.gateway.words, **more)

    yield start
    row.reset()


def kept(bind, server, **more):
    return config(listeners=[listener({"tcp_proxy": "c"}, bind=bind)],
                  clusters=[cluster(server, transparent=True, connect_timeout="20s")], **more)


@pytest.mark.parametrize("near, server, client", [(Row.NEAR, Row.SERVER, Row.CLIENT),
                                                  (f"[{Row.NEAR6}]", f"[{Row.SERVER6}]", Row.CLIENT6)], ids=["ipv4", "ipv6"])
def test_servers_see_the_client(row, gateway, near, server, client):
    gateway(kept(f"{near}:80", f"{server}:80"))
    assert fetch(row.client, f"http://{near}:80/") == f"{client} {server.strip('[]')}:80"


def test_servers_of_datagrams_see_the_client(row, gateway):
    """And what the gateway sends them has the options that its cluster asks for."""
    server = Child(*row.server.words, "socat", "UDP-RECVFROM:9,fork", "SYSTEM:echo $SOCAT_PEERADDR")
    row.server.nft("""table inet t {
      counter ef { }
      chain c { type filter hook input priority 0; ip protocol udp ip dscp ef ip ttl 9 counter name ef;
      }
    }""")
    gateway(config(listeners=[{"name": "in", "bind": f"udp://{Row.NEAR}:9", "filters": [{"udp_proxy": "c"}]}],
                   clusters=[cluster(f"{Row.SERVER}:9", transparent=True, socket={"dscp": "ef", "ttl": 9})]),
            BACK.replace("l4proto tcp", "l4proto udp"))

    def ask():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1)
            sock.sendto(b"who am I?", (Row.NEAR, 9))
            return sock.recv(100).decode().strip()

    try:
        assert eventually(lambda: row.client.run(ask)) == Row.CLIENT  # socat may not be there yet
        assert row.server.counter("ef") >= 1
    finally:
        server.end()


def test_many_clients_at_once(row, gateway):
    """One address of the client's, more connections than a port range of ten: ports are told apart by the server's end."""
    row.gateway.set("ipv4/ip_local_port_range=40000 40009")
    try:
        child = gateway(config(listeners=[listener({"tcp_proxy": "c"}, bind=f"{Row.NEAR}:80")],
                               clusters=[cluster(f"{Row.SERVER}:80", f"{Row.PUBLIC}:80", transparent=True)]))
        held = row.client.run(lambda: [netns.connect(Row.NEAR, 80) for _ in range(16)])
        child.wait_stat("cluster.c.upstream_cx_active", 16)
        assert child.stats()["cluster.c.upstream_cx_connect_fail"] == 0
        for conn in held:
            conn.close()
    finally:
        row.gateway.set("ipv4/ip_local_port_range=32768 60999")


def test_a_family_that_the_server_lacks(row, gateway):
    child = gateway(kept(f"{Row.NEAR}:80", f"[{Row.SERVER6}]:80"))
    assert fetch(row.client, f"http://{Row.NEAR}/") == ""
    line = logs.last(child)
    assert line["cause"] == "connection_failure"
    assert line["details"].endswith(": transparent: Address family not supported by protocol")
    child.wait_stat("cluster.c.upstream_cx_connect_fail", 1)


def test_both_ends_transparent_after_rights_were_given_up(row, gateway):
    """As an ordinary user, who kept the one right that it takes: the proxy cannot be seen from either side."""
    rules = BACK.replace("type filter hook prerouting priority mangle;", """type filter hook prerouting priority mangle;
      iifname "toc" meta l4proto tcp meta nfproto ipv4 tproxy ip to 127.0.0.1:15001 meta mark set 1 accept;""")
    child = gateway(config(listeners=[listener({"tcp_proxy": "c"}, bind="127.0.0.1:15001", transparent=True, access_log=[])],
                           clusters=[{"name": "c", "original_dst": True, "transparent": True}], user="nobody", admin="off"), rules)
    assert os.stat(f"/proc/{child.pid}").st_uid != 0
    assert fetch(row.client, f"http://{Row.PUBLIC}/") == f"{Row.CLIENT} {Row.PUBLIC}:80"
    assert fetch(row.client, f"http://{Row.SERVER}/") == f"{Row.CLIENT} {Row.SERVER}:80"


@pytest.mark.parametrize("text, key", [
    (config(listeners=[listener("echo", bind="127.0.0.1:0", transparent=True)]), "transparent"),
    (config(listeners=[listener("echo", bind="127.0.0.1:0", socket={"mark": 1})]), "socket.mark"),
    (config(listeners=[listener({"tcp_proxy": "c"})], clusters=[cluster("127.0.0.1:1", transparent=True)]), "transparent"),
    (config(listeners=[listener({"tcp_proxy": "c"})], clusters=[cluster("127.0.0.1:1", socket={"mark": "0x10"})]), "socket.mark"),
], ids=["listener-transparent", "listener-mark", "cluster-transparent", "cluster-mark"])
def test_a_right_that_is_missing_is_named(row, tmp_path, text, key):
    """At the start, with the key and what helps; `check` needs no rights."""
    path = tmp_path / "t.yaml"
    path.write_text(text)
    assert run_nuncio("check", "-c", path).returncode == 0
    none = ("setpriv", "--bounding-set=-net_admin,-net_raw", "--inh-caps=-net_admin,-net_raw")
    done = row.client.command(*none, BINARY, "run", "-c", path)
    assert done.returncode == 1
    assert f"{key}: operation not permitted" in done.stderr and "CAP_NET_ADMIN" in done.stderr, done.stderr
    assert "t.yaml:" in done.stderr


def test_a_foreign_address_to_listen_on(row, gateway):
    """freebind: before the machine has it."""
    gateway(config(listeners=[listener("echo", bind="198.51.100.77:7", freebind=True)]))
    row.gateway.ip("addr", "add", "198.51.100.77/32", "dev", "toc")
    try:
        assert row.client.run(lambda: netns.echo("198.51.100.77", 7))
    finally:
        row.gateway.ip("addr", "del", "198.51.100.77/32", "dev", "toc")
