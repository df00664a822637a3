"""SNI egress: each client gets to the host of its ClientHello, if that is allowed, and to nothing inside."""
import signal
import tempfile
import time
from pathlib import Path

import pytest

from lib import clients, logs, netns, servers
from lib.config import config, listener
from lib.hello import hello, record, message, server_name
from lib.netns import Row, fetch
from lib.nuncio import ROOT
from lib.poll import eventually
from lib.process import Child

NAMES = {"www.ok.test": [Row.PUBLIC], "six.ok.test": [Row.PUBLIC6], "both.ok.test": [Row.PUBLIC, Row.PUBLIC6],
         "private.ok.test": [Row.PRIVATE], "meta.ok.test": [Row.METADATA], "mixed.ok.test": [Row.PRIVATE, Row.PUBLIC],
         "home.ok.test": ["127.0.0.1"], "zero.ok.test": ["0.0.0.0"], "nat64.ok.test": ["64:ff9b::10.9.0.9"], "ula.ok.test": [Row.PRIVATE6],
         "mapped.ok.test": ["::ffff:10.9.0.9"], "secret.ok.test": [Row.PUBLIC], "other.test": [Row.PUBLIC],
         "gone.ok.test": ["93.184.216.99"], "loop.ok.test": [Row.NEAR]}


class NameServer:
    """dnsmasq on the server's machine; only it says what names mean."""

    def __init__(self, space):
        self.hosts = Path(tempfile.mkdtemp(prefix="dns-")) / "hosts"
        self.set()
        self.child = Child(*space.words, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                           "--no-poll", "--bind-interfaces", f"--listen-address={Row.SERVER}", "--user=root", "--local=/test/",
                           "--pid-file=", f"--addn-hosts={self.hosts}", "--local-ttl=1", "--log-queries", "--log-facility=-",
                           "--server=/slow.ok.test/203.0.113.99")
        self.child.wait_line("read .*hosts")

    def set(self, **names):
        table = {**NAMES, **{name.replace("_", "."): addresses for name, addresses in names.items()}}
        rows = (f"{address} {name}\n" for name, addresses in table.items() for address in addresses)
        self.hosts.write_text("".join(rows))
        if hasattr(self, "child"):
            since = len(self.child.lines)
            self.child.signal(signal.SIGHUP)
            self.child.wait_line("read .*hosts", since=since)

    def asked(self, name):
        return sum(f"query[A] {name} " in line for line in self.child.lines)


@pytest.fixture(scope="module")
def dns(row):
    server = NameServer(row.server)
    yield server
    server.child.end()


@pytest.fixture(scope="module")
def web(row, certs, tmp_path_factory):
    """TLS on every address of the server; says which name it was called by, and where."""
    cert, place = certs.get("ok.test", "*.ok.test"), tmp_path_factory.mktemp("tls")
    listens = "\n".join(f"listen {at};" for at in ("443 ssl", "[::]:443 ssl", "8443 ssl"))
    body = "return 200 '$ssl_server_name $server_addr:$server_port $remote_addr\\n';"
    http = f"server {{ {listens} ssl_certificate {cert.cert}; ssl_certificate_key {cert.key}; location / {{ {body} }} }}"
    (place / "nginx.conf").write_text(servers.NGINX_MAIN.format(modules="", connections=500) + servers.NGINX_HTTP.format(http=http))
    child = Child(*row.server.words, "nginx", "-p", place, "-e", "stderr", "-c", place / "nginx.conf")
    eventually(lambda: fetch(row.server, f"https://{Row.PUBLIC}/"))
    yield child
    child.end()


