"""TLS passed through by what its ClientHello says: real clients and servers, and hellos that no real client sends."""
import contextlib
import re
import socket
import ssl
from pathlib import Path

import pytest

from lib import clients, servers
from lib.fork import LOG, chain, config, echoed, fork, rows, taker
from lib.hello import (ALPN, GROUPS, PADDING, alpn, extension, hello, message, message_of, number, record, records, server_name,
                       vector)
from lib.poll import patiently
from lib.process import command
from lib.tools import socat, thread_seconds
from lib.trickle import send_apart, send_bytes

GREASE = 0x5A5A
HELLO_MAX = 16384


def curl(proxy, name, cert, *options):
    """What the server says; the certificate that comes must be `cert`."""
    got = command("curl", "-sS", "--cacert", cert.cert, "--resolve", f"{name}:{proxy.port('edge')}:127.0.0.1", *options,
                  f"https://{name}:{proxy.port('edge')}/")
    assert got.returncode == 0, got.stderr
    return got.stdout


def s_client(proxy, name, cert, *options):
    """What openssl says about a connection; the certificate that comes must be `cert`."""
    got = command("openssl", "s_client", "-connect", proxy.address("edge"), "-servername", name, "-verify_return_error", "-CAfile",
                  cert.cert, *options)
    assert got.returncode == 0, got.stdout + got.stderr
    assert "".join(re.findall(r"-----BEGIN.*?END CERTIFICATE-----", got.stdout, re.S)) == Path(cert.cert).read_text().strip()
    return got.stdout


def tls_site(name, cert, port, protocols=""):
    return (f"server {{ listen 127.0.0.1:{port} ssl {protocols}; ssl_certificate {cert.cert}; ssl_certificate_key {cert.key};"
            f" ssl_protocols TLSv1.2 TLSv1.3; location / {{ return 200 \"{name} $server_protocol\\n\"; }} }}\n")


# --- real clients and servers

def test_curl_finds_two_nginx_behind_one_port(nuncio, peer, certs, tmp_path, workers):
    a, b = certs.get("a.test"), certs.get("b.test", "*.b.test")
    sites = peer(servers.nginx, tmp_path, ["a", "b"], lambda ports: tls_site("a", a, ports["a"]) + tls_site("b", b, ports["b"]))
    proxy = nuncio(config([{"name": "edge", "bind": "127.0.0.1:0", "chains": [
        chain("a", {"sni": "a.test"}), chain("b", {"sni": ["b.test", "*.b.test"]})]}],
        {name: f"127.0.0.1:{port}" for name, port in sites.ports.items()}), workers=workers)
    for limit in ("1.2", "1.3"):
        assert curl(proxy, "a.test", a, "--tls-max", limit) == "a HTTP/1.1\n"
        assert curl(proxy, "www.b.test", b, "--tls-max", limit) == "b HTTP/1.1\n"
    assert "Protocol  : TLSv1.2" in s_client(proxy, "b.test", b, "-tls1_2")
    assert "New, TLSv1.3" in s_client(proxy, "a.test", a, "-tls1_3")


def test_alpn_chooses_the_server(nuncio, peer, certs, tmp_path):
    cert = certs.get("a.test")
    sites = peer(servers.nginx, tmp_path, ["new", "old"], lambda ports: (
        tls_site("new", cert, ports["new"], "http2") + tls_site("old", cert, ports["old"])))
    proxy = nuncio(config([{"name": "edge", "bind": "127.0.0.1:0", "access_log": LOG, "chains": [
        chain("new", {"sni": "a.test", "alpn": "h2"}), chain("old")]}],
        {name: f"127.0.0.1:{port}" for name, port in sites.ports.items()}))
    assert curl(proxy, "a.test", cert, "--http2") == "new HTTP/2.0\n"
    assert curl(proxy, "a.test", cert, "--http1.1") == "old HTTP/1.1\n"
    assert curl(proxy, "a.test", cert, "--no-alpn") == "old HTTP/1.1\n"
    assert "ALPN protocol: h2" in s_client(proxy, "a.test", cert, "-alpn", "spdy/3,h2")
    assert "No ALPN negotiated" in s_client(proxy, "a.test", cert)
    logged = [(row["chain"], row["sni"], row["alpn"]) for row in rows(proxy, 5)]
    assert logged == [("new", "a.test", "h2,http/1.1"), ("old", "a.test", "http/1.1"), ("old", "a.test", None),
                      ("new", "a.test", "spdy/3,h2"), ("old", "a.test", None)]


