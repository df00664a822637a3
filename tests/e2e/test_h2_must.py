"""What HTTP/2 demands of a server: each error of h2_must.tsv, in clear text and over TLS, and the connection after it."""
import itertools
import socket
import ssl
from pathlib import Path

import pytest

from lib import h2
from lib.authority import Authority
from lib.config import cluster, config
from lib.http import HTTP_LOGS, Stuck
from lib.h2 import GET, H2Client, headers

PATH = Path(__file__).parent / "h2_must.tsv"
ROWS = [line.split("\t") for line in PATH.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def upload(stream, end=False, *fields, path="/up"):
    return headers(stream, [(":method", "POST"), (":scheme", "http"), (":path", path), GET[3], *fields], end)


@pytest.fixture
def proxy(nuncio, peer, tmp_path):
    one = Authority(tmp_path / "ca").issue("a.test")
    held = {"match": {"path": "/held"}, "cluster": "c", "filters": {"fault": {"delay": "1h"}}}
    routes = [held, {"match": {"path": "/up"}, "cluster": "c"}, {"respond": {"status": 200, "body": "ok"}}]
    chain = {"filters": [{"http": {"routes": routes, "access_log": HTTP_LOGS, "http2": {"max_concurrent_streams": 4}}}]}
    tls = {"certificates": [{"cert": str(one.cert), "key": str(one.key)}], "alpn": ["h2", "http/1.1"]}
    return nuncio(config(listeners=[{"name": "plain", "bind": "127.0.0.1:0", **chain},
                                    {"name": "tls", "bind": "127.0.0.1:0", "tls": tls, **chain}],
                         clusters=[cluster(peer(Stuck))]))


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE
CONTEXT.set_alpn_protocols(["h2"])


def over_tls(sock):
    sock = CONTEXT.wrap_socket(sock, server_hostname="a.test")
    assert sock.selected_alpn_protocol() == "h2"
    return sock


def connect(proxy, name, first=None):
    sock = proxy.connect(name)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return H2Client(over_tls(sock) if name == "tls" else sock, first)


def say(client, frames):
    """A number among them: the response on that stream is awaited."""
    for hear, run in itertools.groupby(frames, lambda one: isinstance(one, int)):
        if hear:
            assert client.response(next(run)).status == 200
        else:
            client.send(*run)


def fate(proxy, name, frames):
    """What became of it: "stream CODE" or "connection CODE"; whatever it is, it must be true afterwards."""
    frames = eval(f"[{frames}]", {**vars(h2), "UP": upload, "RAW": None, "HELD": upload(1, path="/held"), "HEAR": int})
    raw = frames[0] is None
    with connect(proxy, name, b"".join(frames[1:]) if raw else None) as client:
        if not raw:
            say(client, frames)
        kind, code = client.fate()
        if kind == "RST_STREAM":
            if code != "REFUSED_STREAM":  # there is no room for another
                assert client.get(101).status == 200
            return f"stream {code}"
        assert client.closed()
        return f"connection {code}"


@pytest.mark.parametrize("name", ["plain", "tls"])
def test_every_error(proxy, name):
    wrong = []
    for section, what, frames, expected in ROWS:
        try:
            got = fate(proxy, name, frames)
        except (AssertionError, OSError) as error:
            got = f"nothing: {error!r}"
        if got not in expected.split("|"):
            wrong.append(f"{section} {what}: {got}, not {expected}")
    assert not wrong, "\n".join(wrong)
    with connect(proxy, name) as client:
        assert client.get(1).status == 200
