"""TCP through a tunnel that a proxy is asked for (CONNECT): tcp_proxy's key `connect`, in HTTP/1 and in HTTP/2."""
import socket

import pytest

from lib import clients
from lib.config import cluster, config, relay
from lib.h2 import reset
from lib.h2_server import goaway
from lib.h2_tunnel import TunnelServer
from lib.http import front, last_request
from lib.nuncio import ROOT, run_nuncio
from lib.peers import Echo, Script
from lib.poll import eventually
from lib.process import Child
from lib.scale import scale

TO = {"connect": "db.internal:5432"}
ASKED = b"CONNECT db.internal:5432 HTTP/1.1\r\nHost: db.internal:5432\r\n\r\n"
WHY = [{"path": "why.log", "format": "%RESPONSE_FLAGS% %UPSTREAM_TLS_VERSION% %CONNECTION_TERMINATION_DETAILS%"}]

# A proxy of CONNECT, of Node's http and http2: always to TARGET, whatever it is asked for; says what that was.
NODE = """
const net = require('net'), http = require('http'), http2 = require('http2');
const [version, target] = process.argv.slice(1), port = Number(target);
function tie(asked, stream, granted) {
  console.log('asked ' + asked);
  const behind = net.connect({port, host: '127.0.0.1', allowHalfOpen: true}, () => { granted(); stream.pipe(behind).pipe(stream); });
  behind.on('error', () => {});
  stream.on('error', () => behind.destroy());
}
const server = version === '2' ? http2.createServer() : http.createServer();
server.on('connect', (req, stream) => version === '1' && tie(req.url, stream, () => stream.write('HTTP/1.1 200 OK\\r\\n\\r\\n')));
server.on('stream', (stream, head) => tie(head[':authority'], stream, () => stream.respond({':status': 200})));
server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));
"""


class NodeProxy(Child):
    def __init__(self, version, target):
        super().__init__("node", "-e", NODE, "--", version, target.port)
        self.port = int(self.wait_line(r"^port (\d+)$")[1])
        self.address = f"127.0.0.1:{self.port}"


@pytest.mark.parametrize("version", [1, 2])
def test_through_a_proxy_of_node(nuncio, peer, version):
    """Bytes both ways, and each half's end; over HTTP/2 all on one connection."""
    through = peer(NodeProxy, version, peer(Echo))
    proxy = nuncio(relay(through, proxy=TO, to={"protocol": f"http{version}"}))
    with proxy.connect("in") as one, proxy.connect("in") as other:
        for sock in one, other:
            sock.sendall(b"hello")
            assert clients.recv_exactly(sock, 5) == b"hello"
        one.sendall(b"x" * scale(100000))
        one.shutdown(socket.SHUT_WR)
        assert clients.recv_all(one) == b"x" * scale(100000)
        other.sendall(b"still")
        assert clients.recv_exactly(other, 5) == b"still"
    assert through.lines.count("asked db.internal:5432") == 2
    stats = proxy.wait_stat("listener.in.downstream_cx_active", 0)
    assert stats[f"cluster.c.upstream_cx_http{version}_total"] == (1 if version == 2 else 2)


@pytest.mark.parametrize("version", ["http1", "http2", "auto"])
def test_through_another_of_us(nuncio, peer, certs, version):
    """Over TLS, where `auto` agrees to HTTP/2: a route with `connect: true` there."""
    cert = certs.get("a.test")
    tls = {"certificates": {"cert": str(cert.cert), "key": str(cert.key)}, "alpn": ["h2", "http/1.1"]}
    far = nuncio(front(peer(Echo), routes=[{"match": {"host": "db.internal"}, "connect": True, "cluster": "c"}], at={"tls": tls}))
    near = nuncio(relay(far.address("in"), proxy=TO, at={"access_log": WHY},
                        to={"protocol": version, "tls": {"sni": "a.test", "ca": str(cert.cert)}}))
    with near.connect("in") as sock:
        sock.sendall(b"hello")
        assert clients.recv_exactly(sock, 5) == b"hello"
        sock.shutdown(socket.SHUT_WR)
        assert clients.recv_all(sock) == b""
    row = last_request(far)
    assert (row["method"], row["authority"], row["status"], row["flags"]) == ("CONNECT", "db.internal:5432", 200, None)
    assert row["protocol"] == ("HTTP/1.1" if version == "http1" else "HTTP/2")
    assert near.file_lines("why.log", 1)[0].startswith("- TLSv1.3 ")


