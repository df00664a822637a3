"""Quick mode: --from and --to without a config file."""
import re

import pytest

from lib import clients, servers
from lib.nuncio import run_nuncio
from lib.peers import Echo


def emit(*words):
    done = run_nuncio("run", *words, "--emit")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def says(address, data=b"x"):
    """What comes back for the data."""
    with clients.connect(address) as client:
        client.sendall(data)
        client.shutdown(1)
        return clients.recv_all(client)


# --- what is written

def test_one_pair():
    assert emit("--from", ":8080", "--to", "tcp://127.0.0.1:9000") == """\
listeners:
  - name: from1
    bind: "127.0.0.1:8080"
    filters: [{tcp_proxy: {cluster: to1}}]
clusters:
  - name: to1
    endpoints: ["127.0.0.1:9000"]
"""


def test_names_a_fallback_with_two_servers_and_a_second_pair():
    assert emit("--from", "tcp://0.0.0.0:8443", "--to", "sni:A.test=tcp://127.0.0.1:9443", "--to", "sni:*.b.test=db.internal:5432",
                "--to", "10.0.0.1:1", "--to", "10.0.0.2:1", "--from", "[::1]:80", "--to", 'unix:/run/a$b"c') == """\
listeners:
  - name: from1
    bind: "0.0.0.0:8443"
    chains:
      - match: {sni: "a.test"}
        filters: [{tcp_proxy: {cluster: to1}}]
      - match: {sni: "*.b.test"}
        filters: [{tcp_proxy: {cluster: to2}}]
      - filters: [{tcp_proxy: {cluster: to3}}]
  - name: from2
    bind: "[::1]:80"
    filters: [{tcp_proxy: {cluster: to4}}]
clusters:
  - name: to1
    endpoints: ["127.0.0.1:9443"]
  - name: to2
    endpoints: ["db.internal:5432"]
  - name: to3
    endpoints: ["10.0.0.1:1", "10.0.0.2:1"]
  - name: to4
    endpoints: ["unix:/run/a$$b\\"c"]
"""


def test_datagrams():
    assert emit("--from", ":53", "--to", "udp://10.0.0.1:53", "--to", "udp://10.0.0.2:53", "--from", "udp://[::]:123", "--to", "ntp.test:123") == """\
listeners:
  - name: from1
    bind: "udp://127.0.0.1:53"
    filters: [{udp_proxy: {cluster: to1}}]
  - name: from2
    bind: "udp://[::]:123"
    filters: [{udp_proxy: {cluster: to2}}]
clusters:
  - name: to1
    endpoints: ["10.0.0.1:53", "10.0.0.2:53"]
  - name: to2
    endpoints: ["ntp.test:123"]
"""


@pytest.mark.parametrize("words", [
    ["--from", ":8080", "--to", "a.test:1"],
    ["--from", ":53", "--to", "udp://10.0.0.1:53", "--from", "tcp://:53", "--to", "10.0.0.1:53"],
    ["--from", ":1", "--to", "sni:a.test=[::1]:1", "--to", "sni:a.test=[::1]:2", "--to", "unix:x y"],
    ["--from", ":0", "--to", "a:1", "--from", ":0", "--to", "unix:@abstract"],
])
def test_what_is_written_checks(tmp_path, words):
    (tmp_path / "c.yaml").write_text(emit(*words))
    done = run_nuncio("check", "-c", tmp_path / "c.yaml")
    assert (done.returncode, done.stderr) == (0, "")


# --- what is refused

