"""Sessions that are taken up again: with any worker, after a reload, at another machine, with new keys; and where they must not be."""
import base64
import contextlib
import os
import select
import socket
import ssl
import time

import pytest

from lib import clients
from lib.authority import Authority
from lib.config import cluster, config, listener, relay
from lib.libssl import Ended, Failed, Tls, allow_early_data
from lib.nuncio import run_nuncio
from lib.poll import eventually, patiently
from lib.s_client import echo_once
from lib.servers import s_server

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
BOTH = pytest.mark.parametrize("version", VERSIONS)
OPTION = {"1.2": "-tls1_2", "1.3": "-tls1_3"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def one(root):
    return root.issue("a.test")


def echo_behind(one, name="in", **tls):
    return listener("echo", name=name, tls={"certificates": one.pair(), **tls})


class Client:
    """Python's, which keeps the newest session of each connection and offers it with the next one."""

    def __init__(self, proxy, root, version, name="in"):
        self.proxy, self.name, self.session = proxy, name, None
        self.context = clients.tls_context(ca=root.cert)
        self.context.minimum_version = self.context.maximum_version = VERSIONS[version]

    def again(self, sni="a.test", at=None):
        """Whether a new connection resumed the session."""
        sock = (at or self.proxy).connect(self.name)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else hello waits for our delayed ACK
        with self.context.wrap_socket(sock, server_hostname=sni, session=self.session) as tls:
            tls.sendall(b"hello")
            assert clients.recv_exactly(tls, 5) == b"hello"  # a ticket of TLS 1.3 has come by now
            self.session = tls.session
            return tls.session_reused


def reused(proxy, owner="listener.in"):
    return proxy.stats()[f"{owner}.ssl.session_reused"]


# --- where a session counts

@pytest.mark.threads
@BOTH
def test_with_any_worker_and_over_a_reload(nuncio, root, one, version):
    """Each of four workers opens what another one sealed; also after reloads that changed something else or nothing."""
    text = config(listeners=[echo_behind(one)])
    proxy = nuncio(text, workers=4)
    client = Client(proxy, root, version)
    assert not client.again()
    for changed in (None, text + "drain_timeout: 1s\n", text):
        if changed:
            proxy.reload(changed)
        assert [client.again() for _ in range(12)] == [True] * 12
    assert reused(proxy) == 36


@BOTH
def test_s_client_comes_back(nuncio, one, tmp_path, version):
    proxy, session = nuncio(config(listeners=[echo_behind(one)])), tmp_path / "session"
    assert not echo_once(proxy.address("in"), OPTION[version], "-sess_out", session).reused
    assert echo_once(proxy.address("in"), OPTION[version], "-sess_in", session).reused
    assert reused(proxy) == 1


@BOTH
@pytest.mark.parametrize("form", ["raw80", "raw48", "lines"])
def test_keys_in_files_shared_by_machines(nuncio, root, one, tmp_path, version, form):
    """In nginx's forms, long and short, and HAProxy's, of which the last but one seals."""
    path = tmp_path / "keys"
    keys = [os.urandom(48 if form == "raw48" else 80) for _ in range(3)]
    path.write_bytes(b"\n".join(map(base64.b64encode, keys)) if form == "lines" else keys[0])
    text = config(listeners=[echo_behind(one, tickets={"keys": [str(path)]})])
    here, there = nuncio(text), nuncio(text)
    client = Client(here, root, version)
    assert not client.again()
    assert client.again(at=there) and client.again() and client.again(at=there)
    assert reused(there) == 2


@BOTH
def test_keys_that_are_changed(nuncio, root, one, tmp_path, version):
    """A new key comes first, the old one opens on and what it opens is renewed; once it is gone, only what was renewed counts."""
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_bytes(os.urandom(80))
    new.write_bytes(os.urandom(80))

    def text(*files):
        return config(listeners=[echo_behind(one, tickets={"keys": [str(file) for file in files]})])

    proxy = nuncio(text(old))
    renewed, kept = Client(proxy, root, version), Client(proxy, root, version)
    assert not renewed.again() and not kept.again()
    proxy.reload(text(new, old))
    assert renewed.again()
    proxy.reload(text(new))
    assert renewed.again() and not kept.again()


@BOTH
def test_random_keys_that_age(nuncio, root, one, version):
    """A session that is used every now and then lives on over many keys; one that is not ends after its lifetime."""
    def story(factor):
        tickets = {"rotate": f"{100 * factor}ms", "lifetime": f"{1000 * factor}ms"}
        proxy = nuncio(config(listeners=[echo_behind(one, tickets=tickets)]))
        used, unused = Client(proxy, root, version), Client(proxy, root, version)
        assert not used.again() and not unused.again()
        idle, end = unused.session, time.monotonic() + 0.7 * factor
        while time.monotonic() < end:
            assert used.again()
            select.select([], [], [], 0.02)

        def forgotten():
            unused.session = idle
            return not unused.again()
        eventually(forgotten, 30 + factor)
    patiently(story)


@BOTH
def test_what_may_change_meanwhile(nuncio, root, one, version):
    """Certificates, timeouts and protocols may, over a reload; ciphers may not, nor what clients have to show."""
    proxy = nuncio(config(listeners=[echo_behind(one)]))
    client, two = Client(proxy, root, version), root.issue("b.test")

    def after(**tls):
        proxy.reload(config(listeners=[listener("echo", tls={"certificates": [two.pair(), one.pair()], **tls})]))
        return client.again()

    def anew(**tls):
        """Once; OpenSSL 3.0.20 has no use for the ticket of a handshake in which it offered another one in vain."""
        return not after(**tls) and any(after(**tls) for _ in range(2))

    assert not client.again()
    assert after() and after(handshake_timeout="11s", alpn=["h2"])
    assert anew(ciphers="ECDHE-ECDSA-AES256-GCM-SHA384", ciphersuites="TLS_AES_256_GCM_SHA384")
    asked = {"ca": str(root.cert), "mode": "optional"}
    assert anew(client_certs=asked)
    assert not after(client_certs={**asked, "depth": 1}) and not after()


@BOTH
def test_machines_that_are_not_alike(nuncio, root, one, tmp_path, version):
    """The same keys and rules for clients under other names, with other certificates."""
    keys, copy = tmp_path / "keys", tmp_path / "copy"
    keys.write_bytes(os.urandom(80))
    copy.write_bytes(keys.read_bytes())
    here = nuncio(config(listeners=[echo_behind(one, tickets={"keys": [str(keys)]})]))
    there = nuncio(config(listeners=[echo_behind(root.issue("a.test"), name="out", tickets={"keys": [str(copy)]})]))
    client = Client(here, root, version)
    assert not client.again()
    client.name = "out"
    assert client.again(at=there)


# --- where it does not

@BOTH
def test_tickets_off(nuncio, root, one, tmp_path, version):
    proxy = nuncio(config(listeners=[echo_behind(one, tickets="off")]))
    client, session = Client(proxy, root, version), tmp_path / "session"
    assert not client.again() and not client.again()
    said = echo_once(proxy.address("in"), OPTION[version], "-sess_out", session)
    assert "TLS session ticket" not in said.text
    if session.exists() and session.stat().st_size:
        assert not echo_once(proxy.address("in"), OPTION[version], "-sess_in", session).reused
    assert reused(proxy) == 0


@BOTH
def test_another_name_and_another_listener(nuncio, root, one, version):
    """A session is of its name, and of its listener: keys are shared here, words are not."""
    proxy = nuncio(config(listeners=[echo_behind(one), echo_behind(one, name="other", max_version="1.3")]))
    client, elsewhere = Client(proxy, root, version), Client(proxy, root, version, "other")
    client.context.check_hostname = False
    assert not client.again() and client.again("A.test") and not client.again("b.test") and client.again("b.test")
    elsewhere.context, elsewhere.session = client.context, client.session
    assert not elsewhere.again("b.test")


@BOTH
def test_another_chains_client_certificates(nuncio, root, one, tmp_path, version):
    """One chain asks for certificates, the other does not; key files are the same. The lax one's tickets open nothing at the strict one."""
    keys = tmp_path / "keys"
    keys.write_bytes(os.urandom(80))
    tls = {"certificates": one.pair(), "tickets": {"keys": [str(keys)]}}
    strict = {"match": {"sni": ["strict.test"]}, "tls": {**tls, "client_certs": {"ca": str(root.cert)}}, "filters": ["echo"]}
    lax = {"tls": tls, "filters": ["echo"]}
    proxy = nuncio(config(listeners=[listener(chains=[strict, lax])]))
    client = Client(proxy, root, version)
    client.context.check_hostname = False
    client.again("lax.test")
    assert client.again("lax.test")
    with pytest.raises((ssl.SSLError, ConnectionResetError, AssertionError)):
        client.again("strict.test")
    assert proxy.stats()["listener.in.ssl.fail_verify_no_cert"] == 1
    me = root.issue("me.test")
    client.context.load_cert_chain(me.cert, me.key)
    assert not client.again("strict.test") and client.again("strict.test")
    assert not client.again("lax.test")


# --- 0-RTT

def test_s_client_has_no_early_data_to_send(nuncio, one, tmp_path):
    """Our tickets allow none."""
    proxy, session, early = nuncio(config(listeners=[echo_behind(one)])), tmp_path / "session", tmp_path / "early"
    early.write_text("early\n")
    echo_once(proxy.address("in"), "-tls1_3", "-sess_out", session)
    said = echo_once(proxy.address("in"), "-tls1_3", "-sess_in", session, "-early_data", early)
    assert said.reused and "Early data was not sent" in said.text and "early\n" not in said.text.replace("Early data", "")


def early_session(proxy, most):
    """A session whose client believes that it may send so much early data."""
    with Tls(proxy.connect("in"), sni="a.test").handshake() as first:
        first.write(b"a")
        first.read_exactly(1)
        session = first.session()
        first.shutdown()
    allow_early_data(session, most)
    return session


@pytest.mark.parametrize("size", [5, 3 * 4096])
def test_early_data_all_the_same(nuncio, one, size):
    """A client that was told otherwise (by who shares our keys): its data is skipped, the handshake goes on (RFC 8446 4.2.10)."""
    proxy = nuncio(config(listeners=[echo_behind(one)]))
    session = early_session(proxy, 16384)
    with Tls(proxy.connect("in"), sni="a.test", session=session) as client:
        client.write_early(b"e" * size)
        client.handshake()
        assert client.reused() and client.early_status() == "rejected"
        client.write(b"on time")
        assert client.read_exactly(7) == b"on time"


def test_early_data_without_end(nuncio, one):
    """More than anybody may send is not read."""
    proxy = nuncio(config(listeners=[echo_behind(one)]))
    session = early_session(proxy, 1 << 30)
    with Tls(proxy.connect("in"), sni="a.test", session=session) as client, pytest.raises((Ended, Failed)):
        with contextlib.suppress(Failed):
            for _ in range(1000):
                client.write_early(b"e" * 16384)
        client.handshake()
        client.write(b"x")
        client.read_exactly(1)
    assert proxy.stats()["listener.in.ssl.handshake"] == 1


# --- sessions with servers

def hits(server):
    """Sessions that s_server counts as resumed so far, by its own status page."""
    tls = clients.tls_connect(server.address)
    with tls:
        tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
        page = clients.recv_all(tls).decode()
    return int(next(line for line in page.splitlines() if "session cache hits" in line).split()[0])


def fetch(proxy, name="in"):
    with proxy.connect(name) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"Cipher" in clients.recv_all(sock)


@BOTH
def test_servers_see_us_come_back(nuncio, peer, root, one, version):
    """Each endpoint has sessions of its own; s_server counts them."""
    pair = [peer(s_server, one, "-www", OPTION[version]) for _ in range(2)]
    proxy = nuncio(relay(*pair, to={"tls": {"ca": str(root.cert), "sni": "a.test"}}), workers=1)
    for _ in range(8):
        fetch(proxy)
    assert [hits(server) for server in pair] == [3, 3]
    assert reused(proxy, "cluster.c") == 6
    assert proxy.stats()["cluster.c.ssl.handshake"] == 8


def test_sessions_of_another_cluster_are_not_offered(nuncio, peer, root, one):
    """The same endpoint by two clusters that verify differently."""
    server = peer(s_server, one, "-www")
    tls = {"ca": str(root.cert), "sni": "a.test"}
    proxy = nuncio(config(
        listeners=[listener({"tcp_proxy": {"cluster": name}}, name=name) for name in ("one", "two")],
        clusters=[cluster(server, name="one", tls={**tls, "verify": "ca"}), cluster(server, name="two", tls=tls)]))
    fetch(proxy, "one")
    fetch(proxy, "two")
    assert hits(server) == 0
    fetch(proxy, "two")
    assert (hits(server), reused(proxy, "cluster.two"), reused(proxy, "cluster.one")) == (1, 1, 0)


def test_a_session_that_the_server_forgot(nuncio, peer, root, one):
    """Another server in its place (other ticket keys): a full handshake, and nobody notices."""
    first = peer(s_server, one, "-www")
    proxy = nuncio(relay(first, to={"tls": {"ca": str(root.cert), "sni": "a.test"}}))
    fetch(proxy)
    first.end()
    peer(s_server, one, "-www", port=first.port)
    fetch(proxy)
    assert reused(proxy, "cluster.c") == 0
    fetch(proxy)
    assert reused(proxy, "cluster.c") == 1


def test_mistakes_are_told(tmp_path, one):
    short, many = tmp_path / "short", tmp_path / "many"
    short.write_bytes(os.urandom(79))
    many.write_bytes(b"\n".join(base64.b64encode(os.urandom(80)) for _ in range(17)))
    for tickets, said in (({"keys": [str(short)]}, str(short)), ({"keys": [str(many)]}, str(many)),
                          ({"keys": ["/nowhere"]}, "cannot read /nowhere"), ({"rotate": "1s", "lifetime": "1h"}, "at most 13 times as long"),
                          ("on off", "tickets")):
        path = tmp_path / "wrong.yaml"
        path.write_text(config(listeners=[echo_behind(one, tickets=tickets)]))
        done = run_nuncio("check", "-c", path)
        assert done.returncode == 1 and said in done.stderr, f"{tickets}: {done.stderr}"