@pytest.fixture
def gateway(row, dns, web, nuncio):
    """gateway(key=value of dynamic_forward) starts an egress proxy on the gateway's port 443."""
    def start(to=None, at=None, rules="", workers=1, **forward):
        row.gateway.nft(rules)
        forward = {"allow": ["*.ok.test"], "deny": "secret.ok.test", **forward}
        at = {"bind": [f"{Row.NEAR}:443", f"[{Row.NEAR6}]:443"],
              "chains": [{"match": {"sni": "*"}, "filters": [{"tcp_proxy": "out"}]}], **(at or {})}
        text = config(listeners=[listener(**at)],
                      clusters=[{"name": "out", "dynamic_forward": forward, "connect_timeout": "5s", **(to or {})}])
        return nuncio(text, under=row.gateway.words, env={"NUNCIO_DNS": f"{Row.SERVER}:53"}, workers=workers)

    yield start
    dns.set()
    row.reset()


def call(row, name, port=443):
    """What curl on the client's machine gets from that name by way of the gateway, "" for nothing."""
    return fetch(row.client, f"https://{name}:{port}/", "--connect-to", f"::{Row.NEAR}:443")


def end(child, least=1):
    """Cause and details of the newest line that does not tell of a client who was served: its server may take leave late."""
    lines = logs.closed(child, least)
    line = ([line for line in lines if line["cause"] != "client_closed"] or lines)[-1]
    return line["cause"], line["details"] or ""


def test_hosts_that_are_allowed(row, gateway, dns):
    child = gateway()
    assert call(row, "www.ok.test") == f"www.ok.test {Row.PUBLIC}:443 {Row.FAR}"
    assert call(row, "WWW.ok.test") == f"www.ok.test {Row.PUBLIC}:443 {Row.FAR}"
    assert call(row, "six.ok.test") == f"six.ok.test {Row.PUBLIC6}:443 {Row.FAR6}"
    line = logs.closed(child, 3)[0]
    assert (line["sni"], line["upstream"], line["cluster"]) == ("www.ok.test", f"{Row.PUBLIC}:443", "out")
    stats = child.wait_stat("dns_cache.out.dns_query_success", lambda count: count >= 2)
    assert stats["dns_cache.out.host_added"] == 2 and stats["dns_cache.out.num_hosts"] == 2
    assert stats["dns_cache.out.dns_query_failure"] == 0
    assert f"out::{Row.PUBLIC}:443::hostname::www.ok.test\n" in child.ctl("clusters")


@pytest.mark.parametrize("name, why", [("other.test", '"allow" does not have it'), ("ok.test", '"allow" does not have it'),
                                       ("secret.ok.test", '"deny" has it'), ("www.ok.test.evil.test", '"allow" does not have it')])
def test_names_that_are_not(row, gateway, dns, name, why):
    """Nobody is asked for their addresses."""
    child = gateway()
    before = dns.asked(name)
    assert call(row, name) == ""
    assert end(child) == ("destination_denied", f"{name}: {why}")
    assert dns.asked(name) == before and child.stats()["dns_cache.out.dns_query_attempt"] == 0


@pytest.mark.parametrize("name, address, why", [
    ("private.ok.test", f"{Row.PRIVATE}:443", "private"), ("meta.ok.test", f"{Row.METADATA}:443", "metadata"),
    ("home.ok.test", "127.0.0.1:443", "loopback"), ("zero.ok.test", "0.0.0.0:443", "loopback"),
    ("nat64.ok.test", "[64:ff9b::a09:9]:443", "private"), ("mapped.ok.test", f"{Row.PRIVATE}:443", "private"),
    ("ula.ok.test", f"[{Row.PRIVATE6}]:443", "private")])
def test_names_that_lead_inside(row, gateway, name, address, why):
    """Server-side request forgery: the name is allowed, its address is not."""
    child = gateway(rules="""table inet t { counter c { }
      chain out { type filter hook output priority 0; tcp dport 443 counter name c;
      }
    }""")
    assert call(row, name) == ""
    assert end(child) == ("destination_denied", f"{name} is {address} may not be reached: {why}")
    assert row.gateway.counter("c") == 0


