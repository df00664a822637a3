"""Each row of core/cause.h once, with real sockets: what the log lines say, and what the other side sees of it."""
import os
import re
import signal
import socket
import ssl
from pathlib import Path
from typing import Callable, NamedTuple

import pytest

from lib import clients, h2, held, logs, preload
from lib.config import LOGS, cluster, config, listener, relay
from lib.h2_server import H2Server
from lib.http import Origin, Stuck, front
from lib.nuncio import ROOT, run_nuncio
from lib.peers import Blackhole, Echo, Hang, Resetter, Script, Source
from lib.pki import Ca
from lib.poll import PATIENCE
from lib.ports import free_port

SNI = {"match": {"sni": "a.test"}, "filters": [{"tcp_proxy": {"cluster": "c"}}]}
HELLO = clients.client_hello("a.test", ["h2", "http/1.1"])
NOBODY = "127.0.0.1:9"  # never connected to
GARBAGE = b"\x17\x03\x03\x00\x20" + b"?" * 32  # looks like a TLS record


class Ctx(NamedTuple):
    """What a story needs: starts the proxy, servers and ports."""
    nuncio: Callable
    peer: Callable
    refusing: str
    folder: Path
    soon: str  # when what the story waits for is due


def client_closed(t):
    nuncio = t.nuncio(relay(t.peer(Echo)))
    with nuncio.connect("in") as client:
        client.sendall(b"hello")
        assert clients.recv_exactly(client, 5) == b"hello"
    return nuncio, {"bytes_received": 5, "bytes_sent": 5, "layer": "sock"}


def client_reset(t):
    server = t.peer(Echo)
    nuncio = t.nuncio(relay(server))
    client = nuncio.connect("in")
    client.sendall(b"hello")
    assert clients.recv_exactly(client, 5) == b"hello"
    clients.reset(client)
    return nuncio, {"bytes_received": 5, "bytes_sent": 5, "layer": "sock"}


def upstream_closed(t):
    nuncio = t.nuncio(relay(t.peer(Source, b"all")))
    with nuncio.connect("in") as client:
        assert clients.recv_all(client) == b"all"
    return nuncio, {"bytes_received": 0, "bytes_sent": 3, "layer": "sock"}


def upstream_reset(t):
    nuncio = t.nuncio(relay(t.peer(Resetter, 3)))
    with nuncio.connect("in") as client:
        client.sendall(b"abc")
        assert clients.how_it_ends(client) == "rst"
    return nuncio, {"bytes_received": 3, "bytes_sent": 0, "layer": "sock"}


def idle_timeout(t):
    nuncio = t.nuncio(relay(t.peer(Echo), proxy={"idle_timeout": "200ms"}))
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    return nuncio, {"bytes_received": 0, "bytes_sent": 0, "layer": "tcp_proxy"}


def half_close_timeout(t):
    nuncio = t.nuncio(relay(t.peer(Hang), proxy={"half_close_timeout": "200ms"}))
    with nuncio.connect("in") as client:
        client.sendall(b"bye")
        client.shutdown(socket.SHUT_WR)
        clients.how_it_ends(client)
    return nuncio, {"bytes_received": 3, "bytes_sent": 0, "layer": "tcp_proxy"}


def refused(t):
    nuncio = t.nuncio(relay(t.refusing))
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    return nuncio, {"upstream": t.refusing, "layer": "tcp_proxy"}


def unreachable(t):
    """A UNIX socket that is not there."""
    nuncio = t.nuncio(relay("unix:gone.sock"))
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    return nuncio, {"upstream": f"unix:{nuncio.dir}/gone.sock", "layer": "tcp_proxy"}


def connect_timeout(t):
    hole = t.peer(Blackhole)
    nuncio = t.nuncio(relay(hole, to={"connect_timeout": "200ms"}))
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    return nuncio, {"upstream": hole.address, "layer": "tcp_proxy"}


def no_endpoint(t):
    """A host name that was never resolved: its name server refuses."""
    env = {"NUNCIO_DNS": f"127.0.0.1:{free_port()}"}
    nuncio = t.nuncio(relay("nobody.test:80"), env=env)
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    return nuncio, {"upstream": None, "cluster": "c", "layer": "tcp_proxy"}


