"""nuncio-tap over captures made here: what it understands, as lines and as JSON, to the byte."""
import gzip
import json
import struct

import pytest

from lib.packets import ETHERNET, LOOP, RAW, SLL, START, Packet, Talk, ip4, pcap, pcapng, request, response
from lib.tap import lines, objects, tap


@pytest.fixture
def file(tmp_path):
    """file(talks, ...) writes a pcap and gives its path; bytes are written as they are."""
    def write(content, name="some.pcap", **more):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else pcap(content, **more))
        return tmp_path / name
    return write


class Ping:
    """No conversation of TCP: a packet of ICMP."""
    packets = [Packet(START, ip4("10.0.0.1", "10.0.0.2", b"\x08" + bytes(7), protocol=1))]


def two_exchanges():
    return Talk().ask(request("/a?x=1"), response(200, b"hello", kind="application/json")).ask(
        request("/b", method="POST", body=b"12345"), response(404, b"")).close()


# --- lines

def test_a_line_for_each_exchange(file):
    assert lines(file([two_exchanges()])) == [
        "22:13:20.003 #1.1  10.0.0.1:40000 h1  GET http://a.test/a?x=1 -> 200 5B json  ttfb 5.0ms total 5.0ms",
        "22:13:20.009 #1.2  10.0.0.1:40000 h1  POST http://a.test/b -> 404 0B plain  ttfb 5.0ms total 5.0ms"]


def test_what_nobody_understands_is_counted(file):
    talk = Talk(server="10.0.0.2:6379").ask(b"PING\r\n", b"+PONG\r\n").reset()
    assert lines(file([talk])) == ["22:13:20.000 #1    10.0.0.1:40000 tcp -> 10.0.0.2:6379  [6B up, 7B down]  !reset"]


def test_fields_and_bodies_below_a_line(file):
    zipped = gzip.compress(b"one\ntwo\n", mtime=0)
    answer = response(200, zipped, "Content-Encoding: gzip\r\n")
    path = file([Talk().ask(request("/", fields="Accept: */*\r\n"), answer).close()])
    shown = lines(path, "-vv")
    assert shown[0].endswith(f" -> 200 {len(zipped)}B gzip plain  ttfb 5.0ms total 5.0ms")
    assert shown[1:] == ["    > Host: a.test", "    > Accept: */*", "    < Content-Type: text/plain", f"    < Content-Length: {len(zipped)}",
                         "    < Content-Encoding: gzip", "    | one", "    | two"]
    assert lines(path, "-v") == shown[:-2]


def test_secrets_are_masked_unless_asked_for(file):
    fields = "Authorization: Bearer s3cret\r\nCookie: sid=s3cret; theme=s3cret\r\n"
    path = file([Talk().ask(request("/", fields=fields), response(200, b"", "Set-Cookie: sid=s3cret; Path=/\r\n")).close()])
    for words in (["-vv"], ["--follow", "1"], ["--curl", "1.1"], ["--json"], []):
        assert "s3cret" not in tap("-r", path, *words).stdout
    assert "> Cookie: sid=***; theme=***" in tap("-r", path, "-v").stdout
    assert tap("-r", path, "-v", "--show-secrets").stdout.count("s3cret") == 4


def test_no_terminal_obeys_a_peer(file):
    evil = b"GET /\x1b]0;x\x07 HTTP/1.1\r\nHost: \xe2\x80\xae.test\r\nX: \x1b[2J\r\n\r\n"
    path = file([Talk().ask(evil, response(200, b"\x1b[31m")).close(), Talk(client="10.0.0.3:1").ask(b"\x1b[0m", b"").close()])
    for words in (["-vv"], ["--follow", "1"], ["--follow", "2"], ["--json"], ["--stats"]):
        shown = tap("-r", path, *words, "--color", "never").stdout
        assert not any(ord(c) < 32 and c != "\n" for c in shown), words
        assert "--json" in words or "\u202e" not in shown


def test_colors_are_asked_for_or_for_a_terminal(file):
    path = file([two_exchanges()])
    assert "\x1b[" not in tap("-r", path).stdout and "\x1b[32m200" in tap("-r", path, "--color", "always").stdout
    assert "\x1b[" not in tap("-r", path, "--color", "never").stdout


