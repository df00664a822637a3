"""Bulk data that can be checked: blocks that carry their number, summed on both ends."""
import select
import struct
import time
import zlib

from lib.peers import Server
from lib.poll import SLOW

BLOCK = bytearray(i * 7919 >> 3 & 255 for i in range(1 << 20))


def block(number):
    """1 MiB unlike any other."""
    struct.pack_into("<Q", BLOCK, 0, number)
    return BLOCK


def payload(size):
    """`size` bytes of such blocks."""
    return b"".join(bytes(block(n)) for n in range((size >> 20) + 1))[:size]


class PacedSink(Server):
    """Reads only what allow() has granted in all; `total` and `crc` are the newest connection's, `ends` counts FINs."""

    def __init__(self, **more):
        self.granted = self.total = self.crc = self.ends = 0
        super().__init__(**more)

    def allow(self, count):
        self.granted += count

    def serve(self, conn):
        self.total = self.crc = 0
        buffer = memoryview(bytearray(1 << 20))
        while not self.closing:
            left = min(self.granted - self.total, len(buffer))
            if left == 0:
                select.select([], [], [], 0.002)
                continue
            count = conn.recv_into(buffer, left)
            self.crc = zlib.crc32(buffer[:count], self.crc)
            self.total += count
            if count == 0:
                self.ends += 1
                return


def send_until_stuck(client, data, quiet=0.05):
    """Sends what the way takes: how many bytes went before it took none for `quiet` seconds. On a busy machine that may be early."""
    view, sent = memoryview(data), 0
    client.setblocking(False)
    while sent < len(data) and select.select([], [client], [], quiet * SLOW)[1]:
        try:
            sent += client.send(view[sent:])
        except BlockingIOError:
            continue
    client.settimeout(30 * SLOW)
    return sent


def quickest(fn, limit, tries=8):
    """How long fn took, in the first of several tries that took less than `limit`: others may be the busy machine's fault."""
    took = []
    while len(took) < tries:
        took.append(seconds(fn)[1])
        if took[-1] < limit:
            return took[-1]
    raise AssertionError(f"took {took}, never less than {limit}")


def seconds(fn, *args):
    """What fn gives, and how long it took."""
    began = time.monotonic()
    return fn(*args), time.monotonic() - began
