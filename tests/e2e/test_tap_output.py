"""What nuncio-tap shows to people: the lines themselves, secrets, commands of curl, a terminal's colors and progress, Ctrl-C."""
import fcntl
import hashlib
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from base64 import b64decode

import pytest

from lib import clients
from lib.h2 import PREFACE, data, headers, settings
from lib.packets import Talk, pcap, request, response
from lib.peers import Script
from lib.poll import eventually
from lib.process import command
from lib.tap import TAP, lines, objects, tap

FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


# --- lines

def hello(name, *alpn):
    """A ClientHello of TLS 1.3 for one cipher."""
    def extension(kind, body):
        return struct.pack("!HH", kind, len(body)) + body
    host = struct.pack("!HBH", len(name) + 3, 0, len(name)) + name
    protocols = b"".join(bytes([len(one)]) + one for one in alpn)
    more = extension(0, host) + extension(16, struct.pack("!H", len(protocols)) + protocols) + extension(43, b"\x02\x03\x04")
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0" + struct.pack("!H", len(more)) + more
    return b"\x16\x03\x01" + struct.pack("!H", len(body) + 4) + b"\x01\0" + struct.pack("!H", len(body)) + body


SERVER_HELLO = b"\x16\x03\x03\0\x32\x02\0\0\x2e\x03\x03" + bytes(32) + b"\0\x13\x01\0\0\x06\0\x2b\0\x02\x03\x04"


def ja4(*ciphers, extensions, alpn):
    def short(words):
        return hashlib.sha256(",".join(words).encode()).hexdigest()[:12]
    return f"t13d{len(ciphers):02}{extensions + 2:02}{alpn}_{short(ciphers)}_{short(['002b'])}"


