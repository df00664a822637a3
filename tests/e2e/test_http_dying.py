"""Servers that die: no client sees it of what may be sent again, and nothing else is sent twice."""
import random
import socket
import threading
from collections import Counter

from lib.http import OK, Client, Origin, Reader, front
from lib.poll import PATIENCE, SLOW


class Fickle(Origin):
    """Closes connections between requests when it feels like it, some as the next request is on its way. A path that it
    answered is executed."""

    def __init__(self, seed):
        self.chance, self.open, self.executed = random.Random(seed), [], Counter()
        super().__init__(self.execute)
        self.halt = threading.Event()
        self.closer = threading.Thread(target=self.close_some)
        self.closer.start()

    def serve(self, conn):
        try:
            super().serve(conn)
        except (AssertionError, OSError):
            pass  # it was idle until the next request began to come

    def execute(self, request):
        with self.lock:
            self.executed[request.start.split()[1]] += 1
            if request.conn in self.open:
                self.open.remove(request.conn)
            try:
                request.conn.sendall(OK)
            except OSError:
                return None  # it was idle until just now
            self.open.append(request.conn)
        return b""

    def close_some(self):
        while not self.halt.wait(self.chance.random() / 200):
            with self.lock:  # also while it closes: no answer is cut
                if self.open:
                    conn = self.open.pop(self.chance.randrange(len(self.open)))
                    self._shut(conn, socket.SHUT_RDWR if self.chance.random() < 0.5 else socket.SHUT_WR)

    def close(self):
        self.halt.set()
        self.closer.join()
        super().close()


def ask(nuncio, number, count, results):
    """GETs, and POSTs with an id each; what was answered stands in `results`."""
    with Client(nuncio) as client:
        for n in range(count):
            path = f"/{number}-{n}"
            method = "POST" if n % 3 == 0 else "GET"
            answer = client.get(path, method=method, body=b"x" if method == "POST" else b"")
            results.append((method, path, answer.status))
            if answer.get("connection") == "close":
                return


def run(nuncio, results, count):
    """A client for each list of results; all that stands in them in the end."""
    threads = [threading.Thread(target=ask, args=(nuncio, n, count, part)) for n, part in enumerate(results)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100 * SLOW)
    assert all(len(part) == count for part in results), [part[-1:] for part in results]
    return [row for part in results for row in part]


def judge(rows, executed):
    failed = [row for row in rows if row[2] != 200]
    assert not [row for row in failed if row[0] == "GET"], failed
    twice = [path for method, path, _ in rows if method == "POST" and executed[path] > 1]
    assert not twice, twice
    assert all(executed[path] >= 1 for _, path, status in rows if status == 200)


def test_a_server_that_closes_idle_connections_at_random(tight, peer):
    server = peer(Fickle, 1)
    nuncio = tight(front(server, to={"pool": {"idle_timeout": "500ms"}}))
    rows = run(nuncio, [[], [], [], []], 400)
    judge(rows, server.executed)
    assert nuncio.stats()["cluster.c.upstream_cx_total"] > 20


class Mortal:
    """A server on one port that can be dead: it refuses, and cuts what it had."""

    def __init__(self):
        self.holder = socket.socket()  # nobody else shall get the port while this is dead
        self.holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.holder.bind(("127.0.0.1", 0))
        self.port = self.holder.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.executed, self.lock, self.conns, self.threads = Counter(), threading.Lock(), set(), []
        self.alive = False

    def live(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.alive = True
        thread = threading.Thread(target=self.accept, args=(self.listener,))
        self.threads.append(thread)
        thread.start()

    def accept(self, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.conns.add(conn)
            thread = threading.Thread(target=self.serve, args=(conn,))
            self.threads.append(thread)
            thread.start()

    def serve(self, conn):
        reader = Reader(conn)
        try:
            while request := reader.request():
                with self.lock:
                    if not self.alive:
                        break
                    self.executed[request.start.split()[1]] += 1
                    conn.sendall(OK)
        except (EOFError, OSError, AssertionError):
            pass
        finally:
            conn.close()

    def die(self):
        with self.lock:
            self.alive = False
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            conns, self.conns = self.conns, set()
        for conn in conns:
            try:
                conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        if self.alive:
            self.die()
        for thread in self.threads:
            thread.join(PATIENCE)
        self.holder.close()


def test_two_servers_that_take_turns_to_die(tight, closing):
    """No request meets more than one death: the next comes when each client has its answer to what it asked before the last,
    and one more."""
    servers = [closing(Mortal()), closing(Mortal())]
    servers[0].live()
    nuncio = tight(front(*servers, to={"pool": {"idle_timeout": "500ms"}}))
    count, results, deaths, halt = 1500, [[], [], [], []], [], threading.Event()

    def further():
        """False when all is over."""
        wanted = [min(len(part) + 2, count) for part in results]
        while not halt.wait(0.001) and any(len(part) < n for part, n in zip(results, wanted)):
            pass
        return not halt.is_set()

    def take_turns():
        while further():
            up, down = servers if servers[0].alive else servers[::-1]
            down.live()
            if further():
                up.die()
                deaths.append(up)

    turns = threading.Thread(target=take_turns)
    turns.start()
    try:
        rows = run(nuncio, results, count)
    finally:
        halt.set()
        turns.join()
    judge(rows, servers[0].executed + servers[1].executed)
    assert len(deaths) > 5
