#!/usr/bin/python3
"""Runs nuncio-tap over captures with known content and compares what it tells: every exchange, status, body length, name,
fingerprint, WebSocket message.

  tests/pcaps/run.py --tap build/nuncio-tap FOLDER [-k WORD] [-v]

FOLDER has truth.json files beside captures (exact truth of made captures; of TLS, with key logs; of both sides of a proxy)
and may have a truth-fetched.json (another decoder's view). Captures in a folder `robust` need only be survived. What
differs on purpose stands in known.tsv with its reason. Exit 1 if something else differs.
"""
import argparse
import collections
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TIMEOUT = 60  # seconds a capture; under a sanitizer, too
MS = 0.005    # milliseconds that times may differ by: truth is rounded, and knows no fragments


class Run:
    """One run of the tap over a capture: its objects by type."""

    def __init__(self, tap, path, keylog=None):
        words = [tap, "-r", path, "--json"] + (["--keylog", keylog] if keylog else [])
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
    """Of exchanges their number; of others the time."""
    parts = one["id"].split(".")
    return (int(parts[1]) if len(parts) > 1 and one["type"] == "http" else 0, one["time"])


def conn_of(one):
    return f"{one['client']}-{one['server']}"


def by_conn(objects):
    found = collections.defaultdict(list)
    for one in objects:
        found[conn_of(one)].append(one)
    return found


# --- made captures: exact truth

def exchange_wants(truth):
    """What an object has to say of an exchange, as far as the truth knows it."""
    wants = {"proto": truth.get("proto")}
    names = {"method": "method", "host": "host", "target": "target", "status": "status", "sid": "stream", "grpc_status": "grpc_status",
             "req_messages": "request_messages", "resp_messages": "response_messages"}
    wants.update({ours: truth[theirs] for theirs, ours in names.items() if truth.get(theirs) is not None})
    if truth.get("interim"):
        wants["interim"] = truth["interim"]
    return wants


def exchange_differs(truth, one):
    """Texts: what differs."""
    wants = exchange_wants(truth)
    for key, value in wants.items():
        if one.get(key) != value:
            yield f"{truth.get('target')}: {key} is {one.get(key)!r}, not {value!r}"
    whole = one.get("complete")
    for theirs, ours in (("req_body", "request_body"), ("resp_body", "response_body")):
        if whole and truth.get(theirs) is not None and one.get(ours) != truth[theirs]:
            yield f"{truth.get('target')}: {ours} is {one.get(ours)!r}, not {truth[theirs]!r}"
    if one.get("status") and truth.get("ttfb_ms") is not None and abs(one.get("ttfb_ms", -1) - truth["ttfb_ms"]) > MS:
        yield f"{truth.get('target')}: ttfb_ms is {one.get('ttfb_ms')}, not {truth['ttfb_ms']}"


def seen_differs(truth, objects):
    """Of a conversation whose beginning is missing: what is told is true."""
    by_sid = {e["sid"]: e for e in truth["exchanges"] if "sid" in e}
    for one in objects:
        e = by_sid.get(one.get("stream"))
        if not e:
            yield f"stream {one.get('stream')} is not in the truth"
            continue
        for key, value in exchange_wants(e).items():
            if key in one and one[key] != value and key != "proto":
                yield f"stream {one['stream']}: {key} is {one[key]!r}, not {value!r}"
    if not objects:
        yield "nothing was found"


def conversation_differs(truth, objects):
    if truth.get("missed_start"):
        yield from seen_differs(truth, objects)
        return
    wants = truth.get("exchanges", [])
    if len(wants) != len(objects):
        yield f"{len(objects)} exchanges, not {len(wants)}: {[o.get('target') for o in objects]} for {[e.get('target') for e in wants]}"
        return
    if any("sid" in e for e in wants):
        wants, objects = (sorted(some, key=lambda e: e.get(key, 0)) for some, key in ((wants, "sid"), (objects, "stream")))
    for e, one in zip(wants, objects):
        yield from exchange_differs(e, one)


def messages_differ(wants, got):
    """Each direction by itself: between them the truth has no order."""
    for direction in ("c2s", "s2c"):
        want = [(m["opcode"], m["len"], m.get("close_code")) for m in wants if m["dir"] == direction]
        have = [(m["opcode"], m["len"], m.get("close_code")) for m in got if m["dir"] == direction]
        if want != have:
            yield f"messages {direction}: {have}, not {want}"


def proxy_differs(want, got):
    if len(got) != 1:
        yield f"{len(got)} PROXY headers"
        return
    pairs = {"version": want["version"], "source": want.get("src"), "destination": want.get("dst")}
    for key, value in pairs.items():
        if got[0].get(key) != value:
            yield f"PROXY {key} is {got[0].get(key)!r}, not {value!r}"


def split_reused(truths, run):
    """(truth, ids) of each connection; the same addresses used again are told apart by their order."""
    ids = collections.defaultdict(list)
    for one in run.of("tcp"):
        ids[conn_of(one)].append(one["id"])
    for truth in truths:
        mine = ids[truth["conn"]]
        last = sum(1 for t in truths if t["conn"] == truth["conn"]) == 1
        yield truth, mine if last else [mine.pop(0)] if mine else []


