#!/usr/bin/python3
"""Time that `nuncio check` takes for a config of 10,000 endpoints, and for one of 10,000 SNI chains.

  tests/bench/load_config.py --nuncio BINARY [--count 10000] [--limit SECONDS] [--rounds 5]

Prints the median of the rounds; with --limit, exit 1 when one is above it.
"""
import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def endpoints(count):
    """One cluster of many endpoints."""
    rows = "".join(f'      - "10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}:443"\n' for i in range(count))
    return ("listeners:\n  - {name: a, bind: \"127.0.0.1:0\", filters: [{tcp_proxy: {cluster: c}}]}\n"
            f"clusters:\n  - name: c\n    endpoints:\n{rows}")


def chains(count):
    """One listener of many chains, each chosen by a name of its own."""
    rows = "".join(f"      - {{match: {{sni: s{i}.example.test}}, filters: [{{tcp_proxy: {{cluster: c}}}}]}}\n" for i in range(count))
    return (f"listeners:\n  - name: a\n    bind: \"127.0.0.1:0\"\n    chains:\n{rows}"
            "clusters:\n  - {name: c, endpoints: \"10.0.0.1:443\"}\n")


def seconds(binary, config):
    began = time.monotonic()
    done = subprocess.run([binary, "check", "-c", config], capture_output=True, text=True)
    took = time.monotonic() - began
    if done.returncode != 0:
        sys.exit(f"{config.name}: {done.stderr[:2000]}")
    return took


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--nuncio", required=True)
    parse.add_argument("--count", type=int, default=10000)
    parse.add_argument("--limit", type=float)
    parse.add_argument("--rounds", type=int, default=5)
    args = parse.parse_args()
    slow = False
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name, make in (("endpoints", endpoints), ("sni chains", chains)):
            config = Path(folder) / f"{name.replace(' ', '-')}.yaml"
            config.write_text(make(args.count))
            took = statistics.median(seconds(args.nuncio, config) for _ in range(args.rounds))
            slow |= args.limit is not None and took > args.limit
            print(f"check of {args.count} {name}: {took:.3f} s" + (f" (limit {args.limit:g} s)" if args.limit else ""))
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
