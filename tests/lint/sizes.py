#!/usr/bin/python3
"""Files and functions that have grown past what one reads in one go.

  tests/lint/sizes.py FOLDER...         prints what is too long; exit 1 if something is
"""
import os
import re
import sys

FILE_LINES, HEADER_LINES, FUNCTION_LINES = 500, 300, 60
# The text is clang-formatted: a function's braces stand alone in the first column.
NAME = re.compile(r"(\w+)\(")


def functions(lines):
    """(name, first line, lines between the braces) of each function."""
    name, start = None, None
    for number, line in enumerate(lines, 1):
        if line[:1].isalpha() and (found := NAME.search(line)) and not line.rstrip().endswith(";"):
            name = found[1]
        elif line.startswith("{") and name:
            start = number
        elif line.startswith("}"):
            if start:
                yield name, start, number - start - 1
            name = start = None


def faults(path, lines):
    limit = HEADER_LINES if path.endswith(".h") else FILE_LINES
    if len(lines) > limit:
        yield f"{path}: {len(lines)} lines, more than {limit}"
    for name, start, count in functions(lines):
        if count > FUNCTION_LINES:
            yield f"{path}:{start}: {name}: {count} lines, more than {FUNCTION_LINES}"


def main():
    found = []
    for top in sys.argv[1:]:
        for folder, _, names in os.walk(top):
            for path in sorted(os.path.join(folder, n) for n in names if n.endswith((".c", ".h"))):
                with open(path) as file:
                    found += faults(path, file.read().splitlines())
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
