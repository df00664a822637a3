"""Captures made byte by byte, with a known content: conversations of TCP, disordered at will, in any file format and link type.

Also makes the fuzzers' seeds: `python3 tests/e2e/lib/packets.py FOLDER`.
"""
import gzip
import struct
import sys
import zlib
from pathlib import Path

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
START = 1700000000 * 10**6  # microseconds; 22:13:20 UTC
SEGMENT = 1400
ETHERNET, RAW, SLL, LOOP = 1, 101, 113, 108


class Packet:
    """`data` begins with the IP header; `kept` bytes of the frame are in the capture."""

    def __init__(self, time, data, link=None):
        self.time, self.data, self.link = time, data, link


def ip4(source, target, payload, protocol=6):
    ends = b"".join(bytes(map(int, end.split("."))) for end in (source, target))
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, 0, 64, protocol, 0) + ends + payload


class Talk:
    """A TCP connection; time goes on by `step` microseconds a packet. Directions: True is the client's."""

    def __init__(self, client="10.0.0.1:40000", server="10.0.0.2:80", at=0.0, step=1000, seq=(1000, 5000), opened=True):
        self.ends = {True: client, False: server}
        self.now, self.step = START + round(at * 10**6), step
        self.next = {True: seq[0], False: seq[1]}
        self.packets = []
        if opened:
            self.packet(True, SYN, count=1)
            self.packet(False, SYN | ACK, count=1)
            self.packet(True, ACK)

    def packet(self, client, flags, data=b"", count=0, seq=None, window=500):
        (source, port), (target, to) = (self.ends[side].rsplit(":", 1) for side in (client, not client))
        ack = self.next[not client] if flags & ACK else 0
        at = self.next[client] if seq is None else seq
        tcp = struct.pack("!HHIIBBHHH", int(port), int(to), at % 2**32, ack % 2**32, 0x50, flags, window, 0, 0) + data
        self.packets.append(Packet(self.now, ip4(source, target, tcp)))
        self.now += self.step
        if seq is None:
            self.next[client] += len(data) + count
        return self

    def send(self, client, data, size=SEGMENT):
        for at in range(0, len(data), size):
            self.packet(client, PSH | ACK, data[at:at + size])
        return self

    def lose(self, client, data):
        """Bytes that were sent, and that the capture does not have."""
        self.next[client] += len(data)
        return self

    def ack(self, client, window=500):
        return self.packet(client, ACK, window=window)

    def wait(self, seconds):
        self.now += round(seconds * 10**6)
        return self

    def close(self):
        self.packet(True, FIN | ACK, count=1)
        self.packet(False, FIN | ACK, count=1)
        return self.packet(True, ACK)

    def reset(self, client=False):
        return self.packet(client, RST | ACK)

    def ask(self, request, response, wait=0.004):
        return self.send(True, request).wait(wait).send(False, response)


class Again:
    """The packets of a little-endian pcap of raw IP, as a talk."""

    def __init__(self, content):
        self.packets, at = [], 24
        while at < len(content):
            second, micro, kept = struct.unpack_from("<III", content, at)
            self.packets.append(Packet(second * 10**6 + micro, content[at + 16:at + 16 + kept]))
            at += 16 + kept


def request(target="/", host="a.test", method="GET", fields="", body=b""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}{length}\r\n".encode() + body


def response(status=200, body=b"", fields="", kind="text/plain"):
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


# --- frames and files

def frame(link, data):
    kind = b"\x08\x00" if data[0] >> 4 == 4 else b"\x86\xdd"
    return {ETHERNET: bytes(12) + kind, RAW: b"", SLL: bytes(14) + kind, LOOP: struct.pack("!I", 2)}[link] + data


def in_order(talks):
    return sorted((packet for talk in talks for packet in talk.packets), key=lambda p: p.time)


def pcap(talks, link=ETHERNET, nano=False, order="<", snaplen=65535):
    out = [struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snaplen, link)]
    for packet in in_order(talks):
        second, rest = divmod(packet.time, 10**6)
        data = frame(link, packet.data)
        kept = data[:snaplen]
        out += [struct.pack(order + "IIII", second, rest * (1000 if nano else 1), len(kept), len(data)), kept]
    return b"".join(out)


def block(kind, body, order="<"):
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def pcapng(talks, links=(ETHERNET,), secrets=b"", late=False, order="<"):
    """Each talk is of the interface of its turn; `secrets` is a key log, before or behind (late) the packets."""
    out = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    out += b"".join(block(1, struct.pack(order + "HHI", link, 0, 0), order) for link in links)
    keys = block(10, struct.pack(order + "II", 0x544C534B, len(secrets)) + secrets, order) if secrets else b""
    out += b"" if late else keys
    number = {id(packet): i % len(links) for i, talk in enumerate(talks) for packet in talk.packets}
    for packet in in_order(talks):
        ticks, which = packet.time, number[id(packet)]
        data = frame(links[which], packet.data)
        out += block(6, struct.pack(order + "IIIII", which, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data)) + data, order)
    return out + (keys if late else b"")


