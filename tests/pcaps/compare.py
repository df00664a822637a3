"""What the tap told of a capture against what is known of it: each function gives texts, what differs.

Every key of a truth file is either compared or stands in LEFT_OUT with its reason; a key that nobody knows is a difference, too.
"""
import collections
import hashlib
import ssl
from base64 import b64decode

MS = 0.005  # milliseconds that times may differ by: truth is rounded, and knows no fragments
SECONDS = 5e-6  # the same

# Keys of truth that no output has, and why.
LEFT_OUT = {
    "packets": "of the whole file, also those without TCP", "note": "for people", "cat": "a folder", "clean": "says whether to compare",
    "same_as": "the other one is compared", "keys": "says where the secrets are", "keylog": "an input", "decode_as": "a hint for tshark",
    "httpry_agrees": "of another program", "tcp": "what tshark warns of", "seed": "of the generator", "made_with": "for people", "decrypted":
    "plain bytes inside TLS are no output; the exchanges in them are compared, bodies by their hashes",
    "downstream_port": "found by content", "upstream_port": "found by content", "rid": "in the path", "packet": "numbers are tshark's", "n": "numbers are tshark's",
    "stream": "numbers are tshark's", "request_n": "numbers are tshark's", "unique_id": "of the PROXY header only addresses are told", "authority":
    "of the PROXY header only addresses are told", "tls_certs": "of certificates the server's subject is told", "count": "see tls_certs", "legacy_version": "in JA3",
    "versions": "in JA4", "ja3s": "not told", "counts": "the lists are compared", "compressed": "messages are told as they were before", "fragments":
    "messages are told whole", "tunnel": "what flows in it is told as a connection", "te": "a field", "push": "told as requests",
    "exchanges_total": "the list is compared", "version": "of HTTP/1: not told", "fin": "messages are told whole", "rsv1": "messages are told inflated",
    "missed_start": "says how to compare",
}
COMPARED = set("""connections conn exchanges grpc_status host interim method proto req_body req_messages request_id reset resp_body resp_encoding
    resp_messages resp_sha resp_wire_body sid status t_req target trailers ttfb_ms upgrade upgraded gap_bytes_server proxy dst local src ws_messages
    close_code dir len opcode sha pairs downstream upstream path unmatched requests_down requests_up tcp_connections http1_requests body uri tls_client_hellos
    alpn ja3 ja4 sni tls_server_hellos cipher h2_requests content_type h2_responses http1_responses enc type ja4_repo_expected ws grpc
    tcp_streams""".split())
VALUES = {"trailers", "ja4_repo_expected", "tcp", "counts", "decrypted"}  # their keys are content


def unknown_keys(truth):
    """Keys of a truth that are neither compared nor left out."""
    if isinstance(truth, list):
        return set().union(*map(unknown_keys, truth)) if truth else set()
    if not isinstance(truth, dict):
        return set()
    inner = [unknown_keys(value) for key, value in truth.items() if key not in VALUES]
    return {key for key in truth if key not in COMPARED and key not in LEFT_OUT}.union(*inner)


def conn_of(one):
    return f"{one['client']}-{one['server']}"


def data_of(one, begin=""):
    """A body's or message's bytes as far as they are kept."""
    if f"{begin}data_base64" in one:
        return b64decode(one[f"{begin}data_base64"])
    return one.get(f"{begin}data", "").encode()


def short_sha(data):
    return hashlib.sha256(data).hexdigest()[:16]


def field_of(one, part, name):
    return dict((key.lower(), value) for key, value in one.get(part, [])).get(name)


# --- made captures: exact truth

def exchange_wants(truth):
    """What an object has to say of an exchange, as far as the truth knows it."""
    wants = {"proto": truth.get("proto")}
    names = {"method": "method", "host": "host", "target": "target", "status": "status", "sid": "stream", "grpc_status": "grpc_status",
             "req_messages": "request_messages", "resp_messages": "response_messages"}
    wants.update({ours: truth[theirs] for theirs, ours in names.items() if truth.get(theirs) is not None})
    if "interim" in truth:
        wants["interim"] = truth["interim"] or None
    return wants


