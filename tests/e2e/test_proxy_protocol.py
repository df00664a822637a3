"""PROXY headers, version 1 and 2: read from haproxy, nginx and curl, sent to haproxy and nginx, and made wrong by hand."""

import socket

import pytest

from lib import clients, servers
from lib.fork import LOG, chain, config, echoed, fork, rows, taker
from lib.hello import hello
from lib.peers import Echo
from lib.poll import patiently
from lib.process import command
from lib.proxy_header import (ALPN, AUTHORITY, CRC32C, LOCAL, NOOP, SIGNATURE, UNIQUE_ID, ProxyEcho, addresses, crc32c, raw_v2,
                              text, tlv, v1, v2)
from lib.trickle import send_apart

CLIENT, SERVICE = ("192.0.2.1", 1111), ("198.51.100.2", 443)
CLIENT6, SERVICE6 = ("2001:db8::1", 2222), ("2001:db8::2", 443)
WHO = {"path": "who", "json": {
    "client": "%DOWNSTREAM_REMOTE_ADDRESS%", "local": "%DOWNSTREAM_LOCAL_ADDRESS%", "direct": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
    "cause": "%CLOSE_CAUSE%", "flags": "%RESPONSE_FLAGS%", "by": "%CLOSED_BY%", "layer": "%CLOSE_LAYER%", "details": "%CLOSE_DETAILS%"}}


def own(sock):
    return text(*sock.getsockname()[:2])


def edge(nuncio, peer, mode="require", workers=None, **more):
    """One chain, to an echo that says `echo` first."""
    return fork(nuncio, peer, {"echo": None}, workers, proxy_protocol=mode, access_log=[LOG, WHO], **more)


def sender(kind, to):
    """haproxy or nginx that sends a header to the address; `port` is where it listens."""
    options = {"v1": "send-proxy", "v2": "send-proxy-v2", "v2 with TLVs": "send-proxy-v2 proxy-v2-options unique-id,crc32c",
               "v2 with TLS": "send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c"}

    def start(folder):
        if kind == "nginx":
            return servers.nginx(folder, ["in"], stream=lambda ports: (
                f"server {{ listen 127.0.0.1:{ports['in']}; proxy_pass {to}; proxy_protocol on; }}"))
        return servers.haproxy(folder, ["in"], lambda ports: (
            f"listen l\n  mode tcp\n  unique-id-format %[uuid()]\n  bind 127.0.0.1:{ports['in']}\n  server s {to} {options[kind]}\n"))
    return start


# --- in: from programs not written here

@pytest.mark.parametrize("mode", ["require", "optional"])
@pytest.mark.parametrize("kind", ["v1", "v2", "v2 with TLVs", "v2 with TLS", "nginx"])
def test_a_balancer_tells_who_the_client_is(nuncio, peer, tmp_path, kind, mode):
    proxy = edge(nuncio, peer, mode)
    balancer = peer(sender(kind, proxy.address("edge")), tmp_path)
    with clients.connect(balancer.address) as client:
        assert taker(client) == "echo"
        client.sendall(b"hello")
        assert echoed(client, b"hello")
        real, meant = own(client), text(*client.getpeername())
    row, = rows(proxy, name="who")
    assert (row["client"], row["local"]) == (real, meant)
    assert row["direct"].startswith("127.0.0.1:") and row["direct"] != real
    assert proxy.stats()["listener.edge.proxy_proto.found"] == 1


def test_haproxy_checks_health_with_local_headers(nuncio, peer, tmp_path):
    """A header that names no client: the socket's own addresses stay."""
    proxy = edge(nuncio, peer)
    peer(servers.haproxy, tmp_path, ["in"], lambda ports: (
        f"listen l\n  mode tcp\n  bind 127.0.0.1:{ports['in']}\n"
        f"  server s {proxy.address('edge')} check inter 20ms send-proxy-v2 check-send-proxy\n"))
    found = proxy.wait_stat("listener.edge.proxy_proto.found", lambda n: n and n >= 2)
    assert found["listener.edge.proxy_proto.bad"] == 0
    for row in rows(proxy, 2, name="who"):
        assert row["client"] == row["direct"] and row["local"] == proxy.address("edge")


