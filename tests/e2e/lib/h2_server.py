"""HTTP/2 as frames: a server that answers each request as told, with whatever frames."""
import struct
import threading
from types import SimpleNamespace

from lib.h2 import ACK, PREFACE, H2Client, data, frame, headers, settings, window
from lib.peers import Server
from lib.poll import SLOW

PATIENCE = 30 * SLOW  # seconds without a frame after which a connection is given up


def ok(stream, body=b"ok", *fields):
    """A whole response."""
    return headers(stream, [(":status", "200"), *fields], False) + data(stream, body, True)


def goaway(last, code=0):
    return frame("GOAWAY", 0, 0, struct.pack(">II", last, code))


class Conn(H2Client):
    """A connection of the server's: the client's preface is read, frames are as with a client. Many threads may send on it."""

    def __init__(self, sock, first):
        self.sending = threading.Lock()
        super().__init__(sock, first, PATIENCE)
        while len(self.buffer) < len(PREFACE):
            more = sock.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more
        assert self.buffer.startswith(PREFACE)
        self.buffer = self.buffer[len(PREFACE):]

    def send(self, *frames):
        with self.sending:
            super().send(*frames)


class H2Server(Server):
    """Calls answer(conn, request) when a request is whole (`early`: when its head is there); sends what that returns.

    A request has stream, fields (a dict), body, trailers, conn; `frames` has all that came, by connection. `first`: what
    is said before all else; `mute`: no SETTINGS and no PING are acknowledged.
    """

    def __init__(self, answer=lambda conn, request: ok(request.stream), first=settings(), early=False, mute=False,
                 grant=True, **more):
        self.answer, self.first, self.early, self.mute, self.grant = answer, first, early, mute, grant
        self.requests, self.connections, self.lock = [], [], threading.Lock()
        self.news = threading.Condition(self.lock)
        super().__init__(**more)

    def serve(self, sock):
        try:
            conn = Conn(sock, self.first)
        except EOFError:
            return
        conn.frames, conn.open = [], {}
        with self.news:
            self.connections.append(conn)
        while got := conn.next():
            with self.news:
                conn.frames.append(got)
                self.news.notify_all()
            self.take(conn, got)
            with self.news:  # of what was taken
                self.news.notify_all()
        conn.close()

    def take(self, conn, got):
        if got.type == "SETTINGS" and not got.flags & ACK and not self.mute:
            conn.send(frame("SETTINGS", ACK))
        elif got.type == "PING" and not got.flags & ACK and not self.mute:
            conn.send(frame("PING", ACK, 0, got.payload))
        elif got.type == "HEADERS" and got.stream in conn.open:
            conn.open[got.stream].trailers = got.fields
        elif got.type == "HEADERS":
            self.begin(conn, got)
        elif got.type == "DATA" and got.stream in conn.open:
            conn.open[got.stream].body += got.payload
            if self.grant and got.payload:
                conn.send(window(0, len(got.payload)), b"" if got.end else window(got.stream, len(got.payload)))
        if got.end and not self.early and got.stream in conn.open:
            self.respond(conn, conn.open[got.stream])

    def begin(self, conn, got):
        request = SimpleNamespace(stream=got.stream, fields=dict(got.fields), body=b"", trailers=None, conn=conn)
        request.path = request.fields[":path"]
        conn.open[got.stream] = request
        with self.news:
            self.requests.append(request)
            self.news.notify_all()
        if self.early:
            self.respond(conn, request)

    def respond(self, conn, request):
        answer = self.answer(conn, request)
        if answer:
            conn.send(answer)

    def wait(self, found, what, patience=PATIENCE):
        """Waits until found() is true, looked at with each frame that comes; returns what it says."""
        with self.news:
            assert self.news.wait_for(found, patience), what
            return found()

    def saw(self, kind, stream, number=0):
        """The first such frame on the connection of that number."""
        def look():
            frames = self.connections[number].frames if len(self.connections) > number else []
            return next((got for got in frames if (got.type, got.stream) == (kind, stream)), None)
        return self.wait(look, f"{kind} on {stream}")

    def paths(self):
        return [request.path for request in self.requests]
