"""TLS terminated on a listener: which certificate, version, cipher and protocol a client gets, and what a config may get wrong."""
import json

import pytest

from lib import clients, logs
from lib.authority import Authority
from lib.config import cluster, config, listener
from lib.nuncio import run_nuncio
from lib.peers import Echo
from lib.poll import eventually, patiently
from lib.process import command
from lib.s_client import echo_once, s_client


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def one(root):
    return root.issue("a.test")


def echo_listener(tls, **more):
    return listener("echo", tls=tls, **more)


@pytest.fixture
def terminate(nuncio):
    """terminate(tls map) starts an echo behind TLS and gives the listener's address."""
    def start(**tls):
        proxy = nuncio(config(listeners=[echo_listener(tls)]))
        proxy.tls = proxy.address("in")
        return proxy
    return start


# --- which certificate

@pytest.fixture(scope="module")
def several(root):
    """The default, two kinds of one name, a wildcard, a name inside of the wildcard of another kind."""
    return {"default": root.issue("default.test"), "a-ec": root.issue("a.test"), "a-rsa": root.issue("a.test", key="rsa"),
            "b": root.issue("*.b.test"), "c-rsa": root.issue("c.b.test", key="rsa"), "cn": root.issue("only-cn.test", dns=())}


RSA_ONLY = ("-sigalgs", "RSA-PSS+SHA256:RSA+SHA256")


