"""Random conversations whose every exchange is known, as packets in and out of order: what the tap tells of them, and what tshark does."""
import gzip
import hashlib
import random
import sys
import zlib

import pytest

from lib import h2
from lib.nuncio import ROOT
from lib.packets import Talk, pcap
from lib.tap import TAP, tap
from lib.websocket import accepted, client_frame, close_payload
from lib.websocket import frame as ws_frame

sys.path[:0] = [str(ROOT / "tests/pcaps"), str(ROOT / "tests/bench")]
import compare  # noqa: E402
import run as pcaps  # noqa: E402
import tap_capture  # noqa: E402
import tshark  # noqa: E402

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def short_sha(body):
    return hashlib.sha256(body).hexdigest()[:16]


def words(rng, most):
    """Bytes of some length, text or not."""
    length = rng.choice([0, 1, rng.randrange(most), rng.randrange(most)])
    return bytes(rng.choices(b"abcdefgh \n", k=length)) if rng.random() < 0.7 else rng.randbytes(length)


def chunked(rng, body):
    out, at = b"", 0
    while at < len(body):
        size = rng.randrange(1, 2000)
        out += b"%x\r\n%s\r\n" % (len(body[at:at + size]), body[at:at + size])
        at += size
    return out + b"0\r\n\r\n"


# --- HTTP/1

def framed(rng, fields, body):
    """Fields and body, with a length or in chunks."""
    if rng.random() < 0.4:
        return fields + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(rng, body)
    return fields + b"Content-Length: %d\r\n\r\n" % len(body) + body


def h1_request(rng, n, head_too):
    method = rng.choice(["GET", "GET", "POST", "PUT", "DELETE"] + ["HEAD"] * head_too)
    host, target = f"h{rng.randrange(3)}.test", f"/{n}/{rng.randrange(10**6):x}?q={n}"
    body = words(rng, 5000) if method in ("POST", "PUT") else b""
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nX-Request-Id: {n}\r\n".encode()
    truth = {"proto": "h1", "method": method, "host": host, "target": target, "request_id": str(n), "req_body": len(body)}
    return (framed(rng, head, body) if body else head + b"\r\n"), truth


def h1_response(rng, method):
    status, body, wire, coding = rng.choice([200, 200, 201, 404, 500, 204, 304]), b"", b"", None
    interim = [103] * rng.choice([0, 0, 0, 2])
    fields = b"".join(b"HTTP/1.1 %d Early\r\nLink: </x>\r\n\r\n" % one for one in interim) + b"HTTP/1.1 %d X\r\nContent-Type: text/plain\r\n" % status
    if method == "HEAD" or status in (204, 304):
        out = fields + (b"" if status == 204 else b"Content-Length: 77\r\n") + b"\r\n"
    else:
        body = wire = words(rng, 20000)
        coding = rng.choice([None, None, "gzip", "deflate"]) if body else None
        if coding:
            wire = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
            fields += f"Content-Encoding: {coding}\r\n".encode()
        out = framed(rng, fields, wire)
    return out, {"status": status, "interim": interim, "resp_body": len(body), "resp_sha": short_sha(body) if body else None,
                 "resp_encoding": coding, "resp_wire_body": len(wire)}


def h1_talk(rng, talk):
    exchanges = []
    for first in range(0, rng.randrange(1, 6), 2):
        many = rng.choice([1, 1, 3])  # pipelined
        asked = [h1_request(rng, f"{talk.ends[True]}-{first}-{i}", many == 1) for i in range(many)]
        starts = []
        for out, _ in asked:
            starts.append(talk.now)
            talk.send(True, out)
        for (_, truth), start in zip(asked, starts):
            answer, more = h1_response(rng, truth["method"])
            if not more["interim"]:
                more.update(ttfb_ms=(talk.now - start) / 1000, t_req=start / 1e6)
            talk.send(False, answer)
            exchanges.append({**truth, **more})
    return {"exchanges": exchanges}


# --- HTTP/2

def h2_talk(rng, talk):
    """Streams that are open at the same time, answered in any order, DATA of both in turns."""
    talk.send(True, h2.PREFACE + h2.settings()).send(False, h2.settings())
    exchanges, parts = [], []
    for sid in range(1, 2 * rng.randrange(2, 6), 2):
        body, answer, status = words(rng, 3000), words(rng, 9000), rng.choice([200, 404, 503])
        method, target = ("POST" if body else "GET"), f"/h2/{sid}/{rng.randrange(10**6):x}"
        fields = [(":method", method), (":scheme", "http"), (":authority", "h2.test"), (":path", target), ("x-request-id", str(sid))]
        talk.send(True, h2.headers(sid, fields, not body) + (h2.data(sid, body, True) if body else b""))
        pieces = [answer[at:at + 4000] for at in range(0, len(answer), 4000)]
        frames = [h2.headers(sid, [(":status", str(status)), ("content-type", "text/plain")], not pieces)]
        frames += [h2.data(sid, piece, piece is pieces[-1]) for piece in pieces]
        parts.append(frames)
        exchanges.append({"proto": "h2", "sid": sid, "method": method, "host": "h2.test", "target": target, "req_body": len(body), "status": status,
                          "request_id": str(sid), "resp_body": len(answer), "resp_sha": short_sha(answer) if answer else None, "reset": None})
    while parts := [frames for frames in parts if frames]:
        talk.send(False, rng.choice(parts).pop(0))
    return {"exchanges": exchanges}


# --- WebSocket

