"""Datagrams: clients that ask, servers of few lines, and flows that run while something happens to the proxy."""
import select
import socket
import struct
import threading
import time

from lib.poll import PATIENCE, SLOW

SO_RCVBUFFORCE = 33


def resolve(address):
    """"udp://HOST:PORT" or "[HOST]:PORT" as (family, (host, port))."""
    host, _, port = address.removeprefix("udp://").rpartition(":")
    host = host.strip("[]")
    return (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, int(port))


def client(address, source=None):
    """A socket that speaks to this address only."""
    family, where = resolve(address)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE * SLOW)
    if source:
        sock.bind((source, 0))
    sock.connect(where)
    return sock


def ask(sock, data):
    """What comes back."""
    sock.send(data)
    return sock.recv(65536)


def silent(sock, seconds=0.2):
    """Whether nothing comes for so long."""
    return not select.select([sock], [], [], seconds * SLOW)[0]


def answered(sock, data, tries=10, wait=1):
    """How often it had to be sent until it came back; 0: never."""
    for turn in range(1, tries + 1):
        sock.send(data)
        end = time.monotonic() + wait * SLOW
        while select.select([sock], [], [], max(0, end - time.monotonic()))[0]:
            try:
                if sock.recv(65536) == data:
                    return turn
            except ConnectionRefusedError:
                pass
    return 0


class Server:
    """Calls answer(data, peer) for each datagram and sends back what it gives (a list of them, or None); `seen` keeps all."""

    def __init__(self, answer=lambda data, _peer: [data], host="127.0.0.1", port=0):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        make_room(self.sock)
        self.sock.bind((host, port))
        self.sock.settimeout(0.1)
        self.port = self.sock.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.answer, self.seen, self.closing = answer, [], False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while not self.closing:
            try:
                data, peer = self.sock.recvfrom(65536)
            except (TimeoutError, ConnectionRefusedError):
                continue
            except OSError:
                return
            self.seen.append((data, peer))
            for reply in self.answer(data, peer) or ():
                self.sock.sendto(reply, peer)

    def close(self):
        self.closing = True
        self.thread.join(PATIENCE)
        self.sock.close()


def named(name):
    """An answer that says who answers."""
    return lambda data, _peer: [name + b":" + data]


def make_room(sock):
    """In its buffer, for what comes while its reader has no CPU; only root gets more than net.core.rmem_max."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)


class Game:
    """A client and its server that send each other numbered datagrams at a steady pace, neither waiting for the other.

    The server (inside) learns its player by the first datagram; stop() gives what each side missed.
    """

    def __init__(self, pace=0.008, size=20):
        self.pace, self.size, self.closing = pace, size, False
        self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        make_room(self.server)
        self.server.bind(("127.0.0.1", 0))
        self.server.settimeout(0.1)
        self.address = f"127.0.0.1:{self.server.getsockname()[1]}"
        self.sent, self.got, self.players = [0, 0], [set(), set()], set()

    def start(self, address):
        self.sock = client(address)
        make_room(self.sock)
        self.sock.settimeout(0.1)
        self.player = None
        self.threads = [threading.Thread(target=run, daemon=True)
                        for run in (self._listen_server, self._listen_client, self._send_client, self._send_server)]
        for thread in self.threads:
            thread.start()

    def _datagram(self, number):
        return struct.pack("!I", number).ljust(self.size, b"g")

    def _listen_server(self):
        while not self.closing:
            try:
                data, player = self.server.recvfrom(2048)
                if len(data) != self.size:
                    continue  # somebody else's
                self.player = player
                self.players.add(player)
                self.got[0].add(struct.unpack("!I", data[:4])[0])
            except TimeoutError:
                continue
            except OSError:
                return

    def _listen_client(self):
        while not self.closing:
            try:
                self.got[1].add(struct.unpack("!I", self.sock.recv(2048)[:4])[0])
            except TimeoutError:
                continue
            except OSError:
                return

    def _send(self, side, send):
        while not self.closing:
            try:
                send(self._datagram(self.sent[side]))
            except ConnectionRefusedError:
                return  # the proxy has ended
            self.sent[side] += 1
            select.select([], [], [], self.pace)

    def _send_client(self):
        self._send(0, self.sock.send)

    def _send_server(self):
        while not self.player and not self.closing:
            select.select([], [], [], self.pace)
        self._send(1, lambda data: self.server.sendto(data, self.player))

    def stop(self):
        """(numbers that the server missed, those that the client missed)"""
        self.closing = True
        for thread in self.threads[2:]:
            thread.join(30)
        end = time.monotonic() + 20 * SLOW
        while time.monotonic() < end and (len(self.got[0]) < self.sent[0] or len(self.got[1]) < self.sent[1]):
            self._drain()
        return tuple(sorted(set(range(self.sent[side])) - self.got[side]) for side in (0, 1))

    def _drain(self):
        """The listeners have ended: what is still on its way."""
        for side, sock in ((0, self.server), (1, self.sock)):
            while select.select([sock], [], [], 0.02)[0]:
                self.got[side].add(struct.unpack("!I", sock.recv(2048)[:4])[0])

    def close(self):
        self.closing = True
        self.server.close()
        if hasattr(self, "sock"):
            self.sock.close()


class Flood:
    """Sends as fast as it can, from one port or from a new one each time, until it is stopped. A process of its own."""

    def __init__(self, address, source=None, fresh=False):
        import multiprocessing
        self.process = multiprocessing.get_context("fork").Process(target=self._run, args=(address, source, fresh), daemon=True)
        self.process.start()

    @staticmethod
    def _run(address, source, fresh):
        sock = client(address, source)
        number = 0
        while True:
            if fresh:  # forged senders, as far as the proxy can tell: each a new address
                sock.close()
                number += 1
                sock = client(address, f"127.{1 + number // 65025 % 250}.{1 + number // 255 % 255 % 254}.{1 + number % 255 % 254}")
            for _ in range(1 if fresh else 64):
                try:
                    sock.send(b"flood")
                except OSError:
                    pass

    def close(self):
        self.process.terminate()
        self.process.join(5)
