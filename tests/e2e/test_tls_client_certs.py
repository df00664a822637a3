"""Clients that have to show a certificate: who gets in, and what each of the others is told, counted and logged as."""
import json
import re

import pytest

from lib import clients, logs
from lib.authority import Authority
from lib.config import config, listener
from lib.nuncio import run_nuncio
from lib.poll import eventually, patiently
from lib.s_client import echo_once, s_client
from lib.servers import haproxy, nginx

VERSIONS = ("-tls1_2", "-tls1_3")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("root"), "clients-root")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def server(root):
    return root.issue("a.test")


@pytest.fixture
def mtls(nuncio, server, root):
    """mtls(client_certs) starts an echo behind TLS that asks clients for certificates."""
    def start(tickets="off", **client_certs):
        client_certs.setdefault("ca", str(root.cert))
        tls = {"certificates": server.pair(), "client_certs": {k: v for k, v in client_certs.items() if v}, "tickets": tickets}
        proxy = nuncio(config(listeners=[listener("echo", tls=tls)]))
        proxy.tls = proxy.address("in")
        return proxy
    return start


def showing(identity, *options):
    return ["-cert", identity.cert, "-key", identity.key, "-cert_chain", identity.cert, *options]


CAUSES = {"no_cert": "tls_no_certificate", "error": "tls_bad_certificate", "san": "tls_certificate_denied",
          "cert_hash": "tls_certificate_denied"}


def refused(proxy, counter, words, options, alert):
    """A connection that is refused in each version, with the alert, the counter and the words in the access log."""
    stats = proxy.stats()
    before, since = stats[f"listener.in.ssl.fail_verify_{counter}"], stats["listener.in.downstream_cx_total"]
    for version in VERSIONS:
        said = s_client(proxy.tls, *options, version)
        assert said.alert and said.alert.endswith(alert[VERSIONS.index(version)] if isinstance(alert, tuple) else alert), said.text
        assert not said.echo
    proxy.wait_stat(f"listener.in.ssl.fail_verify_{counter}", before + 2)
    for row in logs.closed(proxy, since + 2)[since:]:
        assert row["cause"] == CAUSES[counter] and re.search(words, row["details"]), row


def test_none_optional_and_off(mtls, root):
    me = root.issue("me.test")
    proxy = mtls(mode="require")
    echo_once(proxy.tls, *showing(me))
    refused(proxy, "no_cert", "peer did not return a certificate", [], ("handshake failure", "certificate required"))
    proxy = mtls(mode="optional")
    echo_once(proxy.tls, *showing(me))
    echo_once(proxy.tls)
    assert proxy.stats()["listener.in.ssl.no_certificate"] == 1
    assert "No client certificate CA names sent" in echo_once(mtls(mode="off").tls, *showing(me)).text


def test_wrong_ones(mtls, root, stranger, tmp_path):
    """Each kind has its own alert; `optional` refuses a bad certificate, too."""
    gone = root.issue("gone.test")
    proxy = mtls(mode="optional", crl=str(root.crl(gone, name="wrong-ones.crl")))
    refused(proxy, "error", "certificate has expired.*CN=old.test", showing(root.issue("old.test", start=-9, end=-1)), "certificate expired")
    refused(proxy, "error", "certificate is not yet valid.*CN=new.test", showing(root.issue("new.test", start=1)), "bad certificate")
    refused(proxy, "error", "certificate revoked.*CN=gone.test", showing(gone), "certificate revoked")
    refused(proxy, "error", "unable to get local issuer.*CN=odd.test", showing(stranger.issue("odd.test")), "unknown ca")
    refused(proxy, "error", "CN=web.test", showing(root.issue("web.test", uses=["server"])), "unsupported certificate")
    impostor = Authority(tmp_path, "clients-root")  # the name is the same, the key is another
    refused(proxy, "error", "CN=fake.test", showing(impostor.issue("fake.test")), ("unknown ca"))
    echo_once(proxy.tls, *showing(root.issue("me.test")))


