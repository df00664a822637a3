#!/usr/bin/python3
"""User instructions and system calls that nuncio spends on one 64-byte TCP round trip, counted by valgrind.

  tests/bench/round_trip.py --nuncio BINARY --tools DIR [--limit INSTRUCTIONS]

A long and a short run are subtracted from each other, so that start, connects and end cancel out. With
--limit, exit 1 when more instructions are spent.
"""
import argparse
import re
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
from lib.process import Child, command  # noqa: E402

CONFIG = """workers: 1
drain_timeout: 100ms
listeners: [{{name: echo, bind: "127.0.0.1:0", filters: [{{tcp_proxy: {{cluster: echo}}}}]}}]
clusters: [{{name: echo, endpoints: "127.0.0.1:{port}"}}]
"""
CONNECTIONS = 16
SYSCALL = re.compile(r"^SYSCALL\[\d+,\d+\]\(\s*\d+\) (\w+)")


def run(args, folder, seconds, *valgrind):
    """(round trips, valgrind's output lines) of one run under it."""
    origin = Child(f"{args.tools}/origin", "echo")
    proxy = None
    try:
        config = Path(folder) / "nuncio.yaml"
        config.write_text(CONFIG.format(port=origin.wait_line(r"^(\d+)$")[1]))
        proxy = Child("valgrind", *valgrind, args.nuncio, "run", "-c", config, cwd=folder)
        port = proxy.wait_line(r"listening echo .*:(\d+)$", 60)[1]
        proxy.wait_line(r"ready:", 60)
        done = command(f"{args.tools}/load", "ping", port, CONNECTIONS, seconds, 64, timeout=120)
        proxy.signal(signal.SIGTERM)
        proxy.wait(60)
        return int(re.match(r"units (\d+)", done.stdout)[1]), proxy.lines
    finally:
        for child in (proxy, origin):
            if child:
                child.close()


def instructions(args, folder):
    def one(seconds):
        units, lines = run(args, folder, seconds, "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.out")
        return units, next(int(m[1]) for m in (re.search(r"Collected : (\d+)", line) for line in lines) if m)
    (few, low), (many, high) = one(1), one(4)
    return (high - low) / (many - few)


def system_calls(args, folder):
    """Name to calls a round trip, those that matter."""
    def one(seconds):
        units, lines = run(args, folder, seconds, "--tool=none", "--trace-syscalls=yes")
        return units, Counter(m[1].removeprefix("sys_") for m in map(SYSCALL.match, lines) if m)
    (few, low), (many, high) = one(1), one(3)
    return {name: (count - low[name]) / (many - few) for name, count in high.items() if (count - low[name]) / (many - few) > 0.005}


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--nuncio", required=True)
    parse.add_argument("--tools", required=True)
    parse.add_argument("--limit", type=float)
    args = parse.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        count = instructions(args, folder)
        calls = system_calls(args, folder)
    print(f"user instructions per round trip: {count:.0f}" + (f" (limit {args.limit:.0f})" if args.limit else ""))
    print(f"system calls per round trip: {sum(calls.values()):.2f} (" + ", ".join(f"{n} {c:.2f}" for n, c in sorted(calls.items())) + ")")
    return 1 if args.limit and count > args.limit else 0


if __name__ == "__main__":
    sys.exit(main())