# --- JSON

def test_json_says_all_of_an_exchange(file):
    first, second = objects(file([two_exchanges()]), kind="http")
    assert first == {"type": "http", "id": "1.1", "time": 1700000000.003, "client": "10.0.0.1:40000", "server": "10.0.0.2:80",
                     "proto": "h1", "tls": False, "method": "GET", "host": "a.test", "target": "/a?x=1", "status": 200, "request_body": 0,
                     "response_body": 5, "response_type": "application/json", "ttfb_ms": 5.0, "total_ms": 5.0, "complete": True}
    assert (second["id"], second["request_body"], second["status"]) == ("1.2", 5, 404)


def test_json_of_a_connection(file):
    assert objects(file([two_exchanges()]), kind="tcp") == [{
        "type": "tcp", "id": "1", "time": 1700000000.0, "client": "10.0.0.1:40000", "server": "10.0.0.2:80",
        "bytes_up": len(request("/a?x=1") + request("/b", method="POST", body=b"12345")),
        "bytes_down": len(response(200, b"hello", kind="application/json") + response(404, b"")), "packets": 10, "total_ms": 17.0}]


def test_a_gap_is_told_and_the_next_exchange_is_seen(file):
    whole = response(200, b"x" * 3000)
    talk = (Talk().send(True, request("/gap")).send(False, whole[:1000]).lose(False, whole[1000:2000]).send(False, whole[2000:])
            .ack(True).ask(request("/next"), response(204)).close())
    gap, behind = objects(file([talk]), kind="http")
    assert (gap["complete"], behind["complete"], behind["target"], behind["status"]) == (False, True, "/next", 204)
    assert "gap of 1000B in the response body" in gap["note"]
    assert objects(file([talk]), kind="tcp")[0]["missing_down"] == 1000


def test_a_request_and_a_response_that_are_missing(file):
    """How many bytes they had is told where they should stand."""
    lost = request("/lost")
    talk = Talk().lose(True, lost).send(False, response(200, b"a")).ack(True).ask(request("/next"), response(201))
    talk.send(True, request("/silent")).lose(False, response(500)).close()
    alone, following, silent = objects(file([talk]), kind="http")
    assert (alone["status"], alone["complete"], alone["note"]) == (200, False, f"{len(lost)}B of the client before it were not captured")
    assert (following["target"], following["status"], following["complete"]) == ("/next", 201, True)
    assert (silent["target"], silent["note"]) == ("/silent", f"no response: gap of {len(response(500))}B")


def test_what_a_short_snap_length_leaves_of_heads(file):
    """tcpdump -s 96: start lines and first fields; less than headers of TCP: only counts."""
    path = file([two_exchanges()])
    first = objects(path, "-s", "92", kind="http")[0]  # 38 bytes of payload
    assert (first["method"], first["target"], first["host"], first["status"], first["ttfb_ms"]) == ("GET", "/a?x=1", "a.test", 200, 5.0)
    assert "gap of " in first["note"] and not first["complete"]
    [counted] = lines(path, "-s", "54")
    assert " tcp -> 10.0.0.2:80  [0B up, 0B down]  !gaps of " in counted


def test_retransmissions_and_closed_windows_explain_a_delay(file):
    talk = Talk().send(True, request("/slow"))
    at = talk.next[True] - len(request("/slow"))
    talk.packet(True, 24, request("/slow"), seq=at).ack(False, window=0).wait(0.2).send(False, response(200, b"late")).close()
    [slow] = objects(file([talk]), kind="http")
    assert "1 retransmission by the client" in slow["note"] and "1 zero window" in slow["note"] and slow["ttfb_ms"] > 200


