"""nuncio-tap writes files: captures that tshark opens decrypted, of all or of chosen connections, in rings; HTTP archives."""
import gzip
import json
import os
import re
import signal

import pytest

from lib import clients
from lib.browser import Browser
from lib.capture import Tap, tshark
from lib.config import config, listener
from lib.har import body, read_har
from lib.packets import ETHERNET, RAW, Again, Talk, pcap, pcapng, request, response
from lib.peers import Echo
from lib.pki import Ca
from lib.poll import eventually
from lib.process import Child, command
from lib.tap import TAP, lines, objects, tap


def talk(number, status=200, size=5):
    return Talk(client=f"10.0.0.1:{40000 + number}", at=number / 100).ask(request(f"/{number}"), response(status, b"x" * size)).close()


@pytest.fixture
def path(tmp_path):
    """Three connections, of two interfaces with frames of different kinds."""
    (tmp_path / "some.pcapng").write_bytes(pcapng([talk(1), talk(2, 500), talk(3)], links=(ETHERNET, RAW)))
    return tmp_path / "some.pcapng"



def test_all_that_came_is_written(path, tmp_path):
    assert lines(path, "-w", tmp_path / "out.pcapng") == lines(path)
    assert objects(tmp_path / "out.pcapng") == objects(path)
    told = command("capinfos", "-M", tmp_path / "out.pcapng", check=True).stdout
    assert re.search(r"Number of packets: +24$", told, re.M) and "Encapsulation = Ethernet" in told and "Encapsulation = Raw IP" in told
    assert os.stat(tmp_path / "out.pcapng").st_mode & 0o777 == 0o600


def test_only_connections_that_were_asked_for(path, tmp_path):
    tap("-r", path, "-w", tmp_path / "out.pcapng", "--where", "status >= 500")
    assert [x["target"] for x in objects(tmp_path / "out.pcapng", kind="http")] == ["/2"]
    assert objects(tmp_path / "out.pcapng", kind="tcp")[0]["packets"] == 8
    tap("-r", path, "-w", tmp_path / "out.pcapng", "--follow", "3")
    assert [x["target"] for x in objects(tmp_path / "out.pcapng", kind="http")] == ["/3"]


def test_connections_longer_than_memory(tmp_path):
    """A megabyte waits at most, and the answer that is asked for comes behind three: a file is read twice, of a pipe some is lost."""
    long = Talk().ask(request("/big"), response(200, b"x" * 3_000_000)).ask(request("/odd"), response(500)).close()
    (tmp_path / "in.pcap").write_bytes(pcap([talk(1), long]))
    words = "--max-memory", "4MiB", "--where", "status == 500", "-w", tmp_path / "out.pcapng"
    assert tap("-r", tmp_path / "in.pcap", *words).stderr == ""
    assert [x["target"] for x in objects(tmp_path / "out.pcapng", kind="http")] == ["/big", "/odd"]
    done = command("sh", "-c", 'cat in.pcap | "$0" -r - "$@"', TAP, *words, cwd=tmp_path, check=True)
    assert re.search(r"\d+ packets of chosen connections not written, for memory", done.stderr)
    assert tshark(tmp_path / "out.pcapng", "http.request.uri", where="http.request") == [["/odd"]]


def test_through_a_pipe_into_tshark(path):
    """The first packet of each connection has a comment that tells what it was."""
    words = "-T fields -E separator=| -e tcp.stream -e frame.comment -e http.request.uri".split()
    done = command("sh", "-c", 'tap=$0 file=$1; shift; "$tap" -r "$file" -w - | tshark -r - "$@"', TAP, path, *words, check=True)
    packets = [line.split("|") for line in done.stdout.splitlines()]
    assert [uri for _, _, uri in packets if uri] == ["/1", "/2", "/3"]
    told = [(stream, text) for stream, text, _ in packets if text]
    assert [stream for stream, _ in told] == ["0", "1", "2"]
    assert "#2.1 h1 GET http://a.test/2 -> 500 5B" in told[1][1] and "10.0.0.1:40002 -> 10.0.0.2:80" in told[1][1]


def test_who_reads_on_sees_packets_soon(tmp_path, closing):
    """What writes into it pauses, and goes on only when the packets have come out."""
    os.mkfifo(tmp_path / "in")
    child = closing(Child("sh", "-c", f"exec {TAP} -r {tmp_path}/in -w - >{tmp_path}/out.pcapng"))
    with open(tmp_path / "in", "wb") as source:
        source.write(pcap([talk(1)]))
        source.flush()
        eventually(lambda: b"\r\n\r\nxxxxx" in (tmp_path / "out.pcapng").read_bytes())
    assert child.wait() == 0
    assert objects(tmp_path / "out.pcapng", kind="http")[0]["target"] == "/1"


