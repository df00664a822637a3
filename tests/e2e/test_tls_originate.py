"""TLS spoken to servers: who is believed, under which name, and why not; with certificates of our own where a server asks for one."""
import contextlib
import json
import re
import ssl

import pytest

from lib import clients, logs
from lib.authority import Authority
from lib.config import cluster, config, listener, relay
from lib.dns import Dns
from lib.nuncio import run_nuncio
from lib.peers import Blackhole, Echo, Hang, Server
from lib.poll import eventually
from lib.servers import haproxy, nginx, s_server


class TlsEcho(Server):
    """Says what it learned of the client (SNI, ALPN, whether a session was resumed), then echoes."""

    def __init__(self, identity, ca=None, alpn=(), version=None, **more):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(identity.cert, identity.key)
        if ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(ca)
        if version:
            self.context.maximum_version = version
        self.context.set_alpn_protocols(alpn)
        self.context.sni_callback = lambda sock, name, context: setattr(sock, "asked", name)
        super().__init__(**more)

    def serve(self, conn):
        with self.context.wrap_socket(conn, server_side=True, do_handshake_on_connect=False) as tls:
            tls.asked = None
            tls.do_handshake()
            tls.sendall(f"{tls.asked} {tls.selected_alpn_protocol()} {tls.session_reused}\n".encode())
            while data := tls.recv(65536):
                tls.sendall(data)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("root"), "servers-root")


@pytest.fixture
def origin(nuncio):
    """origin(server or address, tls map) starts a plain listener whose cluster speaks TLS."""
    def start(*servers, tls, env=None, **more):
        proxy = nuncio(relay(*servers, to={"tls": tls, "connect_timeout": "60s"}, **more), env=env)
        eventually(lambda: proxy.ctl("ready", check=False) == "ready\n", what="names resolved")
        return proxy
    return start


def greeting(proxy, name="in"):
    """What the server says of us, once an echo has come back."""
    with proxy.connect(name) as sock:
        sock.sendall(b"hello")
        said = clients.recv_exactly(sock, 1)
        while not said.endswith(b"hello"):
            said += clients.recv_exactly(sock, 1)
        return said[:-6].decode()


def refused(proxy, words, count=1):
    """The client gets nothing, and the log says why."""
    before = proxy.stats()["listener.in.downstream_cx_total"]
    with proxy.connect("in") as sock:
        assert sock.recv(1) == b""
    row = logs.closed(proxy, before + 1)[before]
    assert row["cause"] in ("upstream_bad_certificate", "upstream_tls_failed") and words in row["details"], row
    return row


# --- names

def test_name_that_is_asked_for_and_verified(origin, peer, root):
    server = peer(TlsEcho, root.issue("api.test", ip=["127.0.0.1"]))
    ca, dns = str(root.cert), peer(Dns, {"web.test": ["127.0.0.1"], "there.test": ["127.0.0.1"]})  # localhost is often ::1 as well
    assert greeting(origin(server, tls={"sni": "api.test", "ca": ca})) == "api.test None False"
    assert greeting(origin(server, tls={"sni": "API.test.", "ca": ca})).startswith("api.test ")
    assert greeting(origin(server, tls={"ca": ca})).startswith("None ")  # its address is in the certificate
    proxy = origin(server, tls={"sni": "b.test", "ca": ca})
    row = refused(proxy, "certificate is not for b.test, its names are api.test,127.0.0.1, CN=api.test")
    assert row["flags"] == "UF"
    assert proxy.stats()["cluster.c.ssl.fail_verify_san"] == 1
    refused(origin(f"web.test:{server.port}", tls={"ca": ca}, env=dns.env), "certificate is not for web.test, its names are api.test")
    there = peer(TlsEcho, root.issue("there.test"))
    assert greeting(origin(f"there.test:{there.port}", tls={"ca": ca}, env=dns.env)).startswith("there.test ")
    refused(origin(there, tls={"ca": ca}), "certificate is not for 127.0.0.1, its names are there.test")
    refused(origin(peer(TlsEcho, root.issue("api.test", dns=())), tls={"sni": "api.test", "ca": ca}), "its names are none, CN=api.test")


@pytest.mark.parametrize("names, fits", [
    ({"dns": ["*.api.test"]}, True), ({"dns": ["*.a.api.test"]}, False), ({"dns": ["a*.api.test"]}, False), ({"dns": ["*"]}, False),
    ({"dns": ["*.test"]}, False)])