def test_chains_and_depth(mtls, root):
    middle = Authority(root.folder / "middle", "middle", parent=root)
    low = Authority(root.folder / "low", "low", parent=middle)
    one, two = middle.issue("one.test"), low.issue("two.test")
    proxy = mtls(depth=1)
    echo_once(proxy.tls, *showing(one))
    refused(proxy, "error", "certificate chain too long", showing(two), "unknown ca")
    echo_once(mtls(depth=2).tls, *showing(two))
    proxy = mtls(ca=str(middle.cert))  # an end of its own
    echo_once(proxy.tls, *showing(one))
    refused(proxy, "error", "unable to get local issuer", showing(root.issue("me.test")), "unknown ca")


def test_lists_for_every_ca(mtls, root):
    middle = Authority(root.folder / "for-lists", "for-lists", parent=root)
    me, gone = middle.issue("me.test"), middle.issue("gone.test")
    both = root.folder / "both.crl"
    both.write_bytes(middle.crl(gone).read_bytes() + root.crl().read_bytes())
    proxy = mtls(crl=str(both))
    echo_once(proxy.tls, *showing(me))
    refused(proxy, "error", "certificate revoked", showing(gone), "certificate revoked")
    refused(mtls(crl=str(middle.crl(gone))), "error", "unable to get certificate CRL.*CN=for-lists", showing(me), "unknown ca")
    proxy = mtls(crl=str(middle.crl(gone)), crl_check="leaf")
    echo_once(proxy.tls, *showing(me))
    both.write_bytes(middle.crl().read_bytes() + root.crl(middle).read_bytes())
    refused(mtls(crl=str(both)), "error", "certificate revoked.*CN=for-lists", showing(me), "certificate revoked")
    proxy = mtls(crl=str(root.crl(start=-9, end=-2, name="old.crl")))
    proxy.wait_line(r".*warning.*the list of CN=clients-root is outdated since 2 days")
    refused(proxy, "error", "CRL has expired", showing(root.issue("me.test")), "certificate expired")


ALLOW = {"dns": ["web.svc", "*.mesh"], "uri": ["spiffe://mesh/ns/*/web", "spiffe://mesh/all/*"], "email": ["*@a.test"],
         "ip": ["10.0.0.0/8", "fd00::1"]}


@pytest.mark.parametrize("allowed, names", [
    (True, {"dns": ["web.svc"]}), (True, {"dns": ["x.test", "a.mesh"]}), (False, {"dns": ["a.b.mesh"]}), (False, {"dns": ["*.mesh"]}),
    (False, {"dns": ["mesh"]}), (True, {"uri": ["spiffe://mesh/ns/blue/web"]}), (False, {"uri": ["spiffe://mesh/ns/blue/green/web"]}),
    (True, {"uri": ["spiffe://mesh/all/a/b"]}), (False, {"uri": ["spiffe://mesh/all/../ns"]}), (False, {"uri": ["spiffe://other/all/a"]}),
    (True, {"email": ["me@a.test"]}), (False, {"email": ["me@b.test"]}), (True, {"ip": ["10.1.2.3"]}), (True, {"ip": ["fd00::1"]}),
    (False, {"ip": ["11.0.0.1"]}), (False, {}),
])
def test_names(mtls, root, allowed, names):
    proxy = mtls(allow=ALLOW)
    me = root.issue("web.svc", **{"dns": (), **names})  # the common name is nobody's name
    if allowed:
        echo_once(proxy.tls, *showing(me))
    else:
        seen = next(iter(names.values()))[0] if names else "none"
        refused(proxy, "san", f"not allowed by its names, its names are .*{seen.replace('*', '.')}.*CN=web.svc", showing(me), "certificate unknown")


def test_hashes(mtls, root, stranger):
    me, other, mine = root.issue("me.test"), root.issue("other.test"), stranger.issue("mine.test")
    colons = ":".join(me.sha256[i:i + 2] for i in range(0, 64, 2)).upper()
    for allow in ({"sha256": colons}, {"sha256": ["0" * 64, me.sha256]}, {"spki": me.spki}):
        proxy = mtls(allow=allow)
        echo_once(proxy.tls, *showing(me))
    refused(proxy, "cert_hash", f"sha256 {other.sha256}, CN=other.test", showing(other), "bad certificate")
    proxy = mtls(allow={"sha256": me.sha256, "dns": ["other.test"]})  # both have to fit
    refused(proxy, "san", "not allowed by its names", showing(me), "certificate unknown")
    proxy = mtls(ca=None, allow={"sha256": [mine.sha256, stranger.issue("old.test", start=-9, end=-1, key=mine.private).sha256]})
    echo_once(proxy.tls, *showing(mine))  # whoever signed it
    refused(proxy, "cert_hash", "not allowed by its hash", showing(me), "bad certificate")