def test_certificate_by_name_and_by_what_the_client_can(nuncio, several):
    proxy = nuncio(config(listeners=[echo_listener({"certificates": [c.pair() for c in several.values()]})]))
    address, rows = proxy.address("in"), [
        (["-servername", "a.test"], "a.test", "ECDSA"),
        (["-servername", "A.TEST"], "a.test", "ECDSA"),
        (["-servername", "a.test", *RSA_ONLY], "a.test", "RSA-PSS"),
        (["-servername", "a.test", "-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"], "a.test", "RSA-PSS"),
        (["-servername", "x.b.test"], "*.b.test", "ECDSA"),
        (["-servername", "c.b.test"], "c.b.test", "RSA-PSS"),  # the name goes before the kind of key
        (["-servername", "c.b.test", "-tls1_2"], "c.b.test", "RSA-PSS"),
        (["-servername", "c.b.test", *RSA_ONLY], "c.b.test", "RSA-PSS"),
        (["-servername", "c.b.test", "-sigalgs", "ECDSA+SHA256"], "*.b.test", "ECDSA"),  # all that this client can verify
        (["-servername", "c.b.test", "-sigalgs", "RSA+SHA256:ECDSA+SHA256", "-tls1_3"], "*.b.test", "ECDSA"),
        (["-servername", "c.b.test", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "*.b.test", "ECDSA"),
        (["-servername", "x.y.b.test"], "default.test", "ECDSA"),
        (["-servername", "b.test"], "default.test", "ECDSA"),
        (["-servername", "only-cn.test"], "only-cn.test", "ECDSA"),
        (["-servername", "nobody.test"], "default.test", "ECDSA"),
        (["-noservername"], "default.test", "ECDSA"),
    ]
    for options, subject, signature in rows:
        said = echo_once(address, *options)
        assert (said.subject, said.signature) == (f"CN = {subject}", signature), options


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_our_own_certificate_is_told_of_resumed_sessions_too(nuncio, several, tmp_path, version):
    """No certificate is shown then; it is the name's all the same, not the default one."""
    log = {"path": "own.json", "json": {"own": "%DOWNSTREAM_LOCAL_DNS_SAN%", "resumed": "%DOWNSTREAM_TLS_RESUMED%"}}
    proxy = nuncio(config(listeners=[listener("echo", access_log=log, tls={"certificates": [c.pair() for c in several.values()]})]))
    session, name = tmp_path / "session", ("-servername", "c.b.test", version)
    echo_once(proxy.address("in"), *name, "-sess_out", session)
    assert echo_once(proxy.address("in"), *name, "-sess_in", session).reused
    assert [json.loads(row) for row in proxy.file_lines("own.json", 2)] == [{"own": "c.b.test", "resumed": word} for word in ("no", "yes")]


def test_name_with_the_wrong_kind_of_key_alone(terminate, several):
    """There is a certificate for the name, and the client cannot verify it: better no connection than another's."""
    proxy = terminate(certificates=[several["default"].pair(), several["b"].pair()])
    assert s_client(proxy.tls, "-servername", "x.b.test", *RSA_ONLY).alert == "sslv3 alert handshake failure"


def test_chain_is_sent(terminate, root):
    middle = Authority(root.folder / "middle", "middle", parent=root)
    low = Authority(root.folder / "low", "low", parent=middle)
    proxy = terminate(certificates=[low.issue("a.test").pair()])
    echo_once(proxy.tls, "-CAfile", root.cert, "-verify_return_error", "-verify_hostname", "a.test", "-servername", "a.test")


def test_forms_of_keys(nuncio, root):
    """PKCS#12 with and without a passphrase, an encrypted key, certificate and key in one file, Ed25519."""
    names = [f"{letter}.test" for letter in "pqrst"]
    p, q, r, s = (root.issue(name) for name in names[:4])
    locked, word = r.locked_key("geheim")
    word_of_q = q.key.with_suffix(".pass")
    word_of_q.write_text("horse\nbattery\n")
    pairs = [{"pkcs12": str(p.pkcs12())}, {"pkcs12": str(q.pkcs12("horse")), "passphrase_file": str(word_of_q)},
             {"cert": str(r.cert), "key": str(locked), "passphrase_file": str(word)}, str(s.both),
             root.issue(names[4], key="ed25519").pair()]
    proxy = nuncio(config(listeners=[echo_listener({"certificates": pairs})]))
    for name in names:
        assert echo_once(proxy.address("in"), "-servername", name).subject == f"CN = {name}"


# --- what is spoken

@pytest.mark.parametrize("tls, options, expected", [
    ({}, ["-tls1_2"], ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")),
    ({}, [], ("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
    ({}, ["-ciphersuites", "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"], ("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
    ({}, ["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"], ("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256")),
    ({"max_version": "1.2"}, [], ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")),
    ({"ciphersuites": "TLS_AES_256_GCM_SHA384"}, [], ("TLSv1.3", "TLS_AES_256_GCM_SHA384")),
    ({"ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384"}, ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"],
     ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384")),
    ({"groups": ["P-384"]}, ["-groups", "P-256:P-384"], ("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
    ({"sigalgs": ["ecdsa_secp256r1_sha256"]}, ["-sigalgs", "ECDSA+SHA256"], ("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
])
def test_versions_and_lists(terminate, one, tls, options, expected):
    said = echo_once(terminate(certificates=one.pair(), **tls).tls, *options)
    assert (said.version, said.cipher) == expected


@pytest.mark.parametrize("tls, options, alert", [
    ({"min_version": "1.3"}, ["-tls1_2"], "tlsv1 alert protocol version"),
    ({"max_version": "1.2"}, ["-tls1_3"], "tlsv1 alert protocol version"),
    ({}, ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "tlsv1 alert protocol version"),
    ({"ciphersuites": "TLS_AES_256_GCM_SHA384"}, ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], "sslv3 alert handshake failure"),
    ({}, ["-tls1_2", "-cipher", "AES128-SHA"], "sslv3 alert handshake failure"),
    ({"groups": ["P-384"]}, ["-groups", "P-256"], "sslv3 alert handshake failure"),
    ({"alpn": ["h2"]}, ["-alpn", "spdy"], "tlsv1 alert no application protocol"),
])
def test_nothing_in_common(terminate, one, tls, options, alert):
    said = s_client(terminate(certificates=one.pair(), **tls).tls, *options)
    assert said.alert == alert, said.text


def test_alpn_by_our_order(terminate, one):
    proxy = terminate(certificates=one.pair(), alpn=["h2", "http/1.1"])
    assert echo_once(proxy.tls, "-alpn", "http/1.1,h2").alpn == "h2"
    assert echo_once(proxy.tls, "-alpn", "x,http/1.1").alpn == "http/1.1"
    assert echo_once(proxy.tls).alpn is None


def test_curl_is_content(nuncio, peer, one, root):
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nhi\n"
    server = peer(Echo, name=body)
    chain = {"tcp_proxy": {"cluster": "c"}}
    proxy = nuncio(config(listeners=[listener(chain, tls={"certificates": one.pair(), "alpn": ["http/1.1"]})], clusters=[cluster(server)]))
    port = proxy.port("in")
    got = command("curl", "-sS", "--cacert", root.cert, "--resolve", f"a.test:{port}:127.0.0.1", f"https://a.test:{port}/")
    assert got.stdout == "hi\n", got.stderr


def test_handshake_timeout(terminate, one):
    proxy = terminate(certificates=one.pair(), handshake_timeout="150ms")
    with proxy.connect("in") as silent:
        assert silent.recv(1) == b""
    with proxy.connect("in") as slow:
        slow.sendall(b"\x16\x03\x01")
        assert clients.how_it_ends(slow) in ("fin", "rst")
    assert {row["cause"] for row in logs.closed(proxy, 2)} == {"tls_handshake_timeout"}


# --- OCSP

def test_ocsp_is_stapled_while_it_is_good(nuncio, root):
    good, revoked, old = (root.issue(f"{n}.test") for n in ("good", "revoked", "old"))
    pairs = [good.pair(ocsp=str(root.ocsp(good, name="good.der"))),
             revoked.pair(ocsp=str(root.ocsp(revoked, "REVOKED", name="revoked.der"))),
             old.pair(ocsp=str(root.ocsp(old, start=-5, end=-1, name="old.der")))]
    proxy = nuncio(config(listeners=[echo_listener({"certificates": pairs})]))
    proxy.wait_line(r".*revoked.der says of the certificate: revoked; it is not sent")
    proxy.wait_line(r".*old.der is outdated since 24 hours; it is not sent")
    for version in ("-tls1_2", "-tls1_3"):
        assert "OCSP Response Status: successful" in echo_once(proxy.address("in"), "-servername", "good.test", "-status", version).text
        for name in ("revoked.test", "old.test"):
            assert "OCSP response: no response sent" in echo_once(proxy.address("in"), "-servername", name, "-status", version).text
    stats = proxy.stats()
    assert (stats["listener.in.ssl.ocsp_staple_responses"], stats["listener.in.ssl.ocsp_staple_omitted"]) == (2, 4)


def test_ocsp_ends_while_it_is_served(nuncio, root):
    """The file was good when it was loaded."""
    cert = root.issue("short.test")

    def story(factor):
        staple = root.ocsp(cert, end=2.5 * factor / 86400, name="short.der")
        proxy = nuncio(config(listeners=[echo_listener({"certificates": cert.pair(ocsp=str(staple))})]))
        assert "OCSP Response Status: successful" in echo_once(proxy.address("in"), "-status").text
        eventually(lambda: "OCSP response: no response sent" in echo_once(proxy.address("in"), "-status").text, 30 + 3 * factor)
        assert proxy.stats()["listener.in.ssl.ocsp_staple_omitted"] > 0
    patiently(story)


# --- what a config may get wrong

def wrong_configs(root):
    """What is wrong -> (tls map, what is said of it)."""
    a, b, middle = root.issue("a.test"), root.issue("b.test"), Authority(root.folder / "m2", "middle", parent=root)
    through = middle.issue("a.test")
    locked, word = a.locked_key("geheim")
    wrong_word = word.with_suffix(".wrong")
    wrong_word.write_text("nein\n")
    empty = word.with_suffix(".empty")
    empty.write_text("\n")
    garbage = root.folder / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    der = root.folder / "a.der"
    command("openssl", "x509", "-in", a.cert, "-outform", "DER", "-out", der, check=True)
    swapped = root.folder / "swapped.pem"
    swapped.write_bytes(middle.pem() + a.cert.read_bytes())
    chain = through.cert.with_suffix(".order")
    chain.write_bytes(through.cert.read_bytes().replace(middle.pem(), b"") + b.cert.read_bytes())
    weak = root.issue("weak.test", key="rsa1024")
    ended = Authority(root.folder / "ended", "ended", parent=root, start=-9, end=-3).issue("a.test")
    other = root.ocsp(b, name="other.der")
    forged = root.ocsp(through, name="forged.der")
    pair = a.pair()
    return {
        "no file": ({"certificates": {"cert": "/nowhere.pem"}}, "certificates.cert: cannot read /nowhere.pem"),
        "no PEM": ({"certificates": {"cert": str(word)}}, "there is no certificate in"),
        "broken": ({"certificates": {"cert": str(garbage)}}, "cannot be parsed: wrong tag"),
        "DER": ({"certificates": {"cert": str(der), "key": str(a.key)}}, "is DER, expected PEM"),
        "no key": ({"certificates": {"cert": str(a.cert)}}, "there is no private key in"),
        "not its key": ({"certificates": {"cert": str(a.cert), "key": str(b.key)}}, "does not belong to the certificate in"),
        "encrypted": ({"certificates": {"cert": str(a.cert), "key": str(locked)}}, 'is encrypted: name a "passphrase_file"'),
        "wrong passphrase": ({"certificates": {"cert": str(a.cert), "key": str(locked), "passphrase_file": str(wrong_word)}},
                             "certificates.passphrase_file: the passphrase in"),
        "no passphrase": ({"certificates": {"cert": str(a.cert), "key": str(locked), "passphrase_file": str(empty)}},
                          "begins with an empty line"),
        "p12 without passphrase": ({"certificates": {"pkcs12": str(b.pkcs12("x"))}}, "has a passphrase"),
        "p12 and key": ({"certificates": {"pkcs12": str(b.pkcs12("x")), "key": str(a.key)}}, "the key is in the PKCS#12 file"),
        "order": ({"certificates": {"cert": str(swapped), "key": str(a.key)}}, "the key belongs to certificate 2 in"),
        "chain order": ({"certificates": {"cert": str(chain), "key": str(through.key)}}, "did not issue the one before it"),
        "weak": ({"certificates": weak.pair()}, "cannot be used: ee key too small"),
        "expired": ({"certificates": root.issue("old.test", start=-9, end=-3).pair()}, "warning: listeners[0].tls.certificates.cert: the "
                    "certificate CN=old.test expired 3 days ago"),
        "not yet": ({"certificates": root.issue("new.test", start=2, end=30).pair()}, "is not valid before 2 days from now"),
        "unused name": ({"certificates": [pair, root.issue("a.test").pair()]}, "warning: listeners[0].tls.certificates[1]: every name"),
        "other's OCSP": ({"certificates": a.pair(ocsp=str(other))}, "is not about this certificate"),
        "no OCSP": ({"certificates": a.pair(ocsp=str(a.cert))}, "is no OCSP response (DER)"),
        "forged OCSP": ({"certificates": through.pair(ocsp=str(forged))}, "is not signed by the certificate's issuer"),
        "cipher": ({"certificates": pair, "ciphers": ["ECDHE-RSA-AES128-GCM-SHA265"]}, 'did you mean "ECDHE-RSA-AES128-GCM-SHA256"?'),
        "suite as cipher": ({"certificates": pair, "ciphers": ["TLS_AES_128_GCM_SHA256"]}, 'belongs to "ciphersuites"'),
        "standard name of a cipher": ({"certificates": pair, "ciphers": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
                                      'did you mean "ECDHE-RSA-AES128-GCM-SHA256"?'),
        "keyword": ({"certificates": pair, "ciphers": "HIGH:!aNULL"}, 'unknown cipher of TLS 1.2 "!aNULL": keywords are not taken'),
        "cipher of another key": ({"certificates": pair, "ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"]},
                                  "warning: listeners[0].tls.ciphers: none of them goes with the key of a certificate here"),
        "PEM for PKCS#12": ({"certificates": {"pkcs12": str(a.cert)}}, 'is PEM, expected PKCS#12: name it in "cert"'),
        "expired CA in the chain": ({"certificates": ended.pair()}, "warning: listeners[0].tls.certificates.cert: certificate 2 in the "
                                    "chain, CN=ended, expired 3 days ago"),
        "key log is a folder": ({"certificates": pair, "keylog": str(root.folder)}, "it is a folder, expected a file"),
        "key log nowhere": ({"certificates": pair, "keylog": {"path": "/nowhere/keys"}}, "keylog.path: /nowhere/keys: its folder does not exist"),
        "clients without a CA": ({"certificates": pair, "client_certs": "require"}, 'client_certs: missing key "ca"'),
        "group": ({"certificates": pair, "groups": ["X25517"]}, 'did you mean "X25519"?'),
        "group twice": ({"certificates": pair, "groups": ["P-256", "prime256v1"]}, "a name twice"),
        "sigalg": ({"certificates": pair, "sigalgs": ["ecdsa_secp256r1_sha265"]}, 'did you mean "ecdsa_secp256r1_sha256"?'),
        "no cipher left": ({"certificates": pair, "max_version": "1.2", "ciphers": ["PSK-AES128-GCM-SHA256"]}, "no cipher is left"),
        "versions": ({"certificates": pair, "min_version": "1.3", "max_version": "1.2"}, "min_version 1.3 is newer than max_version 1.2"),
        "old version": ({"certificates": pair, "min_version": "1.1"}, "expected 1.2 or 1.3"),
        "no certificate": ({}, 'missing key "certificates"'),
        "alpn": ({"certificates": pair, "alpn": ["x" * 256]}, "of 1 to 255 bytes"),
    }


def test_mistakes_are_told(tmp_path, root):
    for what, (tls, said) in wrong_configs(root).items():
        path = tmp_path / "wrong.yaml"
        path.write_text(config(listeners=[echo_listener(tls)]))
        done = run_nuncio("check", "-c", path)
        assert said in done.stderr, f"{what}: {done.stderr}"
        assert (done.returncode == 0) == ("warning" in done.stderr), f"{what}: {done.stderr}"


def test_tls_beside_chains(tmp_path, one):
    path = tmp_path / "both.yaml"
    path.write_text(config(listeners=[listener(tls={"certificates": one.pair()}, chains=[{"filters": ["echo"]}])]))
    assert '"tls" and "chains" exclude each other' in run_nuncio("check", "-c", path).stderr


@pytest.mark.parametrize("tickets", ["off", {"rotate": "1h"}])
def test_print_checks_to_itself(tmp_path, root, one, tickets):
    path, again = tmp_path / "first.yaml", tmp_path / "again.yaml"
    tls = {"certificates": [one.pair()], "client_certs": {"ca": str(root.cert), "allow": {"ip": "10.0.0.1"}}, "tickets": tickets}
    back = {"verify": "none", "sni": "from_client", "cert": str(one.cert), "key": str(one.key)}
    path.write_text(config(listeners=[echo_listener(tls)], clusters=[cluster("127.0.0.1:9", tls=back)]))
    first = run_nuncio("check", "-c", path, "--print")
    again.write_text(first.stdout)
    assert first.returncode == 0 and ('tickets: "off"' in first.stdout) == (tickets == "off")
    assert 'sni: "from_client"' in first.stdout
    assert run_nuncio("check", "-c", again, "--print").stdout == first.stdout
