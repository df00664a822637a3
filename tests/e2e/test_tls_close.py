"""How TLS connections end: close_notify both ways, half-closes, cuts that stay cuts; and KeyUpdate, renegotiation, coalescing."""
import contextlib
import itertools
import queue
import random
import socket
import ssl
import subprocess
import threading

import pytest

from lib import clients, logs, servers
from lib.authority import Authority
from lib.config import cluster, config, listener
from lib.libssl import Ended, Failed, Tls
from lib.peers import Script, Server
from lib.poll import SLOW
from lib.preload import count_calls
from lib.process import Child, command
from lib.scale import MIB, PARANOID, scale

TCP_CORK = 3  # of Linux: the FIN leaves with the data
VERSIONS = ("1.2", "1.3")
SIDES = ("plain-tls", "tls-plain", "tls-tls")  # client's and server's


class Plain:
    """A TCP connection with the calls of lib.libssl.Tls."""

    def __init__(self, sock):
        self.sock = sock
        self.write, self.close = sock.sendall, sock.close

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def read_exactly(self, count):
        return clients.recv_exactly(self.sock, count)

    def read_all(self):
        got = bytearray()
        try:
            while data := self.sock.recv(1 << 16):
                got += data
            return bytes(got), True
        except ConnectionResetError:
            return bytes(got), False

    def shutdown(self):
        self.sock.shutdown(socket.SHUT_WR)


class Accepted(Server):
    """`ends` gets an end for each connection, its handshake done."""

    def __init__(self, identity=None, version=None, **more):
        self.identity, self.version, self.ends = identity, version, queue.Queue()
        super().__init__(**more)

    def accepted(self, conn):
        def greet():
            try:
                self.ends.put(Tls(conn, self.identity, version=self.version).handshake() if self.identity else Plain(conn))
            except (Failed, Ended) as error:
                self.ends.put(error)
        self.threads.append(threading.Thread(target=greet, daemon=True))
        self.threads[-1].start()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def one(root):
    return root.issue("a.test")


def front(one, sides, *servers, root, **proxy):
    """The config of a relay with TLS where `sides` has it."""
    inward, outward = sides.split("-")
    tls = {"tls": {"certificates": one.pair()}} if inward == "tls" else {}
    to = {"tls": {"ca": str(root.cert), "sni": "a.test"}} if outward == "tls" else {}
    return config(listeners=[listener({"tcp_proxy": {"cluster": "c", **proxy}}, **tls)], clusters=[cluster(*servers, **to)])


@pytest.fixture
def pair(nuncio, peer, root, one, closing):
    """pair(sides, version) gives the proxy, and the client's and the server's end of one connection through it."""
    def make(sides, version="1.3", **more):
        inward, outward = sides.split("-")
        server = peer(Accepted, one if outward == "tls" else None, version)
        proxy = nuncio(front(one, sides, server, root=root), **more)
        sock = proxy.connect("in")
        client = closing(Tls(sock, sni="a.test", version=version).handshake() if inward == "tls" else Plain(sock))
        return proxy, client, closing(server.ends.get(timeout=30 * SLOW))
    return make


ALL = pytest.mark.parametrize("sides, version", [pytest.param(s, v, id=f"{s}-{v}") for s, v in itertools.product(SIDES, VERSIONS)])


# --- clean ends

@ALL
@pytest.mark.parametrize("first", ["client", "server"])
def test_half_close(pair, sides, version, first):
    """Who is done says so; what the other says then still comes, however long, and its end is as clean."""
    proxy, *ends = pair(sides, version)
    left, right = ends if first == "client" else reversed(ends)
    long = random.Random(1).randbytes(scale(2 * MIB))
    left.write(b"request")
    left.shutdown()
    assert right.read_all() == (b"request", True)
    sender = threading.Thread(target=lambda: (right.write(long), right.shutdown()))
    sender.start()
    assert left.read_all() == (long, True)
    sender.join()
    row = logs.last(proxy)
    assert (row["cause"], row["flags"]) == ("client_closed" if first == "client" else "upstream_closed", None)
    stats = proxy.stats()
    assert not any(value for name, value in stats.items() if name.endswith((".ssl.truncated", ".ssl.connection_error")))


@ALL
def test_nobody_ends_before_both_have(pair, sides, version):
    """close_notify is awaited: the connection stands while one side has only half closed."""
    proxy, client, server = pair(sides, version)
    client.write(b"a")
    client.shutdown()
    assert server.read_all() == (b"a", True)
    proxy.wait_stat("listener.in.downstream_cx_active", 1)
    server.write(b"b")
    assert client.read_exactly(1) == b"b"
    server.shutdown()
    assert client.read_all() == (b"", True)
    proxy.wait_stat("listener.in.downstream_cx_active", 0)


# --- cuts

CUT = {"client": ("client_truncated", "DC", "listener.in"), "server": ("upstream_truncated", "UC", "cluster.c")}


