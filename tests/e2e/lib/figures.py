"""Those who collect figures: collectd's statsd plugin, a statsd server over TCP, a prometheus."""
import json
import re
import threading
import urllib.parse
import urllib.request
from collections import Counter

from lib.peers import Server
from lib.poll import PATIENCE, eventually
from lib.ports import lone_port
from lib.process import Child
from lib.servers import launch

COLLECTD = """
Hostname "h"
BaseDir "{dir}"
PIDFile "{dir}/pid"
TypesDB "/usr/share/collectd/types.db"
Interval 0.1
LoadPlugin statsd
LoadPlugin csv
<Plugin statsd>
  Host "127.0.0.1"
  Port "{port}"
  TimerCount true
</Plugin>
<Plugin csv>
  DataDir "{dir}"
  StoreRates false
</Plugin>
"""


class Collectd(Child):
    """Receives statsd's datagrams and writes what it makes of them as CSV."""

    def __init__(self, folder):
        self.dir, self.port = folder, lone_port()
        (folder / "collectd.conf").write_text(COLLECTD.format(dir=folder, port=self.port))
        super().__init__("/usr/sbin/collectd", "-f", "-C", folder / "collectd.conf")
        wanted = f"{self.port:04X}"
        eventually(lambda: re.search(rf"^ *\d+: \w+:{wanted} ", open("/proc/net/udp").read(), re.M), what="collectd's socket")

    def rows(self, kind, name):
        files = sorted((self.dir / "h/statsd").glob(f"{kind}-{name}-????-??-??"))
        rows = [line.split(",") for file in files for line in file.read_text().splitlines()]
        return [float(row[1]) for row in rows if len(row) == 2 and row[0] != "epoch" and row[1]]

    def last(self, kind, name):
        """Of a counter its sum (`derive`), of a gauge its value; 0 where nothing came."""
        rows = self.rows(kind, name)
        return rows[-1] if rows else 0

    def values(self, name):
        """How many values of a timer have come."""
        return sum(self.rows("gauge", name + "-count"))


class StatsdServer(Server):
    """Takes lines through TCP; sums of counters, gauges, and how many values of timers, by name and tags."""

    def __init__(self, **more):
        self.counters, self.gauges, self.timers = Counter(), {}, Counter()
        self.lock, self.connections = threading.Lock(), 0
        super().__init__(**more)

    def take(self, line):
        name, value, kind, *rest = re.split(r"[:|]", line, maxsplit=3)
        rest = f"|{rest[0]}" if rest else ""
        rate = re.search(r"\|@([\d.e-]+)", rest)
        tags = re.search(r"\|#(.*)", rest)
        key = (name, frozenset(tag.partition(":")[::2] for tag in tags[1].split(",")) if tags else frozenset())
        with self.lock:
            if kind == "c":
                self.counters[key] += int(value)
            elif kind == "g":
                self.gauges[key] = int(value)
            else:
                self.timers[key] += round(1 / float(rate[1])) if rate else 1

    def serve(self, conn):
        self.connections += 1
        for line in conn.makefile():
            self.take(line.rstrip("\n"))


def prometheus(folder, target, **more):
    """A prometheus that scrapes the target, "host:port", four times a second; more keys go to its scrape config."""
    job = {"job_name": "nuncio", "metrics_path": "/stats/prometheus", "scrape_interval": "250ms", "scrape_timeout": "250ms",
           "static_configs": [{"targets": [target]}], **more}
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [job]}))
    return launch(["prometheus"], lambda ports: Child(
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb", "--log.level=warn",
        f"--web.listen-address=127.0.0.1:{ports['prometheus']}"))


def ask_prometheus(server, query):
    """{(name, labels): value} of an instant query."""
    text = urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"http://{server.address}/api/v1/query?{text}", timeout=PATIENCE) as answer:
        rows = json.load(answer)["data"]["result"]
    own = ("__name__", "instance", "job")
    return {(row["metric"].get("__name__"), frozenset((k, v) for k, v in row["metric"].items() if k not in own)): float(row["value"][1])
            for row in rows}