def test_example_tcp_over_connect(nuncio, peer, example_certs, monkeypatch):
    """docs/examples/tcp-over-connect.yaml: two connections through one of each worker's to the proxy."""
    tls = {"certificates": {"cert": str(example_certs / "service.pem"), "key": str(example_certs / "service.key")}, "alpn": ["h2"]}
    far = nuncio(front(peer(Echo), routes=[{"match": {"host": "db.internal"}, "connect": True, "cluster": "c"}], at={"tls": tls}))
    for key, value in {"CERTS": example_certs, "PROXY": far.address("in"), "DB_PORT": 0}.items():
        monkeypatch.setenv(key, str(value))
    near = nuncio(ROOT / "docs/examples/tcp-over-connect.yaml")
    for _ in range(2):
        with near.connect("db") as sock:
            sock.sendall(b"select")
            assert clients.recv_exactly(sock, 6) == b"select"
    near.wait_stat("cluster.proxies.upstream_cx_http2_total", lambda count: 1 <= count <= 2)  # as many as workers
    assert last_request(far)["authority"] == "db.internal:5432"


def ends(proxy, name="in"):
    """A client is closed or reset, maybe before it knows that it is connected."""
    try:
        with proxy.connect(name) as sock:
            sock.sendall(b"hello")
            assert clients.how_it_ends(sock) in ("fin", "rst")
    except (ConnectionResetError, BrokenPipeError):
        pass


def says(answer, whole):
    """A server of HTTP/1 that answers CONNECT with that, in one piece or in many, and brings back what it is told."""
    def talk(conn):
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asked = clients.recv_head(conn)
        assert asked == (ASKED, b""), asked
        for piece in [answer] if whole else [bytes([byte]) for byte in answer]:
            conn.sendall(piece)
        while answer and (more := conn.recv(65536)):
            conn.sendall(more)
    return talk


def all_of(peer, rows, whole):
    """A config of a listener for each row, "0" and so on, to a server that says that."""
    servers = [peer(Script, says(row, whole)) for row in rows]
    return config(
        listeners=[{"name": str(i), "bind": "127.0.0.1:0", "access_log": WHY, "filters": [{"tcp_proxy": {"cluster": str(i), **TO}}]}
                   for i in range(len(rows))],
        clusters=[cluster(server, name=str(i)) for i, server in enumerate(servers)])


