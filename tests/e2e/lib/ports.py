"""Ports for programs that cannot be told to take a free one themselves, and ports that refuse."""
import contextlib
import itertools
import os
import random
import socket

LISTEN = "0A"  # state of a socket in /proc/net/tcp


def free_port(host="127.0.0.1"):
    """A TCP port that nobody listens on and that the kernel gives nobody else for a minute.

    A connection over the port is closed from the listening side and so leaves it in TIME_WAIT: never
    chosen for an outgoing connection or for port 0, yet open to a server with SO_REUSEADDR.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, 0))
        listener.listen(1)
        with socket.create_connection(listener.getsockname()[:2]) as client:
            listener.accept()[0].close()
            client.recv(1)
            return listener.getsockname()[1]


def lone_port():
    """A port that is free now for UDP and TCP on all addresses, and that the kernel gives nobody by itself."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first = int(file.read().split()[0])
    while True:
        port = random.randrange(first // 2, first)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for family in (socket.AF_INET, socket.AF_INET6):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    sock = stack.enter_context(socket.socket(family, kind))
                    if family == socket.AF_INET6:
                        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    sock.bind(("", port))
            return port


def listening(table):
    """Rows of the table's listening sockets. They come first: connections, perhaps ten thousands, are not read."""
    with open(table) as file:
        next(file)
        return list(itertools.takewhile(lambda row: row[3] == LISTEN, map(str.split, file)))


def listens(pid, port):
    """Whether the process itself has a listening TCP socket on the port (not just anybody)."""
    inodes = {row[9] for table in ("/proc/net/tcp", "/proc/net/tcp6") for row in listening(table)
              if int(row[1].rpartition(":")[2], 16) == port}
    held = (os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
    return any(link == f"socket:[{inode}]" for link in held for inode in inodes)


class RefusingPort:
    """Bound but not listening: a connect is refused, and nobody else can take the port meanwhile."""

    def __init__(self, host="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.bind((host, 0))
        self.port = self.socket.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def close(self):
        self.socket.close()