@pytest.mark.parametrize("who, sides", [("client", "tls-plain"), ("client", "tls-tls"), ("server", "plain-tls"), ("server", "tls-tls")])
@pytest.mark.parametrize("version", VERSIONS)
def test_fin_without_close_notify_is_a_cut(pair, who, sides, version):
    """What came before is delivered; that it may not be all must be seen by the other side, and stand in the log."""
    proxy, *ends = pair(sides, version)
    cutter, other = ends if who == "client" else reversed(ends)
    cutter.write(b"half a mess")
    cutter.sock.shutdown(socket.SHUT_WR)
    assert other.read_all() == (b"half a mess", False)
    row, (cause, flags, owner) = logs.last(proxy), CUT[who]
    assert (row["cause"], row["flags"]) == (cause, flags)
    assert proxy.stats()[f"{owner}.ssl.truncated"] == 1


@ALL
@pytest.mark.parametrize("who", ["client", "server"])
def test_reset_is_a_cut(pair, who, sides, version):
    proxy, *ends = pair(sides, version)
    cutter, other = ends if who == "client" else reversed(ends)
    cutter.write(b"half a mess")
    assert other.read_exactly(11) == b"half a mess"
    clients.reset(cutter.sock)
    assert other.read_all() == (b"", False)
    row = logs.last(proxy)
    assert (row["cause"], row["flags"]) == (("client_reset", "DC") if who == "client" else ("upstream_reset", "UC"))


@pytest.mark.parametrize("cut", [True, False])
def test_curl_is_told_of_a_cut(nuncio, peer, root, one, cut):
    """A body that ends with the connection: curl takes it for whole if, and only if, it was."""
    def answer(conn):
        end = Tls(conn, one).handshake()
        end.read()
        end.write(b"HTTP/1.0 200 OK\r\n\r\nhalf a mess")
        if not cut:
            end.shutdown()
        conn.shutdown(socket.SHUT_WR)
        clients.how_it_ends(conn)

    proxy = nuncio(front(one, "tls-tls", peer(Script, answer), root=root))
    port = proxy.port("in")
    got = command("curl", "-sS", "--cacert", root.cert, "--resolve", f"a.test:{port}:127.0.0.1", f"https://a.test:{port}/")
    assert (got.stdout, got.returncode != 0) == ("half a mess", cut), got.stderr


@pytest.mark.parametrize("cut", [True, False])
def test_a_server_that_has_said_all_with_its_handshake(nuncio, peer, root, one, cut):
    """The end of a handshake (of TLS 1.2, where the server has the last word), a greeting and the end, all in one segment."""
    def serve(conn):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(one.cert, one.key)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        wire_in, wire_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(wire_in, wire_out, server_side=True)
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                conn.sendall(wire_out.read())
                wire_in.write(conn.recv(65536))
        session.write(b"421 try later")
        with contextlib.suppress(ssl.SSLWantReadError):
            if not cut:
                session.unwrap()
        conn.setsockopt(socket.IPPROTO_TCP, TCP_CORK, 1)
        conn.sendall(wire_out.read())
        conn.shutdown(socket.SHUT_WR)
        clients.how_it_ends(conn)

    never = peer(Script, lambda conn: pytest.fail("the first endpoint was there"))
    proxy = nuncio(front(one, "plain-tls", peer(Script, serve), never, root=root, connect_attempts=2))
    with proxy.connect("in") as sock:
        assert Plain(sock).read_all() == (b"421 try later", not cut)
    row = logs.last(proxy)
    assert row["cause"] == ("upstream_truncated" if cut else "upstream_closed")
    assert proxy.stats()["cluster.c.upstream_cx_connect_fail"] == 0 and not never.conns


# --- programs not written here

@pytest.mark.parametrize("version", VERSIONS)
def test_python_waits_for_our_close_notify(nuncio, peer, root, one, version):
    """unwrap() sends close_notify and fails if none comes back; both roles, and EOF without one counts as an error in both."""
    seen = queue.Queue()

    def serve(conn):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(one.cert, one.key)
        with context.wrap_socket(conn, server_side=True, suppress_ragged_eofs=False) as tls:
            while data := tls.recv(100):
                tls.sendall(data)
            tls.unwrap()
            seen.put("unwrapped")

    proxy = nuncio(front(one, "tls-tls", peer(Script, serve), root=root))
    context = clients.tls_context(ca=root.cert)
    context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    with context.wrap_socket(proxy.connect("in"), server_hostname="a.test", suppress_ragged_eofs=False) as tls:
        tls.sendall(b"hello")
        assert clients.recv_exactly(tls, 5) == b"hello"
        tls.unwrap().close()
    assert seen.get(timeout=30 * SLOW) == "unwrapped"
    assert logs.last(proxy)["cause"] == "client_closed"


def test_socat_half_closes(nuncio, peer, root, one):
    """sort needs the end of its input to say anything: the half-close has to pass twice."""
    server = peer(lambda: servers.launch(["s"], lambda ports: Child(
        "socat", f"OPENSSL-LISTEN:{ports['s']},bind=127.0.0.1,reuseaddr,fork,cert={one.both},verify=0", "SYSTEM:sort")))
    proxy = nuncio(front(one, "tls-tls", server, root=root))
    done = command("socat", "-t", "30", "STDIO", f"OPENSSL:{proxy.address('in')},cafile={root.cert},commonname=a.test", input="b\nc\na\n")
    assert done.stdout == "a\nb\nc\n", done.stderr + proxy.output()


