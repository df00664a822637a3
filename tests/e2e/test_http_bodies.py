"""HTTP filters that see bodies: compress, decompress, buffer; and those that answer or slow down: health_check, fault, ip_filter, throttle.

Clients are curl (gzip, brotli), Python's zlib, Node's brotli; servers nginx, which compresses by itself where asked, and Python's.
"""
import gzip
import json
import re
import tempfile
import time
import zlib

import pytest

from lib.config import cluster, config, listener
from lib.http import Client, Origin
from lib.mirror import Mirror, curl
from lib.poll import PATIENCE, eventually
from lib.process import command
from lib.servers import nginx

LOG = {"path": "own.log", "format": "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%"}
TEXT = "".join(f"<p>{n * n} is the square of {n}</p>\n" for n in range(6000)).encode()  # 190 KB
BIG_ZEROS = gzip.compress(bytes(3 << 20))  # 3 KB


@pytest.fixture
def proxy(nuncio):
    """proxy(routes, filters, clusters) starts one; its `url`."""
    def start(routes, filters=(), clusters=(), **http):
        child = nuncio(config(listeners=[listener({"http": {"filters": list(filters), "access_log": LOG, "routes": list(routes), **http}})],
                              clusters=list(clusters)))
        child.url = f"http://{child.address('in')}"
        return child
    return start


@pytest.fixture
def web(closing, tmp_path):
    """nginx with text.html, 190 KB, as it is at "plain" and in gzip at "gzip"."""
    (tmp_path / "text.html").write_bytes(TEXT)
    (tmp_path / "short.html").write_text("short")

    def http(ports):
        base = f"root {tmp_path}; types {{ text/html html; }}"
        return (f"server {{ listen 127.0.0.1:{ports['plain']}; {base} }}"
                f"server {{ listen 127.0.0.1:{ports['gzip']}; {base} gzip on; gzip_proxied any; gzip_min_length 100; }}")
    return closing(nginx(tmp_path, ["plain", "gzip"], http))


def raw(url, *options):
    """Status, fields, and the body as bytes, in whatever coding it is."""
    with tempfile.NamedTemporaryFile() as file:
        done = command("curl", "-sS", "-D", "-", "-o", file.name, "-m", PATIENCE, *options, url)
        assert done.returncode == 0, done.stderr
        head = done.stdout.strip().splitlines()
        return head[0].split()[1], dict(line.lower().split(": ", 1) for line in head[1:]), file.read()


def figures(child, prefix):
    return {name.removeprefix(prefix): value for name, value in child.stats().items() if name.startswith(prefix) and value}


def settled(child, prefix, **wanted):
    """The figures once these have come: a client has its answer before all is counted."""
    return eventually(lambda: wanted.items() <= (found := figures(child, prefix)).items() and found)


