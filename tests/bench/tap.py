#!/usr/bin/python3
"""nuncio-tap beside tshark, and tcpflow and httpry where they are installed, over the same captures, in turns.

  tests/bench/tap.py --tap build/nuncio-tap [--requests 50000] [--limit TIMES] [--sealed-limit TIMES]

The captures are made here (tap_capture.py): 50,000 requests over 2,000 connections, 200 MB, of HTTP/1.1, and of HTTP/2 inside TLS 1.3
with its keys. Each program prints a line per request; what counts is CPU time, which a busy machine changes least. Then live, on
loopback (tap_live.py). Exit 1 if the tap is less than TIMES as fast as tshark, slower than tcpflow, misses a request or drops a packet,
or takes more than 64 MiB.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tap_capture
from tap_live import live

MEMORY_KIB = 64 * 1024
ROUNDS = 3  # of the fast ones


def cost(*words, cwd):
    """(CPU seconds, KiB at most, lines printed) of a program."""
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen([str(w) for w in words], stdout=out, stderr=subprocess.DEVNULL, cwd=cwd)
        _, code, used = os.wait4(child.pid, 0)
        child.returncode = code
        out.seek(0)
        return used.ru_utime + used.ru_stime, used.ru_maxrss, sum(block.count(b"\n") for block in iter(lambda: out.read(1 << 20), b""))


def plain_programs(tap, path):
    programs = {"nuncio-tap": (tap, "-r", path),
                "tshark": ("tshark", "-r", path, "-Y", "http.response", "-T", "fields", "-e", "http.request_in", "-e", "http.response.code")}
    if shutil.which("tcpflow"):
        programs["tcpflow -c"] = ("tcpflow", "-c", "-r", path)
    if shutil.which("httpry", path=os.environ["PATH"] + ":/usr/sbin"):
        programs["httpry"] = (shutil.which("httpry", path=os.environ["PATH"] + ":/usr/sbin"), "-r", path)
    return programs


def sealed_programs(tap, path, keylog):
    return {"nuncio-tap": (tap, "-r", path, "--keylog", keylog),
            "tshark": ("tshark", "-r", path, "-o", f"tls.keylog_file:{keylog}", "-Y", "http2.headers.path", "-T", "fields", "-e", "tcp.stream",
                       "-e", "http2.headers.method", "-e", "http2.headers.path")}


def compare(title, programs, requests, cwd):
    """{name: seconds}, and whether the tap told every request within its memory."""
    seconds, fine = {}, True
    print(title)
    for name, words in programs.items():
        rounds = [cost(*words, cwd=cwd) for _ in range(ROUNDS if name != "tshark" else 1)]
        seconds[name], memory, lines = min(rounds)
        times = seconds[name] / seconds["nuncio-tap"]
        print(f"  {name:12} {seconds[name]:7.2f} s CPU  {memory / 1024:6.1f} MiB  {lines:8} lines  {times:6.1f} x the tap's time")
        if name == "nuncio-tap":
            fine = lines == requests and memory <= MEMORY_KIB
    return seconds, fine


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--tap", required=True, type=Path)
    args.add_argument("--requests", type=int, default=50000)
    args.add_argument("--limit", type=float, default=0)
    args.add_argument("--sealed-limit", type=float, default=0)
    args = args.parse_args()
    tap, verdicts = args.tap.resolve(), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "http.pcap"
        tap_capture.make(path, args.requests)
        title = f"HTTP/1.1, {path.stat().st_size / 1e6:.0f} MB, {args.requests} requests over {tap_capture.CONNECTIONS} connections"
        seconds, fine = compare(title, plain_programs(tap, path), args.requests, folder)
        verdicts += [fine, seconds["tshark"] >= args.limit * seconds["nuncio-tap"], seconds["nuncio-tap"] < seconds.get("tcpflow -c", 1e9)]
        path = path.with_name("tls.pcap")
        keylog = tap_capture.make(path, args.requests, tap_capture.Sealed)
        title = f"HTTP/2 inside TLS 1.3 with its keys, {path.stat().st_size / 1e6:.0f} MB"
        seconds, fine = compare(title, sealed_programs(tap, path, keylog), args.requests, folder)
        verdicts += [fine, seconds["tshark"] >= args.sealed_limit * seconds["nuncio-tap"]]
        verdicts.append(live(tap, folder))
    return not all(verdicts)


if __name__ == "__main__":
    sys.exit(main())
