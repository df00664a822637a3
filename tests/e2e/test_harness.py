"""The harness's own tests: a peer that misbehaves differently than it says would prove nothing about the proxy."""
import socket
import time

import pytest

from lib import clients, servers
from lib.peers import Blackhole, Echo, Hang, Resetter, Sink, SlowReader, Source
from lib.poll import eventually
from lib.ports import free_port
from lib.process import Child, command


def test_echo_says_its_name_and_carries_a_half_close(peer):
    with clients.connect(peer(Echo, b"hello ").address) as client:
        client.sendall(b"abc")
        client.shutdown(socket.SHUT_WR)
        assert clients.recv_all(client) == b"hello abc"


def test_sink_counts_and_source_sends(peer, tmp_path):
    sink, source = peer(Sink, path=tmp_path / "sink"), peer(Source, b"x" * 100000, host="::1")
    with clients.connect(source.address) as client:
        data = clients.recv_all(client)
    with clients.connect(sink.address) as client:
        client.sendall(data)
    assert sink.ended.wait(10) and sink.total == 100000


def test_slow_reader_reads_what_it_is_granted(peer):
    slow = peer(SlowReader)
    with clients.connect(slow.address) as client:
        client.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            while True:
                sent += client.send(b"x" * 65536)
        slow.allow(1000)
        eventually(lambda: slow.total == 1000)


@pytest.mark.parametrize("after", [0, 1])
def test_resetter_resets(peer, after):
    try:
        client = clients.connect(peer(Resetter, after).address)
    except ConnectionResetError:  # before connect had returned
        assert after == 0
        return
    with client:
        if after:
            client.sendall(b"x")
        assert clients.how_it_ends(client) == "rst"


def test_hang_and_blackhole_say_nothing(peer):
    with clients.connect(peer(Hang).address, timeout=0.2) as client:
        client.sendall(b"x")
        assert clients.how_it_ends(client) == "silence"
    with pytest.raises(TimeoutError):
        clients.connect(peer(Blackhole).address, timeout=0.2)


def test_refusing_port_refuses(refusing_port):
    with pytest.raises(ConnectionRefusedError):
        clients.connect(refusing_port.address)


def test_free_port_is_open_to_a_server_and_to_nobody_else():
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError):
        other.bind(("127.0.0.1", port))
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))


def test_client_hello_is_one():
    hello = clients.client_hello("a.test", ["h2"])
    assert hello[0] == 22 and b"a.test" in hello and b"\x02h2" in hello


def test_nginx_and_s_server_speak_tls(peer, certs, tmp_path):
    a, b = certs.get("a.test"), certs.get("b.test")
    both = peer(servers.nginx_tls, tmp_path, {"a.test": a, "b.test": b})
    for name, cert in (("a.test", a), ("b.test", b)):
        url = f"https://{name}:{both.ports[name]}/"
        got = command("curl", "-sS", "--cacert", cert.cert, "--resolve", f"{name}:{both.ports[name]}:127.0.0.1", url)
        assert got.stdout == f"{name}\n", got.stderr
    with clients.tls_connect(peer(servers.s_server, a).address, "a.test", ca=a.cert) as client:
        assert client.version() == "TLSv1.3"


def test_haproxy_relays(peer, tmp_path):
    echo = peer(Echo)
    front = peer(servers.haproxy, tmp_path, ["front"], lambda ports: f"""
listen front
  mode tcp
  bind 127.0.0.1:{ports['front']}
  server s {echo.address}
""")
    with clients.connect(front.address) as client:
        client.sendall(b"abc")
        assert clients.recv_exactly(client, 3) == b"abc"


def test_iperf3_answers(peer):
    server = peer(servers.iperf3)
    assert command("iperf3", "-c", "127.0.0.1", "-p", server.port, "-n", "1M").returncode == 0


def test_a_taken_port_means_another_try(peer, tmp_path, monkeypatch):
    taken = peer(Hang)
    choices = iter([taken.port])
    monkeypatch.setattr(servers, "free_port", lambda: next(choices, None) or free_port())
    front = peer(servers.haproxy, tmp_path, ["x"], lambda ports: f"listen x\n  bind 127.0.0.1:{ports['x']}\n")
    assert front.port != taken.port


def test_child_lines_come_from_both_streams_and_waiting_ends_with_the_child():
    child = Child("sh", "-c", "echo one; echo two >&2; exit 3")
    assert child.wait() == 3 and sorted(child.lines) == ["one", "two"]
    began = time.monotonic()
    with pytest.raises(AssertionError, match="ended with 3"):
        child.wait_line("three", timeout=60)
    assert time.monotonic() - began < 30