# --- keys

@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


def test_wireshark_needs_no_keys_of_its_own(nuncio, peer, ca, tmp_path):
    """HTTP/2 inside TLS 1.2 and 1.3, of three connections; two of them are written, with their secrets and no others."""
    signed = ca.get("a.test")
    tls = {"certificates": [{"cert": str(signed.cert), "key": str(signed.key)}], "keylog": "keys.txt", "alpn": ["h2"]}
    routes = [{"match": {"path": "/no"}, "respond": {"status": 404}}, {"respond": {"status": 200, "body": "inside\n"}}]
    proxy = nuncio(config(listeners=[listener({"http": {"routes": routes}}, tls=tls)]))
    front = peer(Tap, proxy.address("in"))
    for target, version in ("no", "1.3"), ("two", "1.2"), ("three", "1.3"):
        command("curl", "-sk", "--http2", "--tls-max", version, f"https://{front.address}/{target}", check=True)
    for number, capture in enumerate(front.captures):  # ports of their own
        port = bytes([0x9c, 0x41 + number])
        capture.packets = [p[:20] + port + p[22:] if p[12:16] == bytes([10, 0, 0, 1]) else p[:22] + port + p[24:] for p in capture.packets]
    talks = [Again(capture.write(tmp_path / "one").read_bytes()) for capture in front.captures]
    (tmp_path / "in.pcap").write_bytes(pcap(talks))
    tap("-r", tmp_path / "in.pcap", "--keylog", proxy.dir / "keys.txt", "-w", tmp_path / "out.pcapng", "--where", "status == 200")
    assert sorted(tshark(tmp_path / "out.pcapng", "http2.headers.path", where="http2.headers.path")) == [["/three"], ["/two"]]
    keys = re.findall(rb"((?:CLIENT|SERVER)\w+) ([0-9a-f]{64}) [0-9a-f]{64,}\n", (tmp_path / "out.pcapng").read_bytes())
    assert len({random for _, random in keys}) == 2
    assert sorted(label for label, _ in keys) == [b"CLIENT_HANDSHAKE_TRAFFIC_SECRET", b"CLIENT_RANDOM", b"CLIENT_TRAFFIC_SECRET_0",
                                                  b"SERVER_HANDSHAKE_TRAFFIC_SECRET", b"SERVER_TRAFFIC_SECRET_0"]
    tap("-r", tmp_path / "in.pcap", "-w", tmp_path / "out.pcapng")
    assert b"TRAFFIC" not in (tmp_path / "out.pcapng").read_bytes() and b"CLIENT_RANDOM" not in (tmp_path / "out.pcapng").read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root")
def test_live_keys_stand_before_what_they_open(nuncio, ca, closing, tmp_path):
    """They are logged when the packets have been captured already."""
    signed = ca.get("a.test")
    tls = {"certificates": [{"cert": str(signed.cert), "key": str(signed.key)}], "keylog": "keys.txt", "alpn": ["h2"]}
    proxy = nuncio(config(listeners=[listener({"http": {"routes": [{"respond": {"status": 200}}]}}, tls=tls)]))
    port = proxy.address("in").rsplit(":", 1)[1]
    child = closing(Child(TAP, "-i", "lo", "tcp", "port", port, "--keylog", proxy.dir / "keys.txt", "-w", tmp_path / "out.pcapng"))
    child.wait_line("listens on lo")
    command("curl", "-sk", "--http2", f"https://{proxy.address('in')}/live", check=True)
    child.wait_line("/live -> 200")
    child.signal(signal.SIGINT)
    assert child.wait() == 0
    fields = "-d", f"tcp.port=={port},tls", "-Y", "http2.headers.path", "-T", "fields", "-e", "http2.headers.path"
    assert command("tshark", "-r", tmp_path / "out.pcapng", *fields, check=True).stdout == "/live\n"


# --- rings

def test_a_ring_is_bounded(tmp_path):
    (tmp_path / "in.pcap").write_bytes(pcap([talk(i, size=1000) for i in range(40)]))
    (tmp_path / "ring").mkdir()
    tap("-r", tmp_path / "in.pcap", "-w", tmp_path / "ring/f.pcapng", "-C", "10KiB", "-W", "3")
    files = sorted((tmp_path / "ring").iterdir())
    assert len(files) == 3 and all(re.fullmatch(r"f_\d{5}_20231114221320\.pcapng", file.name) for file in files)
    assert all(file.stat().st_size <= 10240 for file in files)
    assert objects(files[-1], kind="http")[-1]["target"] == "/39"
    assert [int(file.name[2:7]) for file in files] == list(range(int(files[0].name[2:7]), int(files[0].name[2:7]) + 3))


