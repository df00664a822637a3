#!/usr/bin/python3
"""nuncio-tap beside tshark (and tcpflow, where it is installed) over the same capture, in turns.

  tests/bench/tap.py --tap build/nuncio-tap [--requests 50000] [--limit TIMES]

The capture is made here: HTTP/1.1 over 2,000 connections, 200 MB with 50,000 requests. Each prints a line per request to
/dev/null; what counts is CPU time, which a busy machine changes least. Exit 1 if the tap is less than TIMES as fast as
tshark, or takes more than 64 MiB.
"""
import argparse
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

CONNECTIONS, AT_ONCE = 2000, 100
BODY, SEGMENT = 3600, 1448
MEMORY_KIB = 64 * 1024


class Wire:
    """Packets of Ethernet and IPv4, 7 microseconds apart."""

    def __init__(self, out):
        self.out, self.clock = out, 1700000000 * 10**6
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))

    def packet(self, conn, from_server, flags, data=b""):
        self.clock += 7
        ends = [struct.pack("!BBH", 10, 0, conn.number + 1), b"\x0a\x01\0\x01"]
        ports, seqs = [20000 + conn.number, 80], conn.next
        if from_server:
            ends, ports, seqs = ends[::-1], ports[::-1], seqs[::-1]
        tcp = struct.pack("!HHIIBBHHH", *ports, *seqs, 0x50, flags, 65535, 0, 0) + data
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + b"".join(ends)
        frame = bytes(12) + b"\x08\0" + ip + tcp
        self.out.write(struct.pack("<IIII", self.clock // 10**6, self.clock % 10**6, len(frame), len(frame)) + frame)
        conn.next[from_server] += len(data) + (flags & 3 > 0)


class Conn:
    def __init__(self, number):
        self.number, self.next = number, [1000, 5000]


def make(path, requests):
    body = random.Random(1).randbytes(BODY)
    answer = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % BODY + body
    with open(path, "wb") as out:
        wire = Wire(out)
        for first in range(0, CONNECTIONS, AT_ONCE):
            conns = [Conn(first + i) for i in range(AT_ONCE)]
            for conn in conns:
                for side, flags in ((0, 2), (1, 18), (0, 16)):
                    wire.packet(conn, side, flags)
            for n in range(requests // CONNECTIONS):
                for conn in conns:
                    wire.packet(conn, 0, 24, b"GET /item/%d?n=%d HTTP/1.1\r\nHost: h%d.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n" % (
                        conn.number, n, conn.number % 50))
                    for at in range(0, len(answer), SEGMENT):
                        wire.packet(conn, 1, 24, answer[at:at + SEGMENT])
                    wire.packet(conn, 0, 16)
            for conn in conns:
                for side, flags in ((0, 17), (1, 17), (0, 16)):
                    wire.packet(conn, side, flags)


def cost(*words, cwd):
    """(CPU seconds, KiB at most, lines printed) of a program."""
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen([str(w) for w in words], stdout=out, stderr=subprocess.DEVNULL, cwd=cwd)
        _, code, used = os.wait4(child.pid, 0)
        child.returncode = code
        out.seek(0)
        return used.ru_utime + used.ru_stime, used.ru_maxrss, sum(block.count(b"\n") for block in iter(lambda: out.read(1 << 20), b""))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--tap", required=True, type=Path)
    args.add_argument("--requests", type=int, default=50000)
    args.add_argument("--limit", type=float, default=0)
    args = args.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "http.pcap"
        make(path, args.requests)
        programs = {"nuncio-tap": (args.tap.resolve(), "-r", path),
                    "tshark": ("tshark", "-r", path, "-Y", "http.response", "-T", "fields", "-e", "http.request_in", "-e", "http.response.code")}
        if shutil.which("tcpflow"):
            programs["tcpflow -c"] = ("tcpflow", "-c", "-r", path)
        print(f"{path.stat().st_size / 1e6:.0f} MB, {args.requests} requests over {CONNECTIONS} connections")
        seconds = {}
        for name, words in programs.items():
            rounds = [cost(*words, cwd=folder) for _ in range(3 if name == "nuncio-tap" else 1)]
            seconds[name], memory, lines = min(rounds)
            times = seconds[name] / seconds["nuncio-tap"]
            print(f"{name:12} {seconds[name]:7.2f} s CPU  {memory / 1024:6.1f} MiB  {lines:8} lines  {times:6.1f} x the tap's time")
            if name == "nuncio-tap" and (lines != args.requests or memory > MEMORY_KIB):
                return 1
    return seconds["tshark"] < args.limit * seconds["nuncio-tap"]


if __name__ == "__main__":
    sys.exit(main())
