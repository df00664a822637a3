"""Connections that a rule of the gateway takes are carried on to where they were going: between machines of our own."""
import re

import pytest

from lib import logs, netns, proxy_header
from lib.clients import recv_all
from lib.config import config, listener
from lib.netns import Row, fetch
from lib.nuncio import ROOT
from lib.poll import eventually

PORT = 15001
REDIRECT = """table inet t {
  chain pre { type nat hook prerouting priority dstnat;
    iifname "toc" tcp dport != 15001 redirect to :15001; }
}"""
TPROXY = """table inet t {
  chain pre { type filter hook prerouting priority mangle;
    iifname "toc" meta nfproto ipv4 meta l4proto tcp tproxy ip to 127.0.0.1:15001 meta mark set 1 accept;
    iifname "toc" meta nfproto ipv6 meta l4proto tcp tproxy ip6 to [::1]:15001 meta mark set 1 accept; }
}"""


@pytest.fixture(scope="module")
def web(row, tmp_path_factory):
    """A server on all of its addresses."""
    child = netns.web(row.server, tmp_path_factory.mktemp("web"), f"{Row.SERVER}:80", "8080", "[::]:80", "[::]:8080",
                      *(f"{address}:80" for address in (Row.PUBLIC, Row.PRIVATE, Row.METADATA)))
    yield child
    child.end()


@pytest.fixture
def gateway(row, web, nuncio):
    """gateway(rules, listener={}, cluster={}) starts a proxy on the gateway that takes the client's connections."""
    def start(rules, at=None, to=True, **cluster):
        row.gateway.nft(rules)
        at = {"bind": [f"0.0.0.0:{PORT}", f"[::]:{PORT}"], **(at or {})}
        text = config(listeners=[listener({"tcp_proxy": "c"}, **at)],
                      clusters=[{"name": "c", "original_dst": to, "connect_timeout": "20s", **cluster}])
        return nuncio(text, under=row.gateway.words)

    yield start
    row.reset()


def ends(child, least=1):
    return [(line["cause"], line["details"] or "") for line in logs.closed(child, least)]


BINDS = {"apart": {}, "dual": {"bind": f"[::]:{PORT}", "ipv4_compat": True}}


@pytest.mark.parametrize("binds", BINDS.values(), ids=BINDS)
@pytest.mark.parametrize("rules, at", [(REDIRECT, {}), (TPROXY, {"transparent": True})], ids=["redirect", "tproxy"])
def test_clients_reach_whom_they_called(row, gateway, rules, at, binds):
    child = gateway(rules, {**at, **binds})
    assert fetch(row.client, f"http://{Row.SERVER}/") == f"{Row.FAR} {Row.SERVER}:80"
    assert fetch(row.client, f"http://{Row.PUBLIC}/") == f"{Row.FAR} {Row.PUBLIC}:80"
    assert fetch(row.client, f"http://[{Row.SERVER6}]:8080/") == f"{Row.FAR6} {Row.SERVER6}:8080"
    lines = logs.closed(child, 3)
    assert [line["upstream"] for line in lines] == [f"{Row.SERVER}:80", f"{Row.PUBLIC}:80", f"[{Row.SERVER6}]:8080"]
    assert {line["cause"] for line in lines} == {"client_closed"}
    child.wait_stat("cluster.c.membership_total", 3)
    assert f"c::{Row.PUBLIC}:80::cx_total::1\n" in child.ctl("clusters")


def test_the_log_has_where_they_were_going(row, gateway):
    """%DOWNSTREAM_LOCAL_ADDRESS% is what the client called, the socket's own stays known."""
    log = {"path": "dst.log", "format": "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_DIRECT_LOCAL_ADDRESS% %UPSTREAM_HOST%"}
    child = gateway(REDIRECT, {"access_log": log})
    assert fetch(row.client, f"http://{Row.PUBLIC}/")
    assert child.file_lines("dst.log") == [f"{Row.PUBLIC}:80 {Row.NEAR}:{PORT} {Row.PUBLIC}:80"]


