#!/usr/bin/python3
"""Things that must not stand in the project's files, as a table of patterns.

  tests/lint/words.py [FILE...]         of all files that git knows when none is named; exit 1 if there is one

A line that ends in `lint: WHY` (in a comment) is let through.
"""
import re
import subprocess
import sys

# Which files, what, and what to do instead.
RULES = [
    (r".*\.(c|h|py|sh|mk|md|yaml)$|Makefile$|^\.ci/", r"(^|[\s\"'=(`])/(home|root|work|mnt)/\w", "a path of somebody's machine"),
    (r"^tests/.*\.(py|c)$", r"[\"'(\s]/tmp/\w", "a fixed temporary path: use a fresh folder"),
    (r"^tests/e2e/test_.*\.py$", r"\btime\.sleep\(", "a sleep in a test: use eventually() or a barrier"),
    (r"^tests/(unit|filters|fuzz)/.*\.c$", r"\b(u|nano)?sleep\(", "a sleep in a test: use the virtual clock or a barrier"),
    (r"^tests/e2e/(test_.*|lib/.*)\.py$", r"\.bind\(\([^)]*, [1-9]\d*\)\)", "a fixed port: bind port 0"),
    (r".*\.[ch]$", r"\b(TODO|FIXME|XXX)\b", "a note to self: open an issue"),
    (r".*\.[ch]$", r"^\s*/\*\s*[-=*]{4,}", "a banner"),
]
PASS = re.compile(r"lint: \w")


def faults(path, lines):
    rules = [(re.compile(what), why) for files, what, why in RULES if re.match(files, path)]
    for number, line in enumerate(lines, 1):
        for what, why in rules:
            if what.search(line) and not PASS.search(line):
                yield f"{path}:{number}: {line.strip()}: {why}"


def main():
    names = sys.argv[1:]
    if not names:
        names = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines()
    found = []
    for path in names:
        if path == "tests/lint/words.py" or path == "tests/lint/test_lint.py":
            continue
        try:
            with open(path) as file:
                found += faults(path, file)
        except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
            continue  # deleted but not committed yet, or a binary corpus file
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
