"""Health checks: servers that stop, hang, answer badly or come back are noticed, and clients do not meet them."""
import contextlib
import re
import signal
import threading

import pytest

from lib import clients, logs
from lib.authority import Authority
from lib.config import cluster, config, listener, relay
from lib.dns import Dns
from lib.nuncio import ROOT, run_nuncio
from lib.peers import Echo, Hang, Resetter, Script
from lib.poll import eventually
from lib.ports import free_port
from lib.process import command
from lib.scale import PARANOID
from lib.servers import haproxy, nginx, nginx_tls

FAST = {"interval": "50ms", "timeout": "5s", "healthy": 2, "unhealthy": 2}


def checked(*endpoints, check, more=None, **keys):
    """A relay to endpoints that are checked like that."""
    return relay(*endpoints, to={"health_check": {**FAST, **check}, **(more or {})}, **keys)


def flags(proxy, name="c"):
    """Address to health flags, as `ctl clusters` has them."""
    return dict(re.findall(rf"^{name}::(.*?)::health_flags::(.*)$", proxy.ctl("clusters"), re.M))


def last(proxy, endpoint):
    """How the endpoint's last check went."""
    found = re.search(rf"^c::{re.escape(endpoint)}::health_check::(.*)$", proxy.ctl("clusters"), re.M)
    return found and found[1]


def wait_flags(proxy, *wanted):
    eventually(lambda: list(flags(proxy).values()) == list(wanted), what=f"{wanted}, not {flags(proxy)}")


def get(proxy, name="in"):
    """The body of / behind the listener."""
    with proxy.connect(name) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return clients.recv_all(client).partition(b"\r\n\r\n")[2].decode()


def answer(text):
    """A server of that answer to every request."""
    def serve(conn):
        clients.recv_head(conn)
        conn.sendall(text)
    return serve


@pytest.fixture
def web(tmp_path, closing):
    """web("a", "b") is one nginx of as many servers; `/healthz` is there while the file NAME/healthz is."""
    def start(*names):
        for name in names:
            (tmp_path / name).mkdir()
            (tmp_path / name / "healthz").write_text("fine\n")

        def http(ports):
            return "\n".join(
                f"server {{ listen 127.0.0.1:{ports[name]}; location = /healthz {{ root {tmp_path}/{name}; try_files $uri =503; }}"
                f" location / {{ return 200 '{name}'; }} }}" for name in names)
        server = closing(nginx(tmp_path, names, http))
        server.healthz = {name: tmp_path / name / "healthz" for name in names}
        return server
    return start


@pytest.mark.threads
def test_nginx_that_says_503_gets_no_traffic_until_it_is_well(nuncio, web, workers):
    server = web("a", "b", "c")
    ends = [f"127.0.0.1:{port}" for port in server.ports.values()]
    proxy = nuncio(checked(*ends, check={"http": "/healthz"}), workers=workers)
    eventually(lambda: proxy.ctl("ready", check=False) == "ready\n")
    assert flags(proxy) == dict.fromkeys(ends, "healthy")
    server.healthz["b"].unlink()
    proxy.wait_line(rf".*warn +health +an endpoint is unhealthy cluster=c endpoint={ends[1]} reason=\"status 503 Service Unavailable\" checks=2$")
    assert flags(proxy)[ends[1]] == "/failed_active_hc" and last(proxy, ends[1]) == "failed: status 503 Service Unavailable"
    eventually(lambda: {get(proxy) for _ in range(20)} == {"a", "c"})
    server.healthz["b"].write_text("fine again\n")
    proxy.wait_line(rf".*info +health +an endpoint is healthy cluster=c endpoint={ends[1]} checks=2$")
    eventually(lambda: {get(proxy) for _ in range(12)} == {"a", "b", "c"})
    stats = proxy.stats()
    assert stats["cluster.c.membership_healthy"] == stats["cluster.c.health_check.healthy"] == 3
    assert stats["cluster.c.health_check.attempt"] >= stats["cluster.c.health_check.success"] + stats["cluster.c.health_check.failure"] > 3
    assert stats["cluster.c.health_check.network_failure"] == 0
    assert stats["cluster.c.membership_change"] == 1


