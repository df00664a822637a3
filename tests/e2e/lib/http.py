"""HTTP/1 as bytes: a server that records what reached it and answers as told, and a client that shows what came back."""
import json
import socket
import threading

from lib.config import LOGS, cluster, config
from lib.peers import Server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HTTP_LOGS = [{"path": "http.json", "format": "json"}, {"path": "http.log"}]


class Message:
    """One message: start line, fields as they were sent, body with its framing taken off."""

    def __init__(self, head, body):
        self.head, self.body = head, body
        lines = head.decode("latin-1").split("\r\n")
        self.start = lines[0]
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if line]
        self.trailers = []

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name]

    def get(self, name):
        found = self.all(name)
        return found[0] if found else None

    @property
    def status(self):
        return int(self.start.split()[1])


class Reader:
    """Reads messages off a socket, one after another."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def until(self, mark):
        while mark not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(self.buffer)
            self.buffer += data
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    def exactly(self, count):
        while len(self.buffer) < count:
            data = self.sock.recv(max(65536, count - len(self.buffer)))
            if not data:
                raise EOFError(self.buffer)
            self.buffer += data
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def rest(self):
        while data := self.sock.recv(1 << 20):
            self.buffer += data
        found, self.buffer = self.buffer, b""
        return found

    def chunks(self, message):
        while size := int(self.until(b"\r\n").split(b";")[0], 16):
            message.body += self.exactly(size)
            assert self.exactly(2) == b"\r\n"
        while line := self.until(b"\r\n"):
            message.trailers.append(tuple(part.strip() for part in line.decode("latin-1").split(":", 1)))

    def request(self):
        """The next request, or None at the end of the connection."""
        try:
            message = Message(self.until(b"\r\n\r\n"), b"")
        except EOFError as end:
            assert end.args[0] == b"", end
            return None
        if message.get("transfer-encoding") == "chunked":
            self.chunks(message)
        else:
            message.body = self.exactly(int(message.get("content-length") or 0))
        return message

    def response(self, method="GET"):
        """The next response with its 1xx ones in `interim`."""
        interim = []
        while True:
            message = Message(self.until(b"\r\n\r\n"), b"")
            if message.status >= 200:
                break
            interim.append(message)
        message.interim = interim
        if method == "HEAD" or message.status in (204, 304):
            return message
        if message.get("transfer-encoding") == "chunked":
            self.chunks(message)
        elif message.get("content-length") is not None:
            message.body = self.exactly(int(message.get("content-length")))
        else:
            message.body = self.rest()
        return message


class Origin(Server):
    """Answers each request with answer(request): bytes to send, or None to close. `requests` has all that came."""

    def __init__(self, answer=lambda request: OK, **more):
        self.answer, self.requests, self.lock = answer, [], threading.Lock()
        super().__init__(**more)

    def serve(self, conn):
        try:
            self.talk(conn, Reader(conn))
        except EOFError:
            pass  # in the midst of a request

    def talk(self, conn, reader):
        while request := reader.request():
            request.conn = conn
            with self.lock:
                self.requests.append(request)
            answer = self.answer(request)
            if answer is None:
                return
            conn.sendall(answer)
            if b"connection: close" in answer.lower():
                return


class Stuck(Origin):
    """Answers only once release() was called."""

    def __init__(self, **more):
        self.halt = threading.Event()
        super().__init__(lambda request: self.halt.wait(60) and OK, **more)

    def release(self):
        self.halt.set()

    def close(self):
        self.release()
        super().close()


class Client(Reader):
    """A connection to a listener of `nuncio` that speaks bytes."""

    def __init__(self, nuncio, name="in"):
        super().__init__(nuncio.connect(name))

    def send(self, text):
        self.sock.sendall(text.encode("latin-1") if isinstance(text, str) else text)

    def ask(self, text, method="GET"):
        self.send(text)
        return self.response(method)

    def get(self, path="/", host="a.test", *fields, method="GET", body=b""):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields, *([f"Content-Length: {len(body)}"] if body else [])]
        return self.ask("\r\n".join(lines).encode() + b"\r\n\r\n" + body, method)

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def http(*routes, clusters=(), at=None, **keys):
    """Listener "in" with an http filter of these routes (the cluster "c" for all, if none) and its logs."""
    filters = [{"http": {"access_log": HTTP_LOGS, "routes": list(routes) or [{"cluster": "c"}], **keys}}]
    bind = {"name": "in", "bind": "127.0.0.1:0", "access_log": LOGS, "filters": filters, **(at or {})}
    return config(listeners=[bind], clusters=list(clusters))


def front(*endpoints, to=None, **keys):
    """The same before cluster "c" of these endpoints."""
    return http(clusters=[cluster(*endpoints, **(to or {}))], **keys)


def last_request(nuncio, least=1):
    """The newest JSON line of a request once there are at least so many."""
    return [json.loads(row) for row in nuncio.file_lines("http.json", least)][-1]