def test_websocket_messages(file):
    asks = ("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
    granted = (b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    talk = Talk().ask(request("/ws", fields=asks), granted).send(False, b'\x81\x09{"msg":1}')
    talk.send(True, b"\x01\x82\0\0\0\0ab").send(True, b"\x80\x81\0\0\0\0c").send(True, b"\x88\x82\0\0\0\0\x03\xe9").close()
    path = file([talk])
    assert [(m["dir"], m["opcode"], m["len"], m.get("close_code")) for m in objects(path, kind="ws")] == [
        ("s2c", 1, 9, None), ("c2s", 1, 3, None), ("c2s", 8, 2, 1001)]
    assert '10.0.0.1:40000 ws  <- text 9B {"msg":1}' in lines(path)[1]


def test_proxy_headers(file):
    v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 1, 192, 0, 2, 2]) + struct.pack("!HH", 1000, 443)
    path = file([Talk().ask(b"PROXY TCP4 192.0.2.9 192.0.2.2 1001 80\r\n" + request("/v1"), response()).close(),
                 Talk(client="10.0.0.9:1", at=1).ask(v2 + request("/v2"), response()).close()])
    assert [(p["version"], p["source"], p["destination"]) for p in objects(path, kind="proxy")] == [
        (1, "192.0.2.9:1001", "192.0.2.2:80"), (2, "192.0.2.1:1000", "192.0.2.2:443")]
    assert [x["target"] for x in objects(path, kind="http")] == ["/v1", "/v2"]


def test_tls_that_stays_closed_says_why(file):
    body = b"\x03\x03" + bytes(32) + b"\0\0\x02\x13\x01\x01\0" + struct.pack("!H", 15) + b"\0\0\0\x0b\0\x09\0\0\x06a.test"
    hello = b"\x16\x03\x01" + struct.pack("!H", len(body) + 4) + b"\x01\0" + struct.pack("!H", len(body)) + body
    path = file([Talk(server="10.0.0.2:9").send(True, hello).send(False, b"\x15\x03\x03\0\x02\x02\x28").close()])
    [found] = objects(path, kind="tls")
    assert (found["sni"], found["decrypted"], found["alert"]) == ("a.test", False, "server: handshake_failure")
    assert "tls sni=a.test" in lines(path)[0] and f"[{found['reason']}: " in lines(path)[0]


@pytest.mark.parametrize("number, told", [(0x7F1C, "TLSv1.3-draft28"), (0x7E01, "0x7e01")])
def test_versions_that_are_no_standard(file, number, told):
    def hello(kind, body):
        return b"\x16\x03\x03" + struct.pack("!HBBH", len(body) + 4, kind, 0, len(body)) + body
    path = file([Talk().ask(hello(1, b"\x03\x03" + bytes(32) + b"\0\0\x02\x13\x01\x01\0\0\0"),
                            hello(2, struct.pack("!H", number) + bytes(32) + b"\0\x13\x01\0")).close()])
    [found] = objects(path, kind="tls")
    assert (found["version"], found["reason"]) == (told, "version unknown")


@pytest.mark.parametrize("size", [1, 12, 1400])
def test_a_hello_of_ssl_2_that_offers_tls(file, size):
    """Its ciphers of SSL 2 are nobody's; what follows is TLS."""
    ciphers = b"\0\0\x39\x07\0\xc0\0\0\x2f"
    old = b"\x01\x03\x01" + struct.pack("!HHH", len(ciphers), 0, 16) + ciphers + bytes(16)
    hello = b"\x03\x01" + bytes(32) + b"\0\0\x39\0"
    answer = b"\x16\x03\x01" + struct.pack("!HBBH", len(hello) + 4, 2, 0, len(hello)) + hello
    talk = Talk().send(True, struct.pack("!H", 0x8000 | len(old)) + old, size).send(False, answer, size)
    [found] = objects(file([talk.send(True, b"\x15\x03\x01\0\x02\x02\x30").close()]), kind="tls")
    assert (found["version"], found["cipher"], found["reason"]) == ("TLSv1", "DHE-RSA-AES256-SHA", "no data")
    assert found["alert"] == "client: unknown_ca" and "ja3" not in found


# --- sources

@pytest.mark.parametrize("link", [ETHERNET, RAW, SLL, LOOP])
@pytest.mark.parametrize("how", [{}, {"nano": True}, {"order": ">"}])
def test_every_format_tells_the_same(file, link, how):
    assert len(objects(file([two_exchanges()], link=link, **how), kind="http")) == 2


def test_interfaces_of_several_kinds_in_one_file(file):
    talks = [two_exchanges(), Talk(client="10.0.0.7:1").ask(request("/other"), response()).close()]
    found = objects(file(pcapng(talks, links=(ETHERNET, RAW)), "some.pcapng"), kind="http")
    assert sorted(x["target"] for x in found) == ["/a?x=1", "/b", "/other"]


