"""The examples of docs/examples with TLS, run as they stand with the programs they are for."""
import pytest

from lib import clients, servers
from lib.databases import Postgres, psql, redis, redis_cli
from lib.nuncio import ROOT
from lib.pki import Signed
from lib.ports import free_port
from lib.process import command

FOLDER = ROOT / "docs/examples"


@pytest.fixture
def certs(example_certs):
    return example_certs


@pytest.fixture
def example(nuncio, certs, monkeypatch):
    """example("tls-to-redis", REDIS=...) runs that file."""
    def start(name, **variables):
        for key, value in {"CERTS": certs, **variables}.items():
            monkeypatch.setenv(key, str(value))
        return nuncio(FOLDER / f"{name}.yaml")
    return start


def signed(certs, name):
    return Signed(certs / f"{name}.pem", certs / f"{name}.key", None)


def curl(proxy, listener, certs, *options, path="/", name="www.test"):
    """curl's CompletedProcess for https://www.test of the listener."""
    port = proxy.port(listener)
    return command("curl", "-sS", "--fail", "--cacert", certs / "ca.pem", "--resolve", f"{name}:{port}:127.0.0.1", *options,
                   f"https://{name}:{port}{path}")


def me(certs):
    return ["--cert", certs / "client.pem", "--key", certs / "client.key"]


@pytest.fixture
def site(peer, tmp_path):
    """An nginx in plain that says what it got."""
    return peer(servers.nginx, tmp_path, ["http"], lambda ports: (
        f"server {{ listen 127.0.0.1:{ports['http']}; return 200 'plain $host\\n'; }}"))


def https(folder, cert, mutual=None):
    checks = f"ssl_verify_client on; ssl_client_certificate {mutual};" if mutual else ""
    return servers.nginx(folder, ["https"], lambda ports: (
        f"server {{ listen 127.0.0.1:{ports['https']} ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {cert.cert};"
        f" ssl_certificate_key {cert.key}; {checks}"
        " return 200 'tls $ssl_server_name $ssl_client_s_dn\\n'; }"))


def test_example_tls_to_redis(example, tmp_path, peer, certs):
    server = peer(redis, tmp_path)
    proxy = example("tls-to-redis", REDIS_TLS_PORT=0, REDIS=server.address)
    tls = ["--tls", "--cacert", certs / "ca.pem"]
    mine = [*tls, *me(certs)]
    assert redis_cli(proxy.port("redis"), "ping", tls=mine) == "PONG\n"
    assert redis_cli(proxy.port("redis"), "set", "k", "v" * 100000, tls=mine) == "OK\n"
    assert redis_cli(server.port, "strlen", "k") == "100000\n"
    assert "PONG" not in command("redis-cli", "-p", proxy.port("redis"), *tls, "ping").stdout
    proxy.wait_line(r"^127\.0\.0\.1:\d+ TLSv1\.3 spiffe://mesh/web client_(closed|truncated)$")  # redis-cli says no close_notify


def test_example_mtls_in_tls_out(example, tmp_path, peer, certs):
    back = peer(https, tmp_path, signed(certs, "server"))
    proxy = example("mtls-in-tls-out", EDGE_PORT=0, BACKEND=back.address)
    done = curl(proxy, "edge", certs, *me(certs))
    assert done.stdout == "tls backend.test \n", done.stderr
    assert curl(proxy, "edge", certs).returncode != 0
    server = ["--cert", certs / "server.pem", "--key", certs / "server.key"]  # of our CA, but with no name that is allowed
    assert curl(proxy, "edge", certs, *server).returncode != 0
    proxy.wait_line(r"^spiffe://mesh/web [0-9A-F]+ TLS_AES\S+ -> www\.test,\*\.www\.test,backend\.test,localhost TLSv1\.3 ")


def test_example_plain_to_mtls(example, tmp_path, peer, certs):
    server = peer(https, tmp_path, signed(certs, "server"), certs / "ca.pem")
    proxy = example("plain-to-mtls", OUT_PORT=0, SERVER=server.address)
    done = command("curl", "-sS", "--fail", f"http://{proxy.address('out')}/")
    assert done.stdout == "tls www.test CN=web\n", done.stderr
    proxy.wait_line(r"^CN=www\.test TLSv1\.3 -$")


def test_example_postgres_starttls(example, peer, certs):
    server = peer(Postgres, signed(certs, "server"))
    proxy = example("postgres-starttls", PG_TLS_PORT=0, POSTGRES=server.address)
    asked = "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()"
    done = psql(proxy.address("postgres"), asked, sslmode="verify-full", sslrootcert=certs / "ca.pem")
    assert done.stdout == "t|TLSv1.3\n", done.stderr
    assert psql(proxy.address("postgres"), asked, sslmode="disable").returncode == 2
    proxy.wait_line(r"^TLSv1\.3 -> TLSv1\.3 ")


def test_example_sni_passthrough_and_terminate(example, tmp_path, peer, site, certs):
    shop = peer(https, tmp_path, signed(certs, "service"))
    proxy = example("sni-passthrough-and-terminate", EDGE_PORT=0, SHOP=shop.address, WEB=site.address)
    assert curl(proxy, "edge", certs).stdout == "plain www.test\n"
    with clients.tls_connect(proxy.address("edge"), "shop.test") as client:  # the certificate is the shop's own
        assert b"service.mesh" in client.getpeercert(binary_form=True)
    assert command("curl", "-sS", f"http://{proxy.address('edge')}/").stdout == "plain 127.0.0.1\n"
    proxy.wait_line(r"^terminated sni=www\.test tls=TLSv1\.3 ja4=t13d\S+$")
    proxy.wait_line(r"^passed on sni=shop\.test tls=- ja4=t13d\S+$")
    proxy.wait_line(r"^plain sni=- tls=- ja4=-$")


def test_example_front_and_service_proxy(example, site, certs):
    proxy = example("front-and-service-proxy", FRONT_PORT=0, BESIDE=f"127.0.0.1:{free_port()}", SERVICE=site.address)
    assert curl(proxy, "front", certs).stdout == "plain www.test\n"
    done = curl(proxy, "beside", certs, name="service.mesh")
    assert done.returncode != 0, "without the front's certificate nobody gets to the service"
    proxy.wait_line(r"^front sni=www\.test server=spiffe://mesh/service$")
    proxy.wait_line(r"^beside client=spiffe://mesh/web cause=client_closed$")
    proxy.wait_line(r"^beside client=- cause=tls_no_certificate$")
