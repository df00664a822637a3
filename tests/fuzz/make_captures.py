#!/usr/bin/python3
"""Makes the seed corpus of capture: small files, each of another kind.

  tests/fuzz/make_captures.py [CORPUS_DIR]
"""
import struct
import sys
from pathlib import Path

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "corpus") / "capture"
FIN, SYN, RST, ACK = 1, 2, 4, 16


def tcp(source, target, seq, flags, payload=b"", ack=0):
    return struct.pack(">HHIIBBHHH", source, target, seq % 2**32, ack % 2**32, 0x50, flags, 500, 0, 0) + payload


def ip4(source, target, payload, protocol=6, offset=0, more=False):
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 7, offset // 8 | more << 13, 64, protocol, 0)
    return head + bytes([10, 0, 0, source, 10, 0, 0, target]) + payload


def ip6(source, target, payload, first=6):
    ends = bytes([0xfd, *14 * [0], source, 0xfd, *14 * [0], target])
    return struct.pack(">IHBB", 6 << 28, len(payload), first, 64) + ends + payload


def ethernet(packet, tags=b""):
    kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    return bytes(12) + tags + kind + packet


def pcap(frames, link=1, magic=0xa1b2c3d4, order="<", cut=None):
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for i, frame in enumerate(frames):
        kept = frame[:cut]
        out += struct.pack(order + "IIII", 1000 + i, 5 * i, len(kept), len(frame)) + kept
    return out


def block(kind, body, order="<"):
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def section(order="<"):
    return block(0x0a0d0d0a, struct.pack(order + "IHHq", 0x1a2b3c4d, 1, 0, -1), order)


def interface(link, order="<", options=b""):
    return block(1, struct.pack(order + "HHI", link, 0, 0) + options, order)


def packet(number, frame, order="<"):
    return block(6, struct.pack(order + "IIIII", number, 0, 5, len(frame), len(frame)) + frame, order)


def talk(wrap=ethernet, ip=ip4, base=100):
    """A handshake, an exchange, both ends."""
    def to(seq, flags, payload=b""):
        return wrap(ip(1, 2, tcp(4000, 80, base + seq, flags, payload)))

    def back(seq, flags, payload=b"", ack=0):
        return wrap(ip(2, 1, tcp(80, 4000, base + 900 + seq, flags, payload, base + ack)))
    return [to(0, SYN), back(0, SYN | ACK, ack=1), to(1, ACK, b"GET /"), back(1, ACK, b"200", 6), back(4, FIN | ACK, ack=6),
            to(6, FIN | ACK)]


def disorder():
    shuffled = talk(base=2**32 - 3)
    return [shuffled[i] for i in (0, 1, 4, 5, 3, 3, 2)]


def loss():
    whole = talk()
    acks = [ethernet(ip4(2, 1, tcp(80, 4000, 1001, ACK, b"", 106)))] * 20
    return [whole[0], whole[1], *acks, ethernet(ip4(1, 2, tcp(4000, 80, 120, ACK, b"late"))), *2 * acks,
            ethernet(ip4(1, 2, tcp(4000, 80, 200, RST)))]


def fragments():
    inside = tcp(4000, 80, 1, ACK, b"in three pieces, each of them eight")
    cuts = [(0, 24, True), (24, 40, True), (40, len(inside), False)]
    return [ethernet(ip4(1, 2, inside[a:b], 6, a, more)) for a, b, more in (*reversed(cuts), *cuts, (16, 40, True))]


def fragments6():
    inside = bytes([6, 0, 1, 4, 0, 0, 0, 0]) + tcp(4000, 80, 1, ACK, b"two")
    pieces = [(0, 16, 1), (16, len(inside), 0)]
    return [ethernet(ip6(1, 2, struct.pack(">BBHI", 60, 0, a | more, 5) + inside[a:b], 44)) for a, b, more in pieces]


def extensions():
    chain = bytes([43, 0, *6 * [0], 51, 1, *14 * [0], 60, 1, *10 * [0], 6, 0, *6 * [0]])
    return [ethernet(ip6(1, 2, chain + tcp(4000, 80, 1, ACK, b"deep"), 0))]


def tunnels():
    inside = talk(wrap=bytes)
    gre = [ip4(8, 9, struct.pack(">HHI", 0x2000, 0x0800, 1) + p, 47) for p in inside]
    bridged = [ip4(8, 9, struct.pack(">HH", 0, 0x6558) + ethernet(p), 47) for p in inside]
    return [*gre, *bridged, *[ip6(8, 9, p, 4) for p in inside]]


