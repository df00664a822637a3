"""Names of stats: what a running proxy prints is what docs/stats.md promises, and nothing else. That each is raised by some
test is test_stats_raised.py's, at the end of the run.
"""
import re

from lib.config import cluster, config, listener
from lib.nuncio import ROOT, run_nuncio

# What dashboards made for Envoy ask for.
ENVOYS = """
listener.in.downstream_cx_total listener.in.downstream_cx_active listener.in.downstream_cx_destroy listener.in.downstream_cx_length_ms
listener.in.downstream_cx_overflow listener.in.no_filter_chain_match listener.in.downstream_pre_cx_timeout listener.in.downstream_pre_cx_active
tcp.c.downstream_cx_total tcp.c.downstream_cx_no_route tcp.c.downstream_cx_rx_bytes_total tcp.c.downstream_cx_tx_bytes_total tcp.c.idle_timeout
tcp.c.downstream_flow_control_paused_reading_total tcp.c.downstream_flow_control_resumed_reading_total
cluster.c.upstream_cx_total cluster.c.upstream_cx_active cluster.c.upstream_cx_connect_fail cluster.c.upstream_cx_connect_timeout
cluster.c.upstream_cx_connect_attempts_exceeded cluster.c.upstream_cx_overflow cluster.c.upstream_cx_none_healthy
cluster.c.upstream_cx_destroy cluster.c.upstream_cx_destroy_local cluster.c.upstream_cx_destroy_remote
cluster.c.upstream_cx_rx_bytes_total cluster.c.upstream_cx_tx_bytes_total cluster.c.upstream_cx_connect_ms cluster.c.upstream_cx_length_ms
cluster.c.membership_total cluster.c.membership_healthy cluster.c.membership_change cluster.c.lb_healthy_panic
cluster.c.health_check.attempt cluster.c.health_check.success cluster.c.health_check.failure
cluster.c.health_check.network_failure cluster.c.health_check.healthy
cluster.c.update_attempt cluster.c.update_success cluster.c.update_failure cluster.c.update_empty
server.live server.uptime server.concurrency server.total_connections
""".split()

FILTERS = [{"ip_filter": {"deny": ["10.0.0.0/8"]}}, {"connection_limit": 5}, {"source_limit": {"connections": 5}}, {"throttle": "1MiB"}, {"tcp_proxy": "c"}]
HTTP_FILTERS = [{"cors": {}}, {"csrf": {}}, {"local_rate_limit": {"tokens": 1}}, {"basic_auth": {"users": "a:{SHA}DRIHHM4AV3Qz8RTwikQAPCo1Kw0="}},
                "compress", "decompress", {"fault": {}}, {"health_check": "/up"}, {"websocket": {}}]


def listed():
    """(pattern, name) of every definition."""
    return [tuple(row.split("\t")) for row in run_nuncio("docs", "stats-list", check=True).stdout.splitlines()]


def fits(pattern, name):
    """A regular expression of the whole name."""
    return re.sub("<[^>]*>", ".+", re.escape(f"{pattern}.{name}"))


def test_every_name_that_is_printed_is_documented(nuncio, certs):
    forward = {"name": "f", "dynamic_forward": {"allow": "a.test"}}
    pair = {"cert": str(certs.get("a.test").cert), "key": str(certs.get("a.test").key)}
    datagrams = listener({"ip_filter": {"deny_file": "list"}}, {"udp_proxy": "u"}, name="udp", bind="udp://127.0.0.1:0")
    http = listener({"http": {"filters": HTTP_FILTERS, "routes": {"match": {"path_regex": "a"}, "cluster": "c"}}}, name="http")
    child = nuncio(config(listeners=[listener(*FILTERS, tls={"certificates": pair}), datagrams, http],
                          clusters=[cluster("127.0.0.1:9", tls={"ca": pair["cert"]}, health_check={"tcp": {}}), cluster("127.0.0.1:9", name="u"), forward],
                          stats_sinks={"statsd": "udp://127.0.0.1:9"}),
                   files={"list": "10.0.0.0/8\n"})
    known = [re.compile(fits(*row)) for row in listed()]
    printed = child.stats()
    assert [name for name in printed if sum(bool(one.fullmatch(name)) for one in known) != 1] == []
    assert [one.pattern for one in known if not any(one.fullmatch(name) for name in printed)] == []


def test_envoys_names_are_there(nuncio):
    child = nuncio(config(listeners=[listener(*FILTERS)], clusters=[cluster("127.0.0.1:9", health_check={"tcp": {}})]))
    assert [name for name in ENVOYS if name not in child.stats()] == []


def test_the_page_has_every_name():
    page = (ROOT / "docs/stats.md").read_text()
    parts = [(part.partition("`")[0], part) for part in page.split("\n## `")[1:]]
    shown = [(pattern, name) for pattern, part in parts for name in re.findall(r"^\| `([\w.-]+)` \|", part, re.M)]
    assert shown == listed()