# --- seeds

def seeds():
    """(name, bytes): each of another kind."""
    get, ok = request("/a"), response(200, b"hello")
    yield "exchange", pcap([Talk().ask(get, ok).close()])
    yield "gzip", pcapng([Talk().ask(get, response(200, gzip.compress(b"hello" * 30, mtime=0), "Content-Encoding: gzip\r\n")).close()])
    yield "gap", pcap([Talk().send(True, get).send(False, response(200, b"x" * 9)[:-6]).lose(False, b"x" * 3).send(False, b"xxx")
                       .ack(True).ask(get, ok).close()])
    chunked = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-End: 1\r\n"
    yield "trailers", pcap([Talk().ask(get, chunked).send(False, b"\r\n" + ok).close()])
    yield "reset", pcap([Talk().send(True, get).reset()], RAW)
    yield "server-first", pcap([Talk().send(False, b"220 mail\r\n").send(True, b"EHLO a\r\n").close()], SLL)
    yield "middle", pcap([Talk(opened=False).send(False, b"rest of a body").ask(get, ok).close()], LOOP)
    ws = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    granted = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    deflated = zlib.compressobj(wbits=-15)
    message = (deflated.compress(b"hello hello") + deflated.flush(zlib.Z_SYNC_FLUSH))[:-4]
    extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    yield "ws", pcap([Talk().ask(request("/ws", fields=ws), granted.encode() + b"\r\n").send(False, b"\x81\x05hello")
                      .send(True, b"\x88\x82\0\0\0\0\x03\xe8").close()])
    yield "ws-deflate", pcap([Talk().ask(request("/ws", fields=ws + extension), (granted + extension).encode() + b"\r\n")
                              .send(False, bytes([0xC1, len(message)]) + message).close()])
    yield "connect", pcap([Talk().ask(request("b.test:443", method="CONNECT"), b"HTTP/1.1 200 X\r\n\r\n").ask(get, ok).close()])
    yield "proxy1", pcap([Talk().ask(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n" + get, ok).close()])
    yield "socks5", pcap([Talk().ask(b"\5\2\0\2", b"\5\2").ask(b"\1\3joe\3pwd", b"\1\0")
                          .ask(b"\5\1\0\3\6b.test\0\x50", b"\5\0\0\1\x0a\0\0\2\0\x50").ask(get, ok).close()])
    yield "socks4", pcap([Talk().ask(b"\4\1\0\x50\0\0\0\1me\0b.test\0", b"\0\x5a" + bytes(6)).ask(get, ok).close()])
    twice = gzip.compress(gzip.compress(b"hello" * 30, mtime=0), mtime=0)
    yield "gzip-twice", pcap([Talk().ask(get, response(200, twice, "Content-Encoding: gzip, gzip\r\n")).close()])
    header = b"\r\n\r\n\0\r\nQUIT\n" + b"\x21\x11\0\x0c" + bytes([192, 0, 2, 1, 192, 0, 2, 2, 4, 0, 1, 187])
    yield "proxy2", pcap([Talk().ask(header + get, ok).close()])
    h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5)
    heads = b"\0\0\x05\x01\x05\0\0\0\x01\x82\x86\x84\x41\x00", b"\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x02\0\x01\0\0\0\x01hi"
    yield "h2c", pcap([Talk().ask(h2 + heads[0], bytes(3) + b"\4" + bytes(5) + heads[1]).close()])
    ids = "X-Request-Id: 1\r\n"
    yield "both-sides", pcap([Talk().send(True, request("/v1/a", fields=ids)).wait(0.02).send(False, ok).close(),
                              Talk(client="10.0.0.2:5000", server="10.0.0.3:8080", at=0.004).ask(request("/a", fields=ids + "Via: 1.1 p\r\n"), ok).close()])
    hello = b"\x16\x03\x01\0\x2f\x01\0\0\x2b\x03\x03" + bytes(32) + b"\0\0\x02\x13\x01\x01\0\0\0"
    yield "tls", pcap([Talk().send(True, hello).send(False, b"\x15\x03\x03\0\x02\x02\x28").close()])
    old = b"\x01\x03\x01" + struct.pack("!HHH", 3, 0, 16) + b"\0\0\x2f" + bytes(16)
    answer = b"\x16\x03\x01\0\x2a\x02\0\0\x26\x03\x01" + bytes(32) + b"\0\0\x2f\0"
    yield "tls-old", pcap([Talk().send(True, struct.pack("!H", 0x8000 | len(old)) + old).send(False, answer).close()])


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in seeds():
        (folder / name).write_bytes(content)
