"""Each row of core/cause.h once, with real sockets: what the log lines say, and what the other side sees of it."""
import re
import signal
import socket
from pathlib import Path
from typing import Callable, NamedTuple

import pytest

from lib import clients, held, logs, preload
from lib.config import cluster, config, listener, relay
from lib.nuncio import ROOT, run_nuncio
from lib.peers import Blackhole, Echo, Hang, Resetter, Source
from lib.pki import Ca
from lib.ports import free_port

SNI = {"match": {"sni": "a.test"}, "filters": [{"tcp_proxy": {"cluster": "c"}}]}
HELLO = clients.client_hello("a.test", ["h2", "http/1.1"])
NOBODY = "127.0.0.1:9"  # never connected to


class Ctx(NamedTuple):
    """What a story needs: starts the proxy, servers and ports."""
    nuncio: Callable
    peer: Callable
    refusing: str
    folder: Path


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
    nuncio = sniffing(t, sniff_timeout="200ms")
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
    nuncio = proxied(t, sniff_timeout="200ms")
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
    nuncio = starttls(t, handshake_timeout="200ms")
    with nuncio.connect("in") as client:
        client.sendall(b"\0\0")
        clients.how_it_ends(client)
    return nuncio, {"bytes_received": 2, "bytes_sent": 0, "layer": "starttls"}


def starttls_refused(t):
    nuncio = t.nuncio(relay(t.peer(Source, b"N"), to={"tls": {"starttls": "postgres", "verify": "none", "sni": "a.test"}}))
    with nuncio.connect("in") as client:
        clients.how_it_ends(client)
    return nuncio, {"bytes_received": 0, "bytes_sent": 0}


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
        client.settimeout(10)
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
    row = ROWS[cause]
    child, more = row.story(Ctx(nuncio, peer, refusing_port.address, tmp_path))
    line, text = logs.last(child), logs.texts(child)[-1]
    assert {**line, **more, "cause": cause, "flags": row.flags, "closed_by": row.closed_by} == line
    assert 0 <= line["duration_ms"] < 30000
    said = dict(re.findall(r"(\w+)=(\S+)", text))
    for key, name in (("cause", "cause"), ("flags", "flags"), ("by", "closed_by"), ("layer", "layer"), ("sni", "sni"),
                      ("upstream", "upstream"), ("in", "bytes_received"), ("out", "bytes_sent")):
        assert said[key] == str("-" if line[name] is None else line[name]), text
