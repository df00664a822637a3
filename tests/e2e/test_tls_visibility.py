"""What is told about TLS: operators of the access log, JA3 and JA4 in it and as match keys, the key log."""
import re
import ssl
import stat

import pytest

from lib import clients
from lib.capture import Capture, Tap, tshark
from lib.config import cluster, config, listener
from lib.fork import chain, fork, rows, taker
from lib.hello import hello
from lib.nuncio import run_nuncio
from lib.peers import Echo
from lib.pki import Ca
from lib.poll import eventually
from lib.process import command

JA = {"path": "ja.json", "json": {key: f"%{op}%" for key, op in (
    ("chain", "FILTER_CHAIN_NAME"), ("sni", "REQUESTED_SERVER_NAME"), ("ja3", "TLS_JA3_FINGERPRINT"), ("ja4", "TLS_JA4_FINGERPRINT"))}}


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


def server_tls(signed, **more):
    return {"certificates": [{"cert": str(signed.cert), "key": str(signed.key)}], **more}


def talk(address, ca, sni="a.test", client=None, version=None, keylog=None, alpn=()):
    """A TLS connection with one echo over it; the socket's session facts."""
    context = clients.tls_context(alpn, ca.cert)
    if client:
        context.load_cert_chain(client.cert, client.key)
    if version:
        context.minimum_version = context.maximum_version = version
    if keylog:
        context.keylog_filename = str(keylog)
    with context.wrap_socket(clients.connect(address), server_hostname=sni) as sock:
        sock.sendall(b"hello")
        assert clients.recv_exactly(sock, 5) == b"hello"
        return {"version": sock.version(), "cipher": sock.cipher()[0], "alpn": sock.selected_alpn_protocol()}


# --- operators

def operators(*names):
    return {"path": "tls.json", "json": {name: f"%{name}%" for name in names}}