def test_a_server_that_hangs_is_noticed_by_time(nuncio, web, tmp_path):
    """SIGSTOP: the kernel goes on accepting, nobody answers."""
    one, two = web("one"), None
    with contextlib.closing(nginx(tmp_path, ["two"], lambda ports: f"server {{ listen 127.0.0.1:{ports['two']}; return 200 two; }}")) as two:
        proxy = nuncio(checked(one, two, check={"http": "/", "timeout": "1s"}))
        wait_flags(proxy, "healthy", "healthy")
        two.signal(signal.SIGSTOP)
        try:
            wait_flags(proxy, "healthy", "/failed_active_hc/active_hc_timeout")
            proxy.wait_line(r".*reason=\"no answer within 1000 ms\" checks=2")
            eventually(lambda: {get(proxy) for _ in range(6)} == {"one"})
        finally:
            two.signal(signal.SIGCONT)
        wait_flags(proxy, "healthy", "healthy")
        eventually(lambda: {get(proxy) for _ in range(6)} == {"one", "two"})
        assert proxy.stats()["cluster.c.health_check.network_failure"] >= 2


def test_a_killed_server_is_noticed_by_tcp(nuncio, web, peer):
    server, other = web("a"), peer(Echo, b"other")
    proxy = nuncio(checked(server, other, check={"tcp": {}}))
    wait_flags(proxy, "healthy", "healthy")
    server.close()
    wait_flags(proxy, "/failed_active_hc", "healthy")
    assert last(proxy, server.address) == "failed: Connection refused"

    def six():
        """Whether none of them met it."""
        before = proxy.stats()["cluster.c.upstream_cx_connect_fail"]
        for _ in range(6):
            with proxy.connect("in") as client:
                assert clients.recv_exactly(client, 5) == b"other"
        return proxy.stats()["cluster.c.upstream_cx_connect_fail"] == before
    eventually(six)  # main says it, a worker does it


def test_the_first_check_decides_and_ready_waits_for_it(nuncio, peer, refusing_port):
    halt = threading.Event()
    hang, echo = peer(Script, lambda conn: halt.wait(60)), peer(Echo)
    slow = {"tcp": {"receive": "+"}, "interval": "1h", "timeout": "60s"}
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": "c"})], clusters=[
        cluster(echo, refusing_port, health_check={"tcp": {}, "interval": "1h"}), cluster(hang, name="h", health_check=slow)]))
    assert re.fullmatch(r"not ready: cluster h: first health check of 1 of 1 endpoints since \d+ s\n", proxy.ctl("ready", check=False))
    assert flags(proxy, "h") == {hang.address: "/failed_active_hc/pending_active_hc"}
    eventually(lambda: flags(proxy) == {echo.address: "healthy", refusing_port.address: "/failed_active_hc"})
    assert proxy.ctl("ready", check=False).startswith("not ready: ")
    halt.set()
    eventually(lambda: proxy.ctl("ready", check=False) == "ready\n")
    assert flags(proxy, "h") == {hang.address: "/failed_active_hc"}


# --- over TLS, behind a PROXY header, from an address, to another port

def test_checks_go_over_the_cluster_s_tls(nuncio, closing, tmp_path):
    root, stranger = Authority(tmp_path / "root", "root"), Authority(tmp_path / "other", "other")
    names = {"a": root.issue("a.test"), "b": stranger.issue("a.test")}
    server = closing(nginx_tls(tmp_path, names))
    ends = [f"127.0.0.1:{port}" for port in server.ports.values()]
    (tmp_path / "ca.pem").write_bytes(root.pem())
    tls = {"sni": "a.test", "ca": str(tmp_path / "ca.pem")}
    proxy = nuncio(checked(*ends, check={"http": "/"}, more={"tls": tls}))
    wait_flags(proxy, "healthy", "/failed_active_hc")
    assert "certificate" in last(proxy, ends[1])
    eventually(lambda: {get(proxy) for _ in range(6)} == {"a\n"})
    before = proxy.stats()["cluster.c.upstream_cx_total"]
    assert [get(proxy) for _ in range(6)] == ["a\n"] * 6
    assert proxy.stats()["cluster.c.upstream_cx_total"] == before + 6  # checks are not clients


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_checks_send_the_proxy_header_that_clients_connections_do(nuncio, closing, tmp_path, version):
    def render(ports):
        return (f"frontend f\n mode http\n bind 127.0.0.1:{ports['f']} accept-proxy\n monitor-uri /alive\n"
                f" http-request return status 200 content-type text/plain string up\n")
    server = closing(haproxy(tmp_path, ["f"], render))
    proxy = nuncio(checked(server, check={"http": "/alive"}, more={"proxy_protocol": version}))
    wait_flags(proxy, "healthy")
    assert get(proxy) == "up"


