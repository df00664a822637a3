#!/usr/bin/python3
"""Line coverage that the seed corpora alone reach, per file, against the floor in a data file.

  tests/fuzz/coverage.py --objects DIR FLOORS

FLOORS has rows of `PATH PERCENT`; DIR holds the objects of a --coverage build whose replay programs have run.
"""
import argparse
import json
import os
import subprocess
import sys


def covered(objects, path):
    """Lines of code in path and how many of them ran; from gcov's own records."""
    data = os.path.abspath(os.path.join(objects, path.removesuffix(".c") + ".gcda"))
    if not os.path.exists(data):
        return {}
    done = subprocess.run(["gcov", "--json-format", "--stdout", data], capture_output=True, check=True)
    lines = {}
    for file in json.loads(done.stdout)["files"]:
        if os.path.normpath(file["file"]) == path:
            for line in file["lines"]:
                lines[line["line_number"]] = max(line["count"], lines.get(line["line_number"], 0))
    return lines


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--objects", required=True)
    parse.add_argument("floors")
    args = parse.parse_args()
    bad = 0
    with open(args.floors) as file:
        rows = [line.split() for line in file if line.strip() and not line.startswith("#")]
    for path, floor in rows:
        lines = covered(args.objects, path)
        share = 100 * sum(n > 0 for n in lines.values()) / len(lines) if lines else 0
        fine = share >= float(floor)
        bad += not fine
        print(f"{share:5.1f} % of {len(lines):3d} lines  {path}" + ("" if fine else f"  below {floor} %"))
        if not fine:
            print("        not reached:", *[n for n, count in sorted(lines.items()) if count == 0])
    print(f"coverage: {len(rows)} parsers, {bad} below their floor")
    return 1 if bad else 0


sys.exit(main())
