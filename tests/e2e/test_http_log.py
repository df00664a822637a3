"""The access log of requests: Envoy's default line, byte for byte, for each way a request can end; operators; hostile values."""
import json
import re
import ssl

import pytest

from lib import clients
from lib.config import cluster, config, listener
from lib.mirror import Mirror, curl
from lib.http import Reader
from lib.peers import Hang, Resetter, Script
from lib.pki import Ca

LOGS = [{"path": "http.log"}, {"path": "http.json", "format": "json"},
        {"path": "details.log", "format": "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %ROUTE_NAME% %UPSTREAM_CLUSTER%"}]
# What no test can know beforehand.
TIME, MS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", r"\d+"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
RESET = "upstream connect error or disconnect/reset before headers. reset reason: "


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def proxy(nuncio, peer, refusing_port):
    """A proxy with a route for each end that a request can have."""
    mirror = peer(Mirror)
    silent, resetter = peer(Hang), peer(Resetter, 1)
    clusters = [cluster(mirror), cluster(refusing_port, name="down"), cluster(silent, name="silent"), cluster(resetter, name="reset"),
                cluster(refusing_port, name="sick", panic_threshold="0%",
                        health_check={"tcp": {}, "interval": "100ms", "timeout": "100ms", "unhealthy": 1})]
    routes = [{"name": name, "match": {"path": f"/{name}"}, "cluster": name} for name in ("down", "reset", "sick")]
    routes += [{"name": "slow", "match": {"path": "/slow"}, "cluster": "silent", "timeout": "200ms"},
               {"name": "left", "match": {"path": "/left"}, "cluster": "silent"},
               {"match": {"path_prefix": "/old/"}, "cluster": "c", "rewrite": {"path_prefix": "/new/"}},
               {"match": {"path_prefix": "/c"}, "cluster": "c"},
               {"match": {"path": "/respond"}, "respond": {"status": 418, "body": "tea\n"}}]
    child = nuncio(config(listeners=[listener({"http": {"routes": routes, "access_log": LOGS}})], clusters=clusters))
    child.url, child.mirror, child.silent, child.down = f"http://{child.address('in')}", mirror, silent, refusing_port.address
    return child


def line(method, path, status, flags, received, sent, upstream, host, service="-", agent="a/1"):
    """A pattern of Envoy's default line."""
    text = (f'[TIME] "{method} {path} HTTP/1.1" {status} {flags} {received} {sent} MS {service} "127.0.0.1" "{agent}" "UUID" "{host}" "{upstream}"')
    return re.escape(text).replace("TIME", TIME).replace("MS", MS).replace("UUID", UUID)


def logged(child, count=1):
    return child.file_lines("http.log", count)[count - 1]


def test_a_good_request(proxy):
    host = proxy.url.removeprefix("http://")
    answer = curl(proxy.url + "/c?x=%20", "-A", "a/1", "-d", "four")
    assert re.fullmatch(line("POST", "/c?x=%20", 200, "-", 4, len(answer.body), proxy.mirror.address, host, "MS"), logged(proxy)), logged(proxy)
    curl(proxy.url + "/c", "-A", "a/1", "-I", "-H", "Host: b.test")
    assert re.fullmatch(line("HEAD", "/c", 200, "-", 0, 0, proxy.mirror.address, "b.test", "MS"), logged(proxy, 2))
    assert proxy.file_lines("details.log", 2)[0] == "200 - via_upstream routes[6] c"


# path: status, flags, body, details, whether an endpoint was tried
ENDS = {
    "none": (404, "NR", "", "route_not_found"),
    "sick": (503, "UH", "no healthy upstream", "no_healthy_upstream"),
    "down": (503, "UF", RESET + "connection failure", None),
    "slow": (504, "UT", "upstream request timeout", None),
    "respond": (418, "-", "tea\n", "direct_response"),
}


@pytest.mark.parametrize("path", ENDS)
def test_answers_of_our_own(proxy, path):
    status, flags, body, details = ENDS[path]
    if path == "sick":
        proxy.wait_stat("cluster.sick.membership_healthy", 0)
    answer = curl(f"{proxy.url}/{path}", "-A", "a/1")
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["content-length"] == str(len(body)) and answer.headers["server"] == "nuncio" and "date" in answer.headers
    host, row = proxy.url.removeprefix("http://"), json.loads(proxy.file_lines("http.json")[0])
    upstream = {"down": proxy.down, "slow": proxy.silent.address}.get(path, "-")
    assert re.fullmatch(line("GET", f"/{path}", status, flags, 0, len(body), upstream, host), logged(proxy)), logged(proxy)
    assert (row["status"], row["flags"], row["bytes_sent"]) == (status, None if flags == "-" else flags, len(body))
    assert details is None or row["details"] == details


def test_a_server_that_breaks_off(proxy):
    answer = curl(proxy.url + "/reset", "-A", "a/1", "-d", "x")
    assert answer.status == 503 and answer.body.startswith(RESET + "connection termination")
    row = json.loads(proxy.file_lines("http.json")[0])
    assert row["flags"].split(",")[0] == "UC" and row["details"].startswith("upstream_reset_before_response_started")