def test_checks_come_from_the_cluster_s_source_address_and_may_go_to_another_port(nuncio, peer):
    came = []

    def note(conn):
        came.append(conn.getpeername()[0])

    well, server = peer(Script, note), free_port()
    proxy = nuncio(checked(f"127.0.0.1:{server}", check={"tcp": {}, "port": well.port}, more={"bind_source": "127.0.0.9"}))
    wait_flags(proxy, "healthy")
    eventually(lambda: len(came) > 2 and set(came) == {"127.0.0.9"})


def test_a_unix_socket_is_checked(nuncio, peer, tmp_path):
    server = peer(Script, answer(b"HTTP/1.1 204 No Content\r\n\r\n"), path=tmp_path / "s")
    proxy = nuncio(checked(server, check={"http": {"path": "/", "expected": 204}}))
    wait_flags(proxy, "healthy")


def test_bytes_are_sent_and_expected(nuncio, peer):
    def redis(conn):
        while conn.recv(100):
            conn.sendall(b"+PO")
            conn.sendall(b"NG\r\n")

    good, mute, closes = peer(Script, redis), peer(Echo), peer(Script, lambda conn: None)
    check = {"tcp": {"send": "PING\r\n", "receive": ["+PONG", "hex:0d0a"]}, "timeout": "600ms"}
    proxy = nuncio(checked(good, mute, closes, check=check))
    wait_flags(proxy, "healthy", "/failed_active_hc/active_hc_timeout", "/failed_active_hc")


# --- who is picked

def test_priorities_take_over_and_panic_is_the_last_resort(nuncio, peer):
    one, spare = peer(Echo, b"1"), peer(Echo, b"2")
    rest = {"address": spare.address, "priority": 1}
    proxy = nuncio(checked(one, rest, check={"tcp": {}}))
    wait_flags(proxy, "healthy", "healthy")

    def took():
        with proxy.connect("in") as client:
            return client.recv(1)

    assert took() == b"1"
    one.close()
    wait_flags(proxy, "/failed_active_hc", "healthy")
    eventually(lambda: took() == b"2")  # main says it, a worker does it
    assert [took() for _ in range(4)] == [b"2"] * 4 and proxy.stats()["cluster.c.lb_healthy_panic"] == 0
    spare.close()
    proxy.wait_line(r".*warn +health +too few endpoints are healthy, all are used cluster=c healthy=0 endpoints=2")
    eventually(lambda: took() == b"" and proxy.stats()["cluster.c.lb_healthy_panic"] >= 1)
    eventually(lambda: logs.last(proxy)["flags"] == "UF")


def test_without_panic_nobody_is_asked(nuncio, refusing_port):
    proxy = nuncio(checked(refusing_port, check={"tcp": {}}, more={"panic_threshold": "0%"}))
    wait_flags(proxy, "/failed_active_hc")
    with proxy.connect("in") as client:
        assert client.recv(1) == b""
    assert logs.last(proxy)["flags"] == "UH"
    stats = proxy.stats()
    assert stats["cluster.c.upstream_cx_none_healthy"] == 1 and stats["cluster.c.upstream_cx_total"] == 0


def test_requests_go_to_servers_that_are_well(nuncio, web):
    server = web("a", "b")
    ends = [f"127.0.0.1:{port}" for port in server.ports.values()]
    check = {**FAST, "http": "/healthz"}
    one = listener({"http": {"routes": [{"cluster": "c"}]}})
    proxy = nuncio(config(listeners=[one], clusters=[cluster(*ends, health_check=check, panic_threshold="0%")]))

    def ask():
        done = command("curl", "-s", "-w", " %{http_code}", f"http://{proxy.address('in')}/")
        return done.stdout

    wait_flags(proxy, "healthy", "healthy")
    eventually(lambda: {ask() for _ in range(8)} == {"a 200", "b 200"})
    server.healthz["a"].unlink()
    wait_flags(proxy, "/failed_active_hc", "healthy")
    eventually(lambda: {ask() for _ in range(4)} == {"b 200"})
    server.healthz["b"].unlink()
    wait_flags(proxy, "/failed_active_hc", "/failed_active_hc")
    eventually(lambda: ask().endswith(" 503"))
    server.healthz["a"].write_text("fine")
    wait_flags(proxy, "healthy", "/failed_active_hc")
    eventually(lambda: {ask() for _ in range(4)} == {"a 200"})