@pytest.mark.parametrize("whole", [True, False])
def test_answers_that_open_it(nuncio, peer, whole):
    """Any 2xx, whatever it says of a body (RFC 9110 9.3.6), behind any 1xx; what comes behind it is the server's first word."""
    heads = (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 Connection established\r\n\r\n", b"HTTP/1.1 204 x\r\nA: b\r\n\r\n",
             b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
             b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\nHTTP/1.1 299 x\r\n\r\n")
    proxy = nuncio(all_of(peer, [head + b"hello" for head in heads], whole))
    for name in range(len(heads)):
        with proxy.connect(str(name)) as sock:
            assert clients.recv_exactly(sock, 5) == b"hello"
            sock.sendall(b"more")
            assert clients.recv_exactly(sock, 4) == b"more"
    stats = proxy.stats()
    assert [stats[f"cluster.5.upstream_rq_{what}"] for what in ("total", "2xx", "4xx")] == [1, 1, 0]


def test_answers_that_do_not(nuncio, peer):
    rows = ((b"HTTP/1.1 403 x\r\nContent-Length: 2\r\n\r\nno", "CONNECT was answered 403"),
            (b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n", "CONNECT was answered 407"),
            (b"HTTP/1.1 304 x\r\n\r\n", "CONNECT was answered 304"),
            (b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "http1.unexpected_upgrade"),
            (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "http1.invalid_status_line"), (b"", "http1.incomplete_head"))
    proxy = nuncio(all_of(peer, [said for said, _ in rows], True))
    for name, (_, why) in enumerate(rows):
        ends(proxy, str(name))
        eventually(lambda: any(row.endswith(f": {why}") for row in proxy.file_lines("why.log")))
    assert all(row.startswith(("UF ", "UC ", "UPE ")) for row in proxy.file_lines("why.log", len(rows)))
    stats = proxy.wait_stat("cluster.1.upstream_rq_active", 0)
    assert stats["cluster.1.upstream_rq_4xx"] == 1


def test_the_next_proxy_is_asked(nuncio, peer):
    """Where one refuses, and of either version."""
    far = nuncio(front(peer(Echo), routes=[{"connect": True, "cluster": "c"}]))
    no = peer(Script, says(b"HTTP/1.1 403 x\r\nContent-Length: 2\r\n\r\nno", True))
    for version, first in ("http1", no), ("http2", peer(TunnelServer, status=407)):
        proxy = nuncio(relay(first, far.address("in"), proxy=TO, to={"protocol": version}))
        for _ in range(2):
            with proxy.connect("in") as sock:
                sock.sendall(b"hello")
                assert clients.recv_exactly(sock, 5) == b"hello"
        assert proxy.stats()["cluster.c.upstream_rq_4xx"] >= 1


def bring_back(_, tunnel):
    while more := tunnel.recv(65536):
        tunnel.sendall(more)
    tunnel.finish()


class Shy(TunnelServer):
    """Leaves before the first, refuses those up to `times`, takes the next."""

    def __init__(self, times, **more):
        self.times = times
        super().__init__(bring_back, **more)

    def grant_it(self, conn, request):
        asked = len(self.requests)
        if asked > self.times:
            return super().grant_it(conn, request)
        return goaway(0) if asked == 1 else reset(request.stream, 7)


def test_what_was_refused_unheard_is_asked_again(nuncio, peer):
    """By GOAWAY and REFUSED_STREAM; but not for ever."""
    shy, no = peer(Shy, 2), peer(Shy, 1000)
    proxy = nuncio(relay(shy, proxy=TO, to={"protocol": "http2"}))
    with proxy.connect("in") as sock:
        sock.sendall(b"hello")
        assert clients.recv_exactly(sock, 5) == b"hello"
    stats = proxy.wait_stat("cluster.c.upstream_rq_active", 0)
    assert [stats[f"cluster.c.upstream_rq_{what}"] for what in ("total", "retry", "2xx")] == [3, 2, 1]
    proxy = nuncio(relay(no, proxy=TO, to={"protocol": "http2"}, at={"access_log": WHY}))
    ends(proxy)
    assert proxy.file_lines("why.log", 1)[0].endswith(": REFUSED_STREAM") and len(no.requests) == 3


@pytest.mark.parametrize("version", [1, 2])
def test_a_cut_is_a_cut_on_the_other_side(nuncio, peer, version):
    """A reset of TCP, or RST_STREAM(CANCEL)."""
    cuts = []

    def talk1(conn):
        clients.recv_head(conn)
        conn.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            conn.recv(1)
            clients.reset(conn)
        except ConnectionResetError:
            cuts.append("rst")

    def talk2(_, tunnel):
        try:
            tunnel.recv(1)
            tunnel.cut()
        except ConnectionResetError as end:
            cuts.append(end.args[0])

    server = peer(Script, talk1) if version == 1 else peer(TunnelServer, talk2)
    proxy = nuncio(relay(server, proxy=TO, to={"protocol": f"http{version}"}))
    with proxy.connect("in") as sock:
        sock.sendall(b"x")
        assert clients.how_it_ends(sock) == "rst"
    sock = proxy.connect("in")
    proxy.wait_stat("cluster.c.upstream_rq_2xx", 2)
    clients.reset(sock)
    eventually(lambda: cuts == ["rst" if version == 1 else "CANCEL"])


@pytest.mark.parametrize("version", ["http1", "http2"])
def test_a_proxy_that_does_not_answer(nuncio, peer, version):
    """connect_timeout is for the answer, too; and a client that leaves before takes its tunnel with it."""
    silent = peer(Script, clients.how_it_ends)
    proxy = nuncio(relay(silent, proxy=TO, to={"protocol": version, "connect_timeout": "300ms"}, at={"access_log": WHY}))
    ends(proxy)
    row = proxy.file_lines("why.log", 1)[0]
    assert row.startswith("UF ") and row.endswith(": no answer to CONNECT"), row
    slow = nuncio(relay(silent, proxy=TO, to={"protocol": version, "connect_timeout": "0"}))
    sock = slow.connect("in")
    slow.wait_stat("cluster.c.upstream_rq_active", 1)
    clients.reset(sock)
    slow.wait_stat("listener.in.downstream_cx_active", 0)
    slow.wait_stat("cluster.c.upstream_rq_active", 0)


def test_a_certificate_that_is_not_trusted(nuncio, peer, certs):
    """What only the handshake knows is in the log, as of a connection without CONNECT."""
    cert, other = certs.get("a.test"), certs.get("b.test")
    tls = {"certificates": {"cert": str(cert.cert), "key": str(cert.key)}, "alpn": ["h2", "http/1.1"]}
    far = nuncio(front(peer(Echo), routes=[{"connect": True, "cluster": "c"}], at={"tls": tls}))
    rows = []
    for proxy in {}, TO:
        log = [{"path": "tls.log", "format": "%RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%"}]
        near = nuncio(relay(far.address("in"), proxy=proxy, at={"access_log": log}, to={"tls": {"sni": "a.test", "ca": str(other.cert)}}))
        ends(near)
        rows += near.file_lines("tls.log", 1)
    assert rows[0] == rows[1] and "certificate" in rows[0], rows


def test_only_a_host_and_a_port(tmp_path):
    for bad in "db.internal", "db:0", "db:99999", "a b:1", "u@db:1", "::1:80", "[::1]", "[x]:1", "a%zz:1", "a^b:1", "db:1\r\nx: y":
        path = tmp_path / "bad.yaml"
        path.write_text(relay("127.0.0.1:1", proxy={"connect": bad}))
        done = run_nuncio("check", "-c", path)
        assert done.returncode == 1 and "expected HOST:PORT" in done.stderr, (bad, done.stderr)
    path.write_text(relay("127.0.0.1:1", proxy={"connect": "[2001:db8::1]:443"}))
    assert run_nuncio("check", "-c", path).returncode == 0