def in_udp():
    """Every tunnel in UDP, around a packet each."""
    inside = talk(wrap=bytes)[0]
    bridged = ethernet(inside)
    heads = {
        4789: b"\x08" + bytes(7) + bridged, 8472: bytes(8) + bridged, 4790: b"\x0c\0\0\1" + bytes(4) + inside,
        6081: b"\x02\0\x65\x58" + bytes(12) + bridged, 2152: b"\x34\xff\0\x40teid\0\1\0\x85\1\1\2\x40\1\1\2\0" + inside,
        4754: b"\0\0\x08\0" + inside, 6635: b"\0\2\1\xff" + inside, 1701: b"\x4a\2\0\x40tunlnsnr\0\3pad\0\x21" + inside,
        3544: b"\0\1\1\2iaunonce...\0\0\0\1\2\3\4\5\6" + inside, 5072: b"\x22\x12\x01\x29timeididsign" + inside, 53: b"dns",
    }
    datagrams = [struct.pack(">HHHH", 999, port, 8 + len(head), 0) + head for port, head in heads.items()]
    others = [(97, b"\x30\0" + bridged), (137, b"\0\2\1\xff" + inside), (47, b"\x10\0\x88\xbe" + bytes(12) + bridged),
              (47, b"\x10\0\x22\xeb" + bytes(15) + b"\1" + bytes(8) + bridged)]
    cut = [d[:n] for d in datagrams for n in (7, 9, 14, 17, 21)]
    return [*[ip4(8, 9, d, 17) for d in (*datagrams, *cut)], *[ip4(8, 9, d, kind) for kind, d in others]]


def attribute(kind, value):
    return struct.pack("<HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


MPLS = b"\x88\x47\x00\x01\x00\xff\x00\x02\x01\xff"
SNAP = b"\xaa\xaa\x03\0\0\0\x08\0"
WLAN = b"\x08\x01" + bytes(22) + SNAP
LINKS = {
    "snap": (1, lambda p: bytes(12) + b"\0\x40" + SNAP + p),
    "wlan": (105, lambda p: WLAN + p),
    "wlan-qos": (105, lambda p: b"\x88\x83" + bytes(28) + b"\x80" + bytes(5) + bytes(12) + b"\0\x40" + SNAP + p),
    "radiotap": (127, lambda p: b"\0\0\x19\0\3\0\0\x80" + bytes(8) + b"timetime\x20" + WLAN + p),
    "prism": (119, lambda p: b"\x44\0\0\0\x0c\0\0\0head" + WLAN + p),
    "avs": (119, lambda p: b"\x80\x21\x10\1\0\0\0\x0chead" + WLAN + p),
    "ppi": (192, lambda p: b"\0\0\x0c\0\x69\0\0\0head" + WLAN + p),
    "vlan": (1, lambda p: ethernet(p, b"\x81\x00\x00\x05")),
    "qinq": (1, lambda p: ethernet(p, b"\x88\xa8\x00\x05\x81\x00\x00\x06")),
    "mpls": (1, lambda p: bytes(12) + MPLS + p),
    "pseudowire": (1, lambda p: bytes(12) + MPLS + bytes(4) + ethernet(p)),
    "pppoe": (1, lambda p: bytes(12) + b"\x88\x64\x11\x00\x00\x01\x00\x30\x00\x21" + p),
    "ppp": (9, lambda p: b"\xff\x03\x00\x21" + p),
    "hdlc": (50, lambda p: b"\x0f\x00\x08\x00" + p),
    "null": (0, lambda p: b"\x02\x00\x00\x00" + p),
    "sll": (113, lambda p: bytes(14) + b"\x08\x00" + p),
    "sll2": (276, lambda p: b"\x08\x00" + bytes(18) + p),
    "raw": (101, bytes),
    "nflog": (239, lambda p: b"\x02\x00\x00\x00" + attribute(10, b"x\0") + attribute(9, p)),
}


def many_blocks(order):
    first, *rest = talk()
    resolution = struct.pack(order + "HHB3xHHqI", 9, 1, 9, 14, 8, 1000, 0)
    secrets = struct.pack(order + "II", 0x544c534b, 6) + b"SERVER"
    return b"".join([section(order), interface(1, order, resolution), interface(113, order), packet(0, first, order),
                     block(10, secrets, order), block(3, struct.pack(order + "I", len(rest[0])) + rest[0], order),
                     block(2, struct.pack(order + "HHIIII", 0, 0, 0, 5, len(rest[1]), len(rest[1])) + rest[1], order),
                     block(5, bytes(8), order), section(order), interface(1, order), packet(0, rest[2], order)])


def damaged():
    """What is wrong in the file, in a block, in a packet; each but the last few ends the reading."""
    def ng(*blocks):
        return section() + interface(1) + b"".join(blocks)

    fine = ethernet(ip4(1, 2, tcp(4000, 80, 1, ACK, b"x")))
    spoiled = [
        ethernet(ip4(1, 2, b"short")), ethernet(ip4(1, 2, tcp(1, 2, 3, 0)[:12] + b"\x40" + bytes(7))), ethernet(b"\x45"),
        ethernet(b"\x44" + ip4(1, 2, bytes(20))[1:]), ethernet(ip6(1, 2, b"", 43)), ethernet(ip6(1, 2, b"\0", 0)),
        ethernet(ip6(1, 2, bytes(7), 44)), ethernet(ip6(1, 2, 20 * bytes(8), 0)), ethernet(ip6(1, 2, b"")[:30]),
        ethernet(ip4(1, 2, b"\x40\0\x08\0" + fine, 47)), ethernet(ip4(1, 2, b"u" * 20, 17)), ethernet(ip4(1, 2, b"", 4)),
        ethernet(ip4(1, 2, bytes(4), 51)), bytes(12) + b"\x08\x06", bytes(12) + b"\x88\x47", bytes(12) + MPLS, b"short",
        bytes(12) + b"\x88\x64\x11\x00\x00\x01\x00\x30", bytes(12) + b"\x88\x64",
        bytes(12) + b"\x88\x64\x11\x00\x00\x01\x00\x30\x02\x81\0\0\1\1\x45", ethernet(ip4(1, 2, bytes(8), offset=65000)),
        ethernet(ip4(1, 2, bytes(8), offset=65528, more=True)), ethernet(ip4(1, 2, b"12345678", offset=8)),
        ethernet(ip4(1, 2, b"12345678", offset=0, more=True)), ethernet(ip4(1, 2, b"1234567890123456", offset=0)),
    ]
    many = [ethernet(ip4(i, 2, b"12345678", offset=8, more=True)) for i in range(70)]
    tiny = b"".join(section() + interface(101) for _ in range(3))
    blocks = {
        "magic": block(0x0a0d0d0a, bytes(16)), "old-section": block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 2, 0, -1)),
        "small-section": block(0x0a0d0d0a, struct.pack("<I", 0x1a2b3c4d)), "length": struct.pack("<III", 6, 13, 13),
        "long": struct.pack("<III", 6, 1 << 30, 0), "differ": struct.pack("<III", 6, 12, 16), "interface": block(1, b"1234"),
        "option": interface(1, options=struct.pack("<HH", 9, 500)), "ticks": interface(1, options=struct.pack("<HHI", 9, 1, 60)),
        "binary": interface(1, options=struct.pack("<HHI", 9, 1, 200)), "number": packet(9, fine), "head": block(6, bytes(8)),
        "beyond": block(6, struct.pack("<IIIII", 0, 0, 5, 400, 400)), "old": block(2, bytes(8)), "simple": block(3, b""),
        "simple-beyond": block(3, struct.pack("<I", 400)), "secrets": block(10, b"1234"),
        "secrets-beyond": block(10, struct.pack("<II", 0x544c534b, 99)), "secrets-other": block(10, bytes(8)),
        "time": interface(1, options=struct.pack("<HHq", 14, 8, 2**62)) + packet(1, fine),
    }
    yield "bad-packets", pcap([*spoiled, *many, fine])
    yield "bad-tail", pcap([fine]) + b"cut"
    yield "bad-version", struct.pack("<IHHiIII", 0xa1b2c3d4, 1, 4, 0, 0, 65535, 1)
    yield "bad-size", pcap([]) + struct.pack("<IIII", 1, 1, 1 << 20, 1 << 20)
    yield "old-lengths", struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 3, 0, 0, 65535, 101) + struct.pack("<IIII", 1, 1, 40, 20) + bytes(20)
    yield "bad-link", pcap([fine], link=147)
    for link in (0, 9, 50, 51, 105, 113, 119, 127, 163, 192, 239, 276):
        yield f"bad-link-{link}", pcap([b"", b"\1", b"\x21", b"\xff\x03\xc0\x21", b"\2\0\0\0\3\0\0\0", b"\2\0\0\0\0\x0a\0\x09123456\0\0"], link=link)
    yield "bad-sections", tiny + block(3, struct.pack("<I", 2) + b"\x45\0")
    yield "no-interface", section() + block(3, struct.pack("<I", 2) + b"\x45\0")
    for name, body in blocks.items():
        yield f"ng-{name}", ng(body)


