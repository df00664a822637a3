"""TLS with programs not written here: nginx and haproxy behind and before, with certificates on both sides; curl; openssl."""
import contextlib
import errno
import hashlib
import os
import re
import ssl

import pytest

from lib import clients, servers
from lib.config import cluster, config, listener
from lib.fork import rows
from lib.peers import Echo
from lib.pki import Ca
from lib.process import command
from lib.s_client import echo_once
from lib.scale import MIB, scale
from lib.trickle import send_bytes


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def mine(ca):
    return ca.get("www.test", "DNS:www.test", "DNS:localhost", "IP:127.0.0.1")


def server_tls(signed, **more):
    return {"certificates": [{"cert": str(signed.cert), "key": str(signed.key)}], **more}


def mutual(ca, signed, **more):
    return server_tls(signed, client_certs={"mode": "require", "ca": str(ca.cert), **more})


def client_tls(ca, signed=None, **more):
    shown = {"cert": str(signed.cert), "key": str(signed.key)} if signed else {}
    return {"ca": str(ca.cert), "sni": "www.test", **shown, **more}


@pytest.fixture
def big(tmp_path):
    data = os.urandom(scale(8 * MIB))
    (tmp_path / "big").write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def nginx_backend(folder, ca, signed, verify=True, version="TLSv1.2 TLSv1.3"):
    mutual = f"ssl_client_certificate {ca.cert}; ssl_verify_client on;" if verify else ""
    return servers.nginx(folder, ["https"], lambda ports: (
        f"server {{ listen 127.0.0.1:{ports['https']} ssl; ssl_protocols {version}; ssl_certificate {signed.cert};"
        f" ssl_certificate_key {signed.key}; {mutual} root {folder}; location / {{ }}"
        " location /who { return 200 '$ssl_protocol $ssl_server_name $ssl_client_s_dn\\n'; } }"))


def haproxy_backend(folder, ca, signed, site):
    return servers.haproxy(folder, ["https"], lambda ports: (
        f"listen l\n  mode tcp\n  bind 127.0.0.1:{ports['https']} ssl crt {signed.both} ca-file {ca.cert} verify required\n"
        f"  server s {site}\n"))


def curl(url, *options):
    done = command("curl", "-sS", "--fail", *options, url)
    assert done.returncode == 0, done.stderr
    return done.stdout


def digest(url, path, *options):
    curl(url, "-o", path, *options)
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- behind: plain in, mutual TLS out

@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_nginx_behind_wants_a_certificate(nuncio, peer, ca, mine, tmp_path, big, version):
    back = peer(nginx_backend, tmp_path, ca, mine, version=version)
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}})],
                          clusters=[cluster(back, tls=client_tls(ca, ca.get("caller", "URI:spiffe://mesh/web")))]))
    url = f"http://{proxy.address('in')}"
    assert curl(f"{url}/who") == f"{version} www.test CN=caller\n"
    assert digest(f"{url}/big", tmp_path / "got") == big


def test_haproxy_behind_wants_a_certificate(nuncio, peer, ca, mine, tmp_path, big):
    site = peer(servers.nginx, tmp_path, ["http"], lambda ports: f"server {{ listen 127.0.0.1:{ports['http']}; root {tmp_path}; }}")
    back = peer(haproxy_backend, tmp_path, ca, mine, site.address)
    good = cluster(back, tls=client_tls(ca, ca.get("caller")))
    bare = cluster(back, name="bare", tls=client_tls(ca))
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}}), listener({"tcp_proxy": {"cluster": "bare"}}, name="bare")],
                          clusters=[good, bare]))
    assert digest(f"http://{proxy.address('in')}/big", tmp_path / "got") == big
    assert command("curl", "-sS", "--fail", f"http://{proxy.address('bare')}/big", "-o", tmp_path / "none").returncode != 0


# --- before: they call with a certificate

def test_nginx_before_shows_a_certificate(nuncio, peer, ca, mine, tmp_path, big):
    site = peer(servers.nginx, tmp_path, ["http"], lambda ports: f"server {{ listen 127.0.0.1:{ports['http']}; root {tmp_path}; }}")
    log = {"path": "log", "json": {"who": "%DOWNSTREAM_PEER_URI_SAN%", "sni": "%REQUESTED_SERVER_NAME%"}}
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}}, access_log=[log], tls=mutual(ca, mine, allow={
        "uri": ["spiffe://mesh/*"]}))], clusters=[cluster(site)]))
    me = ca.get("caller", "URI:spiffe://mesh/web")
    front = peer(servers.nginx, tmp_path, ["in"], lambda ports: (
        f"server {{ listen 127.0.0.1:{ports['in']}; location / {{ proxy_pass https://{proxy.address('in')}; proxy_ssl_verify on;"
        f" proxy_ssl_trusted_certificate {ca.cert}; proxy_ssl_name www.test; proxy_ssl_server_name on;"
        f" proxy_ssl_certificate {me.cert}; proxy_ssl_certificate_key {me.key}; }} }}"))
    assert digest(f"http://{front.address}/big", tmp_path / "got") == big
    assert rows(proxy)[0] == {"who": "spiffe://mesh/web", "sni": "www.test"}