def filter_denied(t):
    nuncio = t.nuncio(relay(t.peer(Echo), before=[{"ip_filter": {"deny": ["127.0.0.0/8"]}}]))
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    return nuncio, {"upstream": None, "layer": "ip_filter"}


def over_limit(t):
    """The second of two clients, where one may be."""
    nuncio = t.nuncio(relay(t.peer(Echo), before=[{"connection_limit": 1}]))
    with nuncio.connect("in") as first, nuncio.connect("in") as second:
        assert first.fileno() != clients.how_it_ends(second)
        logs.last(nuncio)
        return nuncio, {"upstream": None, "layer": "connection_limit"}


def over_rate(t):
    """The second of two clients within a day."""
    nuncio = t.nuncio(relay(t.peer(Echo), before=[{"source_limit": {"rate": 1, "per": "1d"}}]))
    with nuncio.connect("in") as first, nuncio.connect("in") as second:
        assert first.fileno() != clients.how_it_ends(second)
        logs.last(nuncio)
        return nuncio, {"upstream": None, "layer": "source_limit"}


def overflow(t):
    nuncio = t.nuncio(relay(t.peer(Echo), to={"limits": {"connections": 1}}))
    with nuncio.connect("in") as first, nuncio.connect("in") as second:
        first.sendall(b"x")
        assert clients.recv_exactly(first, 1) == b"x"
        clients.how_it_ends(second)
        logs.last(nuncio)
        return nuncio, {"layer": "tcp_proxy"}


def led(t, chain=None, **cluster_keys):
    """By what the client says: no endpoints."""
    return t.nuncio(config(listeners=[listener(chains=[chain or {"filters": [{"tcp_proxy": "c"}]}])],
                           clusters=[{"name": "c", **cluster_keys}]), env={"NUNCIO_DNS": NOBODY})


def dns_failure(t):
    """Nobody answers for the name server."""
    nuncio = led(t, SNI, dynamic_forward={"allow": "*"})
    with nuncio.connect("in") as client:
        client.sendall(HELLO)
        clients.how_it_ends(client)
    return nuncio, {"sni": "a.test", "upstream": None, "layer": "tcp_proxy"}


def no_destination(t):
    nuncio = led(t, dynamic_forward={"allow": "*"})
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    return nuncio, {"upstream": None, "layer": "tcp_proxy"}


def denied_destination(t):
    nuncio = led(t, original_dst={"deny": "loopback"})
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    return nuncio, {"upstream": None, "layer": "tcp_proxy"}


def loop(t):
    """No rule redirected the client: it called the listener itself."""
    nuncio = led(t, original_dst=True)
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    return nuncio, {"upstream": None, "layer": "tcp_proxy"}


def sniffing(t, **more):
    return t.nuncio(config(listeners=[listener(chains=[SNI], **more)], clusters=[cluster(NOBODY)]))


def no_chain(t):
    nuncio = sniffing(t)
    with nuncio.connect("in") as client:
        client.sendall(clients.client_hello("b.test", ["h2"]))
        clients.how_it_ends(client)
    return nuncio, {"sni": "b.test", "alpn": "h2", "chain": None, "upstream": None, "layer": "sniff"}


def sniff_timeout(t):
    nuncio = sniffing(t, sniff_timeout=t.soon)
    with nuncio.connect("in") as client:
        client.sendall(HELLO[:20])
        clients.how_it_ends(client)
    return nuncio, {"bytes_received": 20, "sni": None, "chain": None, "layer": "sniff"}


def bad_hello(t):
    """A ClientHello whose session id would be 255 bytes long."""
    nuncio = sniffing(t)
    with nuncio.connect("in") as client:
        client.sendall(HELLO[:43] + b"\xff" + HELLO[44:])
        clients.how_it_ends(client)
    return nuncio, {"sni": None, "chain": None, "layer": "sniff"}


def proxied(t, **more):
    return t.nuncio(relay(t.peer(Echo), at={"proxy_protocol": "require", **more}))


def bad_proxy(t):
    nuncio = proxied(t)
    with nuncio.connect("in") as client:
        client.sendall(b"PROXY TCP4 not an address\r\n")
        clients.how_it_ends(client)
    return nuncio, {"upstream": None, "layer": "proxy_protocol"}


