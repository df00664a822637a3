#!/usr/bin/python3
"""Includes may only run down the layers, and each library has its rooms.

  tests/lint/layers.py FOLDER...        prints every include that breaks a rule; exit 1 if there is one

Own includes are written from the root ("core/x.h"). x_priv.h is for its own folder, and for the unit tests
of that folder.
"""
import os
import re
import sys

BELOW = {
    "core": {"core"},
    "protocols": {"core", "protocols"},
    "tls": {"core", "protocols", "tls"},
    "l4": {"core", "protocols", "l4"},
    "l7": {"core", "protocols", "l4", "l7"},
    "tools": {"core", "protocols", "tls", "l4", "l7", "tools"},
    "tests": {"core", "protocols", "tls", "l4", "l7", "tools", "tests"},
}
# Start of a library's include, and the layers that may know it; tools and tests may know all.
LIBRARIES = {
    "event2/": {"core"},
    "yaml.h": {"core"},
    "ares": {"l4"},
    "nghttp2/": {"protocols"},
    "wslay/": {"protocols"},
    "zlib.h": {"protocols"},
    "brotli/": {"protocols"},
    "openssl/": {"protocols", "tls"},
    "pcre2.h": {"l7"},
    "pcap": set(),
    "seccomp.h": set(),
}
OWN = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
FOREIGN = re.compile(r"^\s*#\s*include\s*<([^>]+)>")


def own_include(path, name):
    """What is wrong with `#include "name"` in the file path, or None."""
    layer, target = path.split("/")[0], name.split("/")[0]
    if target not in BELOW:
        return "own includes are written from the root, as layer/file.h"
    if target not in BELOW[layer]:
        return f"{layer} may not include {target}"
    home = os.path.dirname(name)
    if name.endswith("_priv.h") and not path.startswith((f"{home}/", f"tests/unit/{home}/")):
        return "private headers stay in their folder"
    return None


def library_include(path, name):
    layer = path.split("/")[0]
    for start, allowed in LIBRARIES.items():
        if name.startswith(start) and layer not in allowed | {"tools", "tests"}:
            return f"{layer} may not know this library"
    return None


def faults(path, lines):
    for number, line in enumerate(lines, 1):
        for pattern, judge in ((OWN, own_include), (FOREIGN, library_include)):
            found = pattern.match(line)
            wrong = judge(path, found[1]) if found else None
            if wrong:
                yield f"{path}:{number}: {line.strip()}: {wrong}"


def main():
    found = []
    for top in sys.argv[1:]:
        for folder, _, names in os.walk(top):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    path = os.path.normpath(os.path.join(folder, name))
                    with open(path) as file:
                        found += faults(path, file)
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