def made_differs(truth, run):
    for conn, ids in split_reused(truth.get("connections", []), run):
        def mine(kind, ids=ids):
            return [o for o in run.of(kind) if o["id"].split(".")[0] in ids]
        if not ids:
            yield f"{conn['conn']}: no such connection"
        for text in conversation_differs(conn, mine("http")):
            yield f"{conn['conn']}: {text}"
        for text in messages_differ(conn.get("ws_messages", []), mine("ws")):
            yield f"{conn['conn']}: {text}"
        if conn.get("proxy"):
            for text in proxy_differs(conn["proxy"], mine("proxy")):
                yield f"{conn['conn']}: {text}"
        gap = sum(o.get("missing_down", 0) for o in mine("tcp"))
        if conn.get("gap_bytes_server") and gap != conn["gap_bytes_server"]:
            yield f"{conn['conn']}: a gap of {gap}, not {conn['gap_bytes_server']}"


# --- what another decoder saw

def bag(items):
    return collections.Counter(items)


def bags_differ(what, wants, got):
    missing, more = bag(wants) - bag(got), bag(got) - bag(wants)
    if missing:
        yield f"{what}: missing {list(missing.elements())[:4]} ({sum(missing.values())})"
    if more:
        yield f"{what}: too many {list(more.elements())[:4]} ({sum(more.values())})"


def target_of(uri):
    return uri or ""


def seen_by_other_differs(truth, run):
    http = run.of("http")
    if "http1_requests" in truth:
        yield from bags_differ("requests", [(r["method"], target_of(r["uri"])) for r in truth["http1_requests"]],
                               [(o.get("method"), o.get("target")) for o in http if o["proto"] == "h1" and o.get("method")])
    if "http1_responses" in truth:
        yield from bags_differ("statuses", [r["status"] for r in truth["http1_responses"]],
                               [s for o in http if o["proto"] == "h1" for s in o.get("interim", []) + [o.get("status")] if s])
    if "h2_requests" in truth:
        yield from bags_differ("h2 requests", [(r["method"], r["path"]) for r in truth["h2_requests"]],
                               [(o.get("method"), o.get("target")) for o in http if o["proto"] != "h1" and o.get("method")])
    if "h2_responses" in truth:
        yield from bags_differ("h2 statuses", [r["status"] for r in truth["h2_responses"]],
                               [o["status"] for o in http if o["proto"] != "h1" and o.get("status")])
    if "tls_client_hellos" in truth:
        # One object a connection: of a second hello (HelloRetryRequest) the first one counts.
        first = {}
        for hello in truth["tls_client_hellos"]:
            first.setdefault(hello["stream"], hello)
        for key in ("sni", "ja3", "ja4"):
            yield from bags_differ(key, [h[key] for h in first.values() if h.get(key)], [o[key] for o in run.of("tls") if o.get(key)])
        yield from bags_differ("alpn", [tuple(h["alpn"]) for h in first.values()], [tuple(o.get("alpn", [])) for o in run.of("tls") if o.get("ja4")])


def corr_differs(truth, run):
    paths = bag(o["target"] for o in run.of("http") if "target" in o)
    wants = bag(p[side]["path"] for p in truth["pairs"] for side in ("downstream", "upstream"))
    if wants - paths:
        yield f"{sum((wants - paths).values())} of {sum(wants.values())} requests are missing: {list(wants - paths)[:3]}"


# --- all captures of a folder

def jobs(folder):
    """(name, path, keylog, what compares) of each capture."""
    for path in sorted(folder.rglob("truth.json")):
        truth = json.loads(path.read_text())
        files = truth.get("files", truth)
        for name, one in files.items():
            if not isinstance(one, dict) or not (path.parent / name).exists():
                continue
            other = files.get(one.get("same_as"), one) if "same_as" in one else one
            compare = corr_differs if "pairs" in other else made_differs if "connections" in other or "seed" in truth else seen_by_other_differs
            keylog = path.parent / other["keylog"] if other.get("keylog") and "same_as" not in one else None
            yield f"{path.parent.relative_to(folder)}/{name}", path.parent / name, keylog, lambda run, c=compare, t=other: c(t, run)
    for path in sorted(folder.glob("truth-*.json")):
        for name, one in json.loads(path.read_text())["files"].items():
            keylog = folder / one["keylog"] if one.get("keylog") else None
            compare = (lambda run, t=one: seen_by_other_differs(t, run)) if one.get("clean") else (lambda run: ())
            yield name, folder / name, keylog, compare
    for path in sorted(p for p in folder.rglob("robust/*") if p.is_file()):
        yield str(path.relative_to(folder)), path, None, lambda run: ()


def known():
    """{name: reason} of captures where the truth's author and we see different things."""
    lines = (HERE / "known.tsv").read_text().splitlines()
    return dict(line.split("\t", 1) for line in lines if line and not line.startswith("#"))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--tap", required=True)
    args.add_argument("-k", default="", metavar="WORD")
    args.add_argument("-v", action="store_true")
    args.add_argument("folder", type=Path)
    args = args.parse_args()
    reasons, total, bad, excused = known(), 0, 0, 0
    for name, path, keylog, compare in jobs(args.folder):
        if args.k not in name:
            continue
        total += 1
        try:
            run = Run(args.tap, path, keylog)
            texts = ["crashed: " + run.said[-2000:]] if run.crashed() else list(compare(run))
        except subprocess.TimeoutExpired:
            texts = [f"took more than {TIMEOUT} s"]
        if texts and name in reasons:
            excused += 1
            if args.v:
                print(f"{name}: {reasons[name]}")
            continue
        if name in reasons:
            print(f"{name}: differs no longer; known.tsv need not name it")
        bad += bool(texts)
        for text in texts[:None if args.v else 4]:
            print(f"{name}: {text}")
    print(f"{total} captures: {total - bad - excused} as they should be, {excused} known to differ, {bad} wrong")
    return 1 if bad or not total else 0


if __name__ == "__main__":
    sys.exit(main())
