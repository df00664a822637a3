"""TERM with load balancers in front: they hear of it first, then the listeners close; nothing is lost."""
import re
import signal
import threading

import pytest

from lib import clients, servers
from lib.config import cluster, config, listener
from lib.http import Client, Origin, Stuck
from lib.poll import PATIENCE, SLOW, eventually, patiently
from lib.nuncio import ROOT
from lib.ports import free_port

EXAMPLE = ROOT / "docs/examples/rolling-restart.yaml"
HEALTH = {"health_check": {"path": "/healthz"}}


def instance(server, bind="127.0.0.1:0", **keys):
    chain = {"http": {"filters": [HEALTH], "routes": [{"cluster": "c"}]}}
    return config(listeners=[listener(chain, bind=bind)], clusters=[cluster(server)], drain_timeout="10s", **keys)


def status(nuncio, path="/healthz"):
    with Client(nuncio) as client:
        return client.get(path).status


def refuses(nuncio):
    try:
        nuncio.connect("in").close()
        return False
    except ConnectionRefusedError:
        return True


def test_a_delay_for_those_who_have_not_noticed(nuncio, peer):
    """Not ready at once, yet new connections are served until drain_delay is over, each for one request."""
    proxy = nuncio(instance(peer(Origin), drain_delay="1h"))
    with Client(proxy) as kept:
        assert status(proxy) == 200 and kept.get().get("connection") is None
        proxy.signal(signal.SIGTERM)
        proxy.wait_line("draining timeout_ms=10000")
        assert status(proxy) == 503 and proxy.ctl("ready", check=False).startswith("not ready: draining")
        for client in (kept, Client(proxy)):
            with client:
                answer = client.get()
                assert (answer.status, answer.get("connection")) == (200, "close") and client.rest() == b""
        proxy.wait_stat("http.ingress.downstream_cx_drain_close", lambda count: count >= 2)
        assert proxy.running()
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0


def test_a_request_under_way_is_finished(nuncio, peer):
    stuck = peer(Stuck)
    proxy = nuncio(instance(stuck, drain_delay="20ms"))
    with Client(proxy) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: stuck.requests)
        proxy.signal(signal.SIGTERM)
        eventually(lambda: refuses(proxy))
        stuck.release()
        answer = client.response()
        assert (answer.status, answer.get("connection")) == (200, "close")
    assert proxy.wait() == 0


def test_the_second_term_ends_the_delay_too(nuncio, peer):
    proxy = nuncio(instance(peer(Origin), drain_delay="1h"))
    with Client(proxy) as client:
        proxy.signal(signal.SIGTERM)
        proxy.wait_line("draining timeout_ms=10000 delay_ms=3600000")
        assert status(proxy, "/") == 200
        proxy.signal(signal.SIGTERM)
        assert clients.how_it_ends(client.sock) in ("fin", "rst")
    assert proxy.wait() == 0


def test_a_failed_health_check_sends_clients_away(nuncio, peer):
    proxy = nuncio(instance(peer(Origin)))
    with Client(proxy) as client:
        proxy.ctl("healthcheck", "fail")
        assert client.get().get("connection") == "close"
    proxy.ctl("healthcheck", "ok")
    with Client(proxy) as client:
        assert client.get().get("connection") is None


# --- two instances behind a load balancer

def balancer(ports):
    """haproxy in front of both; it tries again only where it could not connect. A slow check is no failed one."""
    rows = "\n".join(f"  server n{port} 127.0.0.1:{port} check inter 100ms fall 2 rise 1" for port in ports)
    return lambda own: f"""
listen edge
  mode http
  bind 127.0.0.1:{own['edge']}
  option httpchk GET /healthz
  timeout check 5s
  option redispatch 1
  balance roundrobin
{rows}
"""


class Visitors:
    """Clients who ask one thing after the other, each over one connection as long as it is kept; what went wrong is in `errors`."""

    def __init__(self, address, count=4):
        self.address, self.halt, self.answers, self.errors = address, threading.Event(), [0] * count, []
        self.threads = [threading.Thread(target=self.come, args=[n]) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def connect(self, _name):
        return clients.connect(self.address)

    def come(self, number):
        try:
            while not self.halt.is_set():
                with Client(self) as client:
                    self.stay(client, number)
        except (AssertionError, OSError, EOFError) as error:
            self.errors.append(repr(error))

    def stay(self, client, number):
        while not self.halt.is_set():
            answer = client.get(f"/{number}")
            assert (answer.status, answer.body) == (200, b"ok"), (answer.start, answer.body)
            self.answers[number] += 1
            if answer.get("connection") == "close":
                return

    def wait_more(self, count=5):
        wanted = [n + count for n in self.answers]
        eventually(lambda: self.errors or all(n >= want for n, want in zip(self.answers, wanted)))

    def close(self):
        self.halt.set()
        for thread in self.threads:
            thread.join(PATIENCE)


@pytest.mark.threads
def test_example_rolling_restart(nuncio, peer, closing, tmp_path):
    """No request is lost, if the delay is long enough for haproxy to notice."""
    patiently(lambda factor: roll(nuncio, peer, closing, tmp_path, f"{int(800 * factor * SLOW)}ms"))


def roll(nuncio, peer, closing, tmp_path, delay):
    server, ports = peer(Origin), [free_port(), free_port()]

    def start(port):
        env = {"SERVER": server.address, "WEB": f"127.0.0.1:{port}", "DELAY": delay}
        return nuncio(EXAMPLE.read_text(), env=env)

    def is_used(one):
        return one.stats()["http.ingress.downstream_rq_2xx"] > 5

    ours = [start(port) for port in ports]
    front_of_both = peer(servers.haproxy, tmp_path, ["edge"], balancer(ports))
    visitors = closing(Visitors(front_of_both.address))
    for n, port in enumerate(ports):
        eventually(lambda: all(map(is_used, ours)))
        ours[n].signal(signal.SIGTERM)
        assert ours[n].wait() == 0 and re.search(r"drained", ours[n].output())
        visitors.wait_more()
        ours[n] = start(port)
    eventually(lambda: all(map(is_used, ours)))
    eventually(lambda: visitors.errors or min(visitors.answers) > 20)
    visitors.close()
    assert not visitors.errors and min(visitors.answers) > 20, (visitors.errors, visitors.answers)