def test_hash_alone_does_not_outlive_the_certificate(mtls, root):
    old = root.issue("old.test", start=-9, end=-1)
    refused(mtls(ca=None, allow={"sha256": old.sha256}), "error", "certificate has expired", showing(old), "certificate expired")


def test_ca_folder(mtls, root, stranger, tmp_path):
    for authority in (root, stranger):
        (tmp_path / f"{authority.x509.serial_number}.crt").write_bytes(authority.pem())
    (tmp_path / "readme.txt").write_text("not one of them")
    proxy = mtls(ca=str(tmp_path))
    echo_once(proxy.tls, *showing(root.issue("me.test")))
    said = echo_once(proxy.tls, *showing(stranger.issue("me.test")))
    assert "CN = clients-root" in said.text and "CN = stranger" in said.text  # told to clients in the request


def test_facts_of_the_client(nuncio, root, server):
    me = root.issue("me, \u00fc", dns=["me.test"], uri=["spiffe://mesh/a,b"])
    log = [{"path": "tls.json", "json": {key: f"%DOWNSTREAM_PEER_{key}%" for key in
                                         ("SUBJECT", "ISSUER", "SERIAL", "FINGERPRINT_256", "DNS_SAN", "URI_SAN")}}]
    proxy = nuncio(config(listeners=[listener("echo", tls={"certificates": server.pair(), "client_certs": {"ca": str(root.cert)}},
                                              access_log=log)]))
    echo_once(proxy.address("in"), *showing(me))
    row = json.loads(proxy.file_lines("tls.json")[0])
    assert row["FINGERPRINT_256"] == me.sha256 and int(row["SERIAL"], 16) == me.x509.serial_number
    assert row["SUBJECT"].startswith("CN=me\\, ") and row["ISSUER"] == "CN=clients-root"
    assert row["DNS_SAN"] == "me.test" and row["URI_SAN"] == "spiffe://mesh/a\\x2cb"


# --- resumption does not get around any of it

@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_end_with_what_they_stand_for(mtls, root, tmp_path, version):
    me = root.issue("me.test")
    crl = tmp_path / "live.crl"
    crl.write_bytes(root.crl(name="live-a.crl").read_bytes())
    proxy = mtls(tickets="on", crl=str(crl))
    session = tmp_path / "session"
    echo_once(proxy.tls, *showing(me, version), "-sess_out", session)
    assert echo_once(proxy.tls, *showing(me, version), "-sess_in", session, "-sess_out", session).reused
    crl.write_bytes(root.crl(me, name="live-b.crl").read_bytes())

    def revoked():
        said = s_client(proxy.tls, *showing(me, version), "-sess_in", session)
        return not said.reused and (said.alert or "").endswith("certificate revoked")
    eventually(revoked)


def test_session_ends_with_the_certificate(mtls, root, tmp_path):
    proxy = mtls(tickets="on")
    session = tmp_path / "session"

    def story(factor):
        me = root.issue("me.test", end=2 * factor / 86400)
        echo_once(proxy.tls, *showing(me), "-sess_out", session)

        def ended():
            said = s_client(proxy.tls, *showing(me), "-sess_in", session)
            return not said.reused and (said.alert or "").endswith("certificate expired")

        eventually(ended, 30 + 2 * factor)
    patiently(story)


def test_session_of_another_listener(nuncio, root, server, tmp_path):
    """One asks for certificates, the other does not; a session of the latter opens nothing."""
    strict = {"certificates": server.pair(), "client_certs": {"ca": str(root.cert)}}
    proxy = nuncio(config(listeners=[listener("echo", name="open", tls={"certificates": server.pair()}),
                                     listener("echo", name="in", tls=strict)]))
    session = tmp_path / "session"
    for version in VERSIONS:
        echo_once(proxy.address("open"), version, "-sess_out", session)
        said = s_client(proxy.address("in"), version, "-sess_in", session)
        assert not said.reused and not said.echo, said.text


