"""Figures that are pushed: a statsd server that was not written here, one over TCP, and servers that are away."""
import re
import socket

from lib.config import cluster
from lib.figures import Collectd, StatsdServer
from lib.http import Client, Origin, http
from lib.nuncio import ROOT, run_nuncio
from lib.peers import Resetter
from lib.poll import SLOW, eventually
from lib.ports import RefusingPort, free_port

ROUTES = [{"match": {"path": "/here"}, "respond": {"status": 200}}, {"cluster": "c"}]
SAME = ["http.in.downstream_rq_total", "http.in.downstream_rq_2xx", "http.in.downstream_rq_4xx", "cluster.c.upstream_rq_total",
        "cluster.c.upstream_rq_2xx", "listener.in.downstream_cx_total"]


def sinks(*addresses, **more):
    return [{"statsd": {"address": address, "interval": "100ms", **more}} for address in addresses]


def edge(origin, stats_sinks, **keys):
    text = http(*ROUTES, clusters=[cluster(origin.address)], name="in")
    return text + f"stats_sinks: {stats_sinks}\n".replace("True", "true") + "".join(f"{k}: {v}\n" for k, v in keys.items())


def ask(proxy, times):
    with Client(proxy) as client:
        for _ in range(times):
            assert client.get("/").status == 200 and client.get("/here").status == 200


def test_collectd_counts_what_the_admin_shows(nuncio, peer, closing, tmp_path):
    """Through a drain too: what was counted since the last round leaves with the last one."""
    origin, collectd = peer(Origin), closing(Collectd(tmp_path))
    proxy = nuncio(edge(origin, sinks(f"udp://127.0.0.1:{collectd.port}", prefix="p")), workers=2)
    with Client(proxy) as client:
        client.get("/here")
        eventually(lambda: collectd.last("gauge", "p.listener.in.downstream_cx_active") == 1)
        eventually(lambda: collectd.last("gauge", "p.server.total_connections") == 1)
    ask(proxy, 20)
    stats = proxy.wait_stat("http.in.downstream_rq_total", 41)
    for name in SAME:
        eventually(lambda: collectd.last("derive", f"p.{name}") == stats[name], what=name)
    eventually(lambda: collectd.last("gauge", "p.listener.in.downstream_cx_active") == 0)
    eventually(lambda: collectd.values("p.listener.in.downstream_cx_length_ms") > 0)  # it leaves out those of 0 ms
    proxy.reload(edge(origin, sinks(f"udp://127.0.0.1:{collectd.port}", prefix="p", interval="1h")))
    ask(proxy, 1)
    proxy.stop()
    eventually(lambda: collectd.last("derive", "p.http.in.downstream_rq_total") == 43)


def test_lines_through_tcp_with_tags(nuncio, peer):
    origin, server = peer(Origin), peer(StatsdServer)
    one = sinks(f"tcp://{server.address}", tags=True)
    proxy = nuncio(edge(origin, one), workers=2)
    ask(proxy, 20)
    total, of_time = (("nuncio.http.downstream_rq_" + name, frozenset({("http", "in")})) for name in ("total", "time"))
    classes = ("nuncio.cluster.upstream_rq_xx", frozenset({("cluster", "c"), ("response_code_class", "2")}))
    eventually(lambda: server.counters[total] == server.timers[of_time] == 40 and server.counters[classes] == 20)
    # A reload that leaves the sink as it is leaves its connection and its sums; one that has it twice begins the second at zero.
    twin = peer(StatsdServer)
    proxy.reload(edge(origin, one + sinks(f"tcp://{twin.address}", prefix="")))
    ask(proxy, 1)
    eventually(lambda: server.counters[total] == 42 and twin.counters["http.in.downstream_rq_total", frozenset()] == 2)
    assert server.connections == 1
    proxy.reload(edge(origin, []))
    eventually(lambda: proxy.stats().get(f"statsd.{server.address}.lines_sent") is None)


def test_servers_that_are_away(nuncio, peer, closing):
    """Nothing waits for them; what is lost is counted, and a TCP server that comes back is found."""
    refusing, breaking = closing(RefusingPort()), peer(Resetter)
    nowhere = "255.255.255.255:9"  # no socket may send there
    proxy = nuncio(edge(peer(Origin), sinks(f"tcp://{refusing.address}", f"tcp://{breaking.address}", f"udp://{nowhere}",
                                            f"udp://{refusing.address}")))
    ask(proxy, 1)
    proxy.wait_stat(f"statsd.{refusing.address}.cx_connect_fail", lambda n: n and n > 1)
    proxy.wait_stat(f"statsd.{breaking.address}.cx_total", lambda n: n and n > 1)
    proxy.wait_stat(f"statsd.{nowhere}.lines_dropped", lambda n: n and n > 1)
    ask(proxy, 1)


def test_example_observability(nuncio, peer, monkeypatch):
    collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    collector.bind(("127.0.0.1", 0))
    collector.settimeout(10 * SLOW)
    here = {"WEB_PORT": 0, "ADMIN_PORT": free_port(), "STATSD": "127.0.0.1:%d" % collector.getsockname()[1], "INTERVAL": "100ms",
            "ONE": peer(Origin).address, "TWO": peer(Origin).address}
    for name, value in here.items():
        monkeypatch.setenv(name, str(value))
    proxy = nuncio(ROOT / "docs/examples/observability.yaml")
    with collector, Client(proxy, "web") as client:
        assert client.get("/hello").body == b"hello\n" and client.get("/").status == 200
        total = 0
        while total < 2:
            total += sum(map(int, re.findall(rb"^nuncio\.http\.downstream_rq_total:(\d+)\|c\|#http:ingress$", collector.recv(2000), re.M)))
        assert total == 2
    assert run_nuncio("top", "-c", proxy.path, "-d", "0.1").stdout.count("site") == 1
    assert 'nuncio_http_downstream_rq_total{http="ingress"} 2' in proxy.ctl("/stats/prometheus?usedonly").splitlines()
