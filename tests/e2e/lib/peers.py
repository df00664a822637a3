"""Servers of few lines, each with a free port and a thread of its own; they behave well or badly on purpose."""
import hashlib
import socket
import threading

from lib.clients import reset
from lib.poll import PATIENCE


class Server:
    """Accepts; each connection gets a thread that runs serve(conn) and closes it. `path` makes it a UNIX socket."""

    def __init__(self, host="127.0.0.1", path=None, backlog=1024, receive_buffer=None):
        family = socket.AF_UNIX if path else socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.socket(family)
        if receive_buffer:  # before listen: accepted sockets inherit it
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.holder = self._bind(family, str(path) if path else (host, 0))
        self.listener.listen(backlog)
        self.port = None if path else self.listener.getsockname()[1]
        self.address = f"unix:{path}" if path else f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.conns = []  # every accepted socket, in order
        self.closing = False
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _bind(self, family, address):
        """A second socket keeps a TCP port for us when the first is closed: who connects then is refused by nobody else."""
        if family == socket.AF_UNIX:
            self.listener.bind(address)
            return None
        holder = socket.socket(family)
        for sock in holder, self.listener:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(address)
        self.listener.bind(holder.getsockname())
        return holder

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.conns.append(conn)
            self.accepted(conn)

    def accepted(self, conn):
        thread = threading.Thread(target=self._serve, args=(conn,), daemon=True)
        self.threads.append(thread)
        thread.start()

    def _serve(self, conn):
        try:
            self.serve(conn)
        except OSError:
            pass  # the client went away, or close() was called: both are the test's business
        finally:
            conn.close()

    def serve(self, conn):
        raise NotImplementedError

    def close(self):
        """The port goes on refusing as long as there is this object."""
        self.closing = True
        self._shut(self.listener)
        self._join(self.threads[0])  # none is accepted any more
        for conn in self.conns:
            self._shut(conn)
        for thread in self.threads[1:]:
            self._join(thread)
        for sock in [self.listener, *self.conns]:
            sock.close()

    @staticmethod
    def _shut(sock, how=socket.SHUT_RDWR):
        try:
            sock.shutdown(how)
        except OSError:
            pass

    def _join(self, thread):
        thread.join(PATIENCE)
        assert not thread.is_alive(), f"{self} does not end"


class Echo(Server):
    """Sends back what it gets; half-close for half-close. `name` is said first when given (then it speaks first)."""

    def __init__(self, name=b"", **more):
        self.name = name
        super().__init__(**more)

    def serve(self, conn):
        conn.sendall(self.name)
        while data := conn.recv(65536):
            conn.sendall(data)
        conn.shutdown(socket.SHUT_WR)
        conn.recv(1)


class Sink(Server):
    """Swallows everything; `total` bytes and `digest` of the newest connection, complete once `ended` is set."""

    def __init__(self, **more):
        self.total, self.digest, self.ended = 0, None, threading.Event()
        super().__init__(**more)

    def serve(self, conn):
        total, digest = 0, hashlib.sha256()
        try:
            while data := conn.recv(1 << 18):
                total += len(data)
                digest.update(data)
                self.total = total
        finally:
            self.digest = digest.hexdigest()
            self.ended.set()


class SlowReader(Server):
    """Reads only as many bytes as allow(n) has granted; its small buffer fills soon. `total` counts what it took."""

    def __init__(self, **more):
        self.granted = self.total = 0
        self.change = threading.Condition()
        super().__init__(receive_buffer=more.pop("receive_buffer", 4096), **more)

    def allow(self, count):
        with self.change:
            self.granted += count
            self.change.notify_all()

    def serve(self, conn):
        while True:
            with self.change:
                self.change.wait_for(lambda: self.closing or self.granted > self.total)
                want = min(self.granted - self.total, 65536)
            data = conn.recv(want) if not self.closing else b""
            if not data:
                return
            with self.change:
                self.total += len(data)

    def close(self):
        with self.change:
            self.closing = True
            self.change.notify_all()
        super().close()


class Source(Server):
    """Sends `payload` to each client, half-closes, waits for the client's end."""

    def __init__(self, payload, **more):
        self.payload = payload
        super().__init__(**more)

    def serve(self, conn):
        conn.sendall(self.payload)
        conn.shutdown(socket.SHUT_WR)
        while conn.recv(65536):
            pass


class Resetter(Server):
    """Resets the connection once `after` bytes have come (0: at once), having sent `first`."""

    def __init__(self, after=1, first=b"", **more):
        self.after, self.first = after, first
        super().__init__(**more)

    def serve(self, conn):
        conn.sendall(self.first)
        left = self.after
        while left > 0 and (data := conn.recv(left)):
            left -= len(data)
        reset(conn)


class Hang(Server):
    """Accepts and never says or reads anything. No thread per connection: good for many thousands."""

    def accepted(self, conn):
        pass


class Script(Server):
    """Runs fn(conn) for each connection."""

    def __init__(self, fn, **more):
        self.serve = fn
        super().__init__(**more)


class Blackhole:
    """A port whose accept queue is full: a connect gets no answer at all, neither yes nor no."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.fillers = []
        while self._fill():
            pass

    def _fill(self):
        filler = socket.socket()
        filler.settimeout(0.3)
        self.fillers.append(filler)
        try:
            filler.connect(("127.0.0.1", self.port))
            return True
        except TimeoutError:
            return False

    def close(self):
        for sock in [*self.fillers, self.listener]:
            sock.close()