@pytest.mark.parametrize("version", VERSIONS)
def test_session_of_another_name(nuncio, root, server, tmp_path, version):
    """A session is of the name that its client asked for (RFC 6066 3)."""
    proxy, session = nuncio(config(listeners=[listener("echo", tls={"certificates": server.pair()})])), tmp_path / "session"
    for first, second, same in (("a.test", "A.test", True), ("a.test", "b.test", False)):
        echo_once(proxy.address("in"), version, "-servername", first, "-sess_out", session)
        assert echo_once(proxy.address("in"), version, "-servername", second, "-sess_in", session).reused == same
    assert not echo_once(proxy.address("in"), version, "-noservername", "-sess_in", session).reused


# --- others as clients

def test_nginx_and_haproxy_as_clients(mtls, root, peer, tmp_path):
    me = root.issue("me.test")
    proxy = mtls(allow={"dns": ["me.test"]})
    ours = (f"proxy_pass {proxy.tls}; proxy_ssl on; proxy_ssl_name a.test; proxy_ssl_server_name on; proxy_ssl_verify on;"
            f"proxy_ssl_trusted_certificate {root.cert}; proxy_ssl_certificate {me.cert}; proxy_ssl_certificate_key {me.key};")
    stream = peer(lambda: nginx(tmp_path, ["n"], stream=lambda ports: f"server {{ listen 127.0.0.1:{ports['n']}; {ours} }}"))
    h = peer(lambda: haproxy(tmp_path, ["h"], lambda ports: f"""
listen h
  bind 127.0.0.1:{ports['h']}
  server s {proxy.tls} ssl verify required ca-file {root.cert} crt {me.both} sni str(a.test) verifyhost a.test
"""))
    for other in (stream, h):
        with clients.connect(other.address) as sock:
            sock.sendall(b"hello")
            assert clients.recv_exactly(sock, 5) == b"hello"
    proxy.wait_stat("listener.in.ssl.handshake", 2)


# --- what a config may get wrong

def test_mistakes_are_told(tmp_path, root, server):
    rows = [
        ({}, 'missing key "ca"'), ({"mode": "off"}, None), ({"crl": str(root.crl(name="x.crl"))}, '"crl" needs a "ca"'),
        ({"ca": str(server.key)}, "there is no certificate in"), ({"ca": str(tmp_path)}, "there is no certificate in"),
        ({"ca": "/nowhere"}, "cannot read /nowhere"), ({"ca": str(root.cert), "crl": str(root.cert)}, "there is no certificate revocation list in"),
        ({"ca": str(root.cert), "allow": {}}, '"allow" is empty'), ({"ca": str(root.cert), "depth": 99}, "0 to 16"),
        ({"ca": str(root.cert), "mode": "required"}, 'did you mean "require"?'),
        ({"ca": str(root.cert), "allow": {"dns": "a.*"}}, "a star stands for one whole label"),
        ({"ca": str(root.cert), "allow": {"dns": "*"}}, "a star stands for one whole label"),
        ({"ca": str(root.cert), "allow": {"uri": "spiffe://mesh/we*"}}, "a star stands for whole segments"),
        ({"ca": str(root.cert), "allow": {"uri": "mesh/web"}}, "a scheme like"),
        ({"ca": str(root.cert), "allow": {"ip": "10.0.0.1/8"}}, "a network like 10.0.0.0/8"),
        ({"ca": str(root.cert), "allow": {"sha256": "ab" * 31}}, "64 hexadecimal digits"),
        ({"ca": str(root.cert), "crl": str(Authority(tmp_path / "other", "other").crl())}, "is signed by no CA"),
    ]
    for client_certs, said in rows:
        path = tmp_path / "wrong.yaml"
        path.write_text(config(listeners=[listener("echo", tls={"certificates": server.pair(), "client_certs": client_certs})]))
        done = run_nuncio("check", "-c", path)
        assert said in done.stderr if said else done.returncode == 0, f"{client_certs}: {done.stderr}"
        assert (done.returncode == 0) == (said is None or "warning" in done.stderr), done.stderr