@pytest.mark.parametrize("rules, at", [(REDIRECT, {"original_dst": True}), (TPROXY, {"transparent": True})],
                         ids=["redirect", "tproxy"])
def test_chains_match_where_they_were_going(row, gateway, nuncio, rules, at):
    row.gateway.nft(rules)
    chains = [{"match": {"destination_port": 80}, "filters": [{"tcp_proxy": "c"}]},
              {"match": {"destination": f"{Row.SERVER}/32", "destination_port": 8080}, "filters": ["echo"]}]
    child = nuncio(config(listeners=[listener(bind=f"0.0.0.0:{PORT}", chains=chains, **at)],
                          clusters=[{"name": "c", "original_dst": True}]), under=row.gateway.words)
    assert fetch(row.client, f"http://{Row.SERVER}/") == f"{Row.FAR} {Row.SERVER}:80"
    assert row.client.run(lambda: netns.echo(Row.SERVER, 8080))
    assert fetch(row.client, f"http://{Row.PUBLIC}:8080/") == ""
    eventually(lambda: ("no_chain_matched", "") in ends(child, 3))
    row.reset()


def test_networks_that_are_denied(row, gateway):
    """Not a packet goes there; what `allow` has in them is reached."""
    child = gateway(REDIRECT + """
    table inet count { counter c { }
      chain out { type filter hook output priority 0;
        ip daddr { 10.0.0.0/8, 169.254.0.0/16 } counter name c;
      }
    }""",
                    to={"deny": ["private", "metadata", "2606::/16"], "allow": [f"{Row.PRIVATE}/32"]})
    assert fetch(row.client, f"http://{Row.SERVER}/")
    assert fetch(row.client, f"http://{Row.METADATA}/") == ""
    assert fetch(row.client, "http://10.9.0.8/") == ""
    assert fetch(row.client, f"http://[{Row.PUBLIC6}]/") == ""
    assert [end for end in ends(child, 4) if end[0] != "client_closed"] == [  # whose server may take leave late
        ("destination_denied", f"{Row.METADATA}:80 may not be reached: metadata"),
        ("destination_denied", "10.9.0.8:80 may not be reached: private"),
        ("destination_denied", f"[{Row.PUBLIC6}]:80 may not be reached: denied")]
    assert "packets 0" in row.gateway.command("nft", "list", "counter", "inet", "count", "c").stdout
    assert fetch(row.client, f"http://{Row.PRIVATE}/") == f"{Row.FAR} {Row.PRIVATE}:80"
    assert [line["flags"] for line in logs.closed(child, 5)].count("RBAC") == 3


@pytest.mark.parametrize("rules, at", [(REDIRECT, {}), (TPROXY, {"transparent": True})], ids=["redirect", "tproxy"])
def test_a_call_for_the_listener_itself_goes_nowhere(row, gateway, rules, at):
    """From another machine and from its own; with TPROXY the socket's address is no proof that a rule took it."""
    child = gateway(rules, at)
    assert fetch(row.client, f"http://{Row.NEAR}:{PORT}/") == ""
    assert fetch(row.client, f"http://[{Row.NEAR6}]:{PORT}/") == ""
    assert fetch(row.gateway, f"http://127.0.0.1:{PORT}/") == ""
    assert [cause for cause, _ in ends(child, 3)] == ["forwarding_loop"] * 3
    assert child.stats()["cluster.c.upstream_cx_total"] == 0


def test_a_rule_that_takes_our_own_connections(row, gateway):
    """Without an exception for the proxy every connection of its own comes back: the first one is known."""
    child = gateway("""table inet t { chain out { type nat hook output priority -100;
      tcp dport 80 redirect to :15001;
      }
    }""", socket={"mark": 7})
    assert fetch(row.gateway, f"http://{Row.SERVER}/") == ""
    child.wait_stat("listener.in.downstream_cx_active", 0)
    causes = [cause for cause, _ in ends(child, 2)]
    assert "forwarding_loop" in causes and len(causes) <= 3, causes
    row.gateway.nft("""table inet t { chain out { type nat hook output priority -100;
      meta mark 7 accept; tcp dport 80 redirect to :15001;
      }
    }""")
    assert fetch(row.gateway, f"http://{Row.SERVER}/").endswith(f" {Row.SERVER}:80")


