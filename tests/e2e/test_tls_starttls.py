"""STARTTLS for Postgres: psql and a real server through it, and clients and servers by hand that do not keep to it."""
import contextlib
import socket
import struct

import pytest

from lib import clients, logs
from lib.config import cluster, config, listener
from lib.databases import Postgres, psql
from lib.fork import rows
from lib.nuncio import run_nuncio
from lib.peers import Echo, Server
from lib.pki import Ca
from lib.poll import eventually
from lib.process import Child
from lib.scale import PARANOID
from lib.trickle import send_bytes

SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSS_REQUEST = struct.pack("!II", 8, 80877104)
CANCEL = struct.pack("!IIII", 16, 80877102, 7, 8)
STARTUP = struct.pack("!II", 25, 3 << 16) + b"user\0me\0database\0"[:16] + b"\0"
LOG = {"path": "log", "format": "json"}


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server_cert(ca):
    return ca.get("localhost", "DNS:localhost", "IP:127.0.0.1")


@pytest.fixture(scope="module")
def database(server_cert):
    server = Postgres(server_cert)
    yield server
    server.close()


def starttls(signed, how="postgres", **more):
    return {"starttls": how, "certificates": [{"cert": str(signed.cert), "key": str(signed.key)}], **more}


@pytest.fixture
def front(nuncio, server_cert, ca):
    """front(backend) terminates for a server in plain; keywords are more of `tls`."""
    def start(backend, to=None, workers=None, **more):
        return nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}}, tls=starttls(server_cert, **more))],
                             clusters=[cluster(backend, **(to or {}))]), workers=workers)
    return start


@pytest.fixture
def originate(ca):
    return {"tls": {"starttls": "postgres", "ca": str(ca.cert), "sni": "localhost"}}


# --- psql and PostgreSQL

ASK = "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()"


@pytest.mark.parametrize("gss", ["disable", "prefer"])
def test_psql_over_tls_to_a_server_in_plain(front, database, ca, gss):
    proxy = front(database)
    done = psql(proxy.address("in"), ASK, "select repeat('x', 200000)", sslmode="verify-full", sslrootcert=ca.cert, gssencmode=gss)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "f|" and len(done.stdout.split()[1]) == 200000
    again = psql(proxy.address("in"), "\\conninfo", sslmode="require")
    assert "TLSv1.3" in again.stdout, again.stdout


def test_psql_over_tls_to_a_server_over_tls(front, originate, database, ca):
    proxy = front(database, originate)
    done = psql(proxy.address("in"), ASK, sslmode="verify-full", sslrootcert=ca.cert)
    assert done.stdout == "t|TLSv1.3\n", done.stdout + done.stderr


def test_psql_in_plain_to_a_server_over_tls(nuncio, originate, database, ca):
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}})], clusters=[cluster(database, **originate)]))
    assert psql(proxy.address("in"), ASK, sslmode="disable").stdout == "t|TLSv1.3\n"


def test_a_client_in_plain_is_told_or_served(front, database):
    proxy = front(database)
    done = psql(proxy.address("in"), ASK, sslmode="disable")
    assert done.returncode == 2 and "this server takes TLS connections only" in done.stderr, done.stderr
    proxy = front(database, how={"protocol": "postgres", "optional": True})
    assert psql(proxy.address("in"), ASK, sslmode="disable").stdout == "f|\n"
    assert "TLSv1.3" in psql(proxy.address("in"), "\\conninfo", sslmode="require").stdout


def test_a_certificate_that_is_not_for_the_name_is_refused_by_psql(front, database, ca):
    done = psql(front(database).address("in"), ASK, host="other.test", sslmode="verify-full", sslrootcert=ca.cert)
    assert done.returncode == 2 and "other.test" in done.stderr


def test_a_server_of_another_ca_is_not_spoken_to(nuncio, database, ca, tmp_path):
    other = Ca(tmp_path / "other")
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}}, access_log=[LOG])], clusters=[
        cluster(database, tls={"starttls": "postgres", "ca": str(other.cert), "sni": "localhost"})]))
    done = psql(proxy.address("in"), ASK, sslmode="disable")
    assert done.returncode == 2
    assert rows(proxy)[0]["flags"] == "UF"


def test_cancel_requests_pass(front, originate, database):
    """psql cancels in plain on a connection of its own; the server knows the key."""
    proxy = front(database, originate)
    done = psql(proxy.address("in"), "set statement_timeout = 0", "select pg_sleep(0.2)", "select 'awake'")
    assert done.stdout.split() == ["awake"]
    with proxy.connect("in") as client:
        client.sendall(CANCEL)
        assert clients.recv_all(client) == b""


def test_a_running_query_is_cancelled(front, originate, database, closing):
    proxy = front(database, originate)
    host, _, port = proxy.address("in").rpartition(":")
    words = f"hostaddr={host} host=localhost port={port} user=me dbname=postgres sslmode=require"
    child = closing(Child("psql", "-X", "-q", "-A", "-t", words, "-c", "select pg_sleep(600)", "-c", "select 'after'"))
    eventually(lambda: "1" in psql(database.address, "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)'"
                                   " and state = 'active'").stdout)
    child.signal(2)  # INT: psql asks the server to cancel
    child.wait_line("canceling statement due to user request")


# --- by hand

@pytest.fixture
def edge(front, peer):
    """A listener before an echo in plain."""
    def start(**more):
        return front(peer(Echo), workers=1, **more)
    return start


def last_cause(proxy, least=1):
    row = logs.last(proxy, least)
    return row["cause"], row["details"]