def test_openssl_leaves_both_ways(nuncio, peer, root, one):
    """s_server ends by close_notify, having been told to, s_client follows: nobody is blamed."""
    server = peer(servers.s_server, one, "-rev")
    proxy = nuncio(front(one, "tls-tls", server, root=root))
    for count, version in enumerate(("-tls1_2", "-tls1_3"), 1):
        done = command("openssl", "s_client", "-connect", proxy.address("in"), "-ign_eof", "-quiet", version, input="hello\nCLOSE\n")
        assert done.stdout == "olleh\n"
        assert logs.last(proxy, count)["cause"] == "upstream_closed"


# --- messages between

def interactive(proxy, version, *keys):
    """What s_client says when it is typed keys, one at a time, and then a line to be echoed."""
    words = ["openssl", "s_client", "-connect", proxy.address("in"), version]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    watchdog, lines = threading.Timer(30 * SLOW, child.kill), []
    watchdog.start()

    def until(word):
        for line in child.stdout:
            lines.append(line)
            if word in line:
                return

    until("Verify return code")
    for key in keys:
        child.stdin.write(key + "\n")
        child.stdin.flush()
        until("RENEGOTIATING" if key == "R" else "KEYUPDATE")
    try:
        child.stdin.write("hello\n")
        child.stdin.flush()
        until("hello")
        child.stdin.close()
    except BrokenPipeError:
        pass
    lines += child.stdout
    child.wait()
    watchdog.cancel()
    return "".join(lines)


@pytest.fixture
def echo(nuncio, one):
    return nuncio(config(listeners=[listener("echo", tls={"certificates": one.pair()})]))


def test_s_client_may_not_renegotiate(echo):
    said = interactive(echo, "-tls1_2", "R")
    assert "no renegotiation" in said and "hello" not in said, said


def test_renegotiation_is_a_warning(echo):
    """It is refused, and what is asked for without it goes on; asking again and again ends the connection."""
    with Tls(echo.connect("in"), version="1.2").handshake() as client:
        with pytest.raises(Failed, match="no renegotiation"):
            client.renegotiate()
    assert echo.stats()["listener.in.ssl.handshake"] == 1


def test_s_client_updates_keys(echo):
    said = interactive(echo, "-tls1_3", "k", "K", "K", "k")
    assert "hello" in said, said


@pytest.mark.parametrize("who", ["client", "server"])
def test_key_updates_are_bounded(pair, who):
    """Some pass, in both directions; a flood ends the connection, with the peer to blame. Others don't notice."""
    proxy, *ends = pair("tls-tls")
    flooder, other = ends if who == "client" else reversed(ends)
    for _ in range(8):
        flooder.key_update()
        flooder.write(b"x")
        assert other.read_exactly(1) == b"x"
        other.write(b"y")
        assert flooder.read_exactly(1) == b"y"
    with pytest.raises((Ended, Failed, OSError)):
        for _ in range(100000):
            flooder.key_update()
        flooder.read()
    assert not other.read_all()[1]
    row = logs.last(proxy)
    assert (row["cause"], row["details"]) == ("tls_error" if who == "client" else "upstream_tls_error", "too many control messages")
    assert proxy.stats()[f"{CUT[who][2]}.ssl.connection_error"] == 1


# --- records and writes

def batch(context):
    """A client on memory BIOs, its handshake to be done by the caller."""
    wire_in, wire_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    return wire_in, wire_out, context.wrap_bio(wire_in, wire_out, server_hostname="a.test")


def shake(session, wire_in, wire_out, sock):
    """How many bytes came."""
    came = 0
    while True:
        try:
            session.do_handshake()
            sock.sendall(wire_out.read())
            return came
        except ssl.SSLWantReadError:
            sock.sendall(wire_out.read())
            came += wire_in.write(sock.recv(65536))


def test_one_read_feeds_many_records(nuncio, peer, root, one, tmp_path):
    """300 records that come at once go on in one write; and a large answer in no more writes than it took reads."""
    server = peer(Accepted)
    calls = count_calls(tmp_path)
    proxy = nuncio(front(one, "tls-plain", server, root=root), env=calls.env)
    wire_in, wire_out, session = batch(clients.tls_context(ca=root.cert))
    with proxy.connect("in") as sock:
        handshake = shake(session, wire_in, wire_out, sock)
        end = server.ends.get(timeout=30 * SLOW)
        for _ in range(300):
            session.write(b"x" * 20)
        sock.sendall(wire_out.read())
        assert end.read_exactly(6000) == b"x" * 6000
        end.write(bytes(200000))
        got = wire = 0
        while got < 200000:
            try:
                got += len(session.read(65536))
            except ssl.SSLWantReadError:
                wire += wire_in.write(sock.recv(65536))
        if not PARANOID:
            assert len(calls.sizes("w", server.port, 6000)) <= 3
            reads = len(calls.sizes("r", server.port, 200000))
            assert len(calls.sizes("w", sock.getsockname()[1], handshake + wire)) <= reads + 3  # those of the handshake, the ticket