def proxy_timeout(t):
    nuncio = proxied(t, sniff_timeout=t.soon)
    with nuncio.connect("in") as client:
        client.sendall(b"PROXY ")
        clients.how_it_ends(client)
    return nuncio, {"bytes_received": 6, "upstream": None, "layer": "proxy_protocol"}


def starttls(t, **more):
    """A listener that terminates TLS for Postgres."""
    signed = Ca(t.folder / "ca").get("a.test")
    tls = {"starttls": "postgres", "certificates": [{"cert": str(signed.cert), "key": str(signed.key)}], **more}
    return t.nuncio(relay(t.peer(Echo), at={"tls": tls}))


def bad_starttls(t):
    nuncio = starttls(t)
    with nuncio.connect("in") as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        clients.how_it_ends(client)
    return nuncio, {"bytes_received": 18, "bytes_sent": 0, "layer": "starttls"}


def starttls_timeout(t):
    nuncio = starttls(t, handshake_timeout=t.soon)
    with nuncio.connect("in") as client:
        client.sendall(b"\0\0")
        clients.how_it_ends(client)
    return nuncio, {"bytes_received": 2, "bytes_sent": 0, "layer": "starttls"}


def starttls_refused(t):
    nuncio = t.nuncio(relay(t.peer(Source, b"N"), to={"tls": {"starttls": "postgres", "verify": "none", "sni": "a.test"}}))
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    return nuncio, {"bytes_received": 0, "bytes_sent": 0}


def tls_in(t, client_certs=None, **more):
    """A listener that terminates TLS."""
    signed = Ca(t.folder / "ca").get("a.test")
    tls = {"certificates": {"cert": str(signed.cert), "key": str(signed.key)}, **more}
    return t.nuncio(relay(t.peer(Echo), at={"tls": {**tls, **({"client_certs": client_certs} if client_certs else {})}}))


def shake_hands(nuncio, own=None):
    """A TLS connection; one that is refused after the client's part shows it at the first read."""
    context = clients.tls_context()
    if own:
        context.load_cert_chain(own.cert, own.key)
    return context.wrap_socket(nuncio.connect("in"), server_hostname="a.test")


def refused_client(nuncio, own=None):
    with pytest.raises((ssl.SSLError, ConnectionError)), shake_hands(nuncio, own) as client:
        client.recv(1)
    return nuncio, {"upstream": None, "layer": "tls"}


def tls_failed(t):
    nuncio = tls_in(t)
    with nuncio.connect("in") as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        clients.how_it_ends(client)
    return nuncio, {"bytes_received": 18, "upstream": None, "layer": "tls"}


def tls_timeout(t):
    nuncio = tls_in(t, handshake_timeout=t.soon)
    with nuncio.connect("in") as client:
        client.sendall(HELLO[:20])
        clients.how_it_ends(client)
    return nuncio, {"bytes_received": 20, "upstream": None, "layer": "tls"}


def tls_no_cert(t):
    ca = Ca(t.folder / "clients")
    return refused_client(tls_in(t, {"mode": "require", "ca": str(ca.cert)}))


def tls_bad_cert(t):
    ca, other = Ca(t.folder / "clients"), Ca(t.folder / "others")
    return refused_client(tls_in(t, {"mode": "require", "ca": str(ca.cert)}), other.get("web.test"))


def tls_denied(t):
    ca = Ca(t.folder / "clients")
    allowed = {"mode": "require", "ca": str(ca.cert), "allow": {"dns": ["web.test"]}}
    return refused_client(tls_in(t, allowed), ca.get("api.test"))


def tls_error(t):
    """A record that no key made."""
    nuncio = tls_in(t)
    with shake_hands(nuncio) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        os.write(client.fileno(), GARBAGE)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            client.recv(1)
    return nuncio, {"layer": "tls"}


def client_truncated(t):
    """FIN without close_notify."""
    nuncio = tls_in(t)
    with shake_hands(nuncio) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        client.shutdown(socket.SHUT_WR)
        logs.last(nuncio)
    return nuncio, {}