def test_a_ring_by_time_keeps_all_unless_told(tmp_path):
    (tmp_path / "in.pcap").write_bytes(pcap([talk(i) for i in range(0, 300, 100)]))
    (tmp_path / "ring").mkdir()
    tap("-r", tmp_path / "in.pcap", "-w", tmp_path / "ring/f", "-G", "1s")
    files = sorted((tmp_path / "ring").iterdir())
    assert [file.name for file in files] == [f"f_0000{n}_2023111422132{n - 1}.pcapng" for n in (1, 2, 3)]
    assert [x["target"] for file in files for x in objects(file, kind="http")] == ["/0", "/100", "/200"]


@pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root")
def test_live_ring_after_rights_are_gone(peer, closing, tmp_path):
    """In a directory that only root may write to."""
    echo = peer(Echo)
    (tmp_path / "ring").mkdir(0o700)
    child = closing(Child(TAP, "-i", "lo", "tcp", "port", echo.address.rsplit(":", 1)[1], "-w", tmp_path / "ring/f.pcapng", "-C", "2KiB", "-W", "2"))
    child.wait_line("listens on lo")
    status = open(f"/proc/{child.pid}/status").read()
    assert re.search(r"^CapEff:\t0+$", status, re.M) and re.search(r"^Uid:\t(?!0\t)", status, re.M)

    def numbers():
        with clients.connect(echo.address) as sock:
            sock.sendall(request("/live"))
            clients.recv_exactly(sock, 20)
        return sorted(int(file.name[2:7]) for file in (tmp_path / "ring").iterdir())

    eventually(lambda: numbers()[:1] > [1])
    child.signal(signal.SIGINT)
    assert child.wait() == 0 and len(list((tmp_path / "ring").iterdir())) == 2


# --- HTTP archives

@pytest.fixture
def varied(tmp_path):
    """Exchanges of all kinds, as bytes and text."""
    binary, text = bytes(range(256)) * 3, 'say "hé"\n' * 50
    zipped = gzip.compress(text.encode(), mtime=0)
    secret = "Authorization: Bearer s3cret\r\nCookie: a=s3cret; b=s3cret\r\n"
    talk = (Talk().ask(request("/a?x=1&y=%20&z", fields=secret), response(200, zipped, "Content-Encoding: gzip\r\n"))
            .ask(request("/b", method="POST", body=binary, fields="Content-Type: x/y\r\n"), response(200, binary, kind="image/png"), wait=0.1)
            .ask(request("/c", method="PUT", body=b"{}"), response(302, b"", "Location: /d\r\nSet-Cookie: sid=s3cret; Path=/; Secure; HttpOnly\r\n"))
            .ask(request("*", method="OPTIONS"), response(204)).send(True, request("/lost")).reset())
    (tmp_path / "in.pcap").write_bytes(pcap([talk]))
    return tmp_path / "in.pcap"


def test_an_archive_has_all_of_an_exchange(varied, tmp_path):
    tap("-r", varied, "--har", tmp_path / "out.har")
    a, b, c, options, lost = read_har(tmp_path / "out.har")
    assert a["request"]["url"] == "http://a.test/a?x=1&y=%20&z" and a["startedDateTime"] == "2023-11-14T22:13:20.003000Z"
    assert [(q["name"], q["value"]) for q in a["request"]["queryString"]] == [("x", "1"), ("y", "%20"), ("z", "")]
    assert body(a["response"]["content"]) == 'say "hé"\n'.encode() * 50 and a["response"]["content"]["compression"] > 400
    assert (a["timings"]["wait"], a["serverIPAddress"], a["connection"], a["comment"]) == (5.0, "10.0.0.2", "1", "#1.1")
    assert body(b["request"]["postData"]) == body(b["response"]["content"]) == bytes(range(256)) * 3 and b["time"] > 100
    assert c["request"]["postData"]["text"] == "{}" and c["response"]["redirectURL"] == "/d"
    assert c["response"]["cookies"] == [{"name": "sid", "value": "***", "path": "/", "secure": True, "httpOnly": True}]
    assert options["request"]["url"] == "http://a.test/" and options["response"]["statusText"] == "X"
    assert lost["response"]["status"] == 0 and "reset" in lost["comment"]


def test_an_archive_shows_no_secrets_unless_asked(varied, tmp_path):
    tap("-r", varied, "--har", tmp_path / "out.har")
    assert "s3cret" not in (tmp_path / "out.har").read_text()
    tap("-r", varied, "--har", tmp_path / "out.har", "--show-secrets")
    [first, *_] = read_har(tmp_path / "out.har")
    assert [c["value"] for c in first["request"]["cookies"]] == ["s3cret", "s3cret"]
    assert (tmp_path / "out.har").read_text().count("s3cret") == 7


