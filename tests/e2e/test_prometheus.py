"""/stats/prometheus, judged by promtool and scraped by a prometheus, beside a statsd server that gets the same."""
import re
import urllib.error
import urllib.request

import pytest

from lib.config import cluster
from lib.figures import StatsdServer, ask_prometheus, prometheus
from lib.http import Client, Origin, http
from lib.poll import eventually
from lib.ports import free_port
from lib.process import command

# Names are Envoy's, whose dashboards they are for; promtool would have chosen others.
ADVICE = ('counter metrics should have "_total" suffix', 'non-counter metrics should not have "_total" suffix',
          "metric names should not contain abbreviated units", 'use base unit "seconds" instead of "days"')
HOSTILE = 'a"b\\c{d="e"} f'


def serve(nuncio, origin, *clusters, **keys):
    port = free_port()
    text = http({"match": {"path": "/none"}, "cluster": "gone"}, {"cluster": "c"}, name="in",
                clusters=[cluster(origin.address), {"name": "gone", "endpoints": "127.0.0.1:1"}, *clusters])
    proxy = nuncio(text + f"admin: 127.0.0.1:{port}\n" + "".join(f"{k}: {v}\n" for k, v in keys.items()), workers=2)
    return proxy, f"127.0.0.1:{port}"


def traffic(proxy, rounds=10):
    with Client(proxy) as client:
        for _ in range(rounds):
            assert client.get("/").status == 200 and client.get("/none").status == 503
    proxy.wait_stat("http.in.downstream_rq_completed", lambda n: n >= 2 * rounds)  # the last one is counted when its client has it already


def get(admin, path):
    with urllib.request.urlopen(f"http://{admin}{path}", timeout=10) as answer:
        return answer.read().decode()


def test_promtool_reads_it(nuncio, peer):
    proxy, admin = serve(nuncio, peer(Origin), {"name": HOSTILE, "endpoints": "127.0.0.1:1"})
    traffic(proxy)
    text = get(admin, "/stats/prometheus")
    done = command("promtool", "check", "metrics", input=text)
    said = [line for line in done.stderr.splitlines() if not line.endswith(ADVICE)]
    assert done.returncode in (0, 3) and said == [], done.stderr
    assert '{cluster="a\\"b\\\\c{d=\\"e\\"} f"} 0' in text
    assert 'nuncio_http_downstream_rq_xx{http="in",response_code_class="5"} 10' in text.splitlines()
    buckets = [int(n) for n in re.findall(r'^nuncio_http_downstream_rq_time_bucket{http="in",le=.*} (\d+)$', text, re.M)]
    assert buckets == sorted(buckets) and buckets[-1] == 20 and 'nuncio_http_downstream_rq_time_count{http="in"} 20' in text.splitlines()


def test_filter_and_usedonly(nuncio, peer):
    proxy, admin = serve(nuncio, peer(Origin))
    traffic(proxy, 1)
    used = get(admin, "/stats/prometheus?usedonly&filter=%5Ecluster%5C.c%5C.upstream_rq_%5B25%5Dxx")
    assert [line for line in used.splitlines() if line and line[0] != "#"] == ['nuncio_cluster_upstream_rq_xx{cluster="c",response_code_class="2"} 1']
    try:
        get(admin, "/stats/prometheus?filter=(")
        raise AssertionError("a broken expression was taken")
    except urllib.error.HTTPError as refused:
        assert refused.code == 400


def pushed(server):
    """What the statsd server has, under Prometheus' names; zeros left out."""
    with server.lock:
        rows = {**server.counters, **server.gauges, **{(name + "_count", tags): n for (name, tags), n in server.timers.items()}}
    return {(name.replace(".", "_"), tags): value for (name, tags), value in rows.items() if value}


def scraped(server):
    rows = ask_prometheus(server, '{job="nuncio"}')
    return {key: value for key, value in rows.items() if value and key[0].startswith("nuncio_") and not key[0].endswith(("_bucket", "_sum"))}


def steady(rows):
    """Without what asking itself moves."""
    return {(name, tags): value for (name, tags), value in rows.items()
            if not name.startswith(("nuncio_server_", "nuncio_statsd_")) and "admin" not in dict(tags).values()}


@pytest.mark.once
def test_prometheus_and_statsd_have_the_same_numbers(nuncio, peer, closing, tmp_path):
    server = peer(StatsdServer)
    sink = [{"statsd": {"address": f"tcp://{server.address}", "interval": "100ms", "tags": True}}]
    proxy, admin = serve(nuncio, peer(Origin), stats_sinks=str(sink).replace("True", "true"))
    scraper = closing(prometheus(tmp_path, admin))  # its first scrape is five seconds after its start, whatever the interval
    with Client(proxy) as client:
        client.get("/")
        traffic(proxy)
        wanted = ("nuncio_http_downstream_rq_total", frozenset({("http", "in")}))

        def same():
            one, other = steady(pushed(server)), steady(scraped(scraper))
            assert one == other and one.get(wanted) == 21, {key: (one.get(key), other.get(key)) for key in {*one, *other} if one.get(key) != other.get(key)}
            return one
        assert len(eventually(same, 60)) > 30
