"""Endpoints that are host names: /etc/hosts, and a name server whose answers change, stop and come back."""
import time

import pytest

from lib import clients, logs
from lib.config import cluster, config, listener, relay
from lib.dns import Dns
from lib.peers import Echo, Script
from lib.poll import eventually
from lib.ports import free_port

UPDATES = ("update_attempt", "update_success", "update_failure", "update_empty")


@pytest.fixture
def server(peer):
    """One server on all loopback addresses; it says which of them the connection came to."""
    return peer(Script, lambda conn: conn.sendall(conn.getsockname()[0].encode()), host="0.0.0.0")


def who(nuncio):
    with nuncio.connect("in") as client:
        return clients.recv_all(client).decode()


def ready(nuncio):
    return nuncio.ctl("ready", check=False).strip()


def updates(nuncio):
    stats = nuncio.stats()
    return [stats[f"cluster.c.{name}"] for name in UPDATES]


def test_a_name_of_the_hosts_file(tight, peer):
    server = peer(Echo, b"E")
    nuncio = tight(relay(f"localhost:{server.port}"))
    eventually(lambda: ready(nuncio) == "ready")
    with nuncio.connect("in") as client:
        assert clients.recv_exactly(client, 1) == b"E"
    assert logs.last(nuncio)["upstream"] == server.address
    assert "hostname::localhost" in nuncio.ctl("clusters")


def test_every_address_of_a_name_is_an_endpoint(nuncio, peer, server):
    dns = peer(Dns, {"web.test": ["127.0.0.1", "127.0.0.2", "127.0.0.3"]})
    child = nuncio(relay(f"web.test:{server.port}"), env=dns.env)
    eventually(lambda: ready(child) == "ready")
    eventually(lambda: sorted(who(child) for _ in range(6)) == [f"127.0.0.{i}" for i in (1, 1, 2, 2, 3, 3)])  # between two answers
    assert child.stats()["cluster.c.membership_total"] == 3


def test_a_cluster_by_dns(nuncio, peer, server):
    dns = peer(Dns, {"web.test": ["127.0.0.4"]})
    child = nuncio(config(listeners=[listener({"tcp_proxy": "c"})], clusters=[{"name": "c", "dns": f"web.test:{server.port}"}]), env=dns.env)
    eventually(lambda: who(child) == "127.0.0.4")


@pytest.mark.threads
def test_a_changed_address_is_used_after_the_ttl(nuncio, peer, server, workers):
    """The TTL is a second. A connection from before the change lives on."""
    dns = peer(Dns, {"web.test": ["127.0.0.1"]})
    echo = peer(Echo, host="0.0.0.0")
    clusters = [cluster(f"web.test:{server.port}"), cluster(f"web.test:{echo.port}", name="e")]
    child = nuncio(config(listeners=[listener({"tcp_proxy": "c"}), listener({"tcp_proxy": "e"}, name="echo")], clusters=clusters),
                   workers=workers, env=dns.env)
    eventually(lambda: ready(child) == "ready")
    with child.connect("echo") as old:
        old.sendall(b"one")
        assert clients.recv_exactly(old, 3) == b"one" and who(child) == "127.0.0.1"
        before = child.stats()["cluster.c.membership_change"]
        dns.set(web_test=["127.0.0.2"])
        eventually(lambda: {who(child) for _ in range(8)} == {"127.0.0.2"})
        old.sendall(b"two")
        assert clients.recv_exactly(old, 3) == b"two"
    assert child.stats()["cluster.c.membership_change"] == before + 1


def test_the_ttl_is_asked_after_not_more_often(nuncio, peer, server):
    dns = peer(Dns, {"web.test": ["127.0.0.1"]})
    child = nuncio(relay(f"web.test:{server.port}"), env=dns.env)
    began = time.monotonic()
    child.wait_stat("cluster.c.update_success", lambda n: n >= 1)
    for _ in range(50):
        assert who(child) == "127.0.0.1"
    child.wait_stat("cluster.c.update_success", lambda n: n >= 3)
    assert dns.queries() <= 2 + (time.monotonic() - began), "connections ask nobody"


def test_the_last_good_answer_is_kept(nuncio, peer, server):
    """The server is gone, then back with no such name, then with none of its addresses, then with a new one."""
    dns = peer(Dns, {"web.test": ["127.0.0.1"]})
    child = nuncio(relay(f"web.test:{server.port}"), env=dns.env)
    child.wait_stat("cluster.c.update_success", lambda n: n >= 1)
    dns.set(other_test=["127.0.0.9"])
    child.wait_stat("cluster.c.update_failure", lambda n: n >= 1)
    assert who(child) == "127.0.0.1" and ready(child) == "ready"
    dns.set(web_test=["127.0.0.3"])
    eventually(lambda: who(child) == "127.0.0.3")
    dns.close()
    failures = child.stats()["cluster.c.update_failure"]
    child.wait_stat("cluster.c.update_failure", lambda n: n > failures)
    assert who(child) == "127.0.0.3" and ready(child) == "ready"
    assert child.stats()["cluster.c.membership_total"] == 1


def test_an_unresolved_name_is_not_ready_and_comes_to_be(nuncio, peer, server):
    dns = peer(Dns, {})
    child = nuncio(relay(f"web.test:{server.port}"), env=dns.env)
    child.wait_stat("cluster.c.update_failure", lambda n: n >= 1)
    assert ready(child).startswith("not ready: cluster c: ") and "no such name" in ready(child)
    assert who(child) == "" and logs.last(child)["cause"] == "no_healthy_upstream"
    dns.set(web_test=["127.0.0.1"])
    eventually(lambda: ready(child) == "ready")
    assert who(child) == "127.0.0.1"
    assert child.running()


def test_a_name_server_that_is_not_there_stops_nobody(nuncio, server):
    """The other endpoint, an address, serves meanwhile."""
    clusters = [cluster(f"web.test:{server.port}"), cluster(f"127.0.0.1:{server.port}", name="d")]
    child = nuncio(config(listeners=[listener({"tcp_proxy": "d"})], clusters=clusters), env={"NUNCIO_DNS": f"127.0.0.1:{free_port()}"})
    assert who(child) == "127.0.0.1"
    child.wait_stat("cluster.c.update_failure", lambda n: n >= 1)
    assert "cluster c" in ready(child) and who(child) == "127.0.0.1"


def test_a_name_without_an_address(nuncio, peer, server):
    dns = peer(Dns, {"web.test": []}, "--txt-record=web.test,words")
    child = nuncio(relay(f"web.test:{server.port}"), env=dns.env)
    child.wait_stat("cluster.c.update_empty", lambda n: n >= 1)
    assert "the name has no addresses" in ready(child)
    assert updates(child)[1] == 0
