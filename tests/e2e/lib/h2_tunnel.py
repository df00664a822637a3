"""Tunnels in HTTP/2 streams (RFC 8441, RFC 9113 8.5), as sockets: a client that opens many on a connection, and a server."""
import threading

from lib.h2 import END_STREAM, H2Client, data, headers, reset, settings, window
from lib.h2_server import H2Server
from lib.websocket import Frames, frame

WEBSOCKET = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat"), (":authority", "a.test"),
             ("sec-websocket-version", "13")]
OFFERED = settings((8, 1))


def connect_to(host):
    return [(":method", "CONNECT"), (":authority", host)]


class Tunnel:
    """A stream of `client` that asked for one; with what a socket has. `answer` is the response's fields, once it came."""

    def __init__(self, client, stream, fields, early=b"", end=False):
        self.client, self.stream, self.buffer = client, stream, b""
        self.answer, self.end, self.reset = None, False, None
        client.tunnels[stream] = self
        client.send(headers(stream, fields, False), data(stream, early, end) if early or end else b"")

    def take(self, got):
        if got.type == "HEADERS":
            self.answer = dict(got.fields)
        elif got.type == "DATA":
            self.buffer += got.payload
        elif got.type == "RST_STREAM":
            self.reset = got.code
        self.end = self.end or got.end

    def status(self):
        self.client.wait(lambda: self.answer or self.reset)
        return int(self.answer[":status"]) if self.answer else self.reset

    def recv(self, most):
        self.client.wait(lambda: self.buffer or self.end or self.reset)
        if self.reset and not self.buffer:
            raise ConnectionResetError(self.reset)
        found, self.buffer = self.buffer[:most], self.buffer[most:]
        return found

    def sendall(self, payload):
        self.client.send(data(self.stream, payload))

    def finish(self):
        self.client.send(data(self.stream, b"", True))

    def cut(self):
        self.client.send(reset(self.stream))


class Tunnels(H2Client):
    """A connection to a listener of `nuncio`; `grant`: windows are given back; `wrap`: what makes TLS of a socket."""

    def __init__(self, nuncio, name="in", grant=True, wrap=lambda sock: sock):
        super().__init__(wrap(nuncio.connect(name)))
        self.tunnels, self.grant, self.settings = {}, grant, None

    def open(self, stream=1, fields=WEBSOCKET, **more):
        return Tunnel(self, stream, fields, **more)

    def wait(self, found):
        while not found():
            got = self.next()
            assert got, "the connection ended"
            if got.type == "SETTINGS" and not got.flags:
                self.settings = got.payload
            if got.type == "DATA" and got.payload and self.grant:
                self.send(window(0, len(got.payload)), b"" if got.flags & END_STREAM else window(got.stream, len(got.payload)))
            if got.stream in self.tunnels:
                self.tunnels[got.stream].take(got)
        return found()


class TunnelServer(H2Server):
    """Grants what is asked for, says `behind` at once, and calls talk(frames, tunnel) on a thread; by default WebSocket frames
    come back, a Close ends it. `said` has what its `echo` saw."""

    def __init__(self, talk=None, first=OFFERED, status=200, behind=b"", **more):
        self.talk, self.status, self.behind, self.said = talk or self.echo, status, behind, []
        super().__init__(self.grant_it, first=first, early=True, **more)

    def begin(self, conn, got):
        if dict(got.fields)[":method"] == "CONNECT":
            got.fields.append((":path", dict(got.fields).get(":path", "")))
        super().begin(conn, got)

    def grant_it(self, conn, request):
        if request.fields[":method"] != "CONNECT" or self.status != 200:
            return headers(request.stream, [(":status", str(self.status))], True)
        request.more, request.end, request.reset = threading.Condition(), False, None
        conn.send(headers(request.stream, [(":status", "200")], False), data(request.stream, self.behind) if self.behind else b"")
        threading.Thread(target=self.run, args=(Accepted(conn, request),), daemon=True).start()
        return None

    def run(self, tunnel):
        try:
            self.talk(Frames(tunnel), tunnel)
        except (EOFError, ConnectionResetError, OSError) as end:
            self.said.append(end)

    def serve(self, sock):
        super().serve(sock)
        for request in list(self.requests):
            if request.conn.sock is sock and hasattr(request, "more"):
                with request.more:
                    request.reset = request.reset or "connection closed"
                    request.more.notify_all()

    def take(self, conn, got):
        super().take(conn, got)
        request = conn.open.get(got.stream)
        if request and hasattr(request, "more") and got.type in ("DATA", "RST_STREAM"):
            with request.more:
                request.end = request.end or got.end
                request.reset = got.code if got.type == "RST_STREAM" else request.reset
                request.more.notify_all()

    def echo(self, frames, tunnel):
        while got := frames.frame():
            opcode, payload, fin, was_masked = got
            self.said.append(got)
            assert was_masked
            tunnel.sendall(frame(10 if opcode == 9 else opcode, payload, fin=fin))
            if opcode == 8:
                break
        tunnel.finish()


class Accepted:
    """A tunnel on the server's side, with what a socket has."""

    def __init__(self, conn, request):
        self.conn, self.request, self.at = conn, request, 0

    def recv(self, most):
        request = self.request
        with request.more:
            assert request.more.wait_for(lambda: len(request.body) > self.at or request.end or request.reset, 60)
            if len(request.body) == self.at and request.reset and not request.end:
                raise ConnectionResetError(request.reset)
            found = request.body[self.at:self.at + most]
            self.at += len(found)
            return found

    def sendall(self, payload):
        self.conn.send(data(self.request.stream, payload))

    def finish(self):
        self.conn.send(data(self.request.stream, b"", True))

    def cut(self):
        self.conn.send(reset(self.request.stream))
