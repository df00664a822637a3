"""The examples of docs/examples with HTTP, run as they stand: only addresses come from the environment."""
import gzip

import pytest

from lib import servers
from lib.grpc_peer import Calls, GrpcServer, grpc
from lib.h2_server import H2Server
from lib.http import OK, Origin
from lib.mirror import Mirror, curl
from lib.nuncio import ROOT
from lib.poll import PATIENCE, SLOW, eventually
from lib.ports import free_port
from lib.process import command

FOLDER = ROOT / "docs/examples"


@pytest.fixture
def example(nuncio, example_certs, monkeypatch):
    """example("http-routes", WEB=...) runs that file."""
    def start(name, **variables):
        for key, value in {"CERTS": example_certs, **variables}.items():
            monkeypatch.setenv(key, str(value))
        return nuncio(FOLDER / f"{name}.yaml")
    return start


def trust(proxy, listener, certs, name="www.test"):
    """The URL of the name at this listener, and curl's options to get there."""
    port = proxy.port(listener)
    return [f"https://{name}:{port}", "--cacert", certs / "ca.pem", "--resolve", f"{name}:{port}:127.0.0.1"]


def test_http_routes_edits_headers_and_logs(example, peer):
    """What else test_routes.py's test of this example does not look at: headers, shares, the line in the log."""
    old, new = (peer(Origin, lambda r: OK.replace(b"\r\n\r\n", b"\r\nX-Powered-By: us\r\n\r\n")) for _ in range(2))
    proxy = example("http-routes", EDGE_PORT=0, SHOP=old.address, NEXT=new.address)
    url, host = f"http://{proxy.address('edge')}", ["-H", "Host: www.shop.test"]
    answer = curl(url + "/a", *host, "-H", "X-Debug: 1", "-H", "X-Client: forged")
    assert answer.headers["x-frame-options"] == "DENY" and "x-powered-by" not in answer.headers
    got, = old.requests + new.requests
    assert (got.get("x-client"), got.get("x-debug")) == ("127.0.0.1", None)
    proxy.wait_line(r'^\[\S+\] "GET /a HTTP/1\.1" 200 - ')
    done = command("curl", "-sS", *host, "-o", "/dev/null", "-w", "%{http_code}\n", f"{url}/[1-300]")
    assert done.stdout.split() == ["200"] * 300
    assert len(old.requests) + len(new.requests) == 301 and 5 <= len(new.requests) < 80  # 30 +- 5, and 5 deviations more