def test_every_split_of_the_request_and_the_hello(edge, ca):
    proxy = edge()
    context = clients.tls_context(ca=ca.cert)
    for cut in range(1, 8):
        sock = proxy.connect("in")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(SSL_REQUEST[:cut])
        sock.sendall(SSL_REQUEST[cut:])
        assert clients.recv_exactly(sock, 1) == b"S"
        with context.wrap_socket(sock, server_hostname="localhost") as client:
            client.sendall(b"hello")
            assert clients.recv_exactly(client, 5) == b"hello"
    with proxy.connect("in") as sock:
        send_bytes(sock, GSS_REQUEST)
        assert clients.recv_exactly(sock, 1) == b"N"
        send_bytes(sock, SSL_REQUEST)
        assert clients.recv_exactly(sock, 1) == b"S"
        send_bytes(sock, clients.client_hello("localhost"))
        assert clients.recv_exactly(sock, 3)[:1] == b"\x16"


def test_tls_at_once(edge, ca):
    """sslnegotiation=direct of PostgreSQL 17, which insists on ALPN."""
    with clients.tls_connect(edge().address("in"), "localhost", ["postgresql"], ca.cert) as client:
        assert client.selected_alpn_protocol() == "postgresql"
        client.sendall(STARTUP)
        assert clients.recv_exactly(client, len(STARTUP)) == STARTUP


@pytest.mark.parametrize("behind", [b"\0", STARTUP, b"\x16"], ids=["byte", "startup", "hello"])
def test_bytes_behind_the_request_are_an_injection(edge, behind):
    """Where they come alone (a segment later, or shredded) they are part of the handshake, and break it."""
    proxy = edge(how={"protocol": "postgres", "optional": True}, handshake_timeout="500ms" if PARANOID else "30s")
    with proxy.connect("in") as client:
        client.sendall(SSL_REQUEST + behind)
        assert clients.how_it_ends(client) in ("fin", "rst")
    if PARANOID:
        assert last_cause(proxy)[0] in ("tls_handshake_failed", "tls_handshake_timeout", "starttls_timeout")
    else:
        assert last_cause(proxy) == ("bad_starttls", "bytes behind the SSLRequest")


@pytest.mark.parametrize("sent, details", [
    (b"GET / HTTP/1.1\r\n\r\n", "no Postgres start packet"),
    (GSS_REQUEST + GSS_REQUEST, "a second GSSENCRequest"),
    (STARTUP, "the client does not ask for TLS"),
])
def test_what_is_no_request_for_tls(edge, sent, details):
    proxy = edge()
    with proxy.connect("in") as client:
        client.sendall(sent)
        clients.how_it_ends(client)
    assert last_cause(proxy) == ("bad_starttls", details)


def test_half_a_request(edge):
    proxy = edge(handshake_timeout="200ms")
    with proxy.connect("in") as client:
        client.sendall(SSL_REQUEST[:7])
        assert clients.how_it_ends(client) in ("fin", "rst")
    assert last_cause(proxy)[0] == "starttls_timeout"


class Answer(Server):
    """Takes an SSLRequest and answers with what it was given, then closes."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []
        super().__init__()

    def serve(self, conn):
        self.asked.append(clients.recv_exactly(conn, 8))
        conn.sendall(self.answer)
        conn.shutdown(socket.SHUT_WR)
        clients.recv_all(conn)


@pytest.mark.parametrize("answer, reason", [
    (b"N", "the server does not speak TLS"),
    (b"E\0\0\0\x08oops", "no answer to the SSLRequest that Postgres has"),
    (b"SZ\0\0\0\x05I", "bytes behind the answer to the SSLRequest"),
    (b"", "the server left without an answer to the SSLRequest"),
])
def test_servers_that_do_not_agree(nuncio, peer, originate, answer, reason):
    server = peer(Answer, answer)
    log = {"path": "log", "json": {"cause": "%CLOSE_CAUSE%", "flag": "%RESPONSE_FLAGS%", "why": "%UPSTREAM_TRANSPORT_FAILURE_REASON%"}}
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c", "connect_attempts": 1}}, access_log=[log])],
                          clusters=[cluster(server, **originate)]))
    with proxy.connect("in") as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may be over before we have said anything
            client.sendall(STARTUP)
        clients.how_it_ends(client)
    row = rows(proxy)[0]
    if PARANOID and len(answer) > 1 and answer[:1] == b"S":
        assert row["cause"] == "upstream_tls_failed"
    else:
        assert row == {"cause": "starttls_refused", "flag": "UF", "why": reason}
    assert server.asked == [SSL_REQUEST]


def test_optional_is_for_listeners(tmp_path, ca):
    (tmp_path / "c.yaml").write_text(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}})], clusters=[
        cluster("127.0.0.1:1", tls={"starttls": {"protocol": "postgres", "optional": True}, "ca": str(ca.cert)})]))
    done = run_nuncio("check", "-c", tmp_path / "c.yaml")
    assert done.returncode == 1 and 'unknown key "optional"' in done.stderr, done.stderr


def test_a_name_that_is_not_known_yet_is_no_match(tmp_path, ca):
    """A chain for an SNI that begins with STARTTLS would wait for hellos that never come before it is chosen."""
    tls = {"certificates": {"cert": str(ca.get("a.test").cert), "key": str(ca.get("a.test").key)}, "starttls": "postgres"}
    (tmp_path / "c.yaml").write_text(config(listeners=[listener(chains=[{"match": {"sni": "a.test"}, "tls": tls, "filters": ["echo"]}])]))
    done = run_nuncio("check", "-c", tmp_path / "c.yaml")
    assert done.returncode == 0 and "match.sni: clients that ask for TLS in plain" in done.stderr, done.stderr
