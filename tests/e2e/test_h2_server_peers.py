"""HTTP/2 with servers not written here: nginx and Node behind, curl and h2load in front, in clear text and by ALPN."""
import hashlib
import os
import re

import pytest

from lib import servers
from lib.http import front
from lib.node import NodeServer
from lib.process import Child, command
from lib.scale import MIB, scale

SERVER = """
const http2 = require('http2'), crypto = require('crypto');
const server = http2.createServer();
server.on('stream', (stream, head) => {
  stream.on('error', () => {});
  const [path, size] = head[':path'].split('?');
  if (path === '/big') {
    stream.respond({'content-length': size});
    return stream.end(Buffer.alloc(Number(size), 'x'));
  }
  const hash = crypto.createHash('sha256');
  let bytes = 0;
  stream.on('data', part => { bytes += part.length; hash.update(part); });
  stream.on('end', () => {
    stream.respond({':status': 200});
    stream.end(JSON.stringify({method: head[':method'], bytes, sha256: hash.digest('hex')}));
  });
});
server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));
"""


class NodeServer2(Child):
    """Node's own HTTP/2 in clear text: /big?N answers N bytes, the rest tells what came."""

    def __init__(self):
        super().__init__("node", "-e", SERVER)
        self.port = int(self.wait_line(r"^port (\d+)$")[1])
        self.address = f"127.0.0.1:{self.port}"


def curl(url, *options):
    done = command("curl", "-sS", "-m", "20", *options, url)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


@pytest.mark.parametrize("behind", ["http1", "http2"])
@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_any_pairing(nuncio, peer, tmp_path, version, behind):
    """Bodies of known and of unknown length, both ways."""
    node = peer(NodeServer2 if behind == "http2" else NodeServer)
    url = f"http://{nuncio(front(node, to={'protocol': behind})).address('in')}"
    body = tmp_path / "body"
    body.write_bytes(os.urandom(scale(2 * MIB)))
    digest = hashlib.sha256(body.read_bytes()).hexdigest()
    for framing in (), ("-H", "Transfer-Encoding: chunked"):
        told = curl(url + "/up", version, "-T", body, "-H", "Expect:", *framing)
        assert re.search(r'"sha256":"(\w+)"', told)[1] == digest
    size = scale(2 * MIB)
    curl(f"{url}/big?{size}", version, "-o", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"x" * size
    assert "0" in curl(f"{url}/big?10", version, "-I")


def nginx(peer, tmp_path, certs, *options):
    cert = certs.get("a.test")
    site = peer(servers.nginx, tmp_path, ["http"], lambda ports: (
        f"server {{ listen 127.0.0.1:{ports['http']} {' '.join(options)}; ssl_certificate {cert.cert}; ssl_certificate_key {cert.key};"
        " location / { return 200 '$server_protocol\\n'; } }"))
    return site, {"sni": "a.test", "ca": str(cert.cert)}


def test_h2load_over_few_connections(nuncio, peer, tmp_path, certs):
    """100 requests at once of ten clients fit one connection."""
    site, _ = nginx(peer, tmp_path, certs, "http2")
    proxy = nuncio(front(site, to={"protocol": "http2"}))
    done = command("h2load", "-n", 500, "-c", 10, "-m", 10, f"http://{proxy.address('in')}/")
    assert re.search(r"500 succeeded, 0 failed, 0 errored", done.stdout), done.stdout
    stats = proxy.stats()
    assert stats["cluster.c.upstream_rq_completed"] == 500 and stats["cluster.c.upstream_cx_http2_total"] <= 3


# What nginx takes, what the cluster says; then what is spoken, and in how many connections of HTTP/1.
ALPN = [("ssl http2", "http2", "HTTP/2.0", 0), ("ssl http2", "auto", "HTTP/2.0", 0), ("ssl", "auto", "HTTP/1.1", 1),
        ("ssl http2", "http1", "HTTP/1.1", 1)]


@pytest.mark.parametrize("takes, protocol, spoken, old", ALPN)
def test_what_servers_agree_to(nuncio, peer, tmp_path, certs, takes, protocol, spoken, old):
    site, tls = nginx(peer, tmp_path, certs, takes)
    log = {"path": "p.log", "format": "%PROTOCOL% %UPSTREAM_PROTOCOL%"}
    proxy = nuncio(front(site, to={"protocol": protocol, "tls": tls}, access_log=log))
    for _ in range(3):
        assert curl(f"http://{proxy.address('in')}/").strip() == spoken
    assert set(proxy.file_lines("p.log", least=3)) == {f"HTTP/1.1 {spoken.removesuffix('.0')}"}
    stats = proxy.stats()
    assert (stats["cluster.c.upstream_cx_http1_total"], stats["cluster.c.upstream_cx_http2_total"]) == (old, 1 - old)
    assert stats["cluster.c.upstream_rq_total"] == 3 and stats["cluster.c.upstream_rq_retry"] == 0


@pytest.mark.parametrize("server, why", [("nginx", "tlsv1 alert no application protocol"),
                                         ("s_server", "the server agreed to no protocol, and not to h2 (ALPN)")])
def test_a_server_that_does_not_agree(nuncio, peer, tmp_path, certs, server, why):
    """503, and the log says why."""
    site, tls = nginx(peer, tmp_path, certs, "ssl")
    if server == "s_server":
        site = f"127.0.0.1:{peer(servers.s_server, certs.get('a.test')).port}"
    log = {"path": "why.log", "format": "%RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%"}
    proxy = nuncio(front(site, to={"protocol": "http2", "tls": tls}, access_log=log))
    assert curl(f"http://{proxy.address('in')}/", "-o", "/dev/null", "-w", "%{http_code}") == "503"
    assert proxy.file_lines("why.log")[0] == f"UF {why}"