def test_operators_of_both_sides(nuncio, peer, ca):
    server, back, me = ca.get("a.test"), ca.get("b.test", "DNS:b.test", "IP:127.0.0.1"), ca.get(
        "me, myself", "URI:spiffe://mesh/web", "DNS:me.test", "DNS:too.test", "email:me@a.test", "IP:10.0.0.1")
    names = [f"{side}_{what}" for side in ("DOWNSTREAM", "UPSTREAM") for what in (
        "TLS_VERSION", "TLS_CIPHER", "TLS_SESSION_ID", "TLS_ALPN", "TLS_GROUP", "TLS_RESUMED", "PEER_SUBJECT", "PEER_ISSUER", "PEER_SERIAL",
        "PEER_FINGERPRINT_256", "PEER_DNS_SAN", "PEER_URI_SAN", "PEER_EMAIL_SAN", "PEER_IP_SAN", "PEER_CERT_V_START", "PEER_CERT_V_END",
        "LOCAL_SUBJECT", "LOCAL_DNS_SAN", "TRANSPORT_FAILURE_REASON")] + ["REQUESTED_SERVER_NAME", "SNIFFED_ALPN"]
    inner = listener("echo", name="inner", tls=server_tls(back, alpn=["x/1"]), access_log=[])
    inner_address = nuncio(config(listeners=[inner])).address("inner")
    proxy = nuncio(config(
        listeners=[listener({"tcp_proxy": {"cluster": "c"}}, access_log=[operators(*names)], tls=server_tls(
            server, alpn=["y/1"], client_certs={"mode": "require", "ca": str(ca.cert)}))],
        clusters=[cluster(inner_address, tls={"ca": str(ca.cert), "sni": "b.test", "alpn": ["x/1"]})]))
    seen = talk(proxy.address("in"), ca, client=me, alpn=["y/1", "z"])
    row = rows(proxy, name="tls.json")[0]
    serial = command("openssl", "x509", "-in", me.cert, "-noout", "-serial", check=True).stdout.strip().partition("=")[2]
    sha256 = command("openssl", "x509", "-in", me.cert, "-noout", "-fingerprint", "-sha256", check=True).stdout
    expected = {
        "DOWNSTREAM_TLS_VERSION": seen["version"], "DOWNSTREAM_TLS_CIPHER": seen["cipher"], "DOWNSTREAM_TLS_ALPN": "y/1",
        "DOWNSTREAM_TLS_RESUMED": "no", "REQUESTED_SERVER_NAME": "a.test", "SNIFFED_ALPN": "y/1,z",
        "DOWNSTREAM_PEER_ISSUER": "CN=test CA", "DOWNSTREAM_PEER_SERIAL": serial, "DOWNSTREAM_PEER_URI_SAN": "spiffe://mesh/web",
        "DOWNSTREAM_PEER_DNS_SAN": "me.test,too.test", "DOWNSTREAM_PEER_EMAIL_SAN": "me@a.test", "DOWNSTREAM_PEER_IP_SAN": "10.0.0.1",
        "DOWNSTREAM_PEER_FINGERPRINT_256": sha256.strip().partition("=")[2].replace(":", "").lower(),
        "DOWNSTREAM_LOCAL_SUBJECT": "CN=a.test", "DOWNSTREAM_LOCAL_DNS_SAN": "a.test", "DOWNSTREAM_TRANSPORT_FAILURE_REASON": None,
        "UPSTREAM_TLS_VERSION": "TLSv1.3", "UPSTREAM_TLS_ALPN": "x/1", "UPSTREAM_PEER_SUBJECT": "CN=b.test",
        "UPSTREAM_PEER_DNS_SAN": "b.test", "UPSTREAM_PEER_IP_SAN": "127.0.0.1", "UPSTREAM_LOCAL_SUBJECT": None,
        "UPSTREAM_TRANSPORT_FAILURE_REASON": None}
    assert {key: row[key] for key in expected} == expected
    assert "me" in row["DOWNSTREAM_PEER_SUBJECT"] and "myself" in row["DOWNSTREAM_PEER_SUBJECT"]
    for key in ("DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_CERT_V_END", "UPSTREAM_PEER_CERT_V_START"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", row[key]), row[key]


def test_every_operator_has_a_value(nuncio, ca):
    """Certificates that name their owner in every way, on both sides of both connections; then failures of both."""
    page = run_nuncio("docs", "reference", check=True).stdout
    names = re.findall(r"^\| `%(\w*(?:TLS_|_PEER_|_SAN|_LOCAL_SUBJECT|TRANSPORT_FAILURE)\w*)", page, re.M)
    assert len(names) == 46
    full = ca.get("b.test", "DNS:b.test", "URI:spiffe://mesh/b", "email:b@b.test", "IP:127.0.0.1")
    both = server_tls(full, alpn=["x/1"], client_certs={"mode": "require", "ca": str(ca.cert)})
    inner = nuncio(config(listeners=[listener("echo", name="inner", tls=both, access_log=[])])).address("inner")
    to = {"ca": str(ca.cert), "sni": "b.test", "alpn": ["x/1"], "cert": str(full.cert), "key": str(full.key)}
    proxy = nuncio(config(
        listeners=[listener({"tcp_proxy": {"cluster": "c"}}, access_log=[operators(*names)], tls=both),
                   listener({"tcp_proxy": {"cluster": "wrong"}}, name="wrong", access_log=[operators(*names)])],
        clusters=[cluster(inner, tls=to), cluster(inner, name="wrong", tls={**to, "sni": "other.test"})]))
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        talk(proxy.address("in"), ca, "b.test", full, version, alpn=["x/1"])
    with proxy.connect("in") as client:
        client.sendall(b"no TLS at all")
        clients.how_it_ends(client)
    with proxy.connect("wrong") as client:
        clients.how_it_ends(client)
    told = rows(proxy, 4, "tls.json")
    assert [name for name in names if all(row[name] is None for row in told)] == []


def test_why_tls_failed(nuncio, peer, ca, tmp_path):
    other = Ca(tmp_path / "other")
    log = operators("DOWNSTREAM_TRANSPORT_FAILURE_REASON", "UPSTREAM_TRANSPORT_FAILURE_REASON", "CLOSE_CAUSE", "REQUESTED_SERVER_NAME")
    wrong = nuncio(config(listeners=[listener("echo", name="inner", tls=server_tls(other.get("b.test")), access_log=[])])).address("inner")
    proxy = nuncio(config(
        listeners=[listener({"tcp_proxy": {"cluster": "c"}}, access_log=[log], tls=server_tls(ca.get("a.test")))],
        clusters=[cluster(wrong, tls={"ca": str(ca.cert), "sni": "b.test"})]))
    with pytest.raises((ssl.SSLError, AssertionError, OSError)):
        talk(proxy.address("in"), ca)
    row = rows(proxy, name="tls.json")[0]
    assert row["UPSTREAM_TRANSPORT_FAILURE_REASON"] and row["DOWNSTREAM_TRANSPORT_FAILURE_REASON"] is None, row
    with pytest.raises(ssl.SSLError):
        talk(proxy.address("in"), other)
    row = rows(proxy, 2, "tls.json")[1]
    assert "unknown" in row["DOWNSTREAM_TRANSPORT_FAILURE_REASON"].lower() and row["REQUESTED_SERVER_NAME"] == "a.test", row


def test_every_failed_handshake_has_a_line(nuncio, ca):
    """Also where many fail in one second: a name, what was offered, the alert, the reason, bytes."""
    proxy = nuncio(config(listeners=[listener("echo", tls=server_tls(ca.get("a.test"), alpn=["x/1"]))]))
    for number in range(40):
        with pytest.raises(ssl.SSLError):
            talk(proxy.address("in"), ca, f"a{number}.test", alpn=["h2"])
    stats = proxy.wait_stat("listener.in.ssl.connection_error", 40)
    assert stats["listener.in.ssl.handshake"] == 0
    row = (r'handshake failed owner="listener in" peer=127\.0\.0\.1:\d+ cause=tls_handshake_failed reason="no application protocol" '
           r'sni=a(\d+)\.test alpn=h2 alert_sent="no application protocol" alert_received=- bytes_in=[1-9]\d* bytes_out=7\b')
    eventually(lambda: [int(number) for number in re.findall(row, proxy.output())] == list(range(40)), what=proxy.output)


# --- fingerprints

def test_both_fingerprints_of_terminated_and_of_passed_tls(nuncio, peer, ca, tmp_path):
    """What the log says is what tshark says of the same bytes; it is the same on both ways."""
    a, b = ca.get("a.test"), ca.get("b.test")
    inner = nuncio(config(listeners=[listener("echo", name="inner", tls=server_tls(b), access_log=[])])).address("inner")
    end = {"tcp_proxy": {"cluster": "c"}}
    proxy = nuncio(config(
        listeners=[{"name": "in", "bind": "127.0.0.1:0", "access_log": [JA], "chains": [
            {"name": "passed", "match": {"sni": "b.test"}, "filters": [end]},
            {"name": "terminated", "match": {"sni": "a.test"}, "tls": server_tls(a), "filters": ["echo"]}]},
            {"name": "only", "bind": "127.0.0.1:0", "access_log": [JA], "tls": server_tls(a), "filters": ["echo"]}],
        clusters=[cluster(inner)]))
    tap = peer(Tap, proxy.address("in"))
    talk(tap.address, ca, "a.test", alpn=["h2", "http/1.1"])
    talk(tap.address, ca, "b.test", alpn=["h2", "http/1.1"])
    rows(proxy, 2, "ja.json")  # before the next one, which does not end by way of the tap
    talk(proxy.address("only"), ca, "a.test", alpn=["h2", "http/1.1"])
    told = rows(proxy, 3, "ja.json")
    assert [row["chain"] for row in told] == ["terminated", "passed", "only"] and [row["sni"] for row in told] == ["a.test", "b.test", "a.test"]
    assert len({row["ja4"] for row in told}) == 1 and re.fullmatch(r"t13d\d{4}h2_[0-9a-f]{12}_[0-9a-f]{12}", told[0]["ja4"]), told
    seen = [tshark(capture.write(tmp_path / f"{i}.pcap"), "tls.handshake.ja3", where="tls.handshake.type == 1")[0][0]
            for i, capture in enumerate(tap.captures)]
    assert seen == [told[0]["ja3"], told[1]["ja3"]]
    assert told[2]["ja3"] == told[0]["ja3"]


def test_ja3_of_hellos_by_hand(nuncio, peer, tmp_path):
    """Some that no library sends, judged by tshark."""
    proxy = fork(nuncio, peer, {"tls": {"transport": "tls"}}, access_log=JA)
    sent = [hello(), hello("a.test"), hello("a.test", "h2"), hello("b.test", "acme-tls/1", "http/1.1")]
    capture = Capture()
    for count, one in enumerate(sent, 1):
        with proxy.connect("edge") as client:
            client.sendall(one)
            assert taker(client) == "tls"
        capture.add(True, one)
        told = rows(proxy, count, "ja.json")  # before the next one: workers write on their own
    seen = tshark(capture.write(tmp_path / "hellos.pcap"), "tls.handshake.ja3", where="tls.handshake.type == 1")
    assert [row["ja3"] for row in told] == ",".join(row[0] for row in seen).split(",")
    assert [row["ja4"][:10] for row in told] == ["t12i020000", "t12d020100", "t12d0202h2", "t12d0202a1"]


def test_fingerprints_choose_chains(nuncio, peer):
    """Whatever name is asked for: the one that is named is not let in."""
    sample = fork(nuncio, peer, {"tls": {"transport": "tls"}}, access_log=JA)
    bad, good = hello("a.test", "h2"), hello("a.test")
    for one in bad, good:
        with sample.connect("edge") as client:
            client.sendall(one)
            taker(client)
    prints = rows(sample, 2, "ja.json")
    chains = {"a": {"sni": "a.test"}, "four": {"ja4": prints[0]["ja4"]}, "both": {"ja4": prints[0]["ja4"], "sni": "b.test"},
              "three": {"ja3": [prints[1]["ja3"], "0" * 32]}, "rest": None}
    proxy = fork(nuncio, peer, chains)
    for first, name in ((bad, "four"), (hello("b.test", "h2"), "both"), (good, "three"), (hello("a.test", "x"), "a"),
                        (hello("c.test", "x"), "rest"), (b"plain", "rest")):
        with proxy.connect("edge") as client:
            client.sendall(first)
            assert taker(client) == name


@pytest.mark.parametrize("match, said", [
    ({"ja3": "E7D705A3286E19EA42F587B344EE6865"}, "a JA3 fingerprint: 32 digits"),
    ({"ja3": ["e7d705a3286e19ea42f587b344ee68"]}, "a JA3 fingerprint: 32 digits"),
    ({"ja4": "t13d1516h2_8daaf6152771"}, "a JA4 fingerprint like t13d1516h2_"),
    ({"ja4": "t13d1516h2_8daaf6152771_e5627efa2abz"}, "a JA4 fingerprint like t13d1516h2_"),
])
def test_what_is_no_fingerprint_is_told(tmp_path, match, said):
    text = config(listeners=[{"bind": "127.0.0.1:0", "chains": [chain("c", match)]}], clusters=[cluster("127.0.0.1:1")])
    (tmp_path / "c.yaml").write_text(text)
    done = run_nuncio("check", "-c", tmp_path / "c.yaml")
    assert done.returncode == 1 and said in done.stderr


# --- the key log

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def secrets(path):
    """Lines of a key log without comments; those that only one side ever knows apart."""
    return {line for line in path.read_text().splitlines() if not line.startswith(("#", "EXPORTER_SECRET"))}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.name)
