"""dynamic_forward on one machine, where no rights are needed: the cache of names and its figures. Between machines: test_egress.py."""
import itertools
import socket
import time

import pytest

from lib import clients, logs
from lib.config import config, listener
from lib.dns import Dns
from lib.hello import hello
from lib.peers import Echo
from lib.poll import eventually


@pytest.fixture
def silence(closing):
    """A name server that answers nothing."""
    sock = closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.bind(("127.0.0.1", 0))
    return sock.getsockname()[1]


@pytest.fixture
def dns(closing, silence):
    return closing(Dns({"a.test": ["127.0.0.1"], "b.test": ["127.0.0.2", "127.0.0.1"]}, f"--server=/slow.test/127.0.0.1#{silence}"))


@pytest.fixture
def egress(nuncio, peer, dns):
    """egress(keys of dynamic_forward): all names lead to one echo server on a loopback address."""
    server = peer(Echo)

    def start(workers=1, **forward):
        forward = {"allow": "*", "addresses": {"allow": "loopback"}, "port": server.port, **forward}
        chains = [{"match": {"sni": "*"}, "filters": [{"tcp_proxy": "out"}]}]
        return nuncio(config(listeners=[listener(chains=chains)], clusters=[{"name": "out", "dynamic_forward": forward}]),
                      env=dns.env, workers=workers)
    return start


def ask(child, name):
    """The connection, once the server has echoed its ClientHello; None if it was refused."""
    conn, words = child.connect("in"), hello(name)
    conn.sendall(words)
    try:
        assert clients.recv_exactly(conn, len(words)) == words
        return conn
    except (AssertionError, OSError):
        conn.close()
        return None


@pytest.mark.threads
def test_names_that_come_and_go(egress, dns):
    child = egress(workers=4, max_hosts=2, host_ttl="1s")
    began = time.monotonic()
    held = [ask(child, "a.test") for _ in range(8)]
    assert all(held)
    assert child.stats()["dns_cache.out.dns_query_attempt"] <= 1 + (time.monotonic() - began)  # an answer is fresh for a second
    assert ask(child, "none.test") is None
    assert logs.last(child)["cause"] == "dns_resolution_failure"
    assert ask(child, "b.test")
    turns = itertools.cycle(["127.0.0.1", "127.0.0.2"])

    def moved(times):  # again and again, should the name have been forgotten meanwhile
        dns.set(a_test=["127.0.0.2"], b_test=[next(turns)])
        return ask(child, "b.test") and times

    child.wait_stat("dns_cache.out.host_address_changed", moved)
    stats = child.wait_stat("dns_cache.out.num_hosts", 0)
    assert stats["dns_cache.out.host_added"] == stats["dns_cache.out.host_removed"] >= 3
    assert stats["dns_cache.out.dns_query_failure"] == 1 and stats["dns_cache.out.dns_query_success"] >= 3
    for conn in held:
        conn.close()


def test_no_more_names_and_no_more_clients_than_there_is_room_for(egress):
    child = egress(max_hosts=2, max_pending=2, dns_timeout="1m")
    assert ask(child, "a.test")
    slow = [child.connect("in") for _ in range(2)]
    for conn in slow:
        conn.sendall(hello("slow.test"))
    child.wait_stat("dns_cache.out.dns_query_attempt", 2)
    eventually(lambda: ask(child, "b.test") is None)
    assert child.stats()["dns_cache.out.dns_rq_pending_overflow"] >= 1
    assert ask(child, "a.test")  # needs no question
    clients.reset(slow.pop())
    more = child.connect("in")
    more.sendall(hello("x.slow.test"))
    eventually(lambda: child.stats()["dns_cache.out.dns_query_attempt"] >= 3)
    clients.reset(slow.pop())
    eventually(lambda: ask(child, "b.test") is None and child.stats()["dns_cache.out.host_overflow"] >= 1)
    assert {line["cause"] for line in logs.closed(child)} <= {"upstream_overflow", "client_closed", "client_reset"}
    more.close()


def test_a_reload_while_clients_wait(egress, dns):
    """The old cluster's cache answers those who wait in it; the new cluster has one of its own."""
    child = egress(dns_timeout="2s")
    waiting = child.connect("in")
    waiting.sendall(hello("slow.test"))
    child.wait_stat("dns_cache.out.dns_query_attempt", 1)
    child.reload(child.path.read_text().replace('"2s"', '"3s"'))
    assert ask(child, "a.test")
    clients.how_it_ends(waiting)
    eventually(lambda: "slow.test: no answer within 2000 ms" in [line["details"] for line in logs.closed(child)])
    child.reload(child.path.read_text().replace('"3s"', '"4s"'))
    assert ask(child, "b.test")


@pytest.mark.threads
def test_many_names_at_once(egress, dns, workers):
    """More names than the cache holds, from many clients: each is served or told why, and nothing is left."""
    table = {f"n{i}_test": ["127.0.0.1"] for i in range(60)}
    dns.set(**table)
    child = egress(workers=workers, max_hosts=8)
    conns = [child.connect("in") for _ in range(240)]
    for i, conn in enumerate(conns):
        conn.sendall(hello(f"n{i * 7 % 60}.test"))
    for conn in conns[::2]:
        clients.reset(conn)
    for conn in conns[1::2]:
        try:
            conn.recv(10)
        except ConnectionResetError:
            pass
        conn.close()
    child.wait_stat("listener.in.downstream_cx_active", 0)
    child.wait_stat("cluster.out.upstream_cx_active", 0)
    assert child.stats()["dns_cache.out.num_hosts"] <= 8
    assert {line["cause"] for line in logs.closed(child, 240)} <= {"upstream_overflow", "client_closed", "client_reset", "upstream_closed"}