def test_curl_sends_one_ahead_of_tls(nuncio, peer, certs, tmp_path, workers):
    """Header, then sniffing: the name is found behind it, and nginx gets TLS from its first byte on."""
    cert = certs.get("a.test")
    site = peer(servers.nginx_tls, tmp_path, {"a.test": cert})
    proxy = nuncio(config([{"name": "edge", "bind": "127.0.0.1:0", "proxy_protocol": "require", "access_log": LOG,
                            "chains": [chain("a", {"sni": "a.test"})]}], {"a": site.address}), workers=workers)
    got = command("curl", "-sS", "--haproxy-protocol", "--cacert", cert.cert, "--resolve", f"a.test:{proxy.port('edge')}:127.0.0.1",
                  "-w", "%{local_port}", f"https://a.test:{proxy.port('edge')}/")
    said, _, port = got.stdout.partition("\n")
    assert said == "a.test", got.stderr
    assert [(row["client"], row["sni"]) for row in rows(proxy)] == [(f"127.0.0.1:{port}", "a.test")]


# --- in: what a header may be

def plain_tlvs(count):
    return b"".join(tlv(0xE0 + i % 16, bytes([i]) * i) for i in range(count))


def with_crc():
    body = v2(CLIENT, SERVICE, tlv(CRC32C, bytes(4)))
    return body[:-4] + crc32c(body).to_bytes(4, "big")