def test_compress(proxy, web, tmp_path):
    child = proxy([{"match": {"path": "/own"}, "respond": {"status": 200, "body": "x" * 100}},
                   {"match": {"path": "/etag/text.html"}, "cluster": "c", "rewrite": {"path": "/text.html"},
                    "filters": {"compress": {"disable_on_etag": True}}}, {"cluster": "c"}],
                  ["compress"], [cluster(f"127.0.0.1:{web.ports['plain']}")])
    url = f"{child.url}/text.html"
    for coding in ("gzip", "br", "gzip;q=0.5, br;q=0.1", "*", "identity", "gzip;q=0"):
        done = command("curl", "-sS", "--compressed", "-H", f"Accept-Encoding: {coding}", "-w", "%{size_download}", url)
        assert done.stdout.startswith(TEXT.decode()), coding
        size = int(done.stdout.removeprefix(TEXT.decode()))
        assert size == len(TEXT) if coding in ("identity", "gzip;q=0") else size < len(TEXT) / 4, (coding, size)
    status, fields, body = raw(url, "-H", "Accept-Encoding: gzip")
    assert zlib.decompress(body, wbits=31) == TEXT and fields["content-encoding"] == "gzip" and fields["etag"].startswith('w/"')
    assert fields["vary"] == "accept-encoding" and "content-length" not in fields and "accept-ranges" not in fields
    (tmp_path / "body.br").write_bytes(raw(url, "-H", "Accept-Encoding: br")[2])
    node = "process.stdout.write(require('zlib').brotliDecompressSync(require('fs').readFileSync(process.argv[1])))"
    assert command("node", "-e", node, tmp_path / "body.br").stdout == TEXT.decode()
    assert command("curl", "-sS", "--compressed", f"{child.url}/own").stdout == "x" * 100
    # What stays as it is: nginx knows its weak ETag again.
    assert raw(url, "-H", "Accept-Encoding: gzip", "-H", f"If-None-Match: {fields['etag'].replace('w/', 'W/')}")[0] == "304"
    part = raw(url, "-H", "Accept-Encoding: gzip", "-H", "Range: bytes=0-99")
    assert (part[0], part[2]) == ("206", TEXT[:100]) and "content-encoding" not in part[1]
    head = raw(url, "-I", "-H", "Accept-Encoding: gzip")
    assert head[1]["content-length"] == str(len(TEXT)) and head[1]["vary"] == "accept-encoding"
    assert raw(f"{child.url}/short.html", "-H", "Accept-Encoding: gzip")[2] == b"short"
    assert raw(f"{child.url}/etag/text.html", "-H", "Accept-Encoding: gzip")[2] == TEXT
    assert raw(url)[2] == TEXT
    told = settled(child, "http.ingress.compressor.", compressed=7, not_compressed=8)
    assert told.pop("total_compressed_bytes") < told.pop("total_uncompressed_bytes") / 4
    assert told == {"compressed": 7, "not_compressed": 8, "no_accept_header": 1, "header_identity": 1, "header_compressor_used": 7,
                    "header_wildcard": 1, "header_not_valid": 1, "content_length_too_small": 1, "not_compressed_etag": 1}


def test_events_are_not_held_up(proxy, peer):
    """Each comes to the client when it was sent, though the response goes on."""
    def answer(request):
        request.conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for n in range(3):
            request.conn.sendall(b"8\r\ndata: %d\n\r\n" % n)
            assert seen.wait_for_turn(n)
        return b"0\r\n\r\n"

    class Turns:
        """Which events the client has seen."""
        seen = -1

        def wait_for_turn(self, n):
            eventually(lambda: self.seen >= n, what=f"event {n}")
            return True

    seen = Turns()
    child = proxy([{"cluster": "c"}], [{"compress": {"content_type": "text/event-stream"}}], [cluster(peer(Origin, answer))])
    with Client(child) as client:
        client.send("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n")
        assert b"gzip" in client.until(b"\r\n\r\n")
        decoder, text = zlib.decompressobj(31), b""
        for n in range(3):
            while text.count(b"\n") <= n:
                chunk = client.exactly(int(client.until(b"\r\n"), 16))
                assert client.exactly(2) == b"\r\n"
                text += decoder.decompress(chunk)
            assert text == b"".join(b"data: %d\n" % i for i in range(n + 1))
            seen.seen = n


