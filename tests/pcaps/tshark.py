"""What tshark sees in a capture, in the words of compare.py's truths, and beside what the tap tells.

tshark goes by ports: it is told which of them speaks what. Of bodies it exports those of HTTP/1; WebSocket messages it neither joins nor
inflates. What differs on purpose is listed with a reason by those who call (tshark.tsv).
"""
import collections
import subprocess
import tempfile
from pathlib import Path

from compare import bags_differ, seen_by_other_differs

FIELDS = {"stream": "tcp.stream", "method": "http.request.method", "uri": "http.request.uri", "status": "http.response.code",
          "h2_method": "http2.headers.method", "h2_path": "http2.headers.path", "h2_status": "http2.headers.status",
          "handshake": "tls.handshake.type", "sni": "tls.handshake.extensions_server_name", "ja3": "tls.handshake.ja3",
          "alpn": "tls.handshake.extensions_alpn_str", "opcode": "websocket.opcode", "fin": "websocket.fin",
          "len": "websocket.payload_length", "len16": "websocket.payload_length_ext_16", "len64": "websocket.payload_length_ext_64",
          "rsv": "websocket.rsv"}
TIMEOUT = 120
COMMA = "\x1f"  # between values of a packet; URIs hold the usual ones


def rows_of(path, ports, keylog, objects):
    """A dict of lists a packet."""
    words = ["tshark", "-r", str(path), "-o", "tcp.reassemble_out_of_order:TRUE", "-T", "fields", "-E", "separator=/t", "-E", f"aggregator={COMMA}",
             "--export-objects", f"http,{objects}"]
    for port, proto in ports.items():
        words += ["-d", f"tcp.port=={port},{proto}"]
    words += ["-o", f"tls.keylog_file:{keylog}"] if keylog else []
    for field in FIELDS.values():
        words += ["-e", field]
    done = subprocess.run(words, capture_output=True, timeout=TIMEOUT)
    for line in done.stdout.decode(errors="replace").splitlines():
        cells = line.split("\t")
        if len(cells) == len(FIELDS):
            yield {name: cell.split(COMMA) if cell else [] for name, cell in zip(FIELDS, cells)}


def add_hellos(row, view):
    if "1" in row["handshake"]:
        view["tls_client_hellos"].append({"stream": row["stream"][0], "sni": (row["sni"] or [None])[0], "ja3": (row["ja3"] or [None])[0],
                                          "alpn": row["alpn"]})


def frames_of(row):
    longer = {"126": iter(row["len16"]), "127": iter(row["len64"])}
    for opcode, fin, length, rsv in zip(row["opcode"], row["fin"], row["len"], row["rsv"]):
        yield {"opcode": int(opcode), "fin": fin == "1", "len": int(next(longer.get(length, iter(())), length)), "rsv": int(rsv, 16)}


def view_of(path, ports, keylog=None):
    """ports: {port: "http", "http2" or "tls"}. The lists that compare.py's truths have, and `bodies`, lengths of whole ones."""
    view = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as objects:
        for row in rows_of(path, ports, keylog, objects):
            view["http1_requests"] += [{"method": m, "uri": u} for m, u in zip(row["method"], row["uri"])]
            view["http1_responses"] += [{"status": int(s)} for s in row["status"]]
            view["h2_requests"] += [{"method": m, "path": p} for m, p in zip(row["h2_method"], row["h2_path"])]
            view["h2_responses"] += [{"status": int(s)} for s in row["h2_status"]]
            view["ws"] += frames_of(row)
            add_hellos(row, view)
        view["bodies"] = [size for size in (one.stat().st_size for one in Path(objects).iterdir()) if size]
    return view


def messages_differ(view, run):
    """tshark tells frames: those that are whole messages and not deflated are compared."""
    frames = [(f["opcode"], f["len"]) for f in view["ws"] if f["fin"] and f["opcode"] and not f["rsv"]]
    told = collections.Counter((m["opcode"], m["len"]) for m in run.of("ws"))
    missing = collections.Counter(frames) - told
    if missing:
        yield f"messages: missing {list(missing)[:4]}"
    ends = sum(1 for f in view["ws"] if f["fin"])
    if ends != sum(told.values()):
        yield f"messages: {sum(told.values())}, not {ends}"


def differs(view, run):
    """Texts: where the tap's view and tshark's are not the same, the tap's named as if it were wrong."""
    truth = {key: view[key] for key in ("http1_requests", "http1_responses", "h2_requests", "h2_responses", "tls_client_hellos")}
    # JA4 is not in tshark 4.0.
    yield from seen_by_other_differs(truth, run)
    yield from messages_differ(view, run)
    told = [o[key] for o in run.of("http") for key in ("request_body", "response_body") if o.get(key) and o["proto"] == "h1"]
    yield from bags_differ("bodies", view["bodies"], told)


def ports_of(truth, run):
    """{port: protocol}, by what the truth says of connections, and by the hellos that the tap found."""
    names, ports = {"h1": "http", "h2": "http2", "grpc": "http2"}, {}
    for conn in truth.get("connections", []):
        if conn["exchanges"]:
            first = conn["exchanges"][0]
            ports[conn["conn"].rsplit(":", 1)[1]] = "http" if first.get("upgraded") else names[first["proto"]]
    ports.update({str(truth[key]): "http" for key in ("downstream_port", "upstream_port") if key in truth})
    ports.update({one["server"].rsplit(":", 1)[1]: "tls" for one in run.of("tls")})
    return ports
