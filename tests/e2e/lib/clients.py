"""The client's side in few calls; all on blocking sockets with a timeout."""
import socket
import ssl
import struct

from lib.poll import PATIENCE, SLOW

LINGER_RESET = struct.pack("ii", 1, 0)


def connect(address, timeout=PATIENCE * SLOW):
    """A socket to "HOST:PORT", "[HOST]:PORT" or "unix:PATH"."""
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(address[5:])
        return sock
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout)


def reset(sock):
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    sock.close()


def recv_exactly(sock, count):
    """`count` bytes; fails when the other side ends before."""
    got = bytearray()
    while len(got) < count:
        data = sock.recv(min(count - len(got), 1 << 20))
        assert data, f"end after {len(got)} of {count} bytes"
        got += data
    return bytes(got)


def recv_head(sock):
    """The head of an HTTP message with its blank line, and what came behind it, however many pieces they came in."""
    got = b""
    while b"\r\n\r\n" not in got:
        data = sock.recv(65536)
        if not data:
            raise ConnectionError(f"end within a head: {got}")
        got += data
    head, end, rest = got.partition(b"\r\n\r\n")
    return head + end, rest


def recv_all(sock):
    """Everything up to the other side's FIN."""
    got = bytearray()
    while data := sock.recv(1 << 20):
        got += data
    return bytes(got)


def how_it_ends(sock):
    """Reads on and says what comes last: "fin", "rst" or "silence" (the socket's timeout)."""
    try:
        while sock.recv(65536):
            pass
        return "fin"
    except ConnectionResetError:
        return "rst"
    except TimeoutError:
        return "silence"


def tls_context(alpn=(), ca=None):
    """A client context; verifies only where a CA file is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context.load_verify_locations(ca)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def client_hello(sni=None, alpn=()):
    """The bytes of a real ClientHello, as OpenSSL sends it."""
    wire_in, wire_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = tls_context(alpn).wrap_bio(wire_in, wire_out, server_hostname=sni)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return wire_out.read()


def tls_connect(address, sni=None, alpn=(), ca=None, timeout=PATIENCE * SLOW):
    """A TLS client socket with the handshake done."""
    return tls_context(alpn, ca).wrap_socket(connect(address, timeout), server_hostname=sni)