def test_datagrams_go_to_servers_that_are_well(nuncio, peer):
    """Name servers answer on TCP too, and there they can be asked whether they are alive."""
    dns, dead = peer(Dns, {"a.test": ["192.0.2.7"]}), f"127.0.0.1:{free_port()}"
    one = {"name": "in", "bind": "udp://127.0.0.1:0", "filters": [{"udp_proxy": {"cluster": "c", "responses": 1}}]}
    proxy = nuncio(config(listeners=[one], clusters=[cluster(dead, dns.child, health_check={**FAST, "tcp": {}})], drain_timeout="20ms"))
    wait_flags(proxy, "/failed_active_hc", "healthy")
    port = proxy.address("in").rpartition(":")[2]

    def dig():
        """It may say a word about a datagram that was lost; who asked the dead one is counted."""
        return "192.0.2.7" in command("dig", "@127.0.0.1", "-p", port, "+tries=3", "+timeout=5", "+short", "a.test").stdout.splitlines()

    eventually(lambda: dig() and dig())
    before = proxy.stats()["cluster.c.udp.sess_rx_errors"]
    assert [dig() for _ in range(6)] == [True] * 6
    assert proxy.stats()["cluster.c.udp.sess_rx_errors"] == before


# --- hostile servers

def pour(first, more):
    """Sends `first`, then `more` until nobody takes it."""
    def serve(conn):
        conn.sendall(first)
        while True:
            conn.sendall(more)
    return serve