def test_packets_that_are_not_read_are_counted(file):
    """A link type that nobody knows here, and frames that are no TCP."""
    content = pcap([two_exchanges()], link=RAW)
    done = tap("-r", file(content[:20] + struct.pack("<I", 147) + content[24:]))
    assert done.stderr == "nuncio-tap: 10 packets of link type 147, not read\n" and not done.stdout


def test_proxies_of_socks_are_looked_through(file):
    talk = Talk(server="10.0.0.2:1080").ask(b"\5\1\0", b"\5\0").ask(b"\5\1\0\3\6b.test\0\x50", b"\5\0\0\1\x0a\0\0\2\0\x50")
    [inside] = objects(file([talk.ask(request("/in"), response(200, b"x")).close()]), kind="http")
    assert (inside["target"], inside["status"], inside["complete"]) == ("/in", 200, True)


def test_standard_input(file):
    with open(file([two_exchanges()]), "rb") as source:
        assert len(tap("-r", "-", stdin=source).stdout.splitlines()) == 2


def test_an_expression_chooses_packets(file):
    path = file([two_exchanges(), Talk(client="10.0.0.7:1").ask(request("/other"), response()).close()])
    assert [x["target"] for x in objects(path, "host", "10.0.0.7", kind="http")] == ["/other"]
    assert 'syntax error' in tap("-r", path, "tcp prt 80", code=1).stderr
    assert tap("-r", path, "tcp", "port", "81").stderr == 'nuncio-tap: no packet fits "tcp port 81"\n'


def test_silence_is_explained(file):
    """Of a capture without TCP nothing is shown but that."""
    done = tap("-r", file([Ping() for _ in range(3)]))
    assert (done.stdout, done.stderr) == ("", "nuncio-tap: no TCP connection in 3 packets\n")


def test_packets_cut_by_a_snap_length(file):
    path = file([Talk().ask(request("/"), response(200, b"x" * 900)).close()], snaplen=400)
    [cut] = objects(path, kind="http")
    assert (cut["status"], cut["complete"]) == (200, False)
    assert objects(file([two_exchanges()]), "-s", "40", kind="http") == []


@pytest.mark.parametrize("content, said", [
    (b"", "is empty"),
    (b"no capture at all, no capture", "is no capture: neither pcap nor pcapng"),
    (gzip.compress(b"packets", mtime=0), "is packed: gzip -dc "),
    (pcap([two_exchanges()])[:-5], "is cut: it ends within a packet, after 9"),
])
def test_bad_files_get_one_clear_line(file, content, said):
    done = tap("-r", file(content), code=1)
    assert said in done.stderr and len(done.stderr.splitlines()) == 1
    assert len(done.stdout.splitlines()) == (2 if "cut" in said else 0)


def test_port_reuse_and_sequence_wrap(file):
    talks = [Talk(seq=(2**32 - 20, 2**32 - 30)).ask(request("/one"), response(200, b"a" * 100)).close(),
             Talk(at=1, seq=(77, 99)).ask(request("/two"), response(201)).close()]
    assert [(x["id"], x["target"], x["status"]) for x in objects(file(talks), kind="http")] == [("1.1", "/one", 200), ("2.1", "/two", 201)]


def test_one_byte_a_segment(file):
    talk = Talk().send(True, request("/tiny"), 1).send(False, response(200, b"hello"), 1).close()
    [tiny] = objects(file([talk]), kind="http")
    assert (tiny["target"], tiny["response_body"], tiny["complete"]) == ("/tiny", 5, True)


def test_memory_has_a_ceiling_and_what_is_given_up_is_counted(file):
    """Heads that never end, of more connections than fit."""
    talks = [Talk(client=f"10.1.{i // 200}.{i % 200}:9", at=i / 1000).send(True, b"GET / HTTP/1.1\r\nX: " + b"x" * 30000) for i in range(150)]
    done = tap("-r", file(talks), "--max-memory", "4MiB", "--json")
    assert "given up" in done.stderr
    assert len([line for line in done.stdout.splitlines() if json.loads(line)["type"] == "tcp"]) == 150