def test_plain_http_and_tls_share_a_port(nuncio, peer, certs, tmp_path):
    cert = certs.get("a.test")
    sites = peer(servers.nginx, tmp_path, ["secure", "plain"], lambda ports: (
        tls_site("secure", cert, ports["secure"])
        + f"server {{ listen 127.0.0.1:{ports['plain']}; location / {{ return 200 \"plain\\n\"; }} }}"))
    proxy = nuncio(config([{"name": "edge", "bind": "127.0.0.1:0", "chains": [
        chain("secure", {"transport": "tls"}), chain("plain", {"transport": "plain"})]}],
        {name: f"127.0.0.1:{port}" for name, port in sites.ports.items()}))
    assert curl(proxy, "a.test", cert) == "secure HTTP/1.1\n"
    assert command("curl", "-sS", f"http://{proxy.address('edge')}/").stdout == "plain\n"


def test_a_real_handshake_in_single_bytes(nuncio, certs, peer):
    """Python's TLS at both ends, the client's every byte in a segment of its own."""
    cert = certs.get("a.test")
    site = peer(servers.s_server, cert)
    proxy = nuncio(config([{"name": "edge", "bind": "127.0.0.1:0", "chains": [chain("a", {"sni": "a.test", "alpn": "x"})]}],
                          {"a": site.address}))
    wire_in, wire_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = clients.tls_context(["x"], cert.cert).wrap_bio(wire_in, wire_out, server_hostname="a.test")
    with proxy.connect("edge") as client:
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                send_bytes(client, wire_out.read())
                wire_in.write(client.recv(65536))
    assert session.version() == "TLSv1.3"


# --- which chain

CHAINS = {"exact": {"sni": "www.b.test"}, "wild": {"sni": "*.b.test"}, "longer": {"sni": "*.x.b.test"},
          "several": {"sni": ["A.test", "c.test."]}, "rest": None}
NAMES = {
    "www.b.test": "exact", "WWW.b.TEST": "exact", "www.b.test.": "exact", "*.b.test": "wild",
    "y.b.test": "wild", "x.b.test": "wild", "Y.Z.b.test": "wild", "wwww.b.test": "wild",
    "y.x.b.test": "longer", "a.b.c.x.b.test": "longer", "y.x.b.test.": "longer",
    "a.test": "several", "c.test": "several", "b.test": "rest", "www.b.test.x": "rest", "ww.a.test": "rest",
    "127.0.0.1": "rest", "::1": "rest", "x" * 63 + ".b.test": "wild", None: "rest"}


def test_the_name_chooses(nuncio, peer):
    proxy = fork(nuncio, peer, CHAINS)
    for name, wanted in NAMES.items():
        with proxy.connect("edge") as client:
            client.sendall(hello(name))
            assert taker(client) == wanted, name
    logged = {row["sni"]: row["chain"] for row in rows(proxy, len(NAMES))}
    assert logged["www.b.test"] == "exact" and logged["y.z.b.test"] == "wild" and logged[None] == "rest"
    assert "127.0.0.1" not in logged and "www.b.test." not in logged
    stats = proxy.stats()
    found = sum(1 for name in NAMES if name not in ("127.0.0.1", "::1", None))
    assert (stats["listener.edge.tls_inspector.sni_found"], stats["listener.edge.tls_inspector.sni_not_found"]) == (found, 3)