def test_haproxy_before_shows_a_certificate(nuncio, peer, ca, mine, tmp_path, big):
    site = peer(servers.nginx, tmp_path, ["http"], lambda ports: f"server {{ listen 127.0.0.1:{ports['http']}; root {tmp_path}; }}")
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}}, tls=mutual(ca, mine))], clusters=[cluster(site)]))
    me = ca.get("caller", "URI:spiffe://mesh/web")
    front = peer(servers.haproxy, tmp_path, ["in", "bare"], lambda ports: "".join(
        f"listen {name}\n  mode tcp\n  bind 127.0.0.1:{ports[name]}\n"
        f"  server s {proxy.address('in')} ssl verify required ca-file {ca.cert} sni str(www.test) {shown}\n"
        for name, shown in (("in", f"crt {me.both}"), ("bare", ""))))
    assert digest(f"http://{front.address}/big", tmp_path / "got") == big
    refused = command("curl", "-sS", "--fail", "-o", tmp_path / "none", f"http://127.0.0.1:{front.ports['bare']}/big")
    assert refused.returncode != 0
    assert proxy.wait_stat("listener.in.ssl.fail_verify_no_cert", 1)


# --- with a PROXY header, which stands before TLS on every wire

@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_proxy_header_goes_before_tls(nuncio, peer, ca, mine, tmp_path, kind, version):
    def nginx(folder):
        return servers.nginx(folder, ["in"], lambda ports: (
            f"server {{ listen 127.0.0.1:{ports['in']} ssl proxy_protocol; ssl_certificate {mine.cert}; ssl_certificate_key {mine.key};"
            " return 200 '$proxy_protocol_addr $proxy_protocol_port\\n'; }"))

    def haproxy(folder):
        return servers.haproxy(folder, ["in"], lambda ports: (
            f"listen l\n  mode http\n  bind 127.0.0.1:{ports['in']} ssl crt {mine.both} accept-proxy\n"
            '  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port]\\n"\n'))

    back = peer({"nginx": nginx, "haproxy": haproxy}[kind], tmp_path)
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}})],
                          clusters=[cluster(back, proxy_protocol=version, tls=client_tls(ca))]))
    done = command("curl", "-sS", "--fail", "-w", "%{local_ip} %{local_port}\n", f"http://{proxy.address('in')}/")
    told, real = done.stdout.splitlines()
    assert told == real


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_sends_a_proxy_header_before_tls(nuncio, peer, ca, mine, tmp_path, version):
    log = {"path": "log", "json": {"client": "%DOWNSTREAM_REMOTE_ADDRESS%", "tls": "%DOWNSTREAM_TLS_VERSION%"}}
    proxy = nuncio(config(listeners=[listener("echo", proxy_protocol="require", access_log=[log], tls=server_tls(mine))]))
    front = peer(servers.haproxy, tmp_path, ["in"], lambda ports: (
        f"listen l\n  mode tcp\n  bind 127.0.0.1:{ports['in']}\n  server s {proxy.address('in')} ssl verify required ca-file {ca.cert}"
        f" sni str(www.test) {'send-proxy' if version == 'v1' else 'send-proxy-v2'}\n"))
    with clients.connect(front.address) as client:
        client.sendall(b"hello")
        assert clients.recv_exactly(client, 5) == b"hello"
        here = "%s:%d" % client.getsockname()
    assert rows(proxy)[0] == {"client": here, "tls": "TLSv1.3"}


# --- chains of machines

def test_tls_in_and_other_tls_out_between_nginx_and_curl(nuncio, peer, ca, mine, tmp_path, big, workers):
    back = peer(nginx_backend, tmp_path, ca, mine)
    inner = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}}, tls=mutual(ca, mine))],
                          clusters=[cluster(back, tls=client_tls(ca, ca.get("inner")))]), workers=workers)
    outer = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}}, tls=server_tls(mine, alpn=["http/1.1"]))],
                          clusters=[cluster(inner.address("in"), tls=client_tls(ca, ca.get("outer")))]), workers=workers)
    url = f"https://www.test:{outer.port('in')}"
    options = ["--cacert", ca.cert, "--resolve", f"www.test:{outer.port('in')}:127.0.0.1"]
    assert curl(f"{url}/who", *options).endswith("www.test CN=inner\n")
    assert digest(f"{url}/big", tmp_path / "got", *options) == big
    many = command("curl", "-sS", "--fail", "--parallel", "--parallel-max", 20, "-H", "Connection: close", *options, "-w", "%{http_code}\n",
                   "-o", "/dev/null", f"{url}/who?[1-100]")
    assert many.stdout.split() == ["200"] * 100, many.stderr


# --- openssl, and hostile bytes

