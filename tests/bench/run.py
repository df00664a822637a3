#!/usr/bin/python3
"""CPU and memory that proxies need for the same work, side by side on this machine, in one run.

  tests/bench/run.py --nuncio BINARY --tools DIR [--scenarios A,B] [--peers A,B] [--rounds 5] [--seconds 2] [--json FILE]

The proxy measured is alone on CPU 0 with one worker; load and origin share CPU 1. CPU time is the kernel's
own count (schedstat, nanoseconds), so it holds on a busy machine, which a rate would not. Every round measures
every peer, in turning order; ratios are taken inside a round, and medians over the rounds are printed.
"""
import argparse
import json
import os
import re
import resource
import ssl
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
from lib.clients import connect  # noqa: E402
from lib.poll import eventually  # noqa: E402
from lib.process import Child, command  # noqa: E402
from peers import LOAD_CPU, PEERS, http_origin, pinned  # noqa: E402
from lib.websocket import HANDSHAKE  # noqa: E402
from scenarios import DATAGRAMS, ENCRYPTED, HTTP, SCENARIOS, WEBSOCKET  # noqa: E402

WS_ASK = (HANDSHAKE + "\r\n").encode()
HTTP_ASK = b"GET / HTTP/1.1\r\nHost: bench.test\r\n\r\n"
MEASURED = re.compile(r"units (\d+) seconds (\S+) p50 (\d+) p99 (\d+) errors (\d+)")


class Tools(NamedTuple):
    nuncio: str
    origin: str
    load: str
    relay: str
    udp: str
    tls: str
    ws: str


def cpu_ns(child):
    """CPU time of all threads of the process."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{child.pid}/task").glob("*/schedstat"))


def memory_kib(pid):
    """Proportional set size: what would be free without the process."""
    return int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])


def open_client(port, encrypted):
    plain = connect(f"127.0.0.1:{port}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain) if encrypted else plain


class Bench:
    def __init__(self, tools, folder, scenarios):
        self.tools, self.folder = tools, folder
        self.scenarios = {name: SCENARIOS[name] for name in scenarios}
        self.children = []
        self.origins = {name: self.origin(name) for name in sorted({s.listener for s in self.scenarios.values()})}

    def origin(self, kind):
        if kind in HTTP:
            self.children.append(http_origin(self.folder))
            return self.children[-1].ports[kind]
        words = (self.tools.udp, "echo") if kind in DATAGRAMS else (self.tools.origin, ENCRYPTED.get(kind, kind))
        if kind in WEBSOCKET:
            words = (self.tools.ws, "origin")
        child = Child(*pinned(LOAD_CPU, *words))
        self.children.append(child)
        return int(child.wait_line(r"^(\d+)$")[1])

    def start(self, peer):
        child = PEERS[peer](self.tools, self.folder, self.origins)
        self.children.append(child)
        return child

    def close(self):
        for child in self.children:
            child.close()

    def cost(self, child, scenario):
        """One measurement of CPU: its cost in the scenario's unit, and what is context only."""
        before = cpu_ns(child)
        load = self.wrk if scenario.program == "wrk" else self.exchanges
        units, seconds, p99_us, errors = load(child, scenario)
        used = cpu_ns(child) - before
        return dict(cost=used * scenario.scale / units, rate=units / seconds, p99_us=p99_us, errors=errors)

    def exchanges(self, child, scenario):
        """One of our programs keeps connections busy: exchanges, seconds, latency, errors."""
        kind, connections, size = scenario.load
        program = getattr(self.tools, scenario.program)
        done = command(*pinned(LOAD_CPU, program, kind, child.ports[scenario.listener], connections, self.seconds, size))
        found = MEASURED.match(done.stdout)
        assert found and int(found[1]), f"{child.words}: no exchange: {done.stdout}{done.stderr}\n{child.output()}"
        return int(found[1]) * scenario.per_unit, float(found[2]), int(found[4]), int(found[5])

    def wrk(self, child, scenario):
        """The same by wrk, which counts in whole seconds."""
        connections, path, *headers = scenario.load
        options = [word for header in headers for word in ("-H", header)]
        url = f"http://127.0.0.1:{child.ports[scenario.listener]}{path}"
        seconds = max(1, round(self.seconds))
        done = command(*pinned(LOAD_CPU, "wrk", "-t", 1, "-c", connections, "-d", f"{seconds}s", *options, url))
        units = re.search(r"(\d+) requests in", done.stdout)
        assert units and int(units[1]), f"{child.words}: no exchange: {done.stdout}{done.stderr}\n{child.output()}"
        failed = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
        broken = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", done.stdout)
        return int(units[1]), seconds, 0, int(failed[1] if failed else 0) + sum(map(int, broken.groups() if broken else ()))

    def memory(self, peer, scenario):
        """Memory of idle connections in a fresh process."""
        child = self.start(peer)
        port = child.ports[scenario.listener]
        before = memory_kib(child.pid)
        clients = []
        for i in range(scenario.idle):  # a byte to and fro: the whole path exists when it is back
            clients.append(open_client(port, scenario.listener in ENCRYPTED))
            clients[-1].sendall(HTTP_ASK if scenario.listener in HTTP else WS_ASK if scenario.listener in WEBSOCKET else b"x")
            assert clients[-1].recv(4096), f"{peer}: connection {i} ended:\n{child.output()}"
        used = memory_kib(child.pid) - before
        for client in clients:
            client.close()
        child.close()
        return dict(cost=used / scenario.idle, rate=0, p99_us=0, errors=0)

    def measure(self, peers, rounds, seconds):
        """scenario -> peer -> one row a round."""
        self.seconds = seconds
        rows = {name: {peer: [] for peer in peers} for name in self.scenarios}
        for name, scenario in self.scenarios.items():
            for peer in [p for p in peers if p in scenario.peers] if scenario.idle else ():
                rows[name][peer] = [self.memory(peer, scenario) for _ in range(min(rounds, 3))]
        running = {peer: self.start(peer) for peer in peers if any(peer in s.peers for s in self.scenarios.values())}
        for turn in range(rounds):
            for name, scenario in self.scenarios.items():
                able = [peer for peer in peers if peer in scenario.peers]
                for i in range(len(able) if scenario.load else 0):
                    peer = able[(i + turn) % len(able)]
                    eventually(lambda: running[peer].running(), 1, f"{peer} runs")
                    rows[name][peer].append(self.cost(running[peer], scenario))
        return rows