def test_a_name_that_changes_its_mind(row, gateway, dns):
    """DNS rebinding: the address that is connected to is looked at, not one that was seen before."""
    child = gateway()
    assert call(row, "www.ok.test")
    dns.set(www_ok_test=[Row.PRIVATE])
    eventually(lambda: call(row, "www.ok.test") == "")
    eventually(lambda: end(child)[0] == "destination_denied")
    assert child.stats()["dns_cache.out.host_address_changed"] == 1


def test_only_the_public_one_of_its_addresses(row, gateway):
    gateway()
    for _ in range(6):  # whichever of them has the first turn
        assert call(row, "mixed.ok.test") == f"mixed.ok.test {Row.PUBLIC}:443 {Row.FAR}"


def test_networks_that_are_opened(row, gateway):
    gateway(addresses={"allow": f"{Row.PRIVATE}/32"})
    assert call(row, "private.ok.test") == f"private.ok.test {Row.PRIVATE}:443 {Row.FAR}"
    assert call(row, "meta.ok.test") == ""


@pytest.mark.parametrize("name", ["93.184.216.34", "127.0.0.1", "[::1]", "::1", "a..ok.test", "-", "a b.ok.test", "x" * 250 + ".ok.test"])
def test_what_is_no_host_name(row, gateway, name):
    child = gateway(allow="*")

    def ask():
        with netns.connect(Row.NEAR, 443) as conn:
            conn.sendall(record(message(server_name(name))))
            return clients.how_it_ends(conn)

    assert row.client.run(ask) in ("fin", "rst")
    assert end(child)[0] in ("destination_denied", "bad_client_hello", "no_chain_matched", "dns_resolution_failure")
    assert child.stats()["cluster.out.upstream_cx_total"] == 0
    if name not in ("-",):
        assert child.stats()["dns_cache.out.dns_query_attempt"] == 0


def test_no_name_at_all(row, gateway):
    child = gateway(at={"chains": [{"match": {"transport": "tls"}, "filters": [{"tcp_proxy": "out"}]}]})
    row.client.run(lambda: send_hello(None))
    assert end(child)[0] == "no_destination"


def send_hello(name):
    with netns.connect(Row.NEAR, 443) as conn:
        conn.sendall(hello(name) if name else record(message()))
        return clients.how_it_ends(conn)


def test_names_without_addresses(row, gateway, dns):
    """Asked for once: the answer that there is none is kept as well, for a short time."""
    child, began = gateway(), time.monotonic()
    for _ in range(3):
        assert call(row, "none.ok.test") == ""
    assert end(child, 3) == ("dns_resolution_failure", "none.ok.test: no such name")
    assert logs.last(child)["flags"] == "DF"
    for asked in dns.asked("none.ok.test"), child.stats()["dns_cache.out.dns_query_failure"]:
        assert 1 <= asked <= 1 + (time.monotonic() - began) / 5


def test_a_name_server_that_says_nothing(row, gateway):
    child = gateway(dns_timeout="2s")
    assert call(row, "slow.ok.test") == ""
    assert end(child) == ("dns_resolution_failure", "slow.ok.test: no answer within 2000 ms")
    gone = row.client.run(lambda: netns.connect(Row.NEAR, 443))  # leaves while it waits: nobody minds
    gone.sendall(hello("slow.ok.test"))
    child.wait_stat("tcp.out.downstream_cx_total", 2)
    clients.reset(gone)
    assert end(child, 2)[0] == "client_reset"
    assert call(row, "www.ok.test")


def test_many_who_want_one_name(row, gateway, dns):
    """One question for all of them, over all workers; nor is there another one while the answer is fresh."""
    child = gateway(workers=4)
    before, began = dns.asked("both.ok.test"), time.monotonic()
    held = [row.client.run(lambda: netns.connect(Row.NEAR, 443)) for _ in range(24)]
    for conn in held:
        conn.sendall(hello("both.ok.test"))
    child.wait_stat("cluster.out.upstream_cx_active", 24)
    attempts = child.stats()["dns_cache.out.dns_query_attempt"]
    assert attempts <= 1 + (time.monotonic() - began) and dns.asked("both.ok.test") - before <= 1 + (time.monotonic() - began)  # fresh for a second
    for conn in held:
        conn.close()