def tls_out(t, server, **more):
    return t.nuncio(relay(server, to={"tls": {"verify": "none", "sni": "a.test", **more}}))


def led_to(nuncio, say=b"x"):
    with nuncio.connect("in") as client:
        client.sendall(say)
        clients.how_it_ends(client)
    return nuncio, {}


def tls_server(t, then):
    """Shakes hands, reads a byte, and goes on with then(connection)."""
    signed = Ca(t.folder / "ca").get("a.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed.cert, signed.key)

    def serve(conn):
        try:
            with context.wrap_socket(conn, server_side=True) as tls:
                if tls.recv(1):
                    then(tls)
        except OSError:
            pass  # it is refused by who must

    return t.peer(Script, serve)


def upstream_tls_failed(t):
    return led_to(tls_out(t, t.peer(Source, b"no TLS here, whatever you say")))


def upstream_tls_timeout(t):
    return led_to(tls_out(t, t.peer(Hang), handshake_timeout=t.soon))


def upstream_bad_cert(t):
    other = Ca(t.folder / "others")
    return led_to(tls_out(t, tls_server(t, lambda tls: None), verify="full", ca=str(other.cert)))


def upstream_tls_error(t):
    return led_to(tls_out(t, tls_server(t, lambda tls: (os.write(tls.fileno(), GARBAGE), tls.recv(1)))))


def upstream_truncated(t):
    return led_to(tls_out(t, tls_server(t, lambda tls: (tls.shutdown(socket.SHUT_WR), clients.how_it_ends(tls)))))


def served(t, answer, **route):
    """An http filter before a server that answers so, and a client that reads until the end."""
    nuncio = t.nuncio(front(t.peer(Origin, answer), routes=[{"cluster": "c", **route}]))
    with nuncio.connect("in") as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        clients.how_it_ends(client)
    return nuncio, {"layer": "sock"}


def client_gone(t):
    """Nobody knows whether a client that closed its half still reads."""
    nuncio = t.nuncio(front(t.peer(Stuck)))
    with nuncio.connect("in") as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        clients.how_it_ends(client)
    return nuncio, {"layer": "http"}


def worn(t, **keys):
    """A client that asks once, and is not served again."""
    nuncio = t.nuncio(front(t.peer(Origin), **keys))
    with h2.connect(nuncio) as client:
        client.send(h2.headers(1, h2.GET))
        ping = client.until(lambda got: got.type == "PING")[-1]
        client.send(h2.frame("PING", h2.ACK, 0, ping.payload))
        assert client.closed()
    return nuncio, {"layer": "sock"}


def max_connection_duration(t):
    return worn(t, max_connection_duration="200ms")


def max_requests_per_connection(t):
    return worn(t, max_requests_per_connection=1)


def client_keepalive_timeout(t):
    nuncio = t.nuncio(front(t.peer(Origin), http2={"ping_interval": "50ms", "ping_timeout": "50ms"}))
    with h2.connect(nuncio) as client:
        assert client.closed()
    return nuncio, {"layer": "http"}


def client_protocol_error(t):
    nuncio = t.nuncio(front(t.peer(Stuck)))
    with h2.connect(nuncio) as client:
        client.send(h2.headers(1, h2.GET), h2.window(0, 0))
        assert client.closed()
    return nuncio, {"layer": "sock"}


def upstream_protocol_error(t):
    return served(t, lambda request: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n")


def upstream_incomplete(t):
    return served(t, lambda request: request.conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"))


def served_by_http_2(t, answer, mute=False, **keys):
    """The same before a server that speaks HTTP/2."""
    server = t.peer(H2Server, lambda conn, request: h2.headers(request.stream, [(":status", "200")], False) + answer(request.stream), mute=mute)
    nuncio = t.nuncio(front(server, to={"protocol": "http2", **keys}))
    with nuncio.connect("in") as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        clients.how_it_ends(client)
    return nuncio, {"layer": "sock"}


def upstream_stream_reset(t):
    return served_by_http_2(t, lambda stream: h2.reset(stream, 2))


def upstream_stream_refused(t):
    return served_by_http_2(t, lambda stream: h2.reset(stream, 7))


def upstream_keepalive_timeout(t):
    return served_by_http_2(t, lambda stream: b"", mute=True, http2={"ping_interval": "50ms", "ping_timeout": "50ms"})


def response_timeout(t):
    def answer(request):
        request.conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        clients.how_it_ends(request.conn)
    return served(t, answer, timeout=t.soon)


def datagrams(t, **proxy):
    """One question and its answer through a UDP listener."""
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        nuncio = t.nuncio(config(listeners=[{"name": "in", "bind": "udp://127.0.0.1:0", "access_log": LOGS,
                                             "filters": [{"udp_proxy": {"cluster": "c", **proxy}}]}],
                                 clusters=[cluster(f"127.0.0.1:{server.getsockname()[1]}")]))
        for end in (server, client):
            end.settimeout(PATIENCE)
        client.sendto(b"question", ("127.0.0.1", nuncio.port("in")))
        asked, peer = server.recvfrom(100)
        server.sendto(b"answer", peer)
        assert (asked, client.recv(100)) == (b"question", b"answer")
        logs.last(nuncio)
    return nuncio, {"bytes_received": 8, "bytes_sent": 6}


def session_idle(t):
    return datagrams(t, idle_timeout=t.soon)


def session_complete(t):
    return datagrams(t, responses=1)


def drain(t):
    nuncio = t.nuncio(relay(t.peer(Echo), drain_timeout="200ms"))
    with nuncio.connect("in") as client:
        client.sendall(b"x")
        assert clients.recv_exactly(client, 1) == b"x"
        nuncio.signal(signal.SIGTERM)
        clients.how_it_ends(client)
        assert nuncio.wait() == 0
    return nuncio, {"bytes_received": 1, "bytes_sent": 1}


def no_descriptors(t):
    """One is left: the client's is accepted with it, and the server's cannot be made."""
    nuncio = t.nuncio(relay(t.peer(Echo)))
    unlimit = held.limit_fds(nuncio, 1)
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    unlimit()
    return nuncio, {"layer": "tcp_proxy"}


def internal_error(t):
    """The kernel refuses to watch the client's socket."""
    port = free_port()
    nuncio = t.nuncio(relay(t.peer(Echo)), env=preload.no_epoll_for(port, t.folder))
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("127.0.0.1", port))
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", nuncio.port("in")))
        clients.how_it_ends(client)
    return nuncio, {"bytes_received": 0, "upstream": None, "layer": "sock"}


class Row(NamedTuple):
    story: Callable
    flags: str  # None: nothing was wrong
    closed_by: str


ROWS = {
    "client_closed": Row(client_closed, None, "client"),
    "client_reset": Row(client_reset, "DC", "client"),
    "upstream_closed": Row(upstream_closed, None, "upstream"),
    "upstream_reset": Row(upstream_reset, "UC", "upstream"),
    "idle_timeout": Row(idle_timeout, "SI", "local"),
    "half_close_timeout": Row(half_close_timeout, "SI", "local"),
    "connection_refused": Row(refused, "UF", "upstream"),
    "connection_failure": Row(unreachable, "UF", "upstream"),
    "connect_timeout": Row(connect_timeout, "UF", "upstream"),
    "no_healthy_upstream": Row(no_endpoint, "UH", "upstream"),
    "dns_resolution_failure": Row(dns_failure, "DF", "upstream"),
    "no_destination": Row(no_destination, "NR", "local"),
    "destination_denied": Row(denied_destination, "RBAC", "local"),
    "forwarding_loop": Row(loop, "RBAC", "local"),
    "filter_denied": Row(filter_denied, "RBAC", "local"),
    "connection_limit": Row(over_limit, "RL", "local"),
    "connection_rate": Row(over_rate, "RL", "local"),
    "upstream_overflow": Row(overflow, "UO", "local"),
    "no_chain_matched": Row(no_chain, "NR", "local"),
    "sniff_timeout": Row(sniff_timeout, "NR", "client"),
    "bad_client_hello": Row(bad_hello, "DPE", "client"),
    "bad_proxy_header": Row(bad_proxy, "DPE", "client"),
    "proxy_header_timeout": Row(proxy_timeout, "DPE", "client"),
    "bad_starttls": Row(bad_starttls, "DPE", "client"),
    "starttls_timeout": Row(starttls_timeout, "DPE", "client"),
    "starttls_refused": Row(starttls_refused, "UF", "upstream"),
    "tls_handshake_failed": Row(tls_failed, "DPE", "client"),
    "tls_handshake_timeout": Row(tls_timeout, "DPE", "client"),
    "tls_no_certificate": Row(tls_no_cert, "DPE", "client"),
    "tls_bad_certificate": Row(tls_bad_cert, "DPE", "client"),
    "tls_certificate_denied": Row(tls_denied, "RBAC", "client"),
    "tls_error": Row(tls_error, "DPE", "client"),
    "client_truncated": Row(client_truncated, "DC", "client"),
    "upstream_tls_failed": Row(upstream_tls_failed, "UF", "upstream"),
    "upstream_tls_timeout": Row(upstream_tls_timeout, "UF", "upstream"),
    "upstream_bad_certificate": Row(upstream_bad_cert, "UF", "upstream"),
    "upstream_tls_error": Row(upstream_tls_error, "UC", "upstream"),
    "upstream_truncated": Row(upstream_truncated, "UC", "upstream"),
    "session_idle": Row(session_idle, None, "local"),
    "session_complete": Row(session_complete, None, "local"),
    "client_gone": Row(client_gone, "DC", "client"),
    "max_connection_duration": Row(max_connection_duration, None, "local"),
    "max_requests_per_connection": Row(max_requests_per_connection, None, "local"),
    "client_keepalive_timeout": Row(client_keepalive_timeout, "DC", "client"),
    "client_protocol_error": Row(client_protocol_error, "DPE", "client"),
    "upstream_protocol_error": Row(upstream_protocol_error, "UPE", "upstream"),
    "upstream_incomplete": Row(upstream_incomplete, "UC", "upstream"),
    "upstream_stream_reset": Row(upstream_stream_reset, "UR", "upstream"),
    "upstream_stream_refused": Row(upstream_stream_refused, "UR", "upstream"),
    "upstream_keepalive_timeout": Row(upstream_keepalive_timeout, "UC", "upstream"),
    "response_timeout": Row(response_timeout, "UT", "local"),
    "drain_timeout": Row(drain, "DT", "local"),
    "no_descriptors": Row(no_descriptors, "UF", "local"),
    "internal_error": Row(internal_error, None, "local"),
}


def table():
    """The rows of the program's own table: cause to (flag, side)."""
    page = run_nuncio("docs", "reference", check=True).stdout
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\w+) \|", page[page.index("## Why connections end"):], re.M)
    return {name: (None if flag == "-" else flag, side) for name, flag, side in rows}


def test_every_row_of_the_table_has_its_story():
    assert {name: (row.flags, row.closed_by) for name, row in ROWS.items()} == table()


def test_every_cause_stands_in_the_docs():
    page = (ROOT / "docs/access-log.md").read_text()
    assert [name for name in table() if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize("cause", ROWS)
def test_cause(nuncio, peer, refusing_port, tmp_path, cause):
    """Where time is the cause, it must be long enough for us to say our word before: on a busy machine another time is tried."""
    for soon in ("200ms", "1s", "5s") if "timeout" in cause or cause == "session_idle" else ("200ms",):
        (tmp_path / soon).mkdir()
        try:
            tell(ROWS[cause], cause, Ctx(nuncio, peer, refusing_port.address, tmp_path / soon, soon))
            return
        except (AssertionError, OSError) as error:
            last = error
    raise last


def tell(row, cause, ctx):
    child, more = row.story(ctx)
    line, text = logs.closed(child)[0], logs.texts(child)[0]  # others may end with the story
    assert {**line, **more, "cause": cause, "flags": row.flags, "closed_by": row.closed_by} == line
    assert 0 <= line["duration_ms"] < 30000
    said = dict(re.findall(r"(\w+)=(\S+)", text))
    for key, name in (("cause", "cause"), ("flags", "flags"), ("by", "closed_by"), ("layer", "layer"), ("sni", "sni"),
                      ("upstream", "upstream"), ("in", "bytes_received"), ("out", "bytes_sent")):
        assert said[key] == str("-" if line[name] is None else line[name]), text