OFFERS = [
    (["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h1"), (["x", "h2"], "h2"), (["H2"], "rest"), (["h"], "rest"), ([], "rest"),
    ([b"\x5a\x5a", "h2"], "h2"), (["h2" * 127 + "h"], "rest"), ([f"x{i}" for i in range(15)] + ["h2"], "h2")]


def test_the_first_protocol_that_a_chain_asks_for_chooses(nuncio, peer):
    proxy = fork(nuncio, peer, {"h2": {"alpn": "h2"}, "h1": {"alpn": ["http/1.1", "http/1.0"]}, "rest": None})
    for offered, wanted in OFFERS:
        with proxy.connect("edge") as client:
            client.sendall(hello("a.test", *offered))
            assert taker(client) == wanted, offered


def test_what_is_unknown_is_passed_over(nuncio, peer):
    """GREASE (RFC 8701) and unknown extensions, in all places; the bytes reach the server as they are."""
    proxy = fork(nuncio, peer, {"a": {"sni": "a.test", "alpn": "h2"}, "rest": None})
    odd = message(extension(GREASE), extension(GROUPS, vector(2, number(GREASE, 2) + b"\0\x1d")), extension(0xFFFF, b"x" * 300),
                  server_name("a.test"), alpn(b"\x5a\x5a", "h2"), extension(0x3A3A, b"\0"), extension(PADDING, bytes(500)),
                  ciphers=number(GREASE, 2) + b"\x13\x01", session=bytes(32))
    with proxy.connect("edge") as client:
        client.sendall(record(odd, version=0x0303) + b"behind")
        assert taker(client) == "a" and echoed(client, record(odd, version=0x0303) + b"behind")
    assert [row["alpn"] for row in rows(proxy)] == ["h2"]


@pytest.mark.parametrize("plain", [b"GET / HTTP/1.1\r\n\r\n", b"\x16", b"\x16\x03\x09ssh", b"\x80\x2e\x01\x03\x01", b"\0", b"\x15\x03\x01"],
                         ids=repr)
def test_plain_bytes(nuncio, peer, plain):
    proxy = fork(nuncio, peer, {"tls": {"transport": "tls"}, "plain": {"transport": "plain"}})
    with proxy.connect("edge") as client:
        client.sendall(plain)
        if plain == b"\x16":  # the one byte that could become TLS: the next one tells
            client.sendall(b"\x17")
            plain += b"\x17"
        assert taker(client) == "plain" and echoed(client, plain)
        client.sendall(b"more")
        assert echoed(client, b"more")


# --- any split

SPLIT = message(extension(GREASE), server_name("www.a.test"), alpn("h2", "http/1.1"))


def unix_fork(nuncio, peer, **more):
    """On a UNIX socket, where a test can see that what it sent was read."""
    return fork(nuncio, peer, {"a": {"sni": "*.a.test", "alpn": "h2"}, "rest": None}, bind="unix:edge.sock", **more)


def test_every_split_over_two_segments(nuncio, peer):
    proxy, whole = unix_fork(nuncio, peer), record(SPLIT)
    for at in range(1, len(whole)):
        with proxy.connect("edge") as client:
            send_apart(client, whole[:at], whole[at:])
            assert taker(client) == "a" and echoed(client, whole), at


def test_every_split_over_two_records(nuncio, peer, workers):
    proxy = fork(nuncio, peer, {"a": {"sni": "*.a.test", "alpn": "h2"}, "rest": None}, workers)
    for at in range(1, len(SPLIT)):
        with proxy.connect("edge") as client:
            client.sendall(records(SPLIT, at))
            assert taker(client) == "a" and echoed(client, records(SPLIT, at)), at


def test_single_bytes(nuncio, peer):
    """In segments of one byte, in records of one byte, and both at once."""
    proxy, one, many = unix_fork(nuncio, peer), record(SPLIT), records(SPLIT, *range(1, len(SPLIT)))
    for wire in (one, many):
        with proxy.connect("edge") as client:
            send_apart(client, *(wire[i:i + 1] for i in range(len(wire))))
            assert taker(client) == "a" and echoed(client, wire)
    with proxy.connect("edge") as client:
        client.sendall(many)
        assert taker(client) == "a" and echoed(client, many)


def test_single_bytes_over_tcp(nuncio, peer):
    proxy = fork(nuncio, peer, {"a": {"sni": "*.a.test", "alpn": "h2"}, "rest": None})
    with proxy.connect("edge") as client:
        send_bytes(client, record(SPLIT))
        assert taker(client) == "a" and echoed(client, record(SPLIT))


def test_a_hello_of_16_kib_passes(nuncio, peer):
    proxy = fork(nuncio, peer, {"a": {"sni": "a.test"}, "rest": None})
    big = message_of(HELLO_MAX, server_name("a.test"))
    for wire in (records(big, HELLO_MAX), records(big, *range(100, len(big), 100))):
        with proxy.connect("edge") as client:
            client.sendall(wire)
            assert taker(client) == "a" and echoed(client, wire)


# --- hellos that are none

SHORT = b"\0\0" + b"\0\x03"  # a server_name extension that says three bytes and has none
BAD = {
    "ClientHello longer than 16 KiB": records(message_of(HELLO_MAX + 1, server_name("a.test")), HELLO_MAX),
    "record longer than 16 KiB": b"\x16\x03\x01" + number(HELLO_MAX + 1, 2),
    "too many empty records": record(b"") * 17,
    "first handshake message is no ClientHello": record(b"\2" + message(server_name("a.test"))[1:]),
    "no TLS version in the ClientHello": record(message(server_name("a.test"), version=0x0200)),
    "truncated extension": record(message(server_name("a.test"), SHORT)),
    "duplicate extension": record(message(server_name("a.test"), server_name("a.test"))),
    "more than one server name": record(message(server_name("a.test", "b.test"))),
    "empty server name": record(message(server_name(""))),
    "server name with bytes that no name has": record(message(server_name(b"a\0.test"))),
    "server name longer than 253 bytes": record(message(server_name("x" * 254))),
    "malformed server_name extension": record(message(extension(0, b"\0\5\0\0\3a"))),
    "malformed ALPN extension": record(message(server_name("a.test"), extension(ALPN, b"\0\3\4h2"))),
    "no TLS handshake record": record(SPLIT[:9]) + record(b"\1\0", kind=21),
}


def test_bad_hellos_close_with_a_reason(nuncio, peer):
    proxy = fork(nuncio, peer, {"a": {"sni": "a.test"}, "rest": None})
    for reason, wire in BAD.items():
        with proxy.connect("edge") as client:
            client.sendall(wire)
            assert taker(client) in ("fin", "rst"), reason
    logged = {row["details"]: row for row in rows(proxy, len(BAD))}
    assert set(logged) == set(BAD)
    for row in logged.values():
        assert (row["cause"], row["flags"], row["closed_by"], row["layer"]) == ("bad_client_hello", "DPE", "client", "sniff")
    stats = proxy.stats()
    assert stats["listener.edge.tls_inspector.client_hello_too_large"] == 2
    assert stats["listener.edge.downstream_pre_cx_active"] == 0


# --- nobody says anything

def test_a_server_speaks_first_where_no_chain_needs_a_hello(nuncio, peer):
    proxy = fork(nuncio, peer, {"here": {"source": "127.0.0.0/8"}, "there": {"source": "10.0.0.0/8", "sni": "a.test"}}, sniff_timeout=0)
    for _ in range(3):
        with proxy.connect("edge") as client:
            assert taker(client) == "here"


def test_socat_greets_first(nuncio, peer):
    """A server not written here that speaks before it listens."""
    server = peer(socat, "SYSTEM:echo 220 ready; read word; echo 221 $word")
    proxy = nuncio(config([{"name": "edge", "bind": "127.0.0.1:0", "chains": [chain("smtp")]}], {"smtp": server.address}))
    with proxy.connect("edge") as client:
        assert taker(client) == "220 ready"
        client.sendall(b"QUIT\n")
        assert taker(client) == "221 QUIT"


def test_many_that_wait_hold_up_nobody(nuncio, peer, workers):
    proxy, begun = fork(nuncio, peer, {"a": {"sni": "a.test"}, "rest": None}, workers, sniff_timeout="10m"), hello("a.test")
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(proxy.connect("edge")) for _ in range(100)]
        for client in waiting[:50]:
            client.sendall(begun[:30])
        proxy.wait_stat("listener.edge.downstream_pre_cx_active", 100)
        with proxy.connect("edge") as other:
            other.sendall(hello("b.test"))
            assert taker(other) == "rest"
        for at, client in enumerate(waiting):
            client.sendall(begun[30:] if at < 50 else begun)
        assert {taker(client) for client in waiting} == {"a"}
        proxy.wait_stat("listener.edge.downstream_pre_cx_active", 0)


