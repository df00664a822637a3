"""Quick mode with TLS: --tls-cert, --tls-key and --tls-ca belong to the address before them."""
import pytest

from lib import clients
from lib.config import config, listener
from lib.nuncio import run_nuncio
from lib.peers import Echo
from lib.pki import Ca
from lib.poll import eventually


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def mine(ca):
    return ca.get("www.test", "DNS:www.test", "DNS:localhost", "IP:127.0.0.1")


def files(signed):
    return ["--tls-cert", signed.cert, "--tls-key", signed.key]


def says(proxy, ca, name="www.test", signed=None):
    context = clients.tls_context(ca=ca.cert)
    if signed:
        context.load_cert_chain(signed.cert, signed.key)
    with context.wrap_socket(clients.connect(proxy.address("from1")), server_hostname=name) as client:
        client.sendall(b"x")
        return clients.recv_exactly(client, 2)


# --- what is written

def test_what_is_written():
    done = run_nuncio("run", "--from", "tls://:8443", "--tls-cert", "/c.pem", "--tls-key", "/k.pem", "--tls-ca", "/clients.pem",
                      "--to", "tcp://127.0.0.1:9000", "--to", "sni:a.test=tls://b.test:443", "--tls-ca", "/ca.pem", "--tls-cert", "/me$.pem",
                      "--emit")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout == """\
listeners:
  - name: from1
    bind: "127.0.0.1:8443"
    chains:
      - tls: {certificates: [{cert: "/c.pem", key: "/k.pem"}], client_certs: {mode: require, ca: "/clients.pem"}}
        filters: [{tcp_proxy: {cluster: to1}}]
      - match: {sni: "a.test"}
        tls: {certificates: [{cert: "/c.pem", key: "/k.pem"}], client_certs: {mode: require, ca: "/clients.pem"}}
        filters: [{tcp_proxy: {cluster: to2}}]
clusters:
  - name: to1
    endpoints: ["127.0.0.1:9000"]
  - name: to2
    endpoints: ["b.test:443"]
    tls: {ca: "/ca.pem", cert: "/me$$.pem"}
"""


def test_relative_paths_become_absolute(tmp_path):
    done = run_nuncio("run", "--tls-cert", "c.pem", "--from", ":1", "--to", "tls://a.test:1", "--emit", cwd=tmp_path)
    assert f'tls: {{certificates: [{{cert: "{tmp_path}/c.pem"}}]}}\n' in done.stdout and "    tls: {}\n" in done.stdout


def test_the_scheme_of_a_from_is_that_of_its_to():
    """Unless it says otherwise, or has a certificate."""
    def tls_in(*words):
        done = run_nuncio("run", *words, "--emit")
        assert done.returncode == 0, done.stderr
        return "certificates" in done.stdout.partition("clusters:")[0]
    assert tls_in("--from", ":1", "--tls-cert", "/c", "--to", "a:1")
    assert tls_in("--tls-cert", "/c", "--from", ":1", "--to", "a:1")
    assert tls_in("--from", ":1", "--tls-cert", "/c", "--to", "tls://a:1")
    assert not tls_in("--from", "tcp://:1", "--to", "tls://a:1")
    assert not tls_in("--tls-cert", "/c", "--from", "tcp://:1", "--to", "tls://a:1")


@pytest.mark.parametrize("words, said", [
    (["--from", ":1", "--to", "tls://a:1"], "it takes TLS as its --to does"),
    (["--from", "tls://:1", "--to", "a:1"], "it needs --tls-cert FILE and --tls-key FILE"),
    (["--from", ":1", "--tls-key", "/k", "--to", "a:1"], "--tls-key without --tls-cert"),
    (["--from", ":1", "--tls-ca", "/ca", "--to", "a:1"], "--tls-ca without --tls-cert"),
    (["--from", "tcp://:1", "--tls-cert", "/c", "--to", "a:1"], "the address before it is not a tls:// or https:// one"),
    (["--from", ":1", "--to", "a:1", "--tls-ca", "/ca"], "the address before it is not a tls:// or https:// one"),
    (["--tls-ca", "/ca", "--from", ":1", "--to", "a:1"], "it belongs behind the --from or --to that it is for"),
    (["--from", ":1", "--tls-cert", "/c", "--tls-cert", "/d", "--to", "a:1"], "the second one for this address"),
    (["--from", "tcp://:1", "--to", "tls://a:1", "--to", "tcp://b:1"], "servers that share the load need the same scheme"),
    (["--from", "tcp://:1", "--to", "tls://a:1", "--tls-key", "/k"], "--tls-key without --tls-cert"),
])
def test_refused(words, said):
    done = run_nuncio("run", *words, "--emit")
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr, done.stderr


# --- what it does

def test_tls_in_and_plain_out(nuncio, peer, ca, mine):
    proxy = nuncio(None, "--from", "tls://:0", *files(mine), "--to", peer(Echo, b"a").address)
    assert says(proxy, ca) == b"ax"


def test_mutual_tls_on_both_sides(nuncio, peer, ca, mine):
    """Who has no certificate of the CA does not get in, and neither does the proxy without its own."""
    echo = peer(Echo, b"a")
    inner = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}}, tls={
        "certificates": [{"cert": str(mine.cert), "key": str(mine.key)}], "client_certs": {"ca": str(ca.cert)}})],
        clusters=[{"name": "c", "endpoints": [echo.address]}])).port("in")
    words = ["--from", ":0", *files(mine), "--tls-ca", ca.cert, "--to", f"tls://localhost:{inner}", "--tls-ca", ca.cert]
    me = ca.get("me")
    good = nuncio(None, *words, *files(ca.get("outer")))
    eventually(lambda: says(good, ca, signed=me) == b"ax")  # once localhost is resolved
    for proxy, signed in ((nuncio(None, *words, *files(ca.get("outer"))), None), (nuncio(None, *words), me)):
        with pytest.raises((AssertionError, OSError)):
            says(proxy, ca, signed=signed)


def test_a_server_is_verified(nuncio, peer, ca, mine, tmp_path):
    """By the CAs of the system unless told otherwise: they know nothing of ours."""
    inner = nuncio(None, "--from", "tls://:0", *files(mine), "--to", peer(Echo, b"a").address)
    good = nuncio(None, "--from", "tcp://:0", "--to", f"tls://localhost:{inner.port('from1')}", "--tls-ca", ca.cert)
    bad = nuncio(None, "--from", "tcp://:0", "--to", f"tls://localhost:{inner.port('from1')}")

    def passes():
        with good.connect("from1") as client:
            client.sendall(b"x")
            return clients.recv_exactly(client, 2) == b"ax"

    eventually(passes)  # once localhost is resolved
    with bad.connect("from1") as client:
        client.sendall(b"x")
        assert clients.how_it_ends(client) in ("fin", "rst")


def test_the_written_config_serves_the_same(nuncio, peer, ca, mine):
    words = ["--from", "tls://:0", *files(mine), "--to", peer(Echo, b"a").address]
    done = run_nuncio("run", *words, "--emit")
    assert says(nuncio(done.stdout), ca) == b"ax"