def test_no_room_for_one_more_name(row, gateway):
    child = gateway(max_hosts=1, dns_timeout="30s")
    waiting = row.client.run(lambda: netns.connect(Row.NEAR, 443))
    waiting.sendall(hello("slow.ok.test"))
    child.wait_stat("dns_cache.out.dns_query_attempt", 1)
    assert call(row, "www.ok.test") == ""
    assert end(child) == ("upstream_overflow", "no room for www.ok.test in the cache of names")
    assert child.stats()["dns_cache.out.host_overflow"] == 1
    waiting.close()


def test_a_name_that_leads_back_here(row, gateway):
    child = gateway(addresses={"deny": []})
    assert call(row, "loop.ok.test") == ""
    assert end(child) == ("forwarding_loop", f"{Row.NEAR}:443 leads back to this process")


def test_a_host_that_does_not_answer(row, gateway):
    child = gateway(to={"connect_timeout": "200ms"})
    row.server.nft("table inet t { chain c { type filter hook input priority 0; ip daddr 93.184.216.99 drop; \n}\n}")
    row.server.ip("addr", "add", "93.184.216.99/32", "dev", "lo")
    assert call(row, "gone.ok.test") == ""
    assert end(child) == ("connect_timeout", "1 tried, last 93.184.216.99:443: no connection within 200 ms")
    row.server.ip("addr", "del", "93.184.216.99/32", "dev", "lo")


def test_the_port_that_was_called(row, gateway):
    """Behind a redirect the client's own port is kept; `port` fixes one."""
    rules = 'table inet t { chain pre { type nat hook prerouting priority -100; iifname "toc" tcp dport { 443, 8443 } redirect to :15443; \n}\n}'
    child = gateway(at={"bind": "0.0.0.0:15443"}, rules=rules)

    def through(port):
        return fetch(row.client, f"https://www.ok.test:{port}/", "--connect-to", f"::{Row.SERVER}:{port}")

    assert through(8443) == f"www.ok.test {Row.PUBLIC}:8443 {Row.FAR}"
    assert through(443) == f"www.ok.test {Row.PUBLIC}:443 {Row.FAR}"
    child.reload(child.path.read_text().replace('"allow": ["*.ok.test"]', '"allow": ["*.ok.test"], "port": 443'))
    assert through(8443) == f"www.ok.test {Row.PUBLIC}:443 {Row.FAR}"


def test_families_by_choice(row, gateway):
    child = gateway(family="v6")
    assert call(row, "both.ok.test") == f"both.ok.test {Row.PUBLIC6}:443 {Row.FAR6}"
    assert call(row, "www.ok.test") == ""
    assert end(child, 2) == ("dns_resolution_failure", "www.ok.test has no address of the family that is used")


def test_example_sni_egress(row, dns, web, nuncio):
    """As it stands, with the list and the network of these machines."""
    child = nuncio(ROOT / "docs/examples/sni-egress.yaml", under=row.gateway.words,
                   env={"NUNCIO_DNS": f"{Row.SERVER}:53", "EGRESS_BIND": Row.NEAR, "EGRESS_PORT": "443", "ALLOW": "*.ok.test",
                        "INSIDE": f"{Row.PRIVATE}/32"})
    assert call(row, "www.ok.test") == f"www.ok.test {Row.PUBLIC}:443 {Row.FAR}"
    assert call(row, "private.ok.test") == f"private.ok.test {Row.PRIVATE}:443 {Row.FAR}"
    assert call(row, "meta.ok.test") == call(row, "other.test") == call(row, "gist.github.com") == ""
    child.wait_line(rf"sni=www\.ok\.test .* upstream={Row.PUBLIC}:443 .* flags=- ")
    child.wait_line(r'sni=meta\.ok\.test .* cause=destination_denied "meta.ok.test is 169.254.169.254:443 may not be reached: metadata"')
    child.wait_line(r"sni=gist\.github\.com .* cause=destination_denied")