def test_decompress(proxy, web, peer, tmp_path):
    origin = peer(Origin)
    bomb = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BIG_ZEROS) + BIG_ZEROS
    garbage = b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 9\r\n\r\n" + b"\xff" * 9
    bad = peer(Origin, lambda request: bomb if request.start.startswith("GET /bomb") else garbage)
    child = proxy([{"match": {"path": "/text.html"}, "cluster": "web"}, {"match": {"path_prefix": "/b"}, "cluster": "bad"}, {"cluster": "c"}],
                  [{"buffer": "5MiB"}, "decompress"], [cluster(origin), cluster(f"127.0.0.1:{web.ports['gzip']}", name="web"), cluster(bad, name="bad")])
    status, fields, body = raw(f"{child.url}/text.html")  # nginx was told by Accept-Encoding
    assert body == TEXT and "content-encoding" not in fields and fields["etag"].startswith('w/"')
    (tmp_path / "plain").write_bytes(TEXT[:20000])
    (tmp_path / "gz").write_bytes(gzip.compress(TEXT[:20000]))
    (tmp_path / "cut").write_bytes(gzip.compress(TEXT[:20000])[:-1])
    (tmp_path / "bomb").write_bytes(BIG_ZEROS)
    node = "const z = require('zlib'), f = require('fs'); f.writeFileSync(process.argv[2], z.brotliCompressSync(f.readFileSync(process.argv[1])))"
    command("node", "-e", node, tmp_path / "plain", tmp_path / "br", check=True)

    def post(name, coding):
        return curl(child.url, "-H", f"Content-Encoding: {coding}", "--data-binary", f"@{tmp_path / name}")

    for name, coding in [("gz", "gzip"), ("br", "br"), ("plain", "zstd")]:
        assert post(name, coding).status == 200
        got = origin.requests[-1]
        assert got.body == TEXT[:20000] and got.get("content-encoding") == (coding if name == "plain" else None)
        assert got.get("content-length") == ("20000" if name == "plain" else None)
    assert [post("cut", "gzip").status, post("bomb", "gzip").status] == [400, 413]
    curl(f"{child.url}/bomb", code=56)  # reset
    curl(f"{child.url}/bad", code=56)
    lines = child.file_lines("own.log", 8)
    assert [line.split(" ", 2)[2] for line in lines[-4:-2]] == ["- request_decompression_failed", "- request_decompressed_too_large"]
    assert sorted(lines[-2:]) == ["/bad 200 UPE response_decompression_failed", "/bomb 200 UPE response_decompressed_too_large"]
    told = settled(child, "http.ingress.decompressor.", **{"request.decompressed": 4, "response.decompressed": 3, "response.over_limit": 1})
    assert told.pop("request.total_uncompressed_bytes") > 40000 > told.pop("request.total_compressed_bytes")
    assert told.pop("response.total_uncompressed_bytes") > len(TEXT) > told.pop("response.total_compressed_bytes")
    assert told == {"request.decompressed": 4, "request.not_decompressed": 1, "request.decompress_error": 1, "request.over_limit": 1,
                    "response.decompressed": 3, "response.not_decompressed": told["response.not_decompressed"],
                    "response.decompress_error": 1, "response.over_limit": 1}


def test_buffer(proxy, peer):
    mirror = peer(Mirror)
    child = proxy([{"match": {"path": "/off"}, "cluster": "c", "filters": {"buffer": False}}, {"cluster": "c"}],
                  [{"buffer": "4KiB"}], [cluster(mirror)])
    answer = curl(child.url, "-H", "Transfer-Encoding: chunked", "-d", "abc")
    assert (answer.told["content-length"], json.loads(answer.body)["body"]) == ("3", "abc") and "transfer-encoding" not in answer.told
    assert curl(child.url, "-d", "x" * 4097).status == 413
    assert curl(child.url, "-H", "Transfer-Encoding: chunked", "-d", "x" * 4097).status == 413
    with Client(child) as client:
        came = len(mirror.server.requests)
        client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        client.send("ab")
        assert len(mirror.server.requests) == came
        answer = json.loads(client.ask("c").body)
        assert answer["body"] == "abc" and "expect" not in dict(answer["headers"])
    assert [line for line in child.file_lines("own.log", 4) if " 413 " in line] == ["/ 413 - request_payload_too_large"] * 2
    child.wait_stat("http.ingress.downstream_rq_too_large", 2)