def ws_talk(rng, talk):
    asked = (f"GET /chat HTTP/1.1\r\nHost: ws.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             f"Sec-WebSocket-Key: {KEY}\r\n\r\n").encode()
    talk.send(True, asked).send(False, b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                                + ACCEPT + b"\r\n\r\n")
    messages = []
    for _ in range(rng.randrange(1, 8)):
        client, opcode = rng.random() < 0.5, rng.choice([1, 2, 9])
        payload = bytes(rng.choices(b"abc", k=rng.choice([1, 125] if opcode == 9 else [1, 125, 126, 4000, 66000])))
        make = client_frame if client else ws_frame
        if opcode != 9 and len(payload) > 2 and rng.random() < 0.3:
            talk.send(client, make(opcode, payload[:2], fin=False)).send(client, make(0, payload[2:]))
        else:
            talk.send(client, make(opcode, payload))
        messages.append({"dir": "c2s" if client else "s2c", "opcode": opcode, "len": len(payload), "sha": short_sha(payload)})
    talk.send(True, client_frame(8, close_payload(1001)))
    messages.append({"dir": "c2s", "opcode": 8, "len": 2, "close_code": 1001, "sha": short_sha(close_payload(1001))})
    return {"exchanges": [{"proto": "h1", "method": "GET", "host": "ws.test", "target": "/chat", "status": 101, "upgrade": "websocket"}],
            "ws_messages": messages}


ACCEPT = next(line.split(b": ")[1] for line in accepted(KEY).split(b"\r\n") if line.lower().startswith(b"sec-websocket-accept"))


# --- all of them

def disorder(rng, talk, truth):
    """Neighbours swapped, packets sent again; times are not known then."""
    for i in range(4, len(talk.packets) - 4):
        a, b = talk.packets[i], talk.packets[i + 1]
        same = a.data[12:20] == b.data[12:20]
        if same and rng.random() < 0.3:
            a.time, b.time = b.time, a.time
        elif rng.random() < 0.1:
            talk.packets.append(type(a)(b.time + 1, a.data))
    for exchange in truth["exchanges"]:
        exchange.pop("ttfb_ms", None)
        exchange.pop("t_req", None)


KINDS = ((h1_talk, "http", 8000), (h2_talk, "http2", 8100), (ws_talk, "http", 8200))


def make(seed, in_order):
    """Talks, the truth of them, and what tshark has to know."""
    rng, talks, connections, ports = random.Random(seed), [], [], {}
    for number in range(36):
        kind, name, port = KINDS[0] if number % 2 else KINDS[number // 2 % 3]
        client, server = f"10.0.{number}.1:{40000 + number}", f"10.1.0.1:{port + number}"
        talk = Talk(client, server, at=rng.random(), step=rng.randrange(20, 400), seq=(rng.randrange(2**32), rng.randrange(2**32)))
        truth = {"conn": f"{client}-{server}", **kind(rng, talk)}
        talk.close()
        if not in_order:
            disorder(rng, talk, truth)
        talks.append(talk)
        connections.append(truth)
        ports[str(port + number)] = name
    return talks, {"connections": connections}, ports


@pytest.fixture(scope="module", params=[(1, True), (2, False)], ids=["in-order", "disordered"])
def made(request, tmp_path_factory):
    """(truth, ports, path, what the tap told)"""
    seed, in_order = request.param
    talks, truth, ports = make(seed, in_order)
    path = tmp_path_factory.mktemp("made") / f"seed-{seed}.pcap"
    path.write_bytes(pcap(talks))
    return truth, ports, path, pcaps.Run(TAP, path)


def test_all_of_it_is_told(made):
    truth, _, _, told = made
    assert told.code == 0 and not compare.unknown_keys(truth)
    assert list(compare.made_differs(truth, told)) == []


# How what tshark does not see begins, and why.
TSHARK = (("statuses: too many", "of packets that come again, or late, tshark loses a response"),
          ("bodies:", "the same; of what follows it exports parts"))


def test_tshark_sees_the_same(made, request):
    _, ports, path, told = made
    texts = list(tshark.differs(tshark.view_of(path, ports), told))
    if "in-order" not in request.node.name:
        texts = [text for text in texts if not text.startswith(tuple(begin for begin, _ in TSHARK))]
    assert texts == []


def other(value):
    return value + 50 if isinstance(value, (int, float)) and not isinstance(value, bool) else "another"


def test_whatever_is_wrong_is_noticed(made):
    """Each fact of the truth, changed: who compares says so."""
    truth, _, _, told = made
    for connection in truth["connections"]:
        mine = {"connections": [connection]}
        for one in connection["exchanges"][:2] + connection.get("ws_messages", [])[:1]:
            for key, value in list(one.items()):
                if value is None or (key == "sha" and one["len"] > 65536):
                    continue
                one[key] = other(value)
                assert list(compare.made_differs(mine, told)), (connection["conn"], key)
                one[key] = value
        assert not list(compare.made_differs(mine, told))


def test_two_thousand_connections_inside_tls_fit(tmp_path, monkeypatch):
    """All open at the same time, with HTTP/2 and keys: nothing is given up for memory, and no request is missed."""
    monkeypatch.setattr(tap_capture, "AT_ONCE", tap_capture.CONNECTIONS)
    monkeypatch.setattr(tap_capture, "BODY", 10)
    path = tmp_path / "many.pcap"
    keylog = tap_capture.make(path, 2 * tap_capture.CONNECTIONS, tap_capture.Sealed)
    done = tap("-r", path, "--keylog", keylog, "--stats")
    assert done.stderr == "" and done.stdout.startswith("4000 requests, 2000 connections in ")