def many_flows():
    return pcap([ethernet(ip4(1, 2, tcp(1 + i, 80, 5, SYN))) for i in range(1200)])


def main():
    files = {
        "pcap": pcap(talk()),
        "pcap-ns-be": pcap(talk(), magic=0xa1b23c4d, order=">"),
        "pcap-patched": pcap(talk()[:1], magic=0xa1b2cd34) + bytes(40),
        "pcap-snap": pcap(talk(), cut=50) + pcap(talk(), cut=57)[24:],
        "disorder": pcap(disorder()),
        "loss": pcap(loss()),
        "reuse": pcap([*talk(), *talk(base=7000)]),
        "server-first": pcap(talk()[3:4] + [ethernet(ip4(2, 1, tcp(80, 4000, 1, ACK, b"HTTP")))]),
        "fragments": pcap(fragments()),
        "fragments6": pcap(fragments6()),
        "ip6": pcap(talk(ip=ip6)),
        "extensions": pcap(extensions()),
        "tunnels": pcap(tunnels(), link=101),
        "udp-tunnels": pcap(in_udp(), link=101),
        "many": many_flows(),
        "nothing": b"",
        "no-capture": b"GET / HTTP/1.1",
        **dict(damaged()),
        "ng": many_blocks("<"),
        "ng-be": many_blocks(">"),
        **{f"link-{name}": pcap(talk(wrap=wrap)[:3], link=link) for name, (link, wrap) in LINKS.items()},
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    main()