def test_health_check(proxy, peer, refusing_port):
    def least(name):
        return {"health_check": {"path": "/up", "clusters": {"name": name, "min_healthy": "50%"}}}

    check = {"tcp": {}, "interval": "50ms", "timeout": "1s", "unhealthy": 1}
    child = proxy([{"match": {"host": f"{name}.test"}, "cluster": "c", "filters": least(name)} for name in ("c", "down", "none")] +
                  [{"match": {"host": "pass.test"}, "cluster": "c", "filters": {"health_check": {"path": "/up", "pass_through": True}}},
                   {"cluster": "c"}], [{"health_check": "/up"}],
                  [cluster(peer(Mirror)), cluster(refusing_port, name="down", health_check=check), {"name": "none", "dns": "none.invalid:80"}])

    def status(host, path="/up"):
        return curl(child.url + path, "-H", f"Host: {host}.test").status

    eventually(lambda: status("down") == 503, what="an unhealthy endpoint")
    assert [status(name) for name in ("any", "c", "none")] == [200, 200, 503]
    assert curl(f"{child.url}/up", "-H", "Host: pass.test").told["host"] == "pass.test"
    assert curl(f"{child.url}/other").told
    told = figures(child, "http.ingress.health_check.")
    assert told["ok"] >= 2 and told["failed"] == told["failed_cluster_unhealthy"] + 1 and told["failed_cluster_empty"] == 1
    assert told["request_total"] == told["ok"] + told["failed"] + 1
    assert "/up 200 - health_check_ok" in child.file_lines("own.log", 4)


def test_fault(proxy, peer):
    child = proxy([{"match": {"path": "/abort"}, "cluster": "c", "filters": {"fault": {"abort": 418, "delay": "20ms"}}},
                   {"match": {"path": "/never"}, "cluster": "c", "filters": {"fault": {"abort": {"status": 418, "share": "0%"}}}},
                   {"match": {"path": "/slow"}, "cluster": "c", "filters": {"fault": {"response_rate": "1kB"}}},
                   {"match": {"path": "/one"}, "cluster": "c", "filters": {"fault": {"delay": "60s", "max_active_faults": 1}}},
                   {"cluster": "c"}], [], [cluster(peer(Mirror))])
    answer = curl(f"{child.url}/abort")
    assert (answer.status, answer.body) == (418, "fault filter abort")
    assert curl(f"{child.url}/never").status == 200
    begun = time.monotonic()
    assert len(curl(f"{child.url}/slow", "-A", "x" * 300).body) > 400 and time.monotonic() - begun > 0.2
    with Client(child) as waiting:
        waiting.send("GET /one HTTP/1.1\r\nHost: h\r\n\r\n")
        child.wait_stat("http.ingress.fault.active_faults", 1)
        assert curl(f"{child.url}/one").status == 200
    assert "/abort 418 DI,FI fault_filter_abort" in child.file_lines("own.log", 4)
    told = settled(child, "http.ingress.fault.", aborts_injected=1, response_rl_injected=1)
    assert told.pop("active_faults", 1) == 1
    assert told == {"delays_injected": 2, "aborts_injected": 1, "response_rl_injected": 1, "faults_overflow": 1}


def test_byte_filters_of_streams(proxy, peer):
    """They are what they are before tcp_proxy; who is refused gets an answer, and the connection stays."""
    child = proxy([{"match": {"path": "/denied"}, "cluster": "c", "filters": {"ip_filter": {"deny": "127.0.0.0/8"}}},
                   {"match": {"path": "/slow"}, "cluster": "c", "filters": {"throttle": {"rate": "1kB", "burst": "100B"}}},
                   {"match": {"path": "/limit"}, "cluster": "c", "filters": {"connection_limit": {"max": 1, "name": "s"}}},
                   {"match": {"path": "/hold"}, "cluster": "c", "filters": {"connection_limit": {"max": 1, "name": "s"}}},
                   {"cluster": "c"}], ["compress"], [cluster(peer(Mirror))])
    with Client(child) as client:
        assert [client.get(path).status for path in ("/denied", "/", "/denied", "/limit")] == [403, 200, 403, 200]
    begun = time.monotonic()
    assert len(curl(f"{child.url}/slow", "-A", "x" * 300).body) > 400 and time.monotonic() - begun > 0.2
    denied = [line for line in child.file_lines("own.log", 5) if line.startswith("/denied")]
    assert len(denied) == 2 and re.fullmatch(r"/denied 403 UAEX filter_denied\{ip_filter:_127\.0\.0\.1_denied_by_127\.0\.0\.0/8\}", denied[0])