def test_example_http_bodies(example, peer, tmp_path):
    text = b"<p>" + b"x" * 2000
    web = peer(Origin, lambda request: b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
    proxy = example("http-bodies", EDGE_PORT=0, WEB=web.address)
    url = f"http://{proxy.address('edge')}"
    assert curl(url + "/", "--compressed").headers["content-encoding"] == "br"
    assert "content-encoding" not in curl(url + "/files/a", "--compressed").headers
    (tmp_path / "zeros").write_bytes(gzip.compress(bytes(1 << 20)))
    assert curl(url + "/upload/", "-H", "Content-Encoding: gzip", "--data-binary", f"@{tmp_path / 'zeros'}").status == 413
    assert curl(url + "/healthz").status == 200
    done = command("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}\n", f"{url}/broken/[1-20]")
    assert {*done.stdout.split()} == {"200", "503"}


# --- with TLS

def test_example_https_termination(example, peer, example_certs):
    origin = peer(Origin)
    port = free_port()
    proxy = example("https-termination", HTTP_PORT=0, HTTPS_PORT=port, SERVICE=origin.address)
    answer = curl(*trust(proxy, "secure", example_certs))
    assert (answer.body, answer.headers["strict-transport-security"]) == ("ok", "max-age=31536000")
    assert origin.requests[-1].get("x-forwarded-proto") == "https" and origin.requests[-1].get("x-request-id")
    assert curl(*trust(proxy, "secure", example_certs, "service.mesh")).status == 200
    answer = curl(f"http://{proxy.address('plain')}/a?b", "-H", "Host: www.test")
    assert (answer.status, answer.headers["location"]) == (308, f"https://www.test:{port}/a?b")
    followed = command("curl", "-sSL", "-w", " %{url_effective}", "--cacert", example_certs / "ca.pem", "--connect-to",
                       "www.test::127.0.0.1:", f"http://www.test:{proxy.port('plain')}/")
    assert followed.stdout == f"ok https://www.test:{port}/", followed
    proxy.wait_line(r'^\[\S+\] "GET / HTTP/1\.1" 200 - ')


def test_example_http2(example, peer, example_certs):
    origin = peer(Origin)
    proxy = example("http2", HTTPS_PORT=0, HTTP_PORT=0, SERVICE=origin.address)
    for version, flag in ("2", "--http2"), ("1.1", "--http1.1"):
        done = command("curl", "-sS", flag, "-w", " %{http_version}", *trust(proxy, "secure", example_certs))
        assert done.stdout == f"ok {version}", done
    done = command("curl", "-sS", "--http2-prior-knowledge", "-w", " %{http_version}", f"http://{proxy.address('plain')}/")
    assert done.stdout == "ok 2", done
    assert [request.get("x-forwarded-proto") for request in origin.requests] == ["https", "https", "http"]
    proxy.wait_line(r'^\[\S+\] "GET / HTTP/2" 200 - ')


def test_example_http2_servers(example, peer, tmp_path, example_certs):
    mesh = peer(H2Server)
    service = peer(servers.nginx, tmp_path, ["https"], lambda ports: (
        f"server {{ listen 127.0.0.1:{ports['https']} ssl http2; ssl_certificate {example_certs}/service.pem;"
        f" ssl_certificate_key {example_certs}/service.key; location / {{ return 200 '$server_protocol\\n'; }} }}"))
    proxy = example("http2-servers", ADMIN=f"unix:{tmp_path}/a", HTTP_PORT=0, MESH=mesh.address, SERVICE=service.address)
    url = f"http://{proxy.address('in')}"
    assert [curl(url + path).body.strip() for path in ("/", "/", "/tls/", "/tls/")] == ["ok", "ok", "HTTP/2.0", "HTTP/2.0"]
    stats = proxy.stats()
    assert stats["cluster.mesh.upstream_rq_total"] == stats["cluster.service.upstream_rq_total"] == 2


def test_example_grpc(example, peer, tmp_path, closing):
    servers = peer(GrpcServer), peer(GrpcServer)
    proxy = example("grpc", ADMIN=f"unix:{tmp_path}/a", GRPC_PORT=0, ONE=servers[0].address, TWO=servers[1].address)
    calls = closing(Calls(proxy.address("in")))
    assert calls.echo(b"hello", wait_for_ready=True, timeout=PATIENCE * SLOW) == b"hello"
    proxy.wait_line(r"^/t.T/Echo OK \d+ms - 127\.0\.0\.1:\d+$")
    proxy.wait_stat("cluster.service.membership_healthy", 2)
    reflection = calls.channel.unary_unary("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    with pytest.raises(grpc.RpcError) as error:
        reflection(b"", timeout=PATIENCE * SLOW)
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.PERMISSION_DENIED, "not from outside")


def test_example_http_mesh(example, peer, example_certs):
    mirror = peer(Mirror)
    proxy = example("http-mesh", FRONT_PORT=0, BESIDE=f"127.0.0.1:{free_port()}", SERVICE=mirror.address)
    base, *tls = trust(proxy, "front", example_certs)
    answer = eventually(lambda: (got := curl(base + "/x", *tls)).status == 200 and got)
    told = answer.told
    assert told["x-forwarded-for"] == "127.0.0.1,127.0.0.1" and told["x-forwarded-proto"] == "https"
    assert told["x-forwarded-client-cert"].endswith(";URI=spiffe://mesh/web")
    assert curl(base + "/admin/x", *tls).status == 403
    refused = command("curl", "-sS", *trust(proxy, "beside", example_certs, "service.mesh"))
    assert refused.returncode != 0, "without the front's certificate nobody gets to the service"
    proxy.wait_line(rf"^front GET /x 200 {told['x-request-id']} to=spiffe://mesh/service$")
    proxy.wait_line(rf"^beside GET /x 200 {told['x-request-id']} from=spiffe://mesh/web$")