OK = b"HTTP/1.1 200 OK\r\n"
HOSTILE = {
    "endless headers": (pour(OK, b"x: y\r\n" * 1000), "failed: no good response: "),
    "an endless header": (pour(OK + b"x: ", b"y" * 10000), "failed: no good response: "),
    "an endless body": (pour(OK + b"\r\n", b"y" * 60000), "failed: no " if PARANOID else "failed: no good response: the body is over its limit"),
    "endless chunks": (pour(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n" * 20000), "failed: no good response: "),
    "endless interims": (pour(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "failed: no good response: "),
    "garbage": (pour(b"", bytes(range(256)) * 10), "failed: no good response: "),
    "half a head": (answer(b"HTTP/1.1 200 OK\r\nx"), "failed: no good response: the connection ended inside a head"),
    "half a body": (answer(OK + b"Content-Length: 9\r\n\r\nhalf"), "failed: no good response: the connection ended inside a body"),
    "smuggling": (answer(OK + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "failed: no good response: "),
    "an answer to nobody": (answer(OK + b"Content-Length: 0\r\n\r\n" + OK), "passed"),
}


def test_hostile_servers_are_unhealthy_and_cost_nothing(tight, peer, refusing_port):
    servers = [peer(Script, serve) for serve, _ in HOSTILE.values()] + [peer(Resetter), peer(Hang)]
    proxy = tight(relay(refusing_port))
    proxy.reload(checked(*servers, refusing_port, check={"http": "/", "timeout": "1s"}))
    for server, wanted in zip(servers, [*(wanted for _, wanted in HOSTILE.values()), "failed: ", "failed: no answer within 1000 ms"]):
        eventually(lambda: (last(proxy, server.address) or "").startswith(wanted), what=f"{wanted}, not {last(proxy, server.address)}")
    proxy.wait_stat("cluster.c.health_check.attempt", lambda count: count > 60)
    assert int(re.search(r"^rss: (\d+)$", proxy.ctl("memory"), re.M)[1]) < (200 << 20)
    proxy.reload(relay(refusing_port))  # and no probe outlives its cluster


def test_a_trickle_is_cut_by_time(nuncio, peer):
    """A byte now and then is no answer in time."""
    stop = threading.Event()

    def drip(conn):
        for byte in OK + b"x: " + b"y" * 1000:
            conn.sendall(bytes([byte]))
            if stop.wait(0.02):
                return

    server = peer(Script, drip)
    proxy = nuncio(checked(server, check={"http": "/", "timeout": "600ms"}))
    wait_flags(proxy, "/failed_active_hc/active_hc_timeout")
    stop.set()


# --- change while probes are on their way

@pytest.mark.threads
def test_reloads_with_probes_in_flight(tight, peer, workers):
    hang, well = [peer(Hang) for _ in range(8)], peer(Echo, b"!")
    check = {"tcp": {"receive": "never"}, "timeout": "10s", "interval": "10ms"}
    with_checks = [checked(*hang, well, check={**check, "interval": f"{i}0ms"}) for i in (1, 2)]
    proxy = tight(relay(well), workers=workers)
    for i in range(12):
        proxy.reload([*with_checks, relay(well)][i % 3], by="ctl")
    assert "health_check" not in proxy.ctl("clusters")
    assert not [name for name in proxy.stats() if ".health_check." in name]
    with proxy.connect("in") as client:
        assert client.recv(1) == b"!"


def test_a_reload_forgets_nothing(nuncio, peer, refusing_port):
    well = peer(Echo, b"!")
    proxy = nuncio(checked(refusing_port, well, check={"tcp": {}}))
    wait_flags(proxy, "/failed_active_hc", "healthy")
    proxy.reload(checked(refusing_port, well, check={"tcp": {}, "interval": "1h"}), by="ctl")
    assert list(flags(proxy).values()) == ["/failed_active_hc", "healthy"]
    assert proxy.ctl("ready") == "ready\n"
    proxy.reload(relay(refusing_port, well), by="ctl")  # no checks, no verdicts
    assert list(flags(proxy).values()) == ["healthy", "healthy"]


def test_addresses_of_a_name_come_and_go(nuncio, peer):
    """Each new address is checked before it is used; one that goes in the midst of its check is forgotten."""
    def serve(conn):
        if conn.getsockname()[0] == "127.0.0.3":
            conn.recv(1)  # silent until the prober leaves
        else:
            conn.sendall(conn.getsockname()[0].encode())

    server = peer(Script, serve, host="0.0.0.0")
    dns = peer(Dns, {"web.test": ["127.0.0.1"]})
    check = {"tcp": {"receive": "127.0.0."}, "timeout": "30s"}
    proxy = nuncio(checked(f"web.test:{server.port}", check=check), env=dns.env)
    eventually(lambda: proxy.ctl("ready", check=False) == "ready\n")
    dns.set(web_test=["127.0.0.2", "127.0.0.3"])
    eventually(lambda: sorted(flags(proxy).values()) == ["/failed_active_hc/pending_active_hc", "healthy"])
    assert proxy.ctl("ready") == "ready\n"  # that was for the first round

    def who():
        with proxy.connect("in") as client:
            return clients.recv_all(client)

    eventually(lambda: who() == b"127.0.0.2")
    assert [who() for _ in range(4)] == [b"127.0.0.2"] * 4
    dns.set(web_test=["127.0.0.2"])
    eventually(lambda: list(flags(proxy)) == [f"127.0.0.2:{server.port}"])
    assert proxy.stats()["cluster.c.health_check.healthy"] == 1


def test_drain_does_not_wait_for_probes(nuncio, peer):
    proxy = nuncio(checked(peer(Hang), check={"tcp": {"receive": "x"}, "timeout": "60s"}, drain_timeout="30s"))
    eventually(lambda: proxy.stats()["cluster.c.health_check.attempt"] == 1)
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0


def test_a_thousand_endpoints(nuncio, peer):
    """Four times as many as probes at once: all are checked, on time."""
    server = peer(Hang, host="0.0.0.0")
    ends = [f"127.0.{i >> 8}.{i & 255}:{server.port}" for i in range(1, 1001)]
    proxy = nuncio(checked(*ends, check={"tcp": {}, "interval": "1h"}))
    eventually(lambda: proxy.ctl("ready", check=False) == "ready\n")
    stats = proxy.stats()
    assert stats["cluster.c.health_check.healthy"] == stats["cluster.c.membership_healthy"] == 1000
    assert stats["cluster.c.health_check.attempt"] == 1000


def test_what_check_prints_checks_again(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(checked("127.0.0.1:1", check={"http": {"path": "/", "expected": ["2xx", 304], "headers": {"x-a": "b"}}, "jitter": "1s"}))
    first = run_nuncio("check", "-c", path, "--print", check=True).stdout
    path.write_text(first)
    assert run_nuncio("check", "-c", path, "--print", check=True).stdout == first
    assert "no_traffic_interval" not in first and "expected:" in first


def pong(conn):
    if clients.recv_exactly(conn, 6) == b"PING\r\n":
        conn.sendall(b"+PONG\r\n")


def test_example_health_checks(nuncio, web, peer, tmp_path, monkeypatch):
    server, cache = web("one", "two", "spare"), peer(Script, pong)
    env = {name.upper(): f"127.0.0.1:{port}" for name, port in server.ports.items()}
    env |= {"ADMIN": f"unix:{tmp_path}/a", "WEB": "127.0.0.1:0", "CACHE_BIND": "127.0.0.1:0", "CACHE": cache.address}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    proxy = nuncio(ROOT / "docs/examples/health-checks.yaml")
    eventually(lambda: proxy.ctl("ready", check=False) == "ready\n")
    assert flags(proxy, "cache") == {cache.address: "healthy"}
    eventually(lambda: {get(proxy, "web") for _ in range(10)} == {"one", "two"})
    for name in ("one", "two"):
        server.healthz[name].unlink()
    eventually(lambda: {get(proxy, "web") for _ in range(10)} == {"spare"})