def body_differs(truth, one):
    """Of exchanges that were seen whole: lengths, decoded and as sent, coding, and the decoded bytes."""
    wants = {"request_body": truth.get("req_body"), "response_body": truth.get("resp_body"), "response_coding": truth.get("resp_encoding")}
    for key, value in wants.items():
        if value is not None and one.get(key) != value:
            yield f"{key} is {one.get(key)!r}, not {value!r}"
    wire = truth.get("resp_wire_body")
    if wire is not None and one.get("response_wire", one.get("response_body")) != wire:
        yield f"{one.get('response_wire')} bytes were sent, not {wire}"
    data = data_of(one, "response_")
    if truth.get("resp_sha") and len(data) == one.get("response_body") and short_sha(data) != truth["resp_sha"]:
        yield f"the body's hash is {short_sha(data)}, not {truth['resp_sha']}"


def fields_differ(truth, one):
    if truth.get("request_id") and "request_headers" in one and field_of(one, "request_headers", "x-request-id") != truth["request_id"]:
        yield f"x-request-id is {field_of(one, 'request_headers', 'x-request-id')}, not {truth['request_id']}"
    for name, value in truth.get("trailers", {}).items():
        if field_of(one, "response_trailers", name) != value:
            yield f"the trailer {name} is {field_of(one, 'response_trailers', name)!r}, not {value!r}"
    if truth.get("upgrade") and field_of(one, "response_headers", "upgrade") != truth["upgrade"]:
        yield f"no upgrade to {truth['upgrade']}"
    if bool(truth.get("reset")) != ("reset by" in one.get("note", "")):
        yield f"reset {truth.get('reset')}, but the note is {one.get('note')!r}"


def exchange_differs(truth, one):
    for key, value in exchange_wants(truth).items():
        if one.get(key) != value:
            yield f"{key} is {one.get(key)!r}, not {value!r}"
    if one.get("complete"):
        yield from body_differs(truth, one)
    yield from fields_differ(truth, one)
    if one.get("status") and truth.get("ttfb_ms") is not None and abs(one.get("ttfb_ms", -1) - truth["ttfb_ms"]) > MS:
        yield f"ttfb_ms is {one.get('ttfb_ms')}, not {truth['ttfb_ms']}"
    if truth.get("t_req") and one.get("request_headers") and abs(one["time"] - truth["t_req"]) > SECONDS:
        yield f"time is {one['time']}, not {truth['t_req']}"


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
        yield from (f"{e.get('target')}: {text}" for text in exchange_differs(e, one))


def messages_differ(wants, got):
    """Each direction by itself: between them the truth has no order."""
    for direction in ("c2s", "s2c"):
        want = [(m["opcode"], m["len"], m.get("close_code"), m["sha"]) for m in wants if m["dir"] == direction]
        have = [(m["opcode"], m["len"], m.get("close_code"), short_sha(data_of(m))) for m in got if m["dir"] == direction]
        # Of closes the reason counts, too; of messages longer than what is kept nobody knows the hash.
        for i, (w, h) in enumerate(zip(want, have)):
            if h[1] > 65536:
                want[i], have[i] = w[:3], h[:3]
        if want != have:
            yield f"messages {direction}: {have}, not {want}"


def proxy_differs(want, got):
    if len(got) != 1:
        yield f"{len(got)} PROXY headers"
        return
    pairs = {"version": want["version"], "source": want.get("src"), "destination": want.get("dst"), "local": want.get("local")}
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
        texts = [] if ids else ["no such connection"]
        texts += [*conversation_differs(conn, mine("http")), *messages_differ(conn.get("ws_messages", []), mine("ws"))]
        if conn.get("proxy"):
            texts += proxy_differs(conn["proxy"], mine("proxy"))
        gap = sum(o.get("missing_down", 0) for o in mine("tcp"))
        if conn.get("gap_bytes_server") and gap != conn["gap_bytes_server"]:
            texts.append(f"a gap of {gap}, not {conn['gap_bytes_server']}")
        yield from (f"{conn['conn']}: {text}" for text in texts)