def paired(rows, peer, others):
    """Median over the rounds of the peer's cost to the cheapest of the others in the same round."""
    others = [o for o in others if rows.get(o)]
    if not rows.get(peer) or not others:
        return None
    return statistics.median(mine["cost"] / min(rows[o][i]["cost"] for o in others) for i, mine in enumerate(rows[peer]))


def show(results, peers):
    print(f"{'scenario':<11}{'unit':<16}" + "".join(f"{peer:>10}" for peer in peers) + f"{'to peers':>10}{'to relay':>10}{'errors':>8}")
    for name, rows in results.items():
        line = f"{name:<11}{SCENARIOS[name].unit:<16}"
        line += "".join(f"{statistics.median(r['cost'] for r in rows[p]):>10.2f}" if rows[p] else f"{'-':>10}" for p in peers)
        for others in (("haproxy", "nginx"), ("relay",)):
            ratio = paired(rows, "nuncio", others)
            line += f"{ratio:>10.2f}" if ratio else f"{'-':>10}"
        print(line + f"{sum(r['errors'] for p in peers for r in rows[p]):>8}")


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--nuncio", required=True)
    parse.add_argument("--tools", required=True, help="folder with origin, load, relay, udp, tls and ws")
    parse.add_argument("--scenarios", default=",".join(SCENARIOS))
    parse.add_argument("--peers", default=",".join(PEERS))
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--seconds", type=float, default=2)
    parse.add_argument("--json")
    args = parse.parse_args()
    if os.cpu_count() < 2:
        sys.exit("bench: needs two CPUs, one for the proxy and one for the load")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    tools = Tools(args.nuncio, *(f"{args.tools}/{name}" for name in ("origin", "load", "relay", "udp", "tls", "ws")))
    peers = args.peers.split(",")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(tools, folder, args.scenarios.split(","))
        try:
            results = bench.measure(peers, args.rounds, args.seconds)
        finally:
            bench.close()
    show(results, peers)
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
