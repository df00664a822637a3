"""Health checks in HTTP/2, of gRPC and of a page: what is asked, each answer's verdict, versions agreed on over TLS."""
import re
import socket
import ssl

from lib import clients
from lib.config import cluster, config, listener
from lib.h2 import data, frame, headers, reset
from lib.h2_server import H2Server, goaway, ok
from lib.peers import Script
from lib.pki import Ca
from lib.poll import eventually

ONCE = {"interval": "1h", "timeout": "30s"}
SERVING = b"\0\0\0\0\2\x08\1"
GRPC = [(":status", "200"), ("content-type", "application/grpc")]


def answer(stream, body=SERVING, status="0", fields=GRPC):
    return headers(stream, fields, False) + data(stream, body) + headers(stream, [("grpc-status", status)])


def verdicts(nuncio, *rows):
    """How the first check of each went: rows of a server, its check, and more keys of its cluster."""
    clusters = [cluster(server, name=f"c{n}", health_check={**ONCE, **check}, **more) for n, (server, check, more) in enumerate(rows)]
    proxy = nuncio(config(listeners=[listener("echo")], clusters=clusters))

    def look():
        found = dict(re.findall(r"^c(\d+)::.*::health_check::((?:passed|failed).*)$", proxy.ctl("clusters"), re.M))
        return len(found) == len(rows) and [found[str(n)] for n in range(len(rows))]
    return eventually(look)


# --- what is asked

def test_what_is_asked(nuncio, peer):
    server = peer(H2Server, lambda conn, request: answer(request.stream) if request.body else ok(request.stream))
    checks = [({"grpc": {"service": "a.S", "host": "a.test"}}, {}), ({"grpc": ""}, {}),
              ({"http": {"path": "/up?x", "headers": {"X-Who": "me"}}}, {"protocol": "http2"})]
    assert verdicts(nuncio, *[(server, *check) for check in checks]) == ["passed"] * 3
    asked = {request.body: request.fields for request in server.requests}
    assert asked[b"\0\0\0\0\5\x0a\3a.S"] == {
        ":method": "POST", ":scheme": "http", ":path": "/grpc.health.v1.Health/Check", ":authority": "a.test",
        "content-type": "application/grpc", "user-agent": "nuncio-health-check", "te": "trailers"}
    assert asked[b"\0\0\0\0\0"][":authority"] == server.address
    page = asked[b""]
    assert (page[":method"], page[":path"], page[":authority"], page["x-who"]) == ("GET", "/up?x", server.address, "me")


# --- verdicts

ANSWERS = [
    (lambda s: answer(s), "passed"),
    (lambda s: headers(s, [(":status", "103")], False) + answer(s), "passed"),
    (lambda s: answer(s, b"\0\0\0\0\2\x08\2"), "failed: NOT_SERVING"),
    (lambda s: answer(s, b"\0\0\0\0\0"), "failed: UNKNOWN"),
    (lambda s: answer(s, b""), "failed: the answer is no HealthCheckResponse"),
    (lambda s: answer(s, b"\1" + SERVING[1:]), "failed: the answer is no HealthCheckResponse"),
    (lambda s: answer(s, SERVING * 20), "failed: the answer is no HealthCheckResponse"),
    (lambda s: answer(s, status="12"), "failed: grpc-status 12 UNIMPLEMENTED"),
    (lambda s: answer(s, status="99"), "failed: grpc-status 99 "),
    (lambda s: headers(s, [*GRPC, ("grpc-status", "5"), ("grpc-message", "no%20" + "x" * 200)]),
     "failed: grpc-status 5 NOT_FOUND: no%20" + "x" * 75),
    (lambda s: headers(s, GRPC, False) + data(s, SERVING, True), "failed: the answer has no grpc-status"),
    (lambda s: ok(s), "failed: the answer is none of gRPC: look at its content-type"),
    (lambda s: headers(s, [(":status", "503")]), "failed: status 503 Service Unavailable"),
    (lambda s: reset(s, 7), "failed: the request was reset: REFUSED_STREAM"),
    (lambda s: headers(s, [*GRPC, ("Upper", "1")]), "failed: no good response: http2.invalid_header_name"),
    (lambda s: data(s, SERVING, True), "failed: it speaks no good HTTP/2: PROTOCOL_ERROR"),
    (lambda s: goaway(0, 2), "failed: the request was reset: REFUSED_STREAM"),
    (lambda s: frame("DATA", 0, 0, b"x"), "failed: it speaks no good HTTP/2: PROTOCOL_ERROR"),
    (lambda s: None, "failed: closed without a response"),
    (lambda s: headers(s, GRPC, False) + data(s, SERVING), "failed: closed without a whole response"),
]