def test_the_key_log_has_what_the_client_has(nuncio, peer, ca, tmp_path, version):
    echo = peer(Echo)
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}}, tls=server_tls(ca.get("a.test"), keylog="keys.txt"))],
                          clusters=[cluster(echo)]), workers=4)
    for i in range(8):
        talk(proxy.address("in"), ca, version=version, keylog=tmp_path / "client")
    ours = proxy.dir / "keys.txt"
    eventually(lambda: secrets(ours) == secrets(tmp_path / "client"))
    assert stat.S_IMODE(ours.stat().st_mode) == 0o600
    assert proxy.wait_line(r" warn +tls +.*keylog=\S*keys\.txt")


def test_tshark_decrypts_both_sides(nuncio, peer, ca, tmp_path):
    """The client's side in TLS 1.2, the server's in 1.3."""
    echo = nuncio(config(listeners=[listener("echo", name="inner", tls=server_tls(ca.get("b.test")), access_log=[])])).address("inner")
    back = peer(Tap, echo)
    proxy = nuncio(config(
        listeners=[listener({"tcp_proxy": {"cluster": "c"}}, tls=server_tls(ca.get("a.test"), keylog={"path": "keys.txt"}))],
        clusters=[cluster(back.address, tls={"ca": str(ca.cert), "sni": "b.test", "keylog": {"path": "keys.txt"}})]))
    front = peer(Tap, proxy.address("in"))
    talk(front.address, ca, version=ssl.TLSVersion.TLSv1_2)
    proxy.wait_stat("listener.in.downstream_cx_active", 0)
    for name, tap in (("front", front), ("back", back)):
        path = tap.captures[0].write(tmp_path / f"{name}.pcap")
        assert not tshark(path, "data.data", where="data")

        def decrypted(path=path):
            plain = tshark(path, "tcp.srcport", "data.data", keylog=proxy.dir / "keys.txt", where="data")
            said = {port: "".join(row[1].replace(",", "") for row in plain if row[0] == port) for port in {row[0] for row in plain}}
            assert list(said.values()) == [b"hello".hex()] * 2, plain
            return said
        eventually(decrypted, what=name)