def test_wildcards_of_servers(origin, peer, root, names, fits):
    proxy = origin(peer(TlsEcho, root.issue("wild", **names)), tls={"sni": "a.api.test", "ca": str(root.cert)})
    if fits:
        greeting(proxy)
    else:
        refused(proxy, "certificate is not for a.api.test")


def test_san_instead_of_the_name(origin, peer, root):
    server = peer(TlsEcho, root.issue("api", dns=["*.api.test"], uri=["spiffe://mesh/ns/blue/api"]))
    for san in (["x.api.test"], ["nobody.test", "spiffe://mesh/ns/blue/api"], ["spiffe://mesh/ns/*/api"]):
        assert greeting(origin(server, tls={"sni": "front.test", "san": san, "ca": str(root.cert)})).startswith("front.test ")
    proxy = origin(server, tls={"sni": "x.api.test", "san": ["spiffe://mesh/ns/red/api"], "ca": str(root.cert)})
    refused(proxy, 'certificate has none of the names in "san", its names are *.api.test,spiffe://mesh/ns/blue/api')


def test_name_from_the_client(nuncio, peer, root, certs):
    server = peer(TlsEcho, root.issue("wild", dns=["*.b.test"]))
    front = root.issue("a.test", dns=["a.b.test", "b.other"])
    chain = listener({"tcp_proxy": {"cluster": "c"}}, tls={"certificates": front.pair()})
    proxy = nuncio(config(listeners=[chain], clusters=[cluster(server, tls={"sni": "from_client", "ca": str(root.cert)})]))

    def ask(name):
        with clients.tls_context((), root.cert).wrap_socket(proxy.connect("in"), server_hostname=name) as sock:
            first = sock.recv(1)
            return first and first + clients.recv_exactly(sock, 8)

    assert ask("a.b.test") == b"a.b.test "
    assert ask("b.other") == b""
    assert any("certificate is not for b.other" in (row["details"] or "") for row in logs.closed(proxy, 2))


def test_unix_socket_has_no_name(nuncio, peer, root, tmp_path):
    server = peer(TlsEcho, root.issue("api.test"), path=tmp_path / "s")
    path = tmp_path / "unix.yaml"
    path.write_text(relay(server, to={"tls": {"ca": str(root.cert)}}))
    assert 'has no name to verify: missing key "sni"' in run_nuncio("check", "-c", path).stderr
    assert greeting(nuncio(relay(server, to={"tls": {"ca": str(root.cert), "sni": "api.test"}}))).startswith("api.test ")


# --- chains

def test_who_is_not_believed(origin, peer, root, tmp_path):
    stranger = Authority(tmp_path, "stranger")
    tls = {"sni": "api.test", "ca": str(root.cert)}
    refused(origin(peer(TlsEcho, root.issue("api.test", start=-9, end=-1)), tls=tls), "certificate has expired, depth 0, CN=api.test")
    refused(origin(peer(TlsEcho, stranger.issue("api.test")), tls=tls), "unable to get local issuer certificate")
    refused(origin(peer(TlsEcho, root.issue("api.test", uses=["client"])), tls=tls), "depth 0, CN=api.test")
    refused(origin(peer(TlsEcho, stranger.issue("api.test")), tls={"sni": "api.test"}), "unable to get local issuer certificate")
    gone = root.issue("api.test")
    refused(origin(peer(TlsEcho, gone), tls={**tls, "crl": str(root.crl(gone))}), "certificate revoked")
    proxy = origin(peer(TlsEcho, stranger.issue("api.test")), tls={**tls, "verify": "ca"})
    refused(proxy, "unable to get local issuer certificate")
    assert proxy.stats()["cluster.c.ssl.fail_verify_error"] == 1
    line = proxy.wait_line(r".*warn +tls +handshake failed owner=\"cluster c\".*")[0]
    assert "sni=api.test" in line and 'alert_sent="unknown CA"' in line


def test_verify_less(origin, peer, root, tmp_path):
    other = root.issue("other.test")
    assert greeting(origin(peer(TlsEcho, other), tls={"sni": "api.test", "verify": "ca", "ca": str(root.cert)})).startswith("api.test ")
    proxy = origin(peer(TlsEcho, Authority(tmp_path, "x").issue("y.test", start=-9, end=-1)), tls={"verify": "none", "sni": "api.test"})
    assert greeting(proxy).startswith("api.test ")
    warning = r".*warning: clusters\[0\].tls.verify: certificates are not verified: whoever can answer"
    proxy.wait_line(warning)
    proxy.reload()
    assert run_nuncio("check", "-c", proxy.path).returncode == 0
    assert "certificates are not verified" in run_nuncio("check", "-c", proxy.path).stderr