@pytest.mark.parametrize("said", [b"", hello("a.test")[:40], b"\x16"], ids=["nothing", "half", "one"])
def test_after_sniff_timeout_the_chain_without_a_name_takes_it(nuncio, peer, said):
    proxy = fork(nuncio, peer, {"a": {"sni": "a.test"}, "tls": {"transport": "tls"}, "rest": {"source": "127.0.0.0/8"}},
                 sniff_timeout="100ms")
    with proxy.connect("edge") as client:
        client.sendall(said)
        assert taker(client) == "rest" and echoed(client, said)
        client.sendall(b"more")
        assert echoed(client, b"more")
    assert proxy.stats()["listener.edge.downstream_pre_cx_timeout"] == 1
    assert [(row["chain"], row["sni"], row["flags"]) for row in rows(proxy)] == [("rest", None, None)]


@pytest.mark.parametrize("said", [b"", hello("a.test")[:40]], ids=["nothing", "half"])
def test_after_sniff_timeout_nobody_takes_it(nuncio, peer, said):
    proxy = fork(nuncio, peer, {"a": {"sni": "a.test"}, "plain": {"transport": "plain"}}, sniff_timeout="100ms")
    with proxy.connect("edge") as client:
        client.sendall(said)
        assert taker(client) in ("fin", "rst")
    row, = rows(proxy)
    assert (row["cause"], row["flags"], row["chain"], row["layer"]) == ("sniff_timeout", "NR", None, "sniff")
    assert row["duration_ms"] >= 100