FROM4, FROM6, FROM_SOCKET = (text(*CLIENT), text(*SERVICE)), (text(*CLIENT6), text(*SERVICE6)), None
GOOD = {
    "v1": (v1(CLIENT, SERVICE), FROM4),
    "v1 of IPv6": (v1(CLIENT6, SERVICE6), FROM6),
    "v1 UNKNOWN": (b"PROXY UNKNOWN\r\n", FROM_SOCKET),
    "v1 UNKNOWN with words": (b"PROXY UNKNOWN ffff:f...f:ffff ffff 65535 65535\r\n", FROM_SOCKET),
    "v2": (v2(CLIENT, SERVICE), FROM4),
    "v2 of IPv6": (v2(CLIENT6, SERVICE6), FROM6),
    "v2 LOCAL": (v2(command=LOCAL), FROM_SOCKET),
    "v2 LOCAL with addresses": (v2(CLIENT, SERVICE, command=LOCAL), FROM_SOCKET),
    "v2 UNSPEC": (v2(), FROM_SOCKET),
    "v2 UNSPEC with bytes": (raw_v2(b"\xff" * 20), FROM_SOCKET),
    "v2 with TLVs": (v2(CLIENT, SERVICE, plain_tlvs(40) + tlv(NOOP, bytes(500)) + tlv(AUTHORITY, b"a.test")), FROM4),
    "v2 with a checksum": (with_crc(), FROM4),
    "v2 of 4 KiB": (v2(CLIENT, SERVICE, tlv(NOOP, bytes(4096 - 16 - 12 - 3))), FROM4),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_headers(nuncio, peer, name):
    """Whole, and with what follows in the same segment; then at every split (a sample of the long ones)."""
    header, told = GOOD[name]
    proxy = edge(nuncio, peer, bind=["127.0.0.1:0", "unix:edge.sock"])
    with clients.connect(proxy.addresses("edge")[0]) as client:
        client.sendall(header + b"PROXY is data now")
        assert taker(client) == "echo" and echoed(client, b"PROXY is data now")
        expected = told or (own(client), text(*client.getpeername()))
    row, = rows(proxy, name="who")
    assert (row["client"], row["local"]) == expected

    step = 1 + len(header) // 150
    for at in range(1, len(header), step):
        with clients.connect(proxy.addresses("edge")[1]) as client:
            send_apart(client, header[:at], header[at:], b"data")
            assert taker(client) == "echo" and echoed(client, b"data"), at


def test_single_bytes(nuncio, peer):
    proxy = edge(nuncio, peer, bind="unix:edge.sock")
    for header in (v1(CLIENT, SERVICE), v2(CLIENT6, SERVICE6, plain_tlvs(5))):
        with proxy.connect("edge") as client:
            send_apart(client, *(header[i:i + 1] for i in range(len(header))), b"data")
            assert taker(client) == "echo" and echoed(client, b"data")
    assert [row["client"] for row in rows(proxy, 2)] == [text(*CLIENT), text(*CLIENT6)]


FAMILY, BLOCK = addresses(CLIENT, SERVICE)
BAD = {
    "PROXY v1: no CRLF within 107 bytes": b"PROXY TCP4 " + b"1" * 100,
    "PROXY v1: line does not end in CRLF": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n",
    "PROXY v1: family is not TCP4, TCP6 or UNKNOWN": b"PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n",
    "PROXY v1: malformed addresses or ports": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
    "PROXY v2: signature with another version": raw_v2(BLOCK, family=FAMILY, version=3),
    "PROXY v2: unknown command": raw_v2(BLOCK, family=FAMILY, command=2),
    "PROXY v2: unknown address family or transport": raw_v2(BLOCK, family=5),
    "PROXY v2: too short for its addresses": raw_v2(BLOCK[:11], family=FAMILY),
    "PROXY v2: malformed TLV": v2(CLIENT, SERVICE, b"\4\0\5abcd"),
    "PROXY v2: CRC32c is not 4 bytes": v2(CLIENT, SERVICE, tlv(CRC32C, bytes(3))),
    "PROXY v2: CRC32c does not match": v2(CLIENT, SERVICE, tlv(CRC32C, bytes(4))),
    "PROXY v2: header longer than 4 KiB": v2(CLIENT, SERVICE, tlv(NOOP, bytes(5000))),
    "no PROXY header": b"GET / HTTP/1.1\r\n\r\n",
}


def test_bad_headers_close_with_a_reason(nuncio, peer):
    proxy = edge(nuncio, peer)
    for reason, wire in BAD.items():
        with proxy.connect("edge") as client:
            client.sendall(wire)
            assert taker(client) in ("fin", "rst"), reason
    logged = {row["details"]: row for row in rows(proxy, len(BAD))}
    assert set(logged) == set(BAD)
    for row in logged.values():
        assert (row["cause"], row["flags"], row["closed_by"], row["chain"]) == ("bad_proxy_header", "DPE", "client", None)
    stats = proxy.stats()
    assert stats["listener.edge.proxy_proto.bad"] == len(BAD) - 1 and stats["listener.edge.proxy_proto.not_found"] == 1
    assert stats["listener.edge.downstream_pre_cx_active"] == 0


def test_optional_still_refuses_a_bad_one(nuncio, peer):
    proxy = edge(nuncio, peer, "optional")
    for wire in BAD.values():
        with proxy.connect("edge") as client:
            client.sendall(wire)
            assert taker(client) in (["echo"] if wire.startswith(b"GET") else ["fin", "rst"]), wire


@pytest.mark.parametrize("start", [b"hello", b"PROXX", b"P", SIGNATURE[:11] + b"x", b"\r\n\r\nx", b"\0"], ids=repr)
def test_optional_passes_what_is_no_header(nuncio, peer, start):
    proxy = edge(nuncio, peer, "optional", bind=["127.0.0.1:0", "unix:edge.sock"])
    for address in proxy.addresses("edge"):
        with clients.connect(address) as client:
            client.sendall(start)
            client.shutdown(socket.SHUT_WR)
            assert taker(client) == "echo" and clients.recv_all(client) == start
    assert proxy.stats()["listener.edge.proxy_proto.not_found"] == 2


# --- in: nobody says anything, or leaves

def test_no_header_in_time(nuncio, peer):
    proxy = edge(nuncio, peer, sniff_timeout="100ms")
    for said in (b"", b"PROXY TCP4"):
        with proxy.connect("edge") as client:
            client.sendall(said)
            assert taker(client) in ("fin", "rst")
    for row in rows(proxy, 2):
        assert (row["cause"], row["flags"], row["layer"]) == ("proxy_header_timeout", "DPE", "proxy_protocol")
    assert proxy.stats()["listener.edge.downstream_pre_cx_timeout"] == 2


def test_a_header_in_time_ends_the_waiting(nuncio, peer):
    def outlives(factor):
        proxy = edge(nuncio, peer, sniff_timeout=f"{500 * factor}ms")
        with proxy.connect("edge") as named:
            named.sendall(v2(CLIENT, SERVICE))
            assert taker(named) == "echo"
            with proxy.connect("edge") as silent:
                assert taker(silent) in ("fin", "rst")
            named.sendall(b"more")
            assert echoed(named, b"more")
    patiently(outlives)


def test_optional_goes_on_without_one_after_a_while(nuncio, peer):
    proxy = edge(nuncio, peer, "optional", sniff_timeout="100ms")
    with proxy.connect("edge") as client:
        assert taker(client) == "echo"
        client.sendall(b"PROXY TCP4")
        assert echoed(client, b"PROXY TCP4")


def test_a_client_that_leaves_within_its_header(nuncio, peer):
    proxy = edge(nuncio, peer)
    for said in (b"", v2(CLIENT, SERVICE)[:20]):
        with proxy.connect("edge") as client:
            client.sendall(said)
            client.shutdown(socket.SHUT_WR)
            assert taker(client) in ("fin", "rst")
    with proxy.connect("edge") as client:
        client.sendall(b"PROXY TC")
        proxy.wait_stat("listener.edge.downstream_pre_cx_active", 1)
        clients.reset(client)
    assert [row["cause"] for row in rows(proxy, 3)] == ["client_closed", "bad_proxy_header", "client_reset"]


# --- in: matches see the header's addresses

def test_the_told_client_chooses_the_chain(nuncio, peer):
    proxy = fork(nuncio, peer, {
        "port": {"destination_port": SERVICE[1]}, "named": {"sni": "a.test"}, "net": {"source": "192.0.2.0/24"},
        "net6": {"source": "2001:db8::/64"}, "from": {"source_port": 1234}, "local": {"source": "127.0.0.1"}},
        proxy_protocol="optional")
    away = ("198.51.100.9", 80)
    for header, wanted in ((v2(CLIENT, SERVICE), "port"), (v2(CLIENT, away), "net"), (v1(("2001:db8::9", 1), CLIENT6), "net6"),
                           (v1(("10.0.0.1", 1234), away), "from"), (b"", "local"), (v2(command=LOCAL), "local")):
        with proxy.connect("edge") as client:
            client.sendall(header + b"plain")
            assert taker(client) == wanted and echoed(client, b"plain"), header
    with proxy.connect("edge") as client:
        client.sendall(v2(CLIENT, away) + hello("a.test"))
        assert taker(client) == "named" and echoed(client, hello("a.test"))


def test_ip_filter_sees_the_told_client(nuncio, peer):
    echo = peer(Echo, b"echo\n")
    proxy = nuncio("listeners:\n  - name: edge\n    bind: 127.0.0.1:0\n    proxy_protocol: require\n"
                   "    filters: [{ip_filter: {deny: 192.0.2.0/24}}, {tcp_proxy: echo}]\n"
                   f"clusters: [{{name: echo, endpoints: '{echo.address}'}}]\n")
    for source, wanted in ((CLIENT, ("fin", "rst")), (("192.0.3.1", 1), ("echo",))):
        with proxy.connect("edge") as client:
            client.sendall(v2(source, SERVICE))
            assert taker(client) in wanted


@pytest.mark.parametrize("at", [1, 20, 28, 60, 100])
def test_header_and_hello_in_two_segments(nuncio, peer, at):
    """Wherever the cut is: in the header, between the two, in the hello."""
    proxy = fork(nuncio, peer, {"a": {"sni": "a.test"}}, proxy_protocol="require", bind="unix:edge.sock")
    wire = v2(CLIENT, SERVICE) + hello("a.test")
    with proxy.connect("edge") as client:
        send_apart(client, wire[:at], wire[at:])
        assert taker(client) == "a" and echoed(client, hello("a.test"))
    row, = rows(proxy)
    assert (row["client"], row["sni"]) == (text(*CLIENT), "a.test")


# --- out: to programs not written here

HAPROXY_SAYS = """
frontend f
  mode http
  bind {host}:{port} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]|%[src_port]|%[dst]|%[dst_port]|%[fc_rcvd_proxy]"
"""
NGINX_SAYS = "$proxy_protocol_addr|$proxy_protocol_port|$proxy_protocol_server_addr|$proxy_protocol_server_port|1"


def haproxy_says(folder):
    return servers.haproxy(folder, ["in"], lambda ports: HAPROXY_SAYS.format(host="127.0.0.1", port=ports["in"]))


def nginx_says(folder):
    return servers.nginx(folder, ["in"], http=lambda ports: (
        f"server {{ listen 127.0.0.1:{ports['in']} proxy_protocol; location / {{ return 200 '{NGINX_SAYS}'; }} }}"))


def nginx_stream_says(folder):
    return servers.nginx(folder, ["in"], stream=lambda ports: (
        f"server {{ listen 127.0.0.1:{ports['in']} proxy_protocol; return '{NGINX_SAYS}'; }}"))


def asked(client, request=b"GET / HTTP/1.0\r\n\r\n"):
    """What the server says about an HTTP request, or without being asked."""
    client.sendall(request)
    return clients.recv_all(client).decode().rpartition("\r\n\r\n")[2].split("|")


def told(client):
    """What a server should say about this client."""
    return [*map(str, client.getsockname()[:2]), *map(str, client.getpeername()[:2]), "1"]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("says", [haproxy_says, nginx_says, nginx_stream_says])
def test_servers_learn_who_the_client_is(nuncio, peer, tmp_path, says, version):
    server = peer(says, tmp_path)
    proxy = nuncio(config([{"name": "edge", "bind": ["127.0.0.1:0", "[::1]:0"], "chains": [chain("web")]}],
                          {"web": {"endpoints": [server.address], "proxy_protocol": version}}))
    for address in proxy.addresses("edge"):
        with clients.connect(address) as client:
            assert asked(client, b"") == told(client) if says is nginx_stream_says else asked(client) == told(client)


def test_a_header_is_handed_on(nuncio, peer, tmp_path):
    """Balancer, nuncio, haproxy: the last one learns of the first one's client."""
    server = peer(haproxy_says, tmp_path)
    proxy = nuncio(config([{"name": "edge", "bind": "127.0.0.1:0", "proxy_protocol": "require", "chains": [chain("web")]}],
                          {"web": {"endpoints": [server.address], "proxy_protocol": "v2"}}))
    balancer = peer(sender("v2 with TLVs", proxy.address("edge")), tmp_path)
    with clients.connect(balancer.address) as client:
        assert asked(client) == told(client)


def test_sni_and_alpn_go_along(nuncio, peer, certs, tmp_path):
    """haproxy terminates TLS behind the header and says what its TLVs told."""
    cert = certs.get("a.test")
    server = peer(servers.haproxy, tmp_path, ["in"], lambda ports: f"""
frontend f
  mode http
  bind 127.0.0.1:{ports['in']} accept-proxy ssl crt {cert.both}
  http-request return status 200 content-type text/plain lf-string "%[fc_pp_authority]|%[ssl_fc_sni]|%[src_port]"
""")
    proxy = nuncio(config([{"name": "edge", "bind": "127.0.0.1:0", "chains": [chain("a", {"sni": "a.test"})]}],
                          {"a": {"endpoints": [server.address], "proxy_protocol": "v2"}}))
    got = command("curl", "-sS", "--http1.1", "--cacert", cert.cert, "--resolve", f"a.test:{proxy.port('edge')}:127.0.0.1",
                  "-w", "|%{local_port}", f"https://a.test:{proxy.port('edge')}/")
    said = got.stdout.split("|")
    assert said[:2] == ["a.test", "a.test"] and said[2] == said[3], got.stdout + got.stderr


# --- out: the header itself

def sending(nuncio, server, version, **listener):
    return nuncio(config([{"name": "edge", "bind": "127.0.0.1:0", **listener, "chains": listener.get("chains", [chain("echo")])}],
                         {"echo": {"endpoints": [server.address], "proxy_protocol": version}}))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_header_comes_before_the_client_says_anything(nuncio, peer, version, workers):
    server = peer(ProxyEcho)
    proxy = sending(nuncio, server, version)
    with proxy.connect("edge") as client:
        assert taker(client) == "read"
        header = server.headers[0]
        assert (header.version, header.source, header.destination) == (int(version[1]), own(client), proxy.address("edge"))
        client.sendall(b"x" * 300000)
        assert echoed(client, b"x" * 300000)
    assert len(header.wire) == (28 if version == "v2" else len(v1(client_of(header), service_of(header))))


def client_of(header):
    return split(header.source)


def service_of(header):
    return split(header.destination)


def split(address):
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def test_unix_clients(nuncio, peer):
    """Who comes over a UNIX socket has no IP address: v1 says so, v2 names the family or nothing."""
    for version in ("v1", "v2"):
        server = peer(ProxyEcho)
        proxy = sending(nuncio, server, version, bind="unix:edge.sock")
        with proxy.connect("edge") as client:
            assert taker(client) == "read"
        header = server.headers[0]
        assert header.source is None or header.source.startswith("unix:")
        assert version == "v2" or header.wire == b"PROXY UNKNOWN\r\n"


def test_tlvs_of_a_sniffed_client(nuncio, peer):
    server, wire = peer(ProxyEcho), hello("WWW.a.test", "h2", "http/1.1")
    proxy = sending(nuncio, server, "v2", proxy_protocol="optional", chains=[chain("echo", {"sni": "*.a.test"})])
    for ahead in (b"", v2(CLIENT6, SERVICE6, tlv(UNIQUE_ID, b"id"))):
        with proxy.connect("edge") as client:
            client.sendall(ahead + wire)
            assert taker(client) == "read" and echoed(client, wire)
    plain, told_one = server.headers
    assert plain.tlvs[AUTHORITY] == b"www.a.test" and plain.tlvs[ALPN] == b"h2"
    assert (told_one.source, told_one.destination) == FROM6 and told_one.tlvs[AUTHORITY] == b"www.a.test"


def test_every_endpoint_tried_gets_a_header(nuncio, peer, refusing_port):
    server = peer(ProxyEcho)
    proxy = nuncio(config([{"name": "edge", "bind": "127.0.0.1:0", "chains": [chain("echo")]}],
                          {"echo": {"endpoints": [refusing_port.address, server.address], "proxy_protocol": "v2"}}))
    for _ in range(4):
        with proxy.connect("edge") as client:
            assert taker(client) == "read" and server.headers[-1].source == own(client)
    assert len(server.headers) == 4
