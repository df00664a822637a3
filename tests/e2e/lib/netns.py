"""Another machine: a network namespace behind a cable (a veth pair) that can be pulled. Needs root."""
import ctypes
import ipaddress
import os
import threading

from lib.process import command

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def available():
    """Whether this user may make such machines: root, and not in a container that forbids it."""
    return os.geteuid() == 0 and command("unshare", "--net", "true").returncode == 0


def ip(*words):
    command("ip", *words, check=True)


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
        result = []

        def inside():
            with open(f"/run/netns/{self.name}") as space:
                if LIBC.setns(space.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            result.append(fn())

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join(10)
        return result[0]

    def unplug(self):
        """From now on nothing arrives, and nobody says so."""
        self.ip_there("link", "set", self.far, "down")

    def plug(self):
        self.ip_there("link", "set", self.far, "up")

    def close(self):
        ip("link", "del", self.near)  # at once; that of a namespace takes a while
        ip("netns", "del", self.name)