def test_chain_through_intermediates(origin, peer, root):
    low = Authority(root.folder / "low", "low", parent=Authority(root.folder / "middle", "middle", parent=root))
    server = peer(TlsEcho, low.issue("api.test"))
    greeting(origin(server, tls={"sni": "api.test", "ca": str(root.cert)}))
    greeting(origin(server, tls={"sni": "api.test", "ca": str(low.cert)}))
    refused(origin(server, tls={"sni": "api.test", "ca": str(root.cert), "depth": 1}), "certificate chain too long")


def test_system_roots(nuncio, peer, root):
    """SSL_CERT_FILE names them, as for every program that uses OpenSSL."""
    server = peer(TlsEcho, root.issue("api.test"))
    proxy = nuncio(relay(server, to={"tls": {"sni": "api.test"}}), env={"SSL_CERT_FILE": str(root.cert)})
    greeting(proxy)


# --- what else may go wrong

def test_alert_is_named(origin, peer, root):
    """A server that wants a certificate, and gets none."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        server = peer(TlsEcho, root.issue("api.test"), ca=root.cert, version=version)
        proxy = origin(server, tls={"sni": "api.test", "ca": str(root.cert)})
        with proxy.connect("in") as sock, contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
        reason = "(sslv3 alert handshake failure|tlsv13 alert certificate required)$"
        assert re.search(reason, logs.last(proxy)["details"])  # also where a reset came with the alert
        proxy.wait_line(rf'.*warn +tls .*owner="cluster c".*reason="{reason[:-1]}"')


def test_server_that_speaks_no_tls(origin, peer):
    row = refused(origin(peer(Echo, name=b"220 mail.test\r\n"), tls={"verify": "none"}), "wrong version number")
    assert row["cause"] == "upstream_tls_failed"


def test_versions_in_common(origin, peer, root):
    server = peer(TlsEcho, root.issue("api.test"), version=ssl.TLSVersion.TLSv1_2)
    greeting(origin(server, tls={"sni": "api.test", "ca": str(root.cert), "max_version": "1.2"}))
    refused(origin(server, tls={"sni": "api.test", "ca": str(root.cert), "min_version": "1.3"}), "alert protocol version")


def test_next_endpoint_where_one_is_not_believed(origin, peer, root):
    bad, good = peer(TlsEcho, root.issue("other.test")), peer(TlsEcho, root.issue("api.test"))
    proxy = origin(bad, good, tls={"sni": "api.test", "ca": str(root.cert)}, proxy={"connect_attempts": 2})
    for _ in range(3):
        assert greeting(proxy).startswith("api.test ")


def test_alpn_and_sessions(origin, peer, root):
    server = peer(TlsEcho, root.issue("api.test"), alpn=["b", "a"])
    proxy = origin(server, tls={"sni": "api.test", "ca": str(root.cert), "alpn": ["a", "b"]})
    assert greeting(proxy) == "api.test b False"
    assert greeting(proxy) == "api.test b True"
    assert proxy.stats()["cluster.c.ssl.session_reused"] == 1


# --- servers that ask for our certificate

def test_nginx_and_haproxy_and_openssl_know_us(nuncio, peer, root, tmp_path):
    me, back = root.issue("me.test"), root.issue("api.test")
    locked, word = me.locked_key("geheim")
    http = (lambda ports: f"server {{ listen 127.0.0.1:{ports['n']} ssl; ssl_certificate {back.cert}; ssl_certificate_key {back.key};"
            f"ssl_client_certificate {root.cert}; ssl_verify_client on; location / {{ return 200 '$ssl_client_s_dn'; }} }}")
    web = peer(lambda: nginx(tmp_path, ["n"], http=http))
    ha = peer(lambda: haproxy(tmp_path, ["h"], lambda ports: f"""
listen h
  mode http
  bind 127.0.0.1:{ports['h']} ssl crt {back.both} ca-file {root.cert} verify required
  http-request return status 200 content-type text/plain lf-string %[ssl_c_s_dn(cn)]
