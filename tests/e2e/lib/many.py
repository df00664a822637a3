"""An echo server for thousands of connections: one thread, one epoll set."""
import select
import socket

from lib.peers import Server


class ManyEcho(Server):
    def __init__(self, **more):
        self.epoll = select.epoll()
        self.by_fd = {}
        super().__init__(backlog=4096, **more)

    def _accept(self):
        self.listener.setblocking(False)
        self.epoll.register(self.listener, select.EPOLLIN)
        while not self.closing:
            for fd, _ in self.epoll.poll(0.1):
                if fd == self.listener.fileno():
                    self._take_new()
                else:
                    self._answer(self.by_fd[fd])
        for conn in list(self.by_fd.values()):
            conn.close()

    def _take_new(self):
        try:
            while True:
                conn, _ = self.listener.accept()
                conn.setblocking(False)
                self.by_fd[conn.fileno()] = conn
                self.epoll.register(conn, select.EPOLLIN)
        except (BlockingIOError, OSError):
            pass  # the queue is empty

    def _answer(self, conn):
        try:
            data = conn.recv(65536)
            if data:
                conn.sendall(data)
                return
        except ConnectionError:
            pass
        del self.by_fd[conn.fileno()]
        conn.close()

    def close(self):
        super().close()
        self.epoll.close()


def connect_all(address, count):
    """`count` client sockets."""
    host, _, port = address.rpartition(":")
    clients = []
    for _ in range(count):
        clients.append(socket.create_connection((host, int(port)), 30))
    return clients
