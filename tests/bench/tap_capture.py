"""The captures that tap.py measures with: HTTP/1.1 in the clear, and HTTP/2 inside TLS 1.3 with its key log; 2,000 connections each.

No handshake is done for the latter: secrets are made up, and records sealed by them as RFC 8446 has it.
"""
import hashlib
import hmac
import random
import struct

CONNECTIONS, AT_ONCE = 2000, 100
BODY, SEGMENT = 3600, 1448
SYN, FIN, PSH, ACK = 2, 1, 8, 16


class Wire:
    """Packets of Ethernet and IPv4, 7 microseconds apart."""

    def __init__(self, out):
        self.out, self.clock = out, 1700000000 * 10**6
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))

    def packet(self, conn, from_server, flags, data=b""):
        self.clock += 7
        ends = [struct.pack("!BBH", 10, 0, conn.number + 1), b"\x0a\x01\0\x01"]
        ports, seqs = [20000 + conn.number, conn.port], conn.next
        if from_server:
            ends, ports, seqs = ends[::-1], ports[::-1], seqs[::-1]
        tcp = struct.pack("!HHIIBBHHH", *ports, *seqs, 0x50, flags, 65535, 0, 0) + data
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + b"".join(ends)
        frame = bytes(12) + b"\x08\0" + ip + tcp
        self.out.write(struct.pack("<IIII", self.clock // 10**6, self.clock % 10**6, len(frame), len(frame)) + frame)
        conn.next[from_server] += len(data) + (flags & 3 > 0)

    def send(self, conn, from_server, data):
        for at in range(0, len(data), SEGMENT):
            self.packet(conn, from_server, PSH | ACK, data[at:at + SEGMENT])


class Plain:
    """HTTP/1.1."""

    port = 80

    def __init__(self, number, rng, keys):
        self.number, self.next = number, [1000, 5000]

    def begin(self, wire):
        pass

    def ask(self, wire, n, body):
        wire.send(self, 0, b"GET /item/%d?n=%d HTTP/1.1\r\nHost: h%d.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n" % (
            self.number, n, self.number % 50))
        wire.send(self, 1, b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


# --- TLS 1.3

def expand(secret, label, length):
    """HKDF-Expand-Label without a context, of one block (RFC 8446 7.1)."""
    info = struct.pack("!HB", length, len(label) + 6) + b"tls13 " + label + b"\0"
    return hmac.new(secret, info + b"\1", hashlib.sha256).digest()[:length]


class Seal:
    """Records of one direction under one secret (AES-128-GCM)."""

    def __init__(self, secret):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # only this capture takes it
        self.aead, self.iv, self.sequence = AESGCM(expand(secret, b"key", 16)), int.from_bytes(expand(secret, b"iv", 12), "big"), 0

    def record(self, data, kind=23):
        head = b"\x17\x03\x03" + struct.pack("!H", len(data) + 17)
        nonce = (self.iv ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        return head + self.aead.encrypt(nonce, data + bytes([kind]), head)


def handshake(kind, body):
    return bytes([kind]) + struct.pack("!I", len(body))[1:] + body


def extension(kind, body):
    return struct.pack("!HH", kind, len(body)) + body


def clear(message):
    return b"\x16\x03\x01" + struct.pack("!H", len(message)) + message


ALPN = extension(16, b"\0\x03\x02h2")
NAMES = ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0")


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!IBBI", len(payload), kind, flags, stream)[1:] + payload


class Sealed:
    """HTTP/2 inside TLS 1.3; its secrets go into the key log."""

    port = 443

    def __init__(self, number, rng, keys):
        self.number, self.next = number, [1000, 5000]
        self.random = rng.randbytes(32)
        secrets = [rng.randbytes(32) for _ in NAMES]
        keys += [f"{name} {self.random.hex()} {secret.hex()}\n" for name, secret in zip(NAMES, secrets)]
        self.greetings, self.data = [Seal(secret) for secret in secrets[:2]], [Seal(secret) for secret in secrets[2:]]

    def begin(self, wire):
        name = b"h%d.test" % (self.number % 50)
        host = extension(0, struct.pack("!HBH", len(name) + 3, 0, len(name)) + name)
        hello = host + ALPN + extension(43, b"\x02\x03\x04")
        wire.send(self, 0, clear(handshake(1, b"\x03\x03" + self.random + b"\0\0\x02\x13\x01\x01\0" + struct.pack("!H", len(hello)) + hello)))
        answer = extension(43, b"\x03\x04")
        wire.send(self, 1, clear(handshake(2, b"\x03\x03" + bytes(32) + b"\0\x13\x01\0" + struct.pack("!H", len(answer)) + answer)))
        finished = handshake(20, bytes(32))
        wire.send(self, 1, self.greetings[1].record(handshake(8, struct.pack("!H", len(ALPN)) + ALPN) + finished, 22))
        wire.send(self, 0, self.greetings[0].record(finished, 22) + self.data[0].record(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)))
        wire.send(self, 1, self.data[1].record(frame(4, 0, 0) + frame(4, 1, 0)))

    def ask(self, wire, n, body):
        """Names of the host and the type enter the table of HPACK once and are looked up from then on (RFC 7541)."""
        path, host = b"/item/%d?n=%d" % (self.number, n), b"h%d.test" % (self.number % 50)
        fields = b"\x82\x87\x04" + bytes([len(path)]) + path + (b"\xbe" if n else b"\x41" + bytes([len(host)]) + host)
        wire.send(self, 0, self.data[0].record(frame(1, 5, 2 * n + 1, fields)))
        kind = b"\xbe" if n else b"\x5f\x18application/octet-stream"
        wire.send(self, 1, self.data[1].record(frame(1, 4, 2 * n + 1, b"\x88" + kind) + frame(0, 1, 2 * n + 1, body)))


def make(path, requests, kind=Plain):
    """Writes the capture and, of sealed ones, a key log beside it; gives the key log's path."""
    rng, keys = random.Random(1), []
    body = rng.randbytes(BODY)
    with open(path, "wb") as out:
        wire = Wire(out)
        for first in range(0, CONNECTIONS, AT_ONCE):
            conns = [kind(first + i, rng, keys) for i in range(AT_ONCE)]
            for conn in conns:
                for side, flags in ((0, SYN), (1, SYN | ACK), (0, ACK)):
                    wire.packet(conn, side, flags)
                conn.begin(wire)
            for n in range(requests // CONNECTIONS):
                for conn in conns:
                    conn.ask(wire, n, body)
                    wire.packet(conn, 0, ACK)
            for conn in conns:
                for side, flags in ((0, FIN | ACK), (1, FIN | ACK), (0, ACK)):
                    wire.packet(conn, side, flags)
    keylog = path.with_suffix(".keys")
    keylog.write_text("".join(keys))
    return keylog
