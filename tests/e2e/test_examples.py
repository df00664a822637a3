"""Every config in docs/examples does what its comment says, run as it stands: only addresses come from the environment.

That each checks clean is tests/examples; the demo has test_demo.py.
"""
import re
import time
from pathlib import Path

import pytest

from lib import clients, servers
from lib.fork import echoed, taker
from lib.hello import hello
from lib.nuncio import ROOT
from lib.peers import Echo
from lib.poll import eventually
from lib.ports import free_port
from lib.process import command

FOLDER = ROOT / "docs/examples"


@pytest.fixture
def example(nuncio, monkeypatch):
    """example("sni", SHOP=...) runs that file."""
    def start(name, **variables):
        for key, value in variables.items():
            monkeypatch.setenv(key, str(value))
        return nuncio(FOLDER / f"{name}.yaml")
    return start


def bash_line(name, **ports):
    """The command for bash that the example's comment gives, with other ports."""
    line, = re.findall(r"^# +(bash -c .*)$", (FOLDER / f"{name}.yaml").read_text(), re.M)
    for old, new in ports.items():
        line = line.replace(old.removeprefix("port"), str(new))
    return line


def test_every_example_has_a_test():
    names = {path.stem.replace("-", "_") for path in FOLDER.glob("*.yaml")}
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert names == {"demo"} | set(re.findall(r"^def test_example_(?!checks_)(\w+)", tests, re.M))


def test_example_sni(example, peer, certs):
    shop, blog = certs.get("shop.test", "*.shop.test"), certs.get("blog.test", "*.blog.test")
    proxy = example("sni", EDGE_PORT=0, SHOP=peer(servers.s_server, shop).address, BLOG=peer(servers.s_server, blog).address,
                    FALLBACK=peer(Echo, b"fallback\n").address)
    for name, cert in (("shop.test", shop), ("www.shop.test", shop), ("blog.test", blog), ("admin.blog.test", blog)):
        with clients.tls_connect(proxy.address("edge"), name, ca=cert.cert) as client:
            assert client.version() == "TLSv1.3"
    for first in (hello("other.test"), hello("b.blog.test"), b"plain"):
        with proxy.connect("edge") as client:
            client.sendall(first)
            assert taker(client) == "fallback"
    for chain, name in (("shop", "www.shop.test"), ("blog admin", "admin.blog.test"), ("fallback", "b.blog.test"), ("fallback", "-")):
        proxy.wait_line(rf"\] edge {chain} 127\.0\.0\.1:\d+ -> .* sni={re.escape(name)} ")


def test_example_proxy_protocol(example):
    proxy = example("proxy-protocol", FRONT_PORT=0, INNER=f"127.0.0.1:{free_port()}")
    done = command("sh", "-c", bash_line("proxy-protocol", port8080=proxy.port("front")))
    assert done.stdout == "hello\n", done.stderr
    client = proxy.wait_line(r"^front client=(127\.0\.0\.1:\d+)$")[1]
    inner = proxy.wait_line(r"^inner client=(\S+) direct=(\S+)$")
    assert inner[1] == client and inner[2] != client


def test_example_tcp_balance(example, peer, tmp_path):
    one, two, spare = (peer(Echo, name + b"\n") for name in (b"one", b"two", b"spare"))
    proxy = example("tcp-balance", DB_PORT=0, ADMIN=f"unix:{tmp_path}/a", ONE=one.address, TWO=f"localhost:{two.port}",
                    SPARE=spare.address)
    eventually(lambda: proxy.ctl("ready") == "ready\n")

    def took():
        with proxy.connect("db") as client:
            return taker(client)

    got = [took() for _ in range(60)]  # each worker has its own place in the order
    assert got.count("one") + got.count("two") == 60 and got.count("one") > got.count("two") > 5, got
    one.close(), two.close()
    assert [took() for _ in range(4)] == ["spare"] * 4
    assert f"db::{spare.address}::cx_total::4" in proxy.ctl("clusters")


def test_example_throttle_and_limits(example, tmp_path):
    proxy = example("throttle-and-limits", ECHO_PORT=0, ADMIN=f"unix:{tmp_path}/a")
    with proxy.connect("echo") as held, proxy.connect("echo") as slow:
        held.sendall(b"x")
        assert echoed(held, b"x")
        began, size = time.monotonic(), 160 << 10
        slow.sendall(bytes(size))
        assert echoed(slow, bytes(size)) and time.monotonic() - began > 0.3  # 96 KiB over the burst, at 256 KiB a second
        with proxy.connect("echo") as third:
            assert taker(third) in ("fin", "rst")
    proxy.wait_line(r"cause=connection_limit ")
    eventually(lambda: command("sh", "-c", bash_line("throttle-and-limits", port7007=proxy.port("echo"))).stdout == "hello\n")
