"""PROXY headers made and read by hand (haproxy.org, proxy-protocol.txt): for what no honest balancer sends."""
import ipaddress
import socket
from typing import NamedTuple

from lib.clients import recv_exactly
from lib.peers import Server

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0, 1
STREAM = 1
ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID = 1, 2, 3, 4, 5


def v1(source, destination):
    """(address, port) each."""
    family = 6 if ":" in source[0] else 4
    return f"PROXY TCP{family} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()


def addresses(source, destination):
    """Family number and block of a v2 header."""
    if source is None:
        return 0, b""
    ips = [ipaddress.ip_address(host).packed for host, _ in (source, destination)]
    ports = [port.to_bytes(2, "big") for _, port in (source, destination)]
    return (1 if len(ips[0]) == 4 else 2), b"".join(ips + ports)


def raw_v2(body, command=PROXY, family=0, transport=STREAM, version=2, length=None):
    """Whatever the parts are, well-formed or not."""
    size = len(body) if length is None else length
    return SIGNATURE + bytes([version << 4 | command, family << 4 | transport]) + size.to_bytes(2, "big") + body


def v2(source=None, destination=None, tlvs=b"", command=PROXY):
    """(address, port) each; without them the header says that it knows none."""
    family, block = addresses(source, destination)
    return raw_v2(block + tlvs, command, family, STREAM if source else 0)


def tlv(kind, value):
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


class Header(NamedTuple):
    version: int
    command: int  # LOCAL or PROXY; of v2
    source: str  # "HOST:PORT" or "[HOST]:PORT"; None: not told
    destination: str
    tlvs: dict  # type to value
    wire: bytes  # as it came


def text(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_v1(line):
    words = line.decode().removesuffix("\r\n").split(" ")
    assert words[0] == "PROXY" and line.endswith(b"\r\n"), line
    if words[1] == "UNKNOWN":
        return Header(1, PROXY, None, None, {}, line)
    assert words[1] == ("TCP6" if ":" in words[2] else "TCP4"), line
    _, _, source, destination, source_port, destination_port = words
    return Header(1, PROXY, text(source, source_port), text(destination, destination_port), {}, line)


def read_tlvs(data):
    found = {}
    while data:
        size = int.from_bytes(data[1:3], "big")
        found[data[0]] = data[3:3 + size]
        data = data[3 + size:]
    return found


def read_v2(head, rest):
    assert head[:12] == SIGNATURE and head[12] >> 4 == 2, head
    family, at = head[13] >> 4, {0: 0, 1: 4, 2: 16, 3: 108}[head[13] >> 4]
    block = 2 * at + (4 if family in (1, 2) else 0)
    ips = [rest[:at], rest[at:2 * at]]
    told = [None, None]
    if family in (1, 2):
        ports = [int.from_bytes(rest[2 * at + i:2 * at + i + 2], "big") for i in (0, 2)]
        told = [text(str(ipaddress.ip_address(ip)), port) for ip, port in zip(ips, ports)]
    elif family == 3:
        told = ["unix:" + ip.rstrip(b"\0").decode() for ip in ips]
    return Header(2, head[12] & 15, *told, read_tlvs(rest[block:]), head + rest)


def read(conn):
    """Takes exactly the header off the connection."""
    start = recv_exactly(conn, 6)
    if start != b"PROXY ":
        head = start + recv_exactly(conn, 10)
        return read_v2(head, recv_exactly(conn, int.from_bytes(head[14:16], "big")))
    while not start.endswith(b"\n"):
        start += recv_exactly(conn, 1)
        assert len(start) <= 107, start
    return read_v1(start)


def crc32c(data):
    """Castagnoli's, bit by bit; the field itself counts as zeros (2.2.3)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class ProxyEcho(Server):
    """Reads a PROXY header into `headers`, then echoes."""

    def __init__(self, **more):
        self.headers = []
        super().__init__(**more)

    def serve(self, conn):
        self.headers.append(read(conn))
        conn.sendall(b"read\n")
        while data := conn.recv(65536):
            conn.sendall(data)
        conn.shutdown(socket.SHUT_WR)