def test_an_archive_of_what_was_asked_for(varied, tmp_path):
    assert json.loads(tap("-r", varied, "--har", "-", "--where", "status == 302").stdout)["log"]["entries"][0]["comment"] == "#1.3"
    tap("-r", varied, "--har", tmp_path / "none.har", "--where", "status == 999")
    assert read_har(tmp_path / "none.har") == []


def test_an_archive_of_long_bodies_says_what_is_missing(tmp_path):
    long = b"\x00" * 5_000_000
    (tmp_path / "in.pcap").write_bytes(pcap([Talk().ask(request("/"), response(200, long)).close()], snaplen=65535))
    tap("-r", tmp_path / "in.pcap", "--har", tmp_path / "out.har")
    [entry] = read_har(tmp_path / "out.har")
    content = entry["response"]["content"]
    assert content["size"] == 5_000_000 and len(body(content)) == 4 << 20 and "of 5000000 bytes" in content["comment"]


IMPORT = """import('./models/har/har.js').then(async har => {
    const log = new har.HARFormat.HARRoot(%s).log, found = har.Importer.Importer.requestsFromHARLog(log);
    return found.map(x => [x.requestMethod, x.url(), x.statusCode, x.mimeType, x.resourceSize]); })"""


def test_chromium_imports_an_archive(varied, tmp_path, closing):
    """The importer of its own developer tools."""
    tap("-r", varied, "--har", tmp_path / "out.har")
    browser = closing(Browser(tmp_path))
    browser.open("devtools://devtools/bundled/inspector.html")
    browser.until("location.protocol == 'devtools:' && document.readyState == 'complete'")
    found = browser.run(IMPORT % (tmp_path / "out.har").read_text())
    assert [one[:3] for one in found] == [["GET", "http://a.test/a?x=1&y=%20&z", 200], ["POST", "http://a.test/b", 200],
                                          ["PUT", "http://a.test/c", 302], ["OPTIONS", "http://a.test/", 204], ["GET", "http://a.test/lost", 0]]
    assert found[1][3:] == ["image/png", 768]


# --- what goes wrong

@pytest.mark.parametrize("words, said", [
    (["-w", "/dev/full"], "/dev/full: cannot write: No space left on device"),
    (["-w", "none/out.pcapng"], "none/out.pcapng: cannot write: No such file or directory"),
    (["-w", "none/out.pcapng", "-C", "1"], "none/out.pcapng: files cannot be made there: No such file or directory"),
    (["-w", "some.pcapng"], "some.pcapng: is the file that is read"),
    (["--har", "some.pcapng"], "some.pcapng: is the file that is read"),
    (["--har", "/dev/full"], "/dev/full: cannot write: No space left on device"),
    (["--har", "none/x.har"], "none/x.har: cannot write: No such file or directory"),
])
def test_what_cannot_be_written_is_told(path, words, said):
    before = path.read_bytes()
    done = tap("-r", path.name, *words, cwd=path.parent, code=1)
    assert said in done.stderr and len(done.stderr.splitlines()) == 1
    assert path.read_bytes() == before


def test_a_full_disk_leaves_a_file_of_whole_packets(path, tmp_path):
    (tmp_path / "in.pcap").write_bytes(pcap([talk(i, size=1000) for i in range(100)]))
    words = f"ulimit -f 100; trap '' XFSZ; exec {TAP} -r {tmp_path}/in.pcap -w {tmp_path}/out.pcapng"
    done = command("bash", "-c", words)
    assert done.returncode == 1 and "cannot write: File too large" in done.stderr
    assert len(objects(tmp_path / "out.pcapng", kind="http")) > 20


@pytest.mark.parametrize("words, said", [
    (["-C", "1"], "-C, -G and -W are for -w FILE"),
    (["-w", "f", "-W", "2"], "-W: of files that -C SIZE or -G TIME begin"),
    (["-w", "-", "-C", "1"], "the standard output is one file"),
    (["-w", "-", "--json"], "the packets take the standard output"),
    (["-w", "f", "-C", "x"], '"x" is no size like 64MiB'),
    (["-w", "f", "-G", "1w"], '"1w" is no time like 60s'),
    (["-w", "f", "-C", "1", "-W", "0"], "no number from 1 to 99999"),
])
def test_wrong_usage(words, said):
    done = tap("-r", "a", *words, code=2)
    assert said in done.stderr and not done.stdout