def test_a_client_that_left(proxy):
    with proxy.connect("in") as client:
        client.sendall(b"GET /left HTTP/1.1\r\nHost: a.test\r\nUser-Agent: a/1\r\n\r\n")
        proxy.wait_stat("cluster.silent.upstream_rq_active", 1)
    assert re.fullmatch(line("GET", "/left", 0, "DC", 0, 0, proxy.silent.address, "a.test"), logged(proxy)), logged(proxy)
    assert proxy.file_lines("details.log")[0] == "0 DC downstream_remote_disconnect left silent"


def test_a_request_that_nobody_can_read(proxy):
    with proxy.connect("in") as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        answer = Reader(client).response()
    assert (answer.start, answer.body) == ("HTTP/1.1 400 Bad Request", b"Bad Request")
    assert re.search(r'" 400 DPE 0 11 \d+ - "-" "-" "-" ', logged(proxy)), logged(proxy)


def test_what_a_client_sends_adds_no_line(proxy):
    with proxy.connect("in") as client:
        client.sendall(b"GET /c\"%REQ(X)% HTTP/1.1\r\nHost: a.test\r\nUser-Agent: a\"b\\\xff\r\nX-Forwarded-For: " + b"," * 30000 + b"\r\n\r\n")
        Reader(client).response()
    text = logged(proxy)
    assert '"GET /c\\x22%REQ(X)% HTTP/1.1"' in text and text.endswith("[cut]")
    json.loads(proxy.file_lines("http.json")[0])
    assert len(proxy.file_lines("http.log")) == 1


def test_a_rewritten_path_is_logged_as_it_came(proxy):
    told = json.loads(curl(proxy.url + "/old/a").body)
    assert told["path"] == "/new/a" and '"GET /old/a HTTP/1.1"' in logged(proxy)


def test_failures_stay_with_their_request(nuncio, peer):
    """Two requests of one connection: what TLS said about the first one's server is gone with it."""
    log = [{"path": "why.log", "format": "%REQ(:PATH)% %UPSTREAM_TRANSPORT_FAILURE_REASON%"}]
    routes = [{"match": {"path": "/tls"}, "cluster": "tls"}, {"cluster": "c"}]
    child = nuncio(config(listeners=[listener({"http": {"routes": routes, "access_log": log}}, proxy_protocol="optional",
                                              access_log={"path": "tcp.log", "format": "%UPSTREAM_TRANSPORT_FAILURE_REASON% %CLOSE_DETAILS%"})],
                          clusters=[cluster(peer(Mirror)), cluster(peer(Mirror), name="tls", tls={"verify": "none"})]))
    with child.connect("in") as client:
        client.sendall(b"PROXY TCP4 192.0.2.7 198.51.100.1 1234 443\r\n")
        reader = Reader(client)
        for path, status in ((b"/tls", 503), (b"/empty", 204), (b"/tls", 503), (b"/empty", 204)):
            client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert reader.response().status == status
    lines = child.file_lines("why.log", 4)
    assert re.fullmatch(r"/tls .*\w{5}.*", lines[0]) and lines[1::2] == ["/empty -", "/empty -"]
    assert child.file_lines("tcp.log") == ["- -"]


def test_a_client_that_left_is_known_to_the_end(nuncio, peer, ca):
    """Its connection may be gone before the request's line is written."""
    ours, me = ca.get("a.test"), ca.get("me.test")
    silent = peer(Hang)
    tls = {"certificates": [{"cert": str(ours.cert), "key": str(ours.key)}], "client_certs": {"mode": "require", "ca": str(ca.cert)}}
    log = {"path": "who.log", "format": "%RESPONSE_FLAGS% %REQUESTED_SERVER_NAME% %DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_TLS_SESSION_ID%"}
    child = nuncio(config(listeners=[listener({"http": {"routes": [{"cluster": "c"}], "access_log": log}}, tls=tls)], clusters=[cluster(silent)]))
    context = ssl.create_default_context(cafile=str(ca.cert))
    context.load_cert_chain(me.cert, me.key)
    for turn in range(1, 3):
        with child.connect("in") as plain, context.wrap_socket(plain, server_hostname="a.test") as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            child.wait_stat("cluster.c.upstream_rq_active", 1)
            if turn == 2:
                clients.reset(client)
        assert re.fullmatch(r"DC a\.test CN=me\.test [0-9a-f]{64}", child.file_lines("who.log", turn)[-1])


def test_trailers(nuncio, peer):
    def serve(conn):
        clients.recv_head(conn)
        conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n")
        clients.how_it_ends(conn)
    log = {"path": "own.log", "format": "%TRAILER(X-SUM)% %TRAILER(X-NONE?X-SUM)% %BYTES_SENT%"}
    child = nuncio(config(listeners=[listener({"http": {"routes": [{"cluster": "c"}], "access_log": log}})], clusters=[cluster(peer(Script, serve))]))
    assert curl(f"http://{child.address('in')}").body.split() == ["okX-Sum:", "9"]  # as curl -i shows them
    assert child.file_lines("own.log") == ["9 9 2"]
