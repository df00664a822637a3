"""Kept connections to servers: they end with their endpoint, and a ticket that waits unread does not cost one."""
import contextlib
import os
import signal

from lib.authority import Authority
from lib.dns import Dns
from lib.http import OK, Client, Origin, front
from lib.poll import eventually
from lib.process import Child

ACTIVE = "cluster.c.upstream_cx_active"


class Patient(Origin):
    """Passes its checks as long as it is well."""

    def __init__(self):
        self.well = True
        super().__init__(lambda request: OK if self.well or request.start.split()[1] != "/healthz" else None)


def test_connections_to_a_server_that_fails_its_checks_end(nuncio, peer):
    well, sick = peer(Patient), peer(Patient)
    check = {"http": "/healthz", "interval": "50ms", "timeout": "5s", "healthy": 1, "unhealthy": 1}
    proxy = nuncio(front(well, sick, to={"health_check": check, "pool": {"idle_timeout": "1h"}}))
    proxy.wait_stat("cluster.c.membership_healthy", 2)
    with Client(proxy) as client:
        for _ in range(2):
            assert client.get().status == 200
        proxy.wait_stat(ACTIVE, 2)
        sick.well = False
        proxy.wait_stat(ACTIVE, 1)
        assert client.get().status == 200
    well.well = False  # nobody is left: the last ones are asked all the same, but none is kept
    proxy.wait_stat(ACTIVE, 0)


def test_connections_to_an_address_that_is_gone_end(nuncio, peer):
    server = peer(Origin, host="0.0.0.0")
    dns = peer(Dns, {"web.test": ["127.0.0.1", "127.0.0.2"]})
    proxy = nuncio(front(f"web.test:{server.port}"), env=dns.env)
    eventually(lambda: proxy.ctl("ready", check=False) == "ready\n")
    with Client(proxy) as client:
        for _ in range(2):
            client.get()
        proxy.wait_stat(ACTIVE, 2)
        dns.set(web_test=["127.0.0.2"])
        proxy.wait_stat(ACTIVE, 1)


def waiting_from(port):
    """Whether somebody has not read all that came from there."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table][1:]
    return any(row[2].endswith(f":{port:04X}") and int(row[4].split(":")[1], 16) > 0 for row in rows)


class Typed:
    """openssl s_server that says what is typed for it: TLS 1.3 with messages of its own at any time."""

    def __init__(self, identity, folder):
        pipe = folder / "typed"
        os.mkfifo(pipe)
        words = f"exec openssl s_server -accept 127.0.0.1:0 -cert {identity.cert} -key {identity.key} -ign_eof <{pipe}"
        self.child = Child("sh", "-c", words)
        self.keys = open(pipe, "wb", buffering=0)
        self.port = int(self.child.wait_line(r"^ACCEPT.*:(\d+)$")[1])

    def heard(self, line):
        self.child.wait_line(line)

    def update_key(self):
        """Until the message waits unread with the proxy, who is stopped; s_server does not always send one."""
        for _ in range(4):
            self.keys.write(b"k\n")
            with contextlib.suppress(AssertionError):
                return eventually(lambda: waiting_from(self.port), 0.5)
        return False

    def close(self):
        self.keys.close()
        self.child.end()


def test_a_message_of_tls_that_waits_unread_does_not_cost_the_connection(tight, closing, tmp_path):
    """What may not be sent twice asks the kernel whether the server spoke; a KeyUpdate is no speech."""
    root = Authority(tmp_path)
    server = closing(Typed(root.issue("a.test", ip=["127.0.0.1"]), tmp_path))
    nuncio = tight(front(f"127.0.0.1:{server.port}", to={"tls": {"ca": str(root.cert)}, "pool": {"idle_timeout": "1h"}}))
    with Client(nuncio) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.heard("GET / HTTP/1.1")
        server.keys.write(OK)
        assert client.response().status == 200
        nuncio.signal(signal.SIGSTOP)
        try:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
            server.update_key()
        finally:
            nuncio.signal(signal.SIGCONT)
        server.heard("Content-Length: 2")  # its first line may be cut by what s_server says of the key
        server.keys.write(OK)
        assert client.response().status == 200
    assert nuncio.stats()["cluster.c.upstream_cx_total"] == 1
    server.close()