def test_a_hello_in_time_ends_the_waiting(nuncio, peer):
    """Who said its name before lives on when the time of one that came later is over."""
    def outlives(factor):
        proxy = fork(nuncio, peer, {"a": {"sni": "a.test"}}, sniff_timeout=f"{500 * factor}ms")
        with proxy.connect("edge") as named:
            named.sendall(hello("a.test"))
            assert taker(named) == "a"
            with proxy.connect("edge") as silent:
                assert taker(silent) in ("fin", "rst")
            assert echoed(named, hello("a.test"))
            named.sendall(b"more")
            assert echoed(named, b"more")
        assert proxy.stats()["listener.edge.downstream_pre_cx_timeout"] == 1
    patiently(outlives)


def test_no_chain_fits(nuncio, peer):
    proxy = fork(nuncio, peer, {"a": {"sni": "a.test"}, "b": {"sni": "b.test", "alpn": "h2"}})
    for first in (hello("x.test"), hello("b.test", "h3"), hello(), b"GET / HTTP/1.0\r\n\r\n"):
        with proxy.connect("edge") as client:
            client.sendall(first)
            assert taker(client) in ("fin", "rst")
    logged = rows(proxy, 4)
    assert {(row["cause"], row["flags"], row["closed_by"]) for row in logged} == {("no_chain_matched", "NR", "local")}
    assert [row["sni"] for row in logged] == ["x.test", "b.test", None, None]
    assert proxy.stats()["listener.edge.no_filter_chain_match"] == 4


# --- clients that leave

def test_a_client_that_ends_while_sniffed(nuncio, peer):
    half = hello("a.test")[:40]
    proxy = fork(nuncio, peer, {"a": {"sni": "a.test"}})
    with proxy.connect("edge") as client:
        client.sendall(half)
        client.shutdown(socket.SHUT_WR)
        assert taker(client) in ("fin", "rst")
    proxy.connect("edge").close()
    with proxy.connect("edge") as client:
        client.sendall(half)
        proxy.wait_stat("listener.edge.downstream_pre_cx_active", 1)
        clients.reset(client)
    assert [(row["cause"], row["closed_by"]) for row in rows(proxy, 3)] == [
        ("client_closed", "client"), ("client_closed", "client"), ("client_reset", "client")]
    assert proxy.wait_stat("listener.edge.downstream_pre_cx_active", 0)["listener.edge.tls_inspector.connection_closed"] == 3


def test_an_end_while_sniffed_goes_to_the_chain_without_a_name(nuncio, peer):
    half = hello("a.test")[:40]
    proxy = fork(nuncio, peer, {"a": {"sni": "a.test"}, "rest": None})
    with proxy.connect("edge") as client:
        client.sendall(half)
        client.shutdown(socket.SHUT_WR)
        assert taker(client) == "rest" and clients.recv_all(client) == half


def test_a_hello_and_the_end_at_once(nuncio, peer):
    proxy = fork(nuncio, peer, {"a": {"sni": "a.test"}})
    with proxy.connect("edge") as client:
        client.sendall(hello("a.test") + b"x" * 100000)
        client.shutdown(socket.SHUT_WR)
        assert taker(client) == "a" and clients.recv_all(client) == hello("a.test") + b"x" * 100000


# --- many names

LABEL = "x" * 40
ROUNDS, EACH = 41, 25


def many_names(nuncio, count):
    """A listener with so many names, half of them wildcards; each chain echoes by itself."""
    kinds = (f"n{i}.{LABEL}.test" if i % 2 else f"*.n{i}.{LABEL}.test" for i in range(count))
    chains = [{"match": {"sni": name}, "filters": ["echo"]} for name in kinds]
    return nuncio(config([{"name": "edge", "bind": "127.0.0.1:0", "chains": chains}], {}))


def cpu_of(proxy, count):
    """CPU seconds for connections to the last names."""
    first = [hello(f"n{count - 1}.{LABEL}.test"), hello(f"www.n{count - 2}.{LABEL}.test")]
    before = thread_seconds(proxy)
    for at in range(EACH):
        with proxy.connect("edge") as client:
            client.sendall(first[at % 2])
            assert echoed(client, first[at % 2])
    return thread_seconds(proxy) - before


def test_10_000_names_cost_what_ten_do(nuncio):
    """Rounds in turn, so that whatever else the machine does falls on both; the median of their ratios."""
    few, many = many_names(nuncio, 10), many_names(nuncio, 10000)
    cpu_of(few, 10), cpu_of(many, 10000)
    ratios = sorted(cpu_of(many, 10000) / cpu_of(few, 10) for _ in range(ROUNDS))
    assert ratios[ROUNDS // 2] < 2, ratios  # a list that is walked would be a thousand