def test_lines_are_as_the_page_says(of_talks):
    asked = PREFACE + settings() + headers(1, [(":method", "GET"), (":scheme", "http"), (":authority", "api.test"), (":path", "/v1?x=1")])
    answer = headers(1, [(":status", "200"), ("content-type", "application/json; charset=utf-8")], False) + data(1, b"x" * 1234, True)
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    granted = (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    sealed = Talk(client="10.0.0.9:40113", server="10.0.0.2:9", at=1).send(True, hello(b"shop.test", b"h2"))
    shown = lines(of_talks(Talk(client="10.0.0.9:40112").ask(asked, answer).close(),
                       sealed.send(False, SERVER_HELLO + b"\x17\x03\x03\x05\x78" + bytes(1400)).close(),
                       Talk(client="10.0.0.9:40114", at=2).ask(request("/ws", fields=upgrade), granted).send(False, b'\x81\x09{"msg":1}').close()))
    print_of = ja4("1301", extensions=1, alpn="h2")
    assert shown == [
        "22:13:20.003 #1.1  10.0.0.9:40112 h2  GET http://api.test/v1?x=1 -> 200 1.2k json  ttfb 5.0ms total 5.0ms",
        f"22:13:21.003 #2    10.0.0.9:40113 tls sni=shop.test TLS1.3 alpn=h2 ja4={print_of}  [no keys: 86B up, 1.5k down]",
        "22:13:22.003 #3.1  10.0.0.9:40114 h1  GET http://a.test/ws -> 101 0B  ttfb 5.0ms total 5.0ms",
        '22:13:22.009 #3.1  10.0.0.9:40114 ws  <- text 9B {"msg":1}']


def test_objects_come_in_the_order_of_completion(of_talks):
    slow = Talk().send(True, request("/slow")).wait(1).send(False, response()).close()
    quick = Talk(client="10.0.0.3:1", at=0.1).ask(request("/quick"), response()).close()
    assert [x["target"] for x in objects(of_talks(slow, quick), kind="http")] == ["/quick", "/slow"]


def test_json_with_fields_and_bodies(of_talks):
    path = of_talks(Talk().ask(request("/", method="POST", fields="X-A: 1\r\nX-A: \"2\"\r\n", body="grün".encode()), response(200, b"\xff\0\x01\x02")).close())
    assert "request_headers" not in objects(path, kind="http")[0]
    fields, bodies = objects(path, "-v", kind="http")[0], objects(path, "-vv", kind="http")[0]
    assert fields["request_headers"][1:3] == [["X-A", "1"], ["X-A", '"2"']] and "request_data" not in fields
    assert bodies["request_data"] == "grün" and b64decode(bodies["response_data_base64"]) == b"\xff\0\x01\x02"


# --- secrets

SECRET = "s3cret"


def secretive():
    fields = (f"Authorization: Bearer {SECRET}\r\nCookie: sid={SECRET}; b={SECRET}\r\nX-Api-Key: {SECRET}\r\nX-Vault-Token: {SECRET}\r\n"
              f"Proxy-Authorization: Basic {SECRET}\r\nReferer: https://u:{SECRET}@a.test/?password={SECRET}\r\n")
    asked = request(f"/in;jsessionid={SECRET}?user=me&access_token={SECRET}&x=1", fields=fields + FORM, method="POST",
                    body=f"user=me&password={SECRET}&ok=1".encode())
    answer = response(302, b"", f"Set-Cookie: sid={SECRET}; Path=/\r\nLocation: /cb#id_token={SECRET}&x=2\r\n")
    again = request(f"http://u:{SECRET}@b.test/?sig={SECRET}", host="b.test")
    login = request("/login", method="POST", fields="Content-Type: application/json\r\n", body=b'{"user":"me","password":"%s"}' % SECRET.encode())
    told = response(200, b'{"access_token":"%s","id":7}' % SECRET.encode(), kind="application/json; charset=utf-8")
    other = f"HELLO\r\nCookie: sid={SECRET}\r\n".encode()
    return [Talk().ask(asked, answer).close(), Talk(client="10.0.0.3:1", at=1).ask(again, response()).close(),
            Talk(client="10.0.0.4:1", at=2).ask(login, told).close(), Talk(client="10.0.0.5:1", at=3).ask(other, b"OK\r\n").close()]


@pytest.mark.parametrize("words", [[], ["-v"], ["-vv"], ["--json"], ["--json", "-vv"], ["--follow", "1"], ["--follow", "2"], ["--follow", "1.1"],
                                   ["--follow", "4"], ["--curl", "1.1"], ["--curl", "2.1"], ["--curl", "3.1"], ["--stats"]], ids=" ".join)
def test_no_output_tells_a_secret_unless_asked(of_talks, words):
    path = of_talks(*secretive())
    shown = tap("-r", path, *words).stdout
    assert SECRET not in shown and ("--stats" in words or "***" in shown)
    assert SECRET in tap("-r", path, *words, "--show-secrets").stdout


def test_all_but_the_secret_is_shown(of_talks):
    shown = lines(of_talks(*secretive()), "-vv")
    assert "POST http://a.test/in;jsessionid=***?user=me&access_token=***&x=1 -> 302" in shown[0]
    for line in ("> Authorization: Bearer ***", "> Cookie: sid=***; b=***", "> Referer: https://***@a.test/?password=***",
                 "| user=me&password=***&ok=1", '| {"user":"me","password":"***"}', '| {"access_token":"***","id":7}', "< Set-Cookie: sid=***; Path=/", "< Location: /cb#id_token=***&x=2"):
        assert f"    {line}" in shown


# --- curl

def pairs(fields):
    return [tuple(part.strip() for part in field.split(":", 1)) for field in fields]


def received(conn):
    """(request line, fields, body) that a client sends."""
    head, body = clients.recv_head(conn)
    first, *fields = head.decode("latin-1").split("\r\n")[:-2]
    fields = pairs(fields)
    length = int(dict((name.lower(), value) for name, value in fields).get("content-length", 0))
    body += clients.recv_exactly(conn, length - len(body)) if length > len(body) else b""
    return first, fields, body


@pytest.mark.parametrize("asked", [
    request("/a?x=[1-3]&y={a,b}&z=%20'", fields="Accept: */*\r\nUser-Agent: me/1\r\nX-Empty:\r\nX-Quote: it's $HOME `id`\r\n"),
    request("/../b/./c", method="PUT", fields="Content-Type: text/plain\r\n", body=b"two\nlines 'quoted' \\n %s"),
    request("/bin", method="POST", fields="Content-Type: x/y\r\n", body=b"-" + bytes(range(256)) * 3),
    request("/long", method="POST", fields="Content-Type: text/plain\r\n", body=b"long " * 40000),
    request("*", method="OPTIONS"),
    request("http://b.test/absolute?q", host="b.test"),
    request("/", method="DELETE", host="a.test:8080"),
    request("/form", method="POST", fields=FORM + f"Cookie: a={SECRET}\r\n", body=b"password=" + SECRET.encode()),
    b"GET /old HTTP/1.0\r\nAccept: */*\r\n\r\n",
    request("/ws", fields="Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
], ids=lambda asked: asked.split()[1].decode())
def test_curl_sends_the_same_request_to_the_same_server(of_talks, peer, tmp_path, asked):
    got = []

    def serve(conn):
        got.append(received(conn))
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    server = peer(Script, serve)
    printed = tap("-r", of_talks(Talk(server=server.address).ask(asked, response()).close()), "--curl", "1.1", "--show-secrets").stdout
    done = command("sh", input=printed.replace("curl ", "curl -sS --noproxy '*' ", 1), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    head, _, body = asked.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    line, sent, sent_body = got[0]
    assert line == first.replace("HTTP/1.0", "HTTP/1.1") and sent_body == body
    assert set(pairs(fields)) <= set(sent)
    assert not any(name in ("Transfer-Encoding", "Expect") for name, _ in sent)


# --- terminals

class Terminal:
    """nuncio-tap with a terminal for its error output, and for the other one where asked: what it wrote is in text."""

    def __init__(self, *words, both=True, env=None):
        self.end, far = pty.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 400, 0, 0))
        clean = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        child = subprocess.Popen([str(TAP), *map(str, words)], stdin=subprocess.DEVNULL, stdout=far if both else subprocess.PIPE, stderr=far,
                                 env={**clean, "TERM": "xterm", "TZ": "UTC", **(env or {})})
        os.close(far)
        self.text = ""
        while part := self._read():
            self.text += part
        self.out = "" if both else child.stdout.read().decode()
        if not both:
            child.stdout.close()
        self.code = child.wait()
        os.close(self.end)

    def _read(self):
        try:
            return os.read(self.end, 65536).decode()
        except OSError:  # all who had the other end are gone
            return ""


def test_colors_are_for_terminals_that_want_them(of_talks):
    path = of_talks(Talk().ask(request(), response()).close())
    assert "\x1b[32m200" in Terminal("-r", path).text
    for words, env in (([], {"NO_COLOR": "1"}), (["--color", "never"], {}), ([], {"TERM": "dumb"})):
        shown = Terminal("-r", path, *words, env=env).text
        assert "\x1b" not in shown and " -> 200 " in shown
    assert "\x1b[32m200" in Terminal("-r", path, env={"NO_COLOR": ""}).text
    assert "\x1b[32m200" in Terminal("-r", path, "--color", "always", env={"NO_COLOR": "1"}).text


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    """17 MB: an exchange, and packets of a connection that says nothing anybody understands."""
    path = tmp_path_factory.mktemp("tap") / "long.pcap"
    head, body = (pcap([talk]) for talk in (Talk().ask(request("/first"), response()).close(), Talk(client="10.0.0.9:1", at=1).send(True, bytes(14000), 1400)))
    path.write_bytes(head + body[24:] * 1200)
    return path


@pytest.mark.parametrize("words", [["--stats"], [], ["--where", "status == 200"]], ids=["stats", "lines", "where"])
def test_a_long_file_shows_how_far_it_is_and_wipes_that_away(long_file, words):
    shown = Terminal("-r", long_file, "--color", "never", *words).text
    assert re.search(r"\r *\d+%  \d+ packets\x1b\[K", shown)
    screen = re.sub(r"[^\n]*\r(\x1b\[K)?", "", shown.replace("\r\n", "\n"))
    assert screen.startswith("1 request, 2 connections" if "--stats" in words else "22:13:20.003 #1.1 ")
    assert "%" not in screen and "\x1b" not in screen


def test_no_progress_where_nobody_looks(long_file, of_talks):
    assert "%" not in tap("-r", long_file, "--stats").stderr
    half = Terminal("-r", long_file, both=False)
    assert "packets\x1b[K" in half.text and "\x1b" not in half.out and " -> 200 " in half.out
    assert Terminal("-r", of_talks(Talk().ask(request(), response()).close()), both=False).text == ""


# --- Ctrl-C

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_table_comes_on_ctrl_c_too(number):
    child = subprocess.Popen([str(TAP), "-r", "-", "--stats"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdin.write(pcap([Talk().ask(request("/a"), response()).ask(request("/b"), response(503))]))
    child.stdin.flush()

    def waits_for_more():
        left = struct.unpack("i", fcntl.ioctl(child.stdin.fileno(), termios.FIONREAD, bytes(4)))[0]
        return not left and open(f"/proc/{child.pid}/stat").read().rsplit(")", 1)[1].split()[0] == "S"

    try:
        eventually(waits_for_more)
        child.send_signal(number)
        assert child.wait(60) == 0  # though who writes to it goes on
        out, said = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert not said
    shown = out.decode().splitlines()
    assert shown[0].startswith("2 requests, 1 connection in ")
    assert [line.split()[:7] for line in shown if line.startswith("a.test")] == [["a.test", "2", "1", "-", "-", "1", "-"]]
    assert json.dumps(shown[2].split()) == '["ttfb", "total"]'
