#!/usr/bin/python3
"""Runs nuncio-tap over captures with known content and compares what it tells: every exchange with its status, bodies and fields,
names, fingerprints, WebSocket messages, both sides of a proxy; and, where the truth is exact, what tshark sees beside it.

  tests/pcaps/run.py --tap build/nuncio-tap FOLDER [-k WORD] [-v] [--no-tshark]

FOLDER has truth.json files beside captures (exact truth of made captures; of TLS, with key logs; of both sides of a proxy)
and may have a truth-fetched.json (tshark's view). Captures in a folder `robust` need only be survived. What differs on
purpose stands with its reason in known.tsv (from the truth) and tshark.tsv (from tshark), and is listed; -v lists it by capture.
Exit 1 if something else differs.
"""
import argparse
import collections
import fnmatch
import json
import shutil
import subprocess
import sys
from pathlib import Path

import tshark
from compare import corr_differs, made_differs, seen_by_other_differs, ties_differ, unknown_keys

HERE = Path(__file__).parent
TIMEOUT = 60  # seconds a capture; under a sanitizer, too


class Run:
    """One run of the tap over a capture: its objects by type."""

    def __init__(self, tap, path, keylog=None, *more):
        words = [tap, "-r", path, "--json", "-vv", "--show-secrets", *more] + (["--keylog", keylog] if keylog else [])
        done = subprocess.run(words, capture_output=True, timeout=TIMEOUT)
        self.code, self.said = done.returncode, done.stderr.decode(errors="replace")
        self.objects = collections.defaultdict(list)
        for line in done.stdout.decode().splitlines():
            one = json.loads(line)
            self.objects[one["type"]].append(one)

    def of(self, kind):
        return sorted(self.objects[kind], key=lambda o: (int(o["id"].split(".")[0]), order(o)))

    def crashed(self):
        return self.code not in (0, 1) or "Sanitizer" in self.said


def order(one):
    """Of exchanges their number; messages stay as they were told, others by time."""
    parts = one["id"].split(".")
    return (int(parts[1]) if one["type"] == "http" else 0, one["time"] if one["type"] != "ws" else 0)


# --- all captures of a folder

class Job:
    """A capture, its key log, what is known of it, and the function that compares that; neither where it need only be survived."""

    def __init__(self, name, path, keylog=None, truth=None, compare=None, exact=False):
        self.name, self.path, self.keylog, self.truth, self.compare = name, path, keylog, truth, compare
        self.exact = exact  # the truth is not what another decoder saw

    def differs(self, run, joined):
        for one in (run, joined):
            if one.crashed():
                yield "crashed: " + one.said[-2000:]
                return
        yield from ties_differ(self.truth.get("pairs", []) if self.truth else [], run, joined)
        if self.compare:
            yield from (f"{key} is in the truth, and nobody compares it" for key in sorted(unknown_keys(self.truth)))
            yield from self.compare(self.truth, run)

    def differs_from_tshark(self, run):
        return tshark.differs(tshark.view_of(self.path, tshark.ports_of(self.truth, run), self.keylog), run)


def jobs(folder):
    for path in sorted(folder.rglob("truth.json")):
        truth = json.loads(path.read_text())
        files = truth.get("files", truth)
        for name, one in files.items():
            if not isinstance(one, dict) or not (path.parent / name).exists():
                continue
            other = files.get(one.get("same_as"), one) if "same_as" in one else one
            compare = corr_differs if "pairs" in other else made_differs if "connections" in other or "seed" in truth else seen_by_other_differs
            keylog = path.parent / other["keylog"] if other.get("keylog") and "same_as" not in one else None
            yield Job(f"{path.parent.relative_to(folder)}/{name}", path.parent / name, keylog, other, compare, exact=True)
    for path in sorted(folder.glob("truth-*.json")):
        for name, one in json.loads(path.read_text())["files"].items():
            keylog = folder / one["keylog"] if one.get("keylog") else None
            yield Job(name, folder / name, keylog, one, seen_by_other_differs if one.get("clean") else None)
    for path in sorted(p for p in folder.rglob("robust/*") if p.is_file()):
        yield Job(str(path.relative_to(folder)), path)


def known(table):
    """[(pattern of names, how a difference begins, reason)]: what differs on purpose."""
    rows = []
    for line in (HERE / table).read_text().splitlines():
        if line and not line.startswith("#"):
            name, *what, reason = line.split("\t")
            rows.append((name, what[0] if what else "", reason))
    return rows


class Verdict:
    """What came of all captures: `report` takes the differences of one."""

    def __init__(self, title, table, verbose):
        self.title, self.table, self.rows, self.verbose = title, table, known(table), verbose
        self.total = self.bad = self.excused = 0
        self.used = collections.Counter()

    def row_for(self, name, text):
        return next((row for row in self.rows if fnmatch.fnmatchcase(name, row[0]) and text.startswith(row[1])), None)

    def report(self, name, texts):
        self.total += 1
        left = []
        for text in texts:
            row = self.row_for(name, text)
            self.used[row] += 1
            if row is None:
                left.append(text)
            elif self.verbose:
                print(f"{self.title}: {name}: {text}: {row[2]}")
        self.bad += bool(left)
        self.excused += not left and bool(texts)
        for text in left[:None if self.verbose else 4]:
            print(f"{self.title}: {name}: {text}")

    def tell_rows(self):
        """Each difference that is known, with its reason."""
        for row in self.rows:
            pattern, begin, reason = row
            times = f"{self.used[row]} times" if self.used[row] else "NO LONGER"
            print(f"{self.title}: {times} {pattern}: {begin or 'all'}: {reason}")

    def sum(self):
        return f"{self.title}: {self.total} captures: {self.total - self.bad - self.excused} as they should be, {self.excused} known to differ, {self.bad} wrong"


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--tap", required=True)
    args.add_argument("-k", default="", metavar="WORD")
    args.add_argument("-v", action="store_true", help="list also what is known to differ, with its reasons")
    args.add_argument("--no-tshark", action="store_true")
    args.add_argument("folder", type=Path)
    args = args.parse_args()
    truth, other = Verdict("truth", "known.tsv", args.v), Verdict("tshark", "tshark.tsv", args.v)
    others = [] if args.no_tshark or not shutil.which("tshark") else [other]
    for job in jobs(args.folder):
        if args.k not in job.name:
            continue
        try:
            run = Run(args.tap, job.path, job.keylog)
            joined = Run(args.tap, job.path, job.keylog, "--join")
        except subprocess.TimeoutExpired:
            truth.report(job.name, [f"took more than {TIMEOUT} s"])
            continue
        truth.report(job.name, list(job.differs(run, joined)))
        if others and job.exact:
            other.report(job.name, list(job.differs_from_tshark(run)))
    for verdict in (truth, *others):
        if not args.k:
            verdict.tell_rows()
        print(verdict.sum())
    return 1 if truth.bad or other.bad or not truth.total else 0


if __name__ == "__main__":
    sys.exit(main())
