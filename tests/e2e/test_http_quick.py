"""Quick mode with http:// and https:// on either side."""
import pytest

from lib.http import OK, Client, Origin
from lib.nuncio import run_nuncio
from lib.pki import Ca
from lib.poll import eventually
from lib.process import command


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def mine(ca):
    return ca.get("www.test", "DNS:www.test", "DNS:localhost")


def files(signed):
    return ["--tls-cert", signed.cert, "--tls-key", signed.key]


def emit(*words):
    done = run_nuncio("run", *words, "--emit")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def curl(proxy, ca, *options, name="www.test", path="/"):
    port = proxy.port("from1")
    return command("curl", "-sS", "--cacert", ca.cert, "--resolve", f"{name}:{port}:127.0.0.1", *options, f"https://{name}:{port}{path}")


def answers(body):
    return lambda request: OK.replace(b"ok", body)


# --- what is written

def test_http_to_http():
    assert emit("--from", ":8080", "--to", "http://127.0.0.1:9000") == """\
listeners:
  - name: from1
    bind: "127.0.0.1:8080"
    filters: [{http: {routes: [{cluster: to1}]}}]
clusters:
  - name: to1
    endpoints: ["127.0.0.1:9000"]
"""


def test_names_and_https_on_both_sides():
    assert emit("--from", ":8443", "--tls-cert", "/c.pem", "--to", "sni:a.test=https://a.test", "--tls-ca", "/ca.pem",
                "--to", "http://b.test/", "--to", "http://[::1]", "--from", "http://0.0.0.0", "--to", "unix:/run/app") == """\
listeners:
  - name: from1
    bind: "127.0.0.1:8443"
    chains:
      - match: {sni: "a.test"}
        tls: {certificates: [{cert: "/c.pem"}], alpn: [http/1.1]}
        filters: [{http: {routes: [{cluster: to1}]}}]
      - tls: {certificates: [{cert: "/c.pem"}], alpn: [http/1.1]}
        filters: [{http: {routes: [{cluster: to2}]}}]
  - name: from2
    bind: "0.0.0.0:80"
    filters: [{http: {routes: [{cluster: to3}]}}]
clusters:
  - name: to1
    endpoints: ["a.test:443"]
    tls: {ca: "/ca.pem"}
  - name: to2
    endpoints: ["b.test:80", "[::1]:80"]
  - name: to3
    endpoints: ["unix:/run/app"]
"""


@pytest.mark.parametrize("words, said", [
    (["--from", ":1", "--to", "https://a:1"], "it takes TLS as its --to does"),
    (["--from", "https://:1", "--to", "http://a:1"], "it needs --tls-cert FILE and --tls-key FILE"),
    (["--from", "http://:1", "--tls-cert", "/c", "--to", "http://a:1"], "is not a tls:// or https:// one"),
    (["--from", ":1", "--to", "http://a:1", "--tls-ca", "/ca"], "is not a tls:// or https:// one"),
    (["--from", "tcp://:1", "--to", "http://a:1"], "http:// and https:// go to http:// and https:// only"),
    (["--from", "http://:1", "--to", "tcp://a:1"], "http:// and https:// go to http:// and https:// only"),
    (["--from", "udp://:1", "--to", "http://a:1"], "datagrams and streams do not mix"),
    (["--from", "http://:1", "--to", "http://a:1", "--to", "https://b:1"], "servers that share the load need the same scheme"),
    (["--from", "http://:1", "--to", "sni:a.test=http://a:1"], "without TLS there is no server name"),
])
def test_refused(words, said):
    done = run_nuncio("run", *words, "--emit")
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr, done.stderr


# --- what it does

def test_http_serves_and_the_written_config_serves_the_same(nuncio, peer):
    origin = peer(Origin)
    words = ["--from", ":0", "--to", f"http://{origin.address}/"]
    for proxy in nuncio(None, *words), nuncio(emit(*words)):
        with Client(proxy, "from1") as client:
            assert [client.get(f"/{n}").status for n in range(3)] == [200] * 3
    assert len(origin.conns) == 2 and origin.requests[0].get("x-forwarded-for") == "127.0.0.1"


def test_servers_share_the_requests_of_one_connection(nuncio, peer):
    one, two = peer(Origin, answers(b"11")), peer(Origin, answers(b"22"))
    proxy = nuncio(None, "--from", "http://:0", "--to", one.address, "--to", f"http://{two.address}")
    with Client(proxy, "from1") as client:
        assert sorted(client.get().body for _ in range(10)) == [b"11"] * 5 + [b"22"] * 5


def test_https_in_and_http_out_by_name(nuncio, peer, ca, mine):
    one, rest = peer(Origin, answers(b"11")), peer(Origin, answers(b"22"))
    words = ["--from", "https://:0", *files(mine), "--to", f"sni:www.test=http://{one.address}", "--to", rest.address]
    for proxy in nuncio(None, *words), nuncio(emit(*words)):
        assert curl(proxy, ca, "-w", " %{http_version}").stdout == "11 1.1"
        assert curl(proxy, ca, name="localhost").stdout == "22"
    assert one.requests[0].get("x-forwarded-proto") == "https"


def test_https_on_both_sides_with_client_certificates(nuncio, peer, ca, mine):
    origin = peer(Origin)
    inner = nuncio(None, "--from", ":0", *files(mine), "--tls-ca", ca.cert, "--to", f"http://{origin.address}")
    server = f"https://localhost:{inner.port('from1')}"
    good = nuncio(None, "--from", ":0", *files(mine), "--to", server, "--tls-ca", ca.cert, *files(ca.get("me")))
    bare = nuncio(None, "--from", "http://:0", "--to", server, "--tls-ca", ca.cert)
    eventually(lambda: curl(good, ca, path="/x").stdout == "ok")  # once localhost is resolved
    assert origin.requests[0].start == "GET /x HTTP/1.1"
    with Client(bare, "from1") as client:
        assert client.get().status == 503
