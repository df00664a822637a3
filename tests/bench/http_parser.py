#!/usr/bin/python3
"""Time and instructions that our HTTP/1 parser needs for a request, beside libhttp-parser's in the same run.

  tests/bench/http_parser.py --program PROGRAM [--rounds 7] [--limit RATIO]

Rounds of all contestants take turns; the ratio of times is the median of the ratios in each round. Instructions are
callgrind's, of a long and an empty run subtracted. With --limit, exit 1 when a ratio of times is above it.
"""
import argparse
import re
import statistics
import subprocess
import sys

REQUESTS = ("curl", "browser", "chunked")
OURS, THEIRS = "ours", ("callbacks", "bare")
COUNT = 200_000


def nanoseconds(program, who, request):
    done = subprocess.run([program, who, request, str(COUNT)], capture_output=True, text=True, check=True)
    return float(re.match(r"ns (\S+) bytes (\d+)", done.stdout)[1])


def instructions(program, who, request):
    def one(count):
        done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, who, request, str(count)],
                              capture_output=True, text=True, check=True)
        return int(re.search(r"Collected : (\d+)", done.stderr)[1])
    return (one(1000) - one(0)) / 1000


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--program", required=True)
    parse.add_argument("--rounds", type=int, default=7)
    parse.add_argument("--limit", type=float)
    args = parse.parse_args()
    slow = 0
    print(f"{'request':10}{'parser':12}{'ns':>8}{'ours to it':>12}{'instructions':>14}{'ours to it':>12}")
    for request in REQUESTS:
        rounds = [{who: nanoseconds(args.program, who, request) for who in (OURS, *THEIRS)} for _ in range(args.rounds)]
        count = {who: instructions(args.program, who, request) for who in (OURS, *THEIRS)}
        for who in (OURS, *THEIRS):
            ratio = statistics.median(times[OURS] / times[who] for times in rounds)
            slow += who == "callbacks" and args.limit is not None and ratio > args.limit
            print(f"{request:10}{who:12}{statistics.median(times[who] for times in rounds):8.0f}{ratio:12.2f}"
                  f"{count[who]:14.0f}{count[OURS] / count[who]:12.2f}")
    if slow:
        print(f"http_parser: above {args.limit} of libhttp-parser's time in {slow} kinds of requests")
    return 1 if slow else 0


sys.exit(main())