def test_answers_are_judged(nuncio, peer):
    def talk(frames, wanted):
        def say(conn, request):
            if said := frames(request.stream):
                conn.send(said)
            if "speaks" not in wanted:  # GOAWAY tells what was wrong, and has to be said first
                conn.sock.shutdown(socket.SHUT_WR)
        return say
    got = verdicts(nuncio, *[(peer(H2Server, talk(*row)), {"grpc": {}}, {}) for row in ANSWERS])
    for found, (_, wanted) in zip(got, ANSWERS):
        assert found.startswith(wanted), (found, wanted)


def test_servers_of_something_else(nuncio, peer):
    def says(what):
        def serve(conn):
            conn.recv(65536)
            conn.sendall(what)
            if not what:
                conn.shutdown(socket.SHUT_WR)
            while conn.recv(65536):
                pass
        return serve
    rows = [(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "failed: it speaks no good HTTP/2: PROTOCOL_ERROR"),
            (b"\0" * 300, "failed: it speaks no good HTTP/2: PROTOCOL_ERROR"), (b"", "failed: closed without a response")]
    checks = [({"grpc": {}}, {}), ({"http": "/"}, {"protocol": "http2"})]
    got = verdicts(nuncio, *[(peer(Script, says(what)), *check) for what, _ in rows for check in checks])
    assert got == [wanted for _, wanted in rows for _ in checks]


def test_a_page_is_judged_by_its_status(nuncio, peer):
    server = peer(H2Server, lambda conn, request: headers(request.stream, [(":status", "302")]))
    pages = [({"http": page}, {"protocol": "http2"}) for page in ("/", {"path": "/", "expected": "3xx"})]
    assert verdicts(nuncio, *[(server, *page) for page in pages]) == ["failed: status 302 Found", "passed"]


# --- over TLS

class TlsServer(H2Server):
    """Agrees to the first of `alpn`; to h2 it answers as H2Server, else with a page of HTTP/1."""

    def __init__(self, ca, alpn, *args):
        signed = ca.get("a.test")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(signed.cert, signed.key)
        if alpn:
            self.context.set_alpn_protocols(alpn)
        super().__init__(*args)

    def serve(self, sock):
        with self.context.wrap_socket(sock, server_side=True) as tls:
            if tls.selected_alpn_protocol() == "h2":
                super().serve(tls)
            else:
                clients.recv_head(tls)
                tls.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


VERSIONS = [
    ({"grpc": {}}, {}, ["h2"], "passed"),
    ({"grpc": {}}, {"protocol": "auto"}, ["h2", "http/1.1"], "passed"),
    ({"grpc": {}}, {}, [], "failed: the server agreed to no protocol, and not to h2 (ALPN)"),
    ({"http": "/"}, {"protocol": "http2"}, ["h2"], "passed"),
    ({"http": "/"}, {"protocol": "http2"}, [], "failed: the server agreed to no protocol, and not to h2 (ALPN)"),
    ({"http": "/"}, {"protocol": "auto"}, ["h2"], "passed"),
    ({"http": {"path": "/", "expected": 204}}, {"protocol": "auto"}, ["http/1.1"], "passed"),
    ({"http": {"path": "/", "expected": 204}}, {}, ["h2", "http/1.1"], "passed"),
]


def test_versions_over_tls(nuncio, peer, tmp_path):
    ca = Ca(tmp_path)
    tls = {"tls": {"sni": "a.test", "ca": str(ca.cert)}}
    servers = {tuple(alpn): peer(TlsServer, ca, alpn, lambda conn, request: answer(request.stream) if request.body else ok(request.stream))
               for _, _, alpn, _ in VERSIONS}
    got = verdicts(nuncio, *[(servers[tuple(alpn)], check, {**more, **tls}) for check, more, alpn, _ in VERSIONS])
    assert got == [wanted for *_, wanted in VERSIONS]