def test_the_key_log_is_kept_to_networks(nuncio, ca):
    def edge(name, **keylog):
        return listener("echo", name=name, tls=server_tls(ca.get("a.test"), keylog={"path": f"{name}.txt", **keylog}), access_log=[])
    proxy = nuncio(config(listeners=[edge("mine", clients=["127.0.0.0/8"]), edge("others", clients=["10.0.0.0/8", "::/0"]),
                                     edge("here", servers="127.0.0.1/32"), edge("there", servers="127.0.0.2/32")]))
    for name in ("others", "there", "mine", "here"):
        talk(proxy.address(name), ca)
    eventually(lambda: (proxy.dir / "mine.txt").stat().st_size and (proxy.dir / "here.txt").stat().st_size)
    assert (proxy.dir / "others.txt").read_text() == (proxy.dir / "there.txt").read_text() == ""


def test_the_key_log_is_opened_anew(nuncio, ca):
    proxy = nuncio(config(listeners=[listener("echo", tls=server_tls(ca.get("a.test"), keylog="keys.txt"))]))
    talk(proxy.address("in"), ca)
    keys, old = proxy.dir / "keys.txt", proxy.dir / "old.txt"
    eventually(lambda: len(secrets(keys)) == 4)
    keys.rename(old)
    proxy.signal(10)  # USR1
    proxy.wait_line("reopened failed=0")
    assert keys.exists()
    talk(proxy.address("in"), ca)
    eventually(lambda: len(secrets(keys)) == 4)
    assert len(secrets(old)) == 4 and not secrets(keys) & secrets(old) and stat.S_IMODE(keys.stat().st_mode) == 0o600


def test_check_warns_of_the_key_log_and_makes_none(ca, tmp_path):
    (tmp_path / "c.yaml").write_text(config(listeners=[listener("echo", tls=server_tls(ca.get("a.test"), keylog="keys.txt"))]))
    done = run_nuncio("check", "-c", tmp_path / "c.yaml")
    assert done.returncode == 0 and "can decrypt the traffic" in done.stderr, done.stderr
    assert not (tmp_path / "keys.txt").exists()


def test_a_key_log_that_is_off_is_no_file(ca, tmp_path):
    """Whoever writes `off` wants none; the same in quotes is a name."""
    path = tmp_path / "n.yaml"
    text = config(listeners=[listener("echo", tls=server_tls(ca.get("a.test"), keylog="off"))])
    path.write_text(text.replace('"keylog": "off"', '"keylog": off'))
    said = run_nuncio("check", "-c", path)
    assert said.returncode == 1 and 'tls.keylog: expected a path; without "keylog" none is written' in said.stderr, said.stderr
    path.write_text(text)
    assert run_nuncio("check", "-c", path).returncode == 0
