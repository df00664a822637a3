"""What nuncio-tap does besides lines: conditions, tables, one exchange, curl; inside TLS; live; its command line."""
import json
import os
import re
import signal
import ssl

import pytest

from lib import clients
from lib.build import SANITIZED
from lib.capture import Tap
from lib.config import config, listener
from lib.packets import RAW, Again, Talk, pcap, pcapng, request, response
from lib.peers import Echo
from lib.pki import Ca
from lib.process import Child, command
from lib.tap import TAP, lines, objects, tap


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Four exchanges of two hosts, and a connection of something else."""
    talk = Talk().ask(request("/a"), response(200, b"hello")).ask(request("/b"), response(500), wait=0.2)
    other = Talk(client="10.9.0.1:1", at=1).ask(request("/c", "b.test", "POST", "X-Id: 7\r\n", b"it's"), response(404)).close()
    lost = Talk(client="10.9.0.2:1", at=2).send(True, request("/d", "b.test")).reset()
    path = tmp_path_factory.mktemp("tap") / "some.pcap"
    path.write_bytes(pcap([talk.close(), other, lost, Talk(client="10.9.0.3:1", at=3).ask(b"PING\r\n", b"+PONG\r\n").close()]))
    return path


# --- conditions

@pytest.mark.parametrize("where, targets", [
    ('status >= 500', ["/b"]),
    ('host == "a.test" && status >= 500 && total > 100ms', ["/b"]),
    ('host == "b.test"', ["/c", "/d"]),
    ('host == "b.test" and not status', ["/d"]),
    ('client == "10.9.0.0/16" && type == "http"', ["/c", "/d"]),
    ('client == "10.9.0.1" || target contains "a"', ["/a", "/c"]),
    ('method != "GET"', ["/c"]),
    ('request.x-id == "7"', ["/c"]),
    ('response_body > 4B && ttfb < 1s', ["/a"]),
    ('!(status == 200 or status == 404) and proto == "h1"', ["/b", "/d"]),
    ('!complete && type == "http"', ["/d"]),
    ('type == "ws"', []),
    ('status < 404', ["/a"]),
    ('status <= 404', ["/a", "/c"]),
    ('status != 404', ["/a", "/b"]),
    ('status > 404 || status == 200', ["/a", "/b"]),
    ('not host == "a.test" or path == "/a"', ["/a", "/c", "/d"]),
    ("host == 'b.test' and !complete", ["/d"]),
    ('tls == false && complete != true', ["/d"]),
    ('client != "10.9.0.1:1" && server == "10.0.0.0/24"', ["/a", "/b", "/d"]),
    ('response.content-type contains "plain" && !(response_body >= 0.005k)', ["/b", "/c"]),
    ('connection == 1 &&\n  (ttfb >= 0.2s || total < 100ms)', ["/a", "/b"]),
])
def test_conditions(path, where, targets):
    assert [x["target"] for x in objects(path, "--where", where, kind="http")] == targets


@pytest.mark.parametrize("where, said", [
    ('hosst == "a"', ['--where:1:1: unknown field "hosst"', '      | ^^^^^ did you mean "host"?']),
    ('status == "a"', ["--where:1:11: status is a number", "      |           ^^^"]),
    ('status = 5', ['what is "="?', '^ did you mean "=="?']),
    ('host > "a"', ["> does not fit: host is a text"]),
    ('(status', ["this parenthesis is not closed"]),
    ('host == "a', ["this quote is not closed"]),
    ('status status', ["behind a comparison stands &&, || or nothing"]),
    ('', ["it ends where a field should stand"]),
    ('ttfb > 5', ["ttfb is a duration"]),
    ('(' * 99, ["deeper than 64"]),
    ('status == 200.5', ["--where:1:11: status is a number"]),
    ('status == && tls', ["--where:1:11: behind == should stand a value", "      |           ^^"]),
    ('client == "nobody"', ["--where:1:11: client is an address"]),
    ('host == "ä" && foo', ["--where:1:17: unknown", "\n      |                ^^^\n"]),
    ('tls &&\n  statsu == 5', ["--where:2:3: unknown", '\n    2 |   statsu == 5\n      |   ^^^^^^ did you mean "status"?']),
    ('hosst == "a" && (status == "b" || total > 5)', ["--where:1:1: unknown", "--where:1:28: status is", "--where:1:43: total is"]),
])
def test_mistakes_in_conditions(path, where, said):
    done = tap("-r", path, "--where", where, code=2)
    assert all(text in done.stderr for text in said) and not done.stdout


def test_fields_are_listed():
    listed = tap("--fields").stdout
    assert all(re.search(rf"^  {name} ", listed, re.M) for name in ("host", "status", "ttfb", "sni", "close_code", "request.NAME"))


# --- other outputs

def test_stats(path):
    shown = lines(path, "--stats")
    assert shown[0].startswith("4 requests, 4 connections in 3.0")
    assert [line.split()[:7] for line in shown if line.startswith(("a.test", "b.test", "all"))] == [
        ["a.test", "2", "1", "-", "-", "1", "-"], ["b.test", "2", "-", "-", "1", "-", "1"], ["all", "4", "1", "-", "1", "1", "1"]]


def test_follow_shows_one_exchange_with_all_of_it(path):
    shown = lines(path, "--follow", "2.1")
    assert "POST http://b.test/c" in shown[0] and "    | it's" in shown and "    < Content-Type: text/plain" in shown
    assert not any("/a" in line for line in shown)
    assert lines(path, "--follow", "#4")[:2] == ["    > PING", "    < +PONG"]


def test_curl_says_what_was_sent(path):
    printed = tap("-r", path, "--curl", "2.1").stdout
    words = command("sh", "-c", 'curl() { printf "%s\\n" "$@"; }\n' + printed, check=True).stdout.splitlines()
    assert words == ["--url", "http://b.test/c", "--connect-to", "::10.0.0.2:80", "-H", "X-Id: 7", "-H", "Content-Type:", "--data-binary", "it's"]
    assert "no request with this id" in tap("-r", path, "--curl", "9.9", code=1).stderr


def test_curl_of_hostile_requests(tmp_path):
    """What a shell would run, curl would read from a file, or an option would be, is a plain word."""
    evil = request("/';touch${IFS}x;'[a]", method="POST", fields="A: '; $(touch x) `touch x`\r\n", body=b"@/etc/passwd\0'%s\\n")
    (tmp_path / "f").write_bytes(pcap([Talk().ask(evil, response()).close()]))
    printed = tap("-r", tmp_path / "f", "--curl", "1.1", code=0).stdout
    run = 'curl() { printf "%s\\n" "$@"; cat >body; }\n' + printed
    command("sh", "-c", run, cwd=tmp_path, check=True)
    assert sorted(os.listdir(tmp_path)) == ["body", "f"] and (tmp_path / "body").read_bytes() == b"@/etc/passwd\0'%s\\n"


# --- TLS

@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def sealed(nuncio, peer, ca, tmp_path):
    """sealed(version) -> what Python's client said over TLS to nuncio, as packets, and nuncio's key log."""
    signed = ca.get("a.test")
    tls = {"certificates": [{"cert": str(signed.cert), "key": str(signed.key)}], "keylog": "keys.txt"}
    proxy = nuncio(config(listeners=[listener({"http": {"routes": [{"respond": {"status": 200, "body": "inside\n"}}]}}, tls=tls)]))
    front = peer(Tap, proxy.address("in"))

    def talk(version):
        context = clients.tls_context((), ca.cert)
        context.minimum_version = context.maximum_version = version
        with context.wrap_socket(clients.connect(front.address), server_hostname="a.test") as sock:
            sock.sendall(b"GET /secret HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
            while sock.recv(4096):
                pass
        return front.captures[-1].write(tmp_path / "tls.pcap"), (proxy.dir / "keys.txt").read_bytes()

    return talk


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_inside_tls(sealed, tmp_path, version):
    path, keys = sealed(version)
    (tmp_path / "keys").write_bytes(keys)
    [closed] = objects(path, kind="tls")
    assert (closed["sni"], closed["decrypted"], closed["reason"]) == ("a.test", False, "no keys")
    assert objects(path, kind="http") == []
    [inside] = objects(path, "--keylog", tmp_path / "keys", kind="http")
    assert (inside["tls"], inside["host"], inside["target"], inside["status"], inside["response_body"]) == (True, "a.test", "/secret", 200, 7)
    assert objects(path, "--keylog", tmp_path / "keys", kind="tls")[0]["decrypted"] is True


def test_a_long_key_log_is_read_to_its_end(sealed, tmp_path):
    """However its lines lie to what is read at once."""
    path, keys = sealed(ssl.TLSVersion.TLSv1_3)
    for first in range(0, len(keys), 40):
        (tmp_path / "keys").write_bytes(b"#" * (65536 - first - 1) + b"\n" + keys)
        assert [x["target"] for x in objects(path, "--keylog", tmp_path / "keys", kind="http")] == ["/secret"], first


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("piped", [False, True])
def test_secrets_in_the_capture(sealed, tmp_path, late, piped):
    path, keys = sealed(ssl.TLSVersion.TLSv1_3)
    (tmp_path / "f").write_bytes(pcapng([Again(path.read_bytes())], secrets=keys, late=late))
    with open(tmp_path / "f", "rb") as source:
        found = objects("-" if piped else tmp_path / "f", kind="http", **({"stdin": source} if piped else {}))
    assert [x["target"] for x in found] == ["/secret"]


def test_a_key_log_that_grows(sealed, closing, tmp_path):
    """Keys come when all packets are there already, line by line and cut within a line, and no further packet comes."""
    path, keys = sealed(ssl.TLSVersion.TLSv1_3)
    log, pipe = tmp_path / "growing", tmp_path / "pipe"
    log.write_bytes(b"")
    os.mkfifo(pipe)
    child = closing(Child(TAP, "-r", pipe, "--json", "--keylog", log))
    with open(pipe, "wb") as source, open(log, "ab", buffering=0) as out:
        source.write(path.read_bytes() + pcap([Talk(client="10.9.0.9:9").ask(request("/mark"), response())], RAW)[24:])
        source.flush()
        child.wait_line('"target":"/mark"')
        assert '"target":"/secret"' not in child.output()
        out.write(keys[:100])
        out.write(keys[100:])
        found = json.loads(child.wait_line(r'(\{.*"target":"/secret".*)')[1])
    assert (found["status"], found["complete"], found["tls"]) == (200, True, True) and child.wait() == 0


def test_it_gives_up_its_rights_before_it_reads(closing, tmp_path):
    """A file, too, is read without root, capabilities, and most system calls."""
    os.mkfifo(tmp_path / "pipe")
    child = closing(Child(TAP, "-r", tmp_path / "pipe"))
    with open(tmp_path / "pipe", "wb") as source:
        source.write(pcap([Talk().ask(request("/a"), response())]))
        source.flush()
        child.wait_line("a.test/a")
        status = dict(re.findall(r"(?m)^(\w+):\s+(.*)$", open(f"/proc/{child.pid}/status").read()))
    assert status["NoNewPrivs"] == "1" and set(status["Uid"].split()) != {"0"} and child.wait() == 0
    assert all(int(status[which], 16) == 0 for which in ("CapInh", "CapPrm", "CapEff", "CapAmb"))
    assert SANITIZED or status["Seccomp"] == "2"


# --- the command line

@pytest.mark.parametrize("words, said", [
    ([], "what to look at? -i INTERFACE or -r FILE"),
    (["-r", "a", "-i", "b"], "what to look at?"),
    (["-r", "a", "--jsn"], 'unknown option "--jsn": did you mean "--json"?'),
    (["-r", "a", "--json", "--stats"], "one of --json, --stats, --follow, --curl"),
    (["-r", "a", "--join", "--stats"], "--join is for lines and --json"),
    (["-r", "a", "--follow", "x"], '"x" is no id like 17 or 17.3'),
    (["-r", "a", "--curl", "17"], "of one request, like 17.3"),
    (["-r", "a", "--max-memory", "1"], "at least 4MiB"),
    (["-r", "a", "--max-memory", "x"], '"x" is no size like 64MiB'),
    (["-r", "a", "--color", "x"], "none of auto, always, never"),
    (["-r", "a", "-s", "0"], "no number from 1 to"),
])
def test_wrong_usage_is_told_and_exits_2(words, said):
    done = tap(*words, code=2)
    assert said in done.stderr and not done.stdout


def test_help_version_and_what_is_not_there(tmp_path):
    shown = tap("--help").stdout
    assert shown.startswith("usage: nuncio-tap ") and max(map(len, shown.splitlines())) <= 120
    assert re.match(r"nuncio-tap \d\S*\nlibpcap ", tap("--version").stdout)
    assert "No such file" in tap("-r", tmp_path / "none", code=1).stderr
    assert "No such file" in tap("-r", tmp_path, "--keylog", tmp_path / "none", code=1).stderr


def test_output_that_nobody_takes_is_a_failure(path):
    done = command("sh", "-c", f"exec {TAP} -r {path} >/dev/full")
    assert done.returncode == 1 and "cannot write to the standard output" in done.stderr


# --- live

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root")


@needs_root
def test_live_on_loopback(peer, closing):
    echo = peer(Echo)
    port = echo.address.rsplit(":", 1)[1]
    child = closing(Child(TAP, "-i", "lo", "tcp", "port", port, "--json"))
    child.wait_line("listens on lo")
    with clients.connect(echo.address) as sock:
        sock.sendall(b"GET /live HTTP/1.1\r\nHost: a.test\r\n\r\n")
        clients.recv_exactly(sock, 20)
    child.wait_line(r'"type":"tcp".*"bytes_up":|"target":"/live"')
    status = open(f"/proc/{child.pid}/status").read()
    assert re.search(r"^CapEff:\t0+$", status, re.M) and re.search(r"^Uid:\t(?!0\t)", status, re.M)
    child.signal(signal.SIGINT)
    assert child.wait() == 0 and re.search(r"\d+ packets, 0 dropped by the kernel, 0 by the interface", child.output())