"""))
    plain = peer(lambda: s_server(back, "-www", "-Verify", "2", "-verify_return_error", "-CAfile", root.cert))
    ours = [{"cert": str(me.cert), "key": str(me.key)}, {"cert": str(me.cert), "key": str(locked), "passphrase_file": str(word)},
            {"pkcs12": str(me.pkcs12())}]
    names = list("nhp")
    proxy = nuncio(config(
        listeners=[listener({"tcp_proxy": {"cluster": name}}, name=name) for name in names],
        clusters=[cluster(server, name=name, tls={"sni": "api.test", "ca": str(root.cert), **mine})
                  for name, server, mine in zip(names, (web, ha, plain), ours)]))
    for name in names:
        with proxy.connect(name) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\nHost: api.test\r\n\r\n")
            answer = clients.recv_all(sock)
        assert b"200" in answer and b"me.test" in answer, answer


def test_a_server_that_never_answers_is_told(nuncio, peer, root):
    """connect_timeout is over TCP and TLS; who took the connection and then said nothing is a failed handshake all the same."""
    proxy = nuncio(relay(peer(Hang), to={"tls": {"sni": "api.test", "ca": str(root.cert)}, "connect_timeout": "100ms"}))
    with proxy.connect("in") as sock:
        assert sock.recv(1) == b""
    row = logs.closed(proxy)[0]
    assert row["cause"] == "connect_timeout" and "no connection with its handshake within 100 ms" in row["details"], row
    line = proxy.wait_line(r'.*handshake failed owner="cluster c" .*')[0]
    assert 'cause=connect_timeout reason="no handshake within connect_timeout" sni=api.test' in line and "bytes_in=0" in line
    assert proxy.stats()["cluster.c.ssl.connection_error"] == 1


def test_a_server_that_is_not_there_is_no_failed_handshake(nuncio, peer, root):
    proxy = nuncio(relay(peer(Blackhole), to={"tls": {"sni": "api.test", "ca": str(root.cert)}, "connect_timeout": "100ms"}))
    with proxy.connect("in") as sock:
        assert sock.recv(1) == b""
    assert logs.closed(proxy)[0]["cause"] == "connect_timeout"
    assert proxy.stats()["cluster.c.ssl.connection_error"] == 0 and "handshake failed" not in proxy.output()


def test_our_own_certificate_is_told_where_it_was_shown(nuncio, peer, root):
    """Not where a server did not ask, and not where a session was resumed."""
    me, back = root.issue("me.test"), root.issue("api.test")
    asks = peer(lambda: s_server(back, "-rev", "-verify", "2", "-CAfile", root.cert))
    other = peer(lambda: s_server(back, "-rev"))
    log = {"path": "own.json", "json": {"own": "%UPSTREAM_LOCAL_SUBJECT%", "resumed": "%UPSTREAM_TLS_RESUMED%"}}
    tls = {"sni": "api.test", "ca": str(root.cert), "cert": str(me.cert), "key": str(me.key)}
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": name}}, name=name, access_log=log) for name in ("yes", "no")],
                          clusters=[cluster(asks, name="yes", tls={**tls, "max_version": "1.2"}), cluster(other, name="no", tls=tls)]))
    for number, (name, own, resumed) in enumerate((("yes", "CN=me.test", "no"), ("yes", None, "yes"), ("no", None, "no"))):
        with proxy.connect(name) as sock:
            sock.sendall(b"abc\n")
            assert clients.recv_exactly(sock, 4) == b"cba\n"
        assert json.loads(proxy.file_lines("own.json", number + 1)[number]) == {"own": own, "resumed": resumed}


# --- what a config may get wrong

def test_mistakes_are_told(tmp_path, root):
    me = root.issue("me.test")
    rows = [
        ({"sni": "10.0.0.1"}, "is no server name: an IP address"), ({"sni": "*.test"}, 'is no server name: a pattern cannot be asked for ("san"'),
        ({"verify": "none", "ca": str(root.cert)}, '"ca" has no effect with verify: none'),
        ({"verify": "ca", "ca": str(root.cert), "san": ["a.test"]}, '"san" has no effect with verify: ca'),
        ({"verify": "ca"}, "any certificate that a public CA has signed is accepted"),
        ({"verify": "off"}, "expected full, ca or none"), ({"key": str(me.key)}, 'missing key "cert"'),
        ({"cert": str(me.cert), "key": str(root.issue("other.test").key)}, "does not belong to the certificate"),
        ({"ca": str(root.cert), "san": ["a b"]}, "that is no host name"), ({"ca": str(me.key)}, "there is no certificate in"),
    ]
    for tls, said in rows:
        path = tmp_path / "wrong.yaml"
        path.write_text(relay("127.0.0.1:1", to={"tls": tls}))
        done = run_nuncio("check", "-c", path)
        assert said in done.stderr, f"{tls}: {done.stderr}"
        assert (done.returncode == 0) == ("public CA" in said), done.stderr