def test_destinations_are_bounded_and_forgotten(row, gateway):
    def visit(child, *addresses):
        for count, address in enumerate(addresses, 1):
            assert fetch(row.client, f"http://{address}/") == f"{Row.FAR} {address}:80"
            child.wait_stat("cluster.c.upstream_cx_total", count)
            child.wait_stat("cluster.c.upstream_cx_active", 0)
        return child

    bounded = visit(gateway(REDIRECT, to={"max_endpoints": 2, "keep": "1h"}), Row.SERVER, Row.PUBLIC, Row.PRIVATE)
    bounded.wait_stat("cluster.c.membership_change", 5)  # three came, one made room; and the start
    bounded.wait_stat("cluster.c.membership_total", 2)
    bounded.stop()
    bounded.close = lambda: None
    brief = visit(gateway(REDIRECT, to={"max_endpoints": 2, "keep": "1s"}), Row.SERVER)
    brief.wait_stat("cluster.c.membership_change", 3)
    brief.wait_stat("cluster.c.membership_total", 0)


def test_no_room_for_one_more_destination(row, gateway):
    child = gateway(REDIRECT, to={"max_endpoints": 1})
    held = row.client.run(lambda: netns.connect(Row.SERVER, 80))
    child.wait_stat("cluster.c.upstream_cx_active", 1)
    assert fetch(row.client, f"http://{Row.PUBLIC}/") == ""
    assert logs.last(child)["cause"] == "upstream_overflow" and Row.PUBLIC in logs.last(child)["details"]
    held.close()


def test_the_destination_in_a_proxy_header(row, gateway):
    """By choice only: a header is believed, so such a listener is for balancers."""
    child = gateway("", {"proxy_protocol": "optional"}, to={"source": "proxy_protocol", "deny": "metadata"})

    def ask(header):
        with netns.connect(Row.NEAR, PORT) as conn:
            conn.sendall(header + b"GET / HTTP/1.0\r\n\r\n")
            return recv_all(conn).rpartition(b"\r\n\r\n")[2].decode().strip()

    def header(to):
        return proxy_header.v1((Row.CLIENT, 1), (to, 80))

    def asked(what):
        return row.client.run(lambda: ask(what))

    assert asked(header(Row.PUBLIC)) == f"{Row.FAR} {Row.PUBLIC}:80"
    assert asked(header(Row.METADATA)) == ""
    assert asked(b"") == ""
    assert [cause for cause, _ in ends(child, 3)][1:] == ["destination_denied", "no_destination"]


def test_example_sidecar(row, web, nuncio):
    """With the rules of its comment, on the machine whose programs it carries."""
    path = ROOT / "docs/examples/sidecar.yaml"
    rules, = re.findall(r"^#   nft -f - <<'RULES'\n(.*?)^#   RULES", path.read_text(), re.M | re.S)
    row.gateway.nft(re.sub(r"^# ", "", rules, flags=re.M))
    child = nuncio(path, under=row.gateway.words)
    assert fetch(row.gateway, f"http://{Row.PUBLIC}/") == f"{Row.FAR} {Row.PUBLIC}:80"
    assert fetch(row.gateway, f"http://[{Row.SERVER6}]/") == f"{Row.FAR6} {Row.SERVER6}:80"
    assert fetch(row.gateway, f"http://{Row.METADATA}/") == ""
    child.wait_line(rf"-> {Row.PUBLIC}:80 in=\d+ out=\d+ rtt_us=\d+ flags=- cause=client_closed")
    child.wait_line(rf"-> \[{Row.SERVER6}\]:80 .* cause=client_closed")
    child.wait_line(rf"-> {Row.METADATA}:80 in=0 out=0 rtt_us=- flags=RBAC cause=destination_denied")
    row.reset()