@pytest.mark.parametrize("options, version", [(["-tls1_2"], "TLSv1.2"), (["-tls1_3"], "TLSv1.3")])
def test_s_client_and_s_server(nuncio, peer, ca, mine, options, version):
    back = peer(servers.s_server, mine, "-rev", *options)
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}}, tls=server_tls(mine))],
                          clusters=[cluster(back, tls=client_tls(ca))]))
    said = echo_once(proxy.address("in"), "-servername", "www.test", "-CAfile", ca.cert, "-verify_return_error", *options,
                     say="rever")  # which -rev turns into itself
    assert said.version == version and "Verify return code: 0 (ok)" in said.text, said.text


@pytest.mark.parametrize("options", [["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], ["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"],
                                     ["-tls1_3", "-groups", "ffdhe2048"]], ids=lambda words: words[0] + words[-1])
def test_s_client_with_nothing_in_common(nuncio, ca, mine, options):
    proxy = nuncio(config(listeners=[listener("echo", tls=server_tls(mine))]))
    done = command("openssl", "s_client", "-connect", proxy.address("in"), "-servername", "www.test", *options)
    assert re.search(r"alert (protocol version|handshake failure)", done.stderr), done.stderr


def test_every_split_of_a_hello(nuncio, ca, mine):
    """The handshake goes on wherever the ClientHello is cut, and byte by byte."""
    proxy = nuncio(config(listeners=[listener("echo", tls=server_tls(mine))]))
    context = clients.tls_context(ca=ca.cert)
    size = len(clients.client_hello("www.test"))
    for cut in [*range(1, size, max(1, size // 150)), 0]:
        wire_in, wire_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(wire_in, wire_out, server_hostname="www.test")
        with proxy.connect("in") as client:
            client.setsockopt(6, 1, 1)  # TCP_NODELAY
            with pytest.raises(ssl.SSLWantReadError):
                session.do_handshake()
            first = wire_out.read()
            if cut:
                client.sendall(first[:cut])
                client.sendall(first[cut:])
            else:
                send_bytes(client, first)
            while True:
                try:
                    session.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    wire_in.write(client.recv(65536))
            session.write(b"hello")
            send_bytes(client, wire_out.read())
            answer = b""
            while len(answer) < 5:
                try:
                    answer += session.read()
                except ssl.SSLWantReadError:
                    wire_in.write(client.recv(65536))
            assert answer == b"hello"


def mutations(sample):
    """Hellos that no client sends: every length and type byte near the front broken, cuts, garbage in the middle."""
    for at in list(range(0, 60)) + list(range(60, len(sample), 7)):
        for value in (0, 0xFF, sample[at] ^ 1):
            yield sample[:at] + bytes([value]) + sample[at + 1:]
    yield b"\x16\x03\x01\xff\xff" + sample
    yield b"\x16\x03\x01\x00\x00" * 50 + sample
    yield b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(0x3FFC)
    yield b"\x80\x2e\x01\x03\x01" + bytes(46)  # SSLv2
    yield b"\x15\x03\x01\x00\x02\x02\x28"  # an alert
    yield b"\x17\x03\x03\x00\x10" + bytes(16)  # data before a handshake


def test_hostile_hellos(tight, ca, mine):
    """None is answered by more than an alert, none takes anything down, and nobody is left behind."""
    proxy = tight(config(listeners=[listener("echo", tls=server_tls(mine, handshake_timeout="20s"))]))
    sample = clients.client_hello("www.test", ["h2"])
    for hostile in mutations(sample):
        with proxy.connect("in") as client:
            try:
                client.sendall(hostile)
                client.shutdown(1)
                answer = clients.recv_all(client)
            except (BrokenPipeError, ConnectionResetError):
                continue
            except OSError as error:
                assert error.errno == errno.ENOTCONN  # it was reset before it could be shut down
                continue
            assert not answer or answer[0] in (0x15, 0x16), answer[:20]
    with clients.tls_connect(proxy.address("in"), "www.test", ca=ca.cert) as client:
        client.sendall(b"hello")
        assert clients.recv_exactly(client, 5) == b"hello"


def test_plain_words_to_a_tls_port_and_back(nuncio, peer, ca, mine):
    """HTTP to TLS, and TLS to an echo in plain: refused with a reason, on both sides."""
    log = {"path": "log", "format": "json"}
    proxy = nuncio(config(
        listeners=[listener("echo", name="tls", tls=server_tls(mine), access_log=[log]),
                   listener({"tcp_proxy": {"cluster": "c", "connect_attempts": 1}}, name="plain", access_log=[log])],
        clusters=[cluster(peer(Echo), tls=client_tls(ca))]))
    with proxy.connect("tls") as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        clients.how_it_ends(client)
    with proxy.connect("plain") as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may be over before we have said anything
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        clients.how_it_ends(client)
    causes = {row["listener"]: (row["cause"], row["flags"]) for row in rows(proxy, 2)}
    assert causes == {"tls": ("tls_handshake_failed", "DPE"), "plain": ("upstream_tls_failed", "UF")}