# --- what another decoder saw

def bags_differ(what, wants, got):
    missing, more = (collections.Counter(a) - collections.Counter(b) for a, b in ((wants, got), (got, wants)))
    if missing:
        yield f"{what}: missing {list(missing.elements())[:4]} ({sum(missing.values())})"
    if more:
        yield f"{what}: too many {list(more.elements())[:4]} ({sum(more.values())})"


def http1_seen(truth, http):
    http = [o for o in http if o["proto"] == "h1"]
    refused = any("refused" in o.get("note", "") for o in http)
    if "http1_requests" in truth:
        yield from bags_differ("requests", [(r["method"], r["uri"] or "") for r in truth["http1_requests"]],
                               [(o.get("method"), o.get("target")) for o in http if o.get("method")])
        hosts = {o.get("host") for o in http}
        yield from (f"host {r['host']}: nowhere" for r in truth["http1_requests"] if r.get("host") and r["host"] not in hosts and not refused)
        lengths = [r["body"] for r in truth["http1_requests"] if r.get("body")]
        yield from bags_differ("request bodies", lengths, [o["request_body"] for o in http if o.get("request_body") and lengths])
    if "http1_responses" in truth:
        wants = truth["http1_responses"]
        yield from bags_differ("statuses", [r["status"] for r in wants], [s for o in http for s in o.get("interim", []) + [o.get("status")] if s])
        if refused:  # of a message that nobody may send, everybody reads another body; it is said why
            return
        for key, ours in (("type", "response_type"), ("enc", "response_coding")):
            known = [r[key].partition(";")[0].strip() for r in wants if r.get(key)]
            yield from bags_differ(key, known, [o[ours] for o in http if o.get(ours) and known])
        known = [r["body"] for r in wants if r.get("body")]
        yield from bags_differ("response bodies", known, [o["response_body"] for o in http if o.get("response_body") and known])


def http2_seen(truth, http):
    http = [o for o in http if o["proto"] != "h1"]
    if "h2_requests" in truth:
        wants = truth["h2_requests"]
        yield from bags_differ("h2 requests", [(r["method"], r["path"]) for r in wants],
                               [(o.get("method"), o.get("target")) for o in http if o.get("method")])
        hosts, types = {o.get("host") for o in http}, {field_of(o, "request_headers", "content-type") for o in http}
        yield from (f"authority {r['authority']}: nowhere" for r in wants if r.get("authority") and r["authority"] not in hosts)
        yield from (f"content-type {r['content_type']}: nowhere" for r in wants if r.get("content_type") and r["content_type"] not in types)
    if "h2_responses" in truth:
        yield from bags_differ("h2 statuses", [r["status"] for r in truth["h2_responses"]], [o["status"] for o in http if o.get("status")])


def tls_seen(truth, run):
    tls = run.of("tls")
    if "tls_client_hellos" in truth:
        # One object a connection: of a second hello (HelloRetryRequest) the first one counts.
        first = {}
        for hello in truth["tls_client_hellos"]:
            first.setdefault(hello["stream"], hello)
        for key in ("sni", "ja3", "ja4"):
            if any(key in h for h in first.values()):
                yield from bags_differ(key, [h[key] for h in first.values() if h.get(key)], [o[key] for o in tls if o.get(key)])
        yield from bags_differ("alpn", [tuple(h["alpn"]) for h in first.values()], [tuple(o.get("alpn", [])) for o in tls if o.get("ja4")])
    if "tls_server_hellos" in truth:
        last = {hello["stream"]: hello for hello in truth["tls_server_hellos"]}
        # Drafts and experiments have numbers instead of versions, and hellos of their own shape.
        sure = [h for h in last.values() if number_of(h["version"]) in VERSIONS]
        told = [o for o in tls if o.get("version") in VERSIONS.values()]
        yield from bags_differ("cipher", [number_of(h["cipher"]) for h in sure], [cipher_number(o["cipher"]) for o in told])
        yield from bags_differ("version", [VERSIONS[number_of(h["version"])] for h in sure], [o["version"] for o in told])
        chosen = [a for h in last.values() for a in ([h["alpn"]] if isinstance(h["alpn"], str) else h["alpn"] or [])]
        known = {o.get("alpn_chosen") for o in tls}
        yield from (f"{name} was chosen, but not told" for name in chosen if name not in known)
    for stream, expected in truth.get("ja4_repo_expected", {}).items():
        if expected.get("JA4.1") and not any(o.get("ja4") == expected["JA4.1"] for o in tls):
            yield f"ja4 of stream {stream}: nowhere {expected}"


