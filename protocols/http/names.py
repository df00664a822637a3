#!/usr/bin/python3
"""Makes names_table.h from the lists in names.h: a hash without collisions for the known field names.

  protocols/http/names.py               run in the top folder after a change of names.h; the unit test notices a stale table
"""
import random
import re

HERE = "protocols/http/"
MASK = (1 << 64) - 1
FOLD = 0x2020202020202020
BITS = 9


def words(name):
    """The two words that nu_hdr_find reads: first and last 8, or 4 bytes, or for short ones three bytes."""
    raw = name.encode()
    if len(raw) >= 8:
        a, b = raw[:8], raw[-8:]
    elif len(raw) >= 4:
        a, b = raw[:4], raw[-4:]
    else:
        a, b = bytes([raw[0], raw[len(raw) // 2], raw[-1]]), b""
    return int.from_bytes(a, "little") | FOLD, int.from_bytes(b, "little") | FOLD


def slot(name, k):
    a, b = words(name)
    return ((((a ^ (b * k)) + len(name)) & MASK) * k & MASK) >> (64 - BITS)


def main():
    with open(HERE + "names.h") as file:
        names = re.findall(r'^    X\((\w+), "([^"]+)"', file.read(), re.M)
    rng = random.Random(1)
    while True:
        k = rng.getrandbits(64) | 1
        slots = {}
        for ident, name in names:
            if slots.setdefault(slot(name, k), ident) != ident:
                break
        else:
            break
    with open(HERE + "names_table.h", "w") as out:
        out.write("/* Made by names.py from names.h: the slot of each known field name. Included by names.c only. */\n")
        out.write(f"#define NAMES_FACTOR 0x{k:016x}ull\n#define NAMES_BITS   {BITS}\n\n")
        out.write("static const uint8_t slots[1 << NAMES_BITS] = {\n")
        for at, ident in sorted(slots.items()):
            out.write(f"    [{at}] = NU_HDR_{ident},\n")
        out.write("};\n")


main()
