"""Another machine: a network namespace behind a cable (a veth pair) that can be pulled. Needs root."""
import ctypes
import ipaddress
import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from lib import servers
from lib.clients import recv_exactly
from lib.poll import PATIENCE, eventually
from lib.process import Child, command

CLONE_NEWNET = 0x40000000
PLACE = "/run/netns"
LIBC = ctypes.CDLL(None, use_errno=True)


def available():
    """Whether this user may make such machines: root, and not in a container that forbids it."""
    return os.geteuid() == 0 and command("unshare", "--net", "true").returncode == 0


def ip(*words):
    command("ip", *words, check=True)


def run_in(name, fn):
    """What fn returns or raises, called in a thread that lives in that network namespace."""
    results, errors = [], []

    def inside():
        try:
            with open(f"{PLACE}/{name}") as space:
                if LIBC.setns(space.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            results.append(fn())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class Machine:
    """`here` is our address on the cable, `there` the other machine's."""

    def __init__(self):
        run = os.getpid()
        net = f"198.18.{run % 256}.{run // 256 % 64 * 4}"  # of the range for benchmarks (RFC 2544): nobody's
        self.here, self.there = (str(ipaddress.ip_address(net) + host) for host in (1, 2))
        self.name = f"nu{run}"
        self.near, self.far = f"{self.name}a", f"{self.name}b"
        ip("netns", "add", self.name)
        try:
            ip("link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", self.name)
            ip("addr", "add", f"{self.here}/30", "dev", self.near)
            ip("link", "set", self.near, "up")
            self.ip_there("addr", "add", f"{self.there}/30", "dev", self.far)
            self.plug()
        except Exception:
            ip("netns", "del", self.name)  # and the cable with it: the next test may use the name
            raise

    def ip_there(self, *words):
        """By nsenter, as `ip -n` remounts /, which does not work where that is no mount point (a chroot)."""
        command("nsenter", f"--net=/run/netns/{self.name}", "ip", *words, check=True)

    def run(self, fn):
        """Calls fn on the other machine: sockets that it makes, and those of threads it starts, live there."""
        return run_in(self.name, fn)

    def unplug(self):
        """From now on nothing arrives, and nobody says so."""
        self.ip_there("link", "set", self.far, "down")

    def plug(self):
        self.ip_there("link", "set", self.far, "up")

    def close(self):
        ip("link", "del", self.near)  # at once; that of a namespace takes a while
        ip("netns", "del", self.name)


# --- three machines in a row, none of them ours

class Space:
    """A machine of its own: nothing that it sends reaches ours."""

    def __init__(self, name):
        self.name = name
        self.words = ("nsenter", f"--net={PLACE}/{name}")  # before a command: it runs there
        ip("netns", "add", name)
        try:
            self._settle()
        except Exception:
            self.close()
            raise

    def _settle(self):
        self.ip("link", "set", "lo", "up")
        # IPv6 addresses are of use at once, and a packet may come in where its answer would not leave.
        self.set("ipv6/conf/all/accept_dad=0", "ipv6/conf/default/accept_dad=0", "ipv4/conf/all/rp_filter=0",
                 "ipv4/conf/default/rp_filter=0")

    def command(self, *words, **more):
        return command(*self.words, *words, **more)

    def run(self, fn):
        """Calls fn there: sockets that it makes live there."""
        return run_in(self.name, fn)

    def ip(self, *words):
        self.command("ip", *words, check=True)

    def set(self, *settings):
        """net sysctls as PATH=VALUE below /proc/sys/net."""
        lines = (f"echo {value} >/proc/sys/net/{path}" for path, _, value in (s.partition("=") for s in settings))
        self.command("sh", "-ec", "\n".join(lines), check=True)

    def nft(self, text):
        """Rules in the syntax of a file; those before are gone."""
        done = self.command("nft", "-f", "-", input="flush ruleset\n" + text)
        assert done.returncode == 0, done.stderr

    def counter(self, name):
        """Packets that a named counter of table `inet t` has seen."""
        found = self.command("nft", "list", "counter", "inet", "t", name, check=True).stdout
        return int(found.split("packets ")[1].split()[0])

    def close(self):
        ip("netns", "del", self.name)


class Row:
    """client - gateway - server, each with IPv4 and IPv6; the server has addresses of all kinds.

    The gateway forwards; what it takes for itself is up to a test's nft rules. Another test gets it clean by `reset`.
    """
    CLIENT, CLIENT6 = "198.51.100.2", "2001:db8:c::2"
    NEAR, NEAR6 = "198.51.100.1", "2001:db8:c::1"  # the gateway's, to the client
    FAR, FAR6 = "203.0.113.1", "2001:db8:5::1"  # and to the server
    SERVER, SERVER6 = "203.0.113.2", "2001:db8:5::2"
    PUBLIC, PUBLIC6 = "93.184.216.34", "2606:2800:220::1"  # like hosts of the internet
    PRIVATE, PRIVATE6, METADATA = "10.9.0.9", "fd99::9", "169.254.169.254"

    def __init__(self):
        run = os.getpid()
        self.spaces = []
        try:
            self.client, self.gateway, self.server = (self._space(f"nu{run}{letter}") for letter in "cgs")
            self._cable(self.client, self.gateway, (self.CLIENT, self.CLIENT6), (self.NEAR, self.NEAR6))
            self._cable(self.gateway, self.server, (self.FAR, self.FAR6), (self.SERVER, self.SERVER6))
            self._routes()
        except Exception:
            self.close()
            raise

    def _space(self, name):
        self.spaces.append(Space(name))
        return self.spaces[-1]

    @staticmethod
    def _cable(one, two, at_one, at_two):
        ends = f"to{two.name[-1]}", f"to{one.name[-1]}"  # the interface to the client is called "toc"
        one.ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", two.name)
        for space, end, (v4, v6) in ((one, ends[0], at_one), (two, ends[1], at_two)):
            space.ip("addr", "add", f"{v4}/24", "dev", end)
            space.ip("addr", "add", f"{v6}/64", "dev", end, "nodad")
            space.ip("link", "set", end, "up")

    def _routes(self):
        self.gateway.set("ipv4/ip_forward=1", "ipv6/conf/all/forwarding=1")
        for space, v4, v6 in ((self.client, self.NEAR, self.NEAR6), (self.server, self.FAR, self.FAR6)):
            space.ip("route", "add", "default", "via", v4)
            space.ip("-6", "route", "add", "default", "via", v6)
        self.repair()
        for address in (self.PUBLIC, self.PRIVATE, self.METADATA):
            self.server.ip("addr", "add", f"{address}/32", "dev", "lo")
        for address in (self.PUBLIC6, self.PRIVATE6):
            self.server.ip("addr", "add", f"{address}/128", "dev", "lo", "nodad")
        # What a TPROXY rule has marked is ours, whatever address it is for.
        for family in ("-4", "-6"):
            self.gateway.ip(family, "rule", "add", "fwmark", "1", "lookup", "100")
            self.gateway.ip(family, "route", "add", "local", "default", "dev", "lo", "table", "100")

    def repair(self):
        """The gateway's way to the server, again after its cable was unplugged."""
        self.gateway.ip("link", "set", "tos", "up")
        self.gateway.ip("addr", "replace", f"{self.FAR6}/64", "dev", "tos", "nodad")
        self.gateway.ip("route", "replace", "default", "via", self.SERVER)
        self.gateway.ip("-6", "route", "replace", "default", "via", self.SERVER6)

    def reset(self):
        for space in self.spaces:
            space.nft("")

    def close(self):
        for space in self.spaces:
            space.close()
        self.spaces = []


def row():
    """The fixture of that name."""
    if not available():
        pytest.skip("network namespaces need root")
    machines = Row()
    yield machines
    machines.close()


def web(space, folder, *listens):
    """nginx on these addresses of the machine; says who came, and to which address: "CLIENT SERVER:PORT"."""
    place = Path(tempfile.mkdtemp(prefix="nginx-", dir=folder))
    lines = "\n".join(f"listen {listen};" for listen in listens)
    http = servers.NGINX_HTTP.format(
        http=f"server {{ {lines} location / {{ return 200 '$remote_addr $server_addr:$server_port\\n'; }} }}")
    (place / "nginx.conf").write_text(servers.NGINX_MAIN.format(modules="", connections=2000) + http)
    child = Child(*space.words, "nginx", "-p", place, "-e", "stderr", "-c", place / "nginx.conf")
    plain = listens[0].split()[0]
    eventually(lambda: space.command("curl", "-s", "-m", 1, f"http://{plain}/").returncode in (0, 52), what="nginx answers")
    return child


def connect(host, port, timeout=PATIENCE):
    return socket.create_connection((host, port), timeout)


def echo(host, port, word=b"hello"):
    """Whether the word comes back."""
    with connect(host, port) as conn:
        conn.sendall(word)
        return recv_exactly(conn, len(word)) == word


def fetch(space, url, *options, seconds=20):
    """What curl gets there, "" where it gets nothing."""
    return space.command("curl", "-s", "-k", "-m", seconds, *options, url).stdout.strip()
