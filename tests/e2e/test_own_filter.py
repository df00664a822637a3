"""docs/write-a-filter.md: its code is the file that is compiled, and that filter does the same on TCP, within TLS and in HTTP."""
import gzip
import re
import ssl

import pytest

from lib import clients
from lib.http import Client, Origin
from lib.nuncio import BINARY, ROOT
from lib.peers import Echo

PAGE, FILE = ROOT / "docs/write-a-filter.md", ROOT / "docs/examples/filter/mask.c"


def test_the_page_shows_the_file():
    code, = re.findall(r"^```c\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert code == FILE.read_text() and code.count("\n") <= 100


@pytest.fixture
def proxy(nuncio, peer, example_certs, monkeypatch):
    monkeypatch.setattr("lib.nuncio.BINARY", f"{BINARY}-mask")
    web = peer(Origin, lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(request.body), request.body))
    for name, value in dict(TCP_PORT=0, TLS_PORT=0, HTTP_PORT=0, CERTS=example_certs, SERVER=peer(Echo).address, WEB=web.address).items():
        monkeypatch.setenv(name, str(value))
    child = nuncio(ROOT / "docs/examples/filter/mask.yaml")
    child.web = web
    return child


def test_one_filter_everywhere(proxy, example_certs):
    with proxy.connect("tcp") as client:
        client.sendall(b"the secret is out\n")
        assert clients.recv_exactly(client, 18) == b"the ****** is out\n"
    context = ssl.create_default_context(cafile=example_certs / "ca.pem")
    with context.wrap_socket(proxy.connect("tls"), server_hostname="service.mesh") as client:
        client.sendall(b"the secret is out\n")
        assert clients.recv_exactly(client, 18) == b"the ****** is out\n"
    with Client(proxy, "http") as client:
        for path, got in [("/", b"an open ******"), ("/open/", b"an open secret"), ("/other/", b"an **** secret")]:
            assert client.get(path, body=b"an open secret", method="POST").body == got
            assert proxy.web.requests[-1].body == got
        coded = gzip.compress(b"an open secret")
        assert client.get("/", "a", "Content-Encoding: gzip", body=coded, method="POST").body == b"an open ******"