CARET = {
    ("--from", ":80a", "--to", "a:1"): ('"80a" is not a port', " ^^^"),
    ("--from", ":70000", "--to", "a:1"): ('"70000" is not a port', " ^^^^^"),
    ("--from", "8080", "--to", "a:1"): ("an address is HOST:PORT", '^^^^ did you mean ":8080"?'),
    ("--from", "a.test:80", "--to", "a:1"): ("listening needs an IP address, not a name", "^^^^^^"),
    ("--from", "tpc://:80", "--to", "a:1"): ('unknown scheme "tpc"', '^^^ did you mean "tcp"?'),
    ("--from", ":80", "--from", "127.0.0.1:80"): ("a second --from of this address", "^^^^^^^^^^^^"),
    ("--from", ":80", "--to", "htpp://a:1"): ('unknown scheme "htpp"', '^^^^ did you mean "http"?'),
    ("--from", ":80", "--to", "http://a:1/p"): ("paths are for the routes of a config file", " " * 10 + "^^"),
    ("--from", ":80", "--to", "sni:a.test=https://a:1x"): ('"1x" is not a port', " " * 21 + "^^"),
    ("--from", ":80", "--to", "http://::1:80"): ("an IPv6 address stands in brackets", '       ^^^^^^ did you mean "[::1]:80"?'),
    ("--from", ":80", "--to", "http://"): ("an address is HOST:PORT", '       ^ did you mean ":PORT"?'),
    ("--from", "udp://:80", "--to", "unix:/x"): ("datagrams do not go to UNIX sockets", "^^^^^^^"),
    ("--from", ":80", "--to", "sni:a.test=udp://a:1"): ("datagrams have no server name", "^" * 20),
    ("--from", ":80", "--to", "10.0.0.1"): ("an address is HOST:PORT", '^^^^^^^^ did you mean "10.0.0.1:PORT"?'),
    ("--from", ":80", "--to", "10.0.0.1:"): ("a port is missing here", " " * 9 + "^"),
    ("--from", ":80", "--to", "10.0.0.1:0"): ("port 0 cannot be connected to", " " * 9 + "^"),
    ("--from", ":80", "--to", "10.0.0.300:1"): ("neither an IP address nor a host name", "^^^^^^^^^^"),
    ("--from", ":80", "--to", "::1:80"): ("an IPv6 address stands in brackets", '^^^^^^ did you mean "[::1]:80"?'),
    ("--from", ":80", "--to", "sni:a.test"): ("sni:NAME=ADDRESS is expected", "^^^^^^^^^^"),
    ("--from", ":80", "--to", "sni:*.=a:1"): ("not a server name", "    ^^"),
    ("--from", ":80", "--to", "a:1", "--to", "tcp://a:1"): ("it goes there already", "      ^^^"),
    ("--to", "a:1"): ("no --from stands before it", "^^^"),
}


@pytest.mark.parametrize("words", CARET, ids=" ".join)
def test_refused(words):
    said, caret = CARET[words]
    done = run_nuncio("run", *words)
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and done.stdout == "" and said in lines[0], done.stderr
    assert lines[1:] == [f"      {words[-3 if words[0] == '--from' and words[-1] == 'a:1' and len(words) == 4 else -1]}", f"      {caret}"]


@pytest.mark.parametrize("words", [
    ["--from", "udp://:80", "--to", "tcp://a:1"],
    ["--from", "tcp://:80", "--to", "udp://a:1"],
])
def test_datagrams_and_streams_do_not_mix(words):
    done = run_nuncio("run", *words)
    assert (done.returncode, done.stderr) == (2, "nuncio run: --to a:1: udp:// goes to udp:// only: datagrams and streams do not mix\n")


def test_from_without_to():
    done = run_nuncio("run", "--from", ":80", "--from", ":81", "--to", "a:1")
    assert (done.returncode, done.stderr) == (2, "nuncio run: --from :80: no --to stands behind it\n")


# --- what it does

def test_tcp_serves_and_the_written_config_serves_the_same(nuncio, peer):
    a, b = peer(Echo, b"a"), peer(Echo, b"b")
    words = ["--from", ":0", "--to", f"tcp://{a.address}", "--from", "tcp://[::1]:0", "--to", b.address]
    by_words = nuncio(None, *words)
    by_file = nuncio(emit(*words))
    for one in by_words, by_file:
        assert says(one.address("from1")) == b"ax" and one.address("from1").startswith("127.0.0.1:")
        assert says(one.address("from2")) == b"bx" and one.address("from2").startswith("[::1]:")


def test_several_servers_share(nuncio, peer):
    a, b = peer(Echo, b"a"), peer(Echo, b"b")
    quick = nuncio(None, "--from", ":0", "--to", a.address, "--to", b.address)
    assert {says(quick.address("from1")) for _ in range(20)} == {b"ax", b"bx"}


def test_names_choose_servers(nuncio, peer, certs):
    one, any_, rest = certs.get("a.test"), certs.get("b.test", "*.b.test"), peer(Echo, b"rest")
    quick = nuncio(None, "--from", ":0", "--to", f"sni:a.test={peer(servers.s_server, one).address}",
                   "--to", f"sni:*.b.test=tcp://{peer(servers.s_server, any_).address}", "--to", rest.address)
    for name, cert in (("a.test", one), ("x.b.test", any_)):
        with clients.tls_connect(quick.address("from1"), name, ca=cert.cert) as client:
            assert client.version() == "TLSv1.3"
    assert says(quick.address("from1"), b"plain\n") == b"restplain\n"


def test_a_busy_address_is_told(peer):
    busy = peer(Echo)
    done = run_nuncio("run", "--from", busy.address, "--to", "127.0.0.1:1")
    assert done.returncode == 1 and re.search(rf"{busy.address}.*in use", done.stderr), done.stderr


def test_hup_changes_nothing(nuncio, peer):
    echo = peer(Echo, b"a")
    quick = nuncio(None, "--from", ":0", "--to", echo.address)
    with quick.connect("from1") as client:
        assert clients.recv_exactly(client, 1) == b"a"
        quick.reload()
        client.sendall(b"still")
        assert clients.recv_exactly(client, 5) == b"still"
    assert len(quick.addresses("from1")) == 1
