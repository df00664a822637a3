"""Sending in pieces that the other side reads one by one, without sleeping."""
import array
import fcntl
import socket
import termios
import time

from lib.poll import PATIENCE, SLOW


def unread(sock):
    """Bytes sent on a UNIX socket that the other side has not read yet."""
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, count)
    return count[0]


def wait_read(sock, timeout=PATIENCE):
    """Until everything sent on the UNIX socket was read. Spins: it takes microseconds."""
    end = time.monotonic() + timeout * SLOW
    while unread(sock):
        assert time.monotonic() < end, f"{unread(sock)} bytes are not read"


def send_apart(sock, *pieces):
    """Sends on a UNIX socket; each piece once the one before was read."""
    assert sock.family == socket.AF_UNIX
    for piece in pieces:
        wait_read(sock)
        sock.sendall(piece)


def send_bytes(sock, data):
    """Sends on a TCP socket, a segment for every byte."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(len(data)):
        sock.sendall(data[at:at + 1])