def cipher_numbers():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    known = {cipher["name"]: cipher["id"] & 0xFFFF for cipher in context.get_ciphers()}
    off = {"TLS_AES_128_CCM_SHA256": 0x1304, "TLS_AES_128_CCM_8_SHA256": 0x1305, "RC4-MD5": 0x0004, "RC4-SHA": 0x0005,
           "ECDHE-ECDSA-RC4-SHA": 0xC007, "ECDHE-RSA-RC4-SHA": 0xC011}  # that OpenSSL knows and does not list
    return {**off, **known}


NUMBERS = cipher_numbers()
VERSIONS = {0x0300: "SSLv3", 0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}


def number_of(value):
    return int(value, 0) if isinstance(value, str) else value


def cipher_number(name):
    """Names are OpenSSL's; what it does not know is told by its number."""
    return NUMBERS.get(name) or int(name, 0) if name in NUMBERS or name.startswith("0x") else name


def seen_by_other_differs(truth, run):
    http = run.of("http")
    yield from http1_seen(truth, http)
    yield from http2_seen(truth, http)
    yield from tls_seen(truth, run)
    streams = truth.get("counts", {}).get("tcp_streams")
    # Fewer are right: a lone FIN, RST or acknowledgment without a byte is a stream of tshark's, and no connection.
    if streams and streams < len(run.of("tcp")):
        yield f"{len(run.of('tcp'))} connections, not {streams}"
    if "ws" in truth:  # frames
        yield from bags_differ("messages", [(m["opcode"], m["len"]) for m in truth["ws"] if m["fin"] and m["opcode"]],
                               [(m["opcode"], m["len"]) for m in run.of("ws")])


def side_of(one):
    return conn_of(one), one.get("target"), one.get("stream")


def ties_differ(pairs, run, joined):
    """With --join each pair of both sides of a proxy is tied, both ends say so, nothing else is, and all else is told as without.

    None of the captures without pairs has both sides of a proxy, though many have several servers that are asked the same.
    """
    http = joined.of("http")
    known = {one["id"]: one for one in http}
    ties = [(one, known[one["upstream"]["id"]]) for one in http if "upstream" in one]
    wants = [tuple((p[side]["conn"], p[side]["path"], p[side]["sid"]) for side in ("downstream", "upstream")) for p in pairs]
    yield from bags_differ("pairs", wants, [(side_of(front), side_of(back)) for front, back in ties])
    yield from (f"{back['id']} has another downstream" for front, back in ties if back.get("downstream") != front["id"])
    rest = [{key: value for key, value in one.items() if key not in ("upstream", "downstream")} for one in http]
    if rest != run.of("http"):
        yield "exchanges are told otherwise with --join"


def corr_differs(truth, run):
    http = run.of("http")
    if truth["requests_down"] - len(truth["pairs"]) != truth["unmatched"]:
        yield "the truth's pairs are not all"
    wants = [(p[side]["conn"], p[side]["path"], p[side]["sid"]) for p in truth["pairs"] for side in ("downstream", "upstream")]
    got = list(map(side_of, http))
    yield from bags_differ("requests", wants, got)
    if len(run.of("tcp")) != truth["tcp_connections"]:
        yield f"{len(run.of('tcp'))} connections, not {truth['tcp_connections']}"
    if truth["requests_down"] + truth["requests_up"] != len(http):
        yield f"{len(http)} requests"
