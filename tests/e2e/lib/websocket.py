"""WebSocket as frames, right or wrong: a client and a server that send what the test says and show what came."""
import base64
import hashlib
import os
import struct

from lib.clients import recv_head
from lib.http import Client, Reader
from lib.many import ManyEcho, connect_all
from lib.peers import Server

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (f"GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             f"Sec-WebSocket-Key: {KEY}\r\n")


def accepted(key, more=""):
    """A server's answer to a handshake."""
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return (f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n{more}\r\n").encode()


def masked(mask, payload):
    return bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))


def frame(opcode, payload=b"", fin=True, mask=None, rsv=0, size=None):
    """A frame; `size`: how many bytes its length takes (0, 2, 8), else as few as can be."""
    if size is None:
        size = 0 if len(payload) < 126 else 2 if len(payload) < 65536 else 8
    short = {0: len(payload), 2: 126, 8: 127}[size]
    length = {0: b"", 2: struct.pack("!H", len(payload) & 0xffff), 8: struct.pack("!Q", len(payload))}[size]
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode, (0x80 if mask else 0) | short]) + length
    return head + (mask + masked(mask, payload) if mask else payload)


def client_frame(opcode, payload=b"", **more):
    return frame(opcode, payload, mask=os.urandom(4), **more)


def close_payload(code, reason=b""):
    return struct.pack("!H", code) + reason


class Frames(Reader):
    """Reads frames off a socket."""

    def frame(self):
        """(opcode, payload, fin, was it masked), or None at the end of the connection."""
        try:
            first, second = self.exactly(2)
        except EOFError as end:
            assert end.args[0] == b"", end
            return None
        size = {126: 2, 127: 8}.get(second & 127, 0)
        length = int.from_bytes(self.exactly(size), "big") if size else second & 127
        mask = self.exactly(4) if second & 128 else None
        payload = self.exactly(length)
        return first & 15, masked(mask, payload) if mask else payload, bool(first & 128), mask is not None

    def close_code(self):
        """The code of the Close that comes next, other frames aside."""
        while got := self.frame():
            if got[0] == CLOSE:
                return int.from_bytes(got[1][:2], "big")
        return None


class WsClient(Client, Frames):
    """A connection through `nuncio` on which the handshake is over."""

    def __init__(self, nuncio, name="in", fields="", behind=b"", path="/chat"):
        super().__init__(nuncio, name)
        self.send((HANDSHAKE.replace("/chat", path) + fields + "\r\n").encode() + behind)
        self.head = self.until(b"\r\n\r\n")
        assert self.head.startswith(b"HTTP/1.1 101 "), self.head

    def say(self, opcode, payload=b"", **more):
        self.send(client_frame(opcode, payload, **more))


class WsServer(Server):
    """Opens WebSockets and talks on each as told: talk(frames, conn). `said` has the frames that its `echo` saw."""

    def __init__(self, talk=None, fields="", **more):
        self.talk, self.fields, self.said = talk or self.echo, fields, []
        super().__init__(**more)

    def serve(self, conn):
        frames = Frames(conn)
        request = frames.until(b"\r\n\r\n").decode("latin-1")
        key = next(line.split(": ")[1] for line in request.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        conn.sendall(accepted(key, self.fields))
        try:
            self.talk(frames, conn)
        except EOFError as end:
            self.said.append(end)

    def echo(self, frames, conn):
        """Every frame comes back, a PING as a PONG; a Close ends it."""
        while got := frames.frame():
            opcode, payload, fin, was_masked = got
            self.said.append(got)
            assert was_masked
            conn.sendall(frame(PONG if opcode == PING else opcode, payload, fin=fin))
            if opcode == CLOSE:
                return


class ManyWs(ManyEcho):
    """Opens thousands of WebSockets; then each byte comes back as it is."""

    def __init__(self, **more):
        self.heads, self.open = {}, set()
        super().__init__(**more)

    def _answer(self, conn):
        fd = conn.fileno()
        if fd in self.open:
            super()._answer(conn)
            if fd not in self.by_fd:
                self.open.discard(fd)
            return
        self.heads[fd] = self.heads.get(fd, b"") + conn.recv(65536)
        if self.heads[fd].endswith(b"\r\n\r\n"):
            del self.heads[fd]
            self.open.add(fd)
            conn.sendall(accepted(KEY))


def open_all(address, count, at_once=100):
    """`count` client sockets whose handshake is over, some of them at a time: what is lent meanwhile does not count then."""
    clients = []
    while len(clients) < count:
        new = connect_all(address, min(at_once, count - len(clients)))
        for client in new:
            client.sendall((HANDSHAKE + "\r\n").encode())
        for client in new:
            head, rest = recv_head(client)
            assert head.startswith(b"HTTP/1.1 101 ") and not rest, head
        clients += new
    return clients
