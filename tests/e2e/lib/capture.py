"""What went over a connection, as a capture that tshark reads: no rights needed, no packet lost."""
import select
import socket
import struct
import threading
from pathlib import Path

from lib.clients import connect
from lib.process import command

SYN, ACK, PSH, FIN = 2, 16, 8, 1
CLIENT, SERVER = (bytes([10, 0, 0, 1]), 40000), (bytes([10, 0, 0, 2]), 44300)  # no port of HTTPS, or what is inside would be taken for HTTP
RAW_IP = 101  # link type: packets begin with the IP header
SEGMENT = 1400


class Capture:
    """One TCP connection, made up around the bytes that are added in their order."""

    def __init__(self):
        self.packets = []
        self.sent = {True: 1000, False: 5000}
        self._packet(True, SYN, count=1)
        self._packet(False, SYN | ACK, count=1)
        self._packet(True, ACK)

    def add(self, from_client, data):
        for at in range(0, len(data), SEGMENT):
            self._packet(from_client, PSH | ACK, data[at:at + SEGMENT])

    def _packet(self, from_client, flags, data=b"", count=0):
        (source, port), (target, to) = (CLIENT, SERVER) if from_client else (SERVER, CLIENT)
        ack = self.sent[not from_client] if flags & ACK else 0
        tcp = struct.pack("!HHIIBBHHH", port, to, self.sent[from_client], ack, 5 << 4, flags, 65535, 0, 0) + data
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, source, target)
        self.packets.append(ip + tcp)
        self.sent[from_client] += len(data) + count

    def write(self, path):
        out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, RAW_IP)
        for number, packet in enumerate(self.packets):
            out += struct.pack("<IIII", 1700000000, number, len(packet), len(packet)) + packet
        Path(path).write_bytes(out)
        return path


class Tap:
    """Relays one connection after the other to the address and keeps what each said: `captures`, oldest first."""

    def __init__(self, address):
        self.target = address
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.captures = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            with client, connect(self.target) as server:
                self._relay(client, server)

    def _relay(self, client, server):
        capture = Capture()
        self.captures.append(capture)
        other = {client: server, server: client}
        while other:
            for sock in select.select(list(other), [], [], 10)[0]:
                try:
                    data = sock.recv(65536)
                    if data:
                        capture.add(sock is client, data)
                        (server if sock is client else client).sendall(data)
                        continue
                except OSError:
                    pass
                other.pop(sock)
                try:
                    (server if sock is client else client).shutdown(socket.SHUT_WR)
                except OSError:
                    return

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(30)


def tshark(path, *fields, keylog=None, where=None, **options):
    """The fields of each packet that has them, as lists of text."""
    words = ["tshark", "-r", path, "-d", "tcp.port==44300,tls", "-T", "fields", "-E", "separator=|"]
    words += ["-o", f"tls.keylog_file:{keylog}"] if keylog else []
    words += ["-Y", where] if where else []
    for field in fields:
        words += ["-e", field]
    done = command(*words, check=True, **options)
    return [line.split("|") for line in done.stdout.splitlines() if line.strip("|")]
