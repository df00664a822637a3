"""HTTP/2 as frames: a client that sends whatever it is told, and shows each frame that comes back."""
import ctypes
import ctypes.util
import socket
import struct
import time
from types import SimpleNamespace

from lib.poll import PATIENCE, SLOW

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TYPES = "DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION".split()
CODES = ("NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR "
         "REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED").split()
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 32
GET = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.test")]
POST = [(":method", "POST"), *GET[1:]]


def number(value, bits, first=0):
    """An integer of HPACK (RFC 7541 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytearray([first | most]), value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(name, value, first=0x00):
    """A literal without indexing; names and values as they are, no Huffman code."""
    name, value = (part if isinstance(part, bytes) else part.encode("latin-1") for part in (name, value))
    return bytes([first]) + number(len(name), 7) + name + number(len(value), 7) + value


def block(fields):
    return b"".join(field(*pair) for pair in fields)


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    kind = TYPES.index(kind) if isinstance(kind, str) else kind
    length = len(payload) if length is None else length
    return struct.pack(">IBBI", length, kind, flags, stream)[1:] + payload


def headers(stream, fields, end=True, more=b""):
    return frame("HEADERS", END_HEADERS | (END_STREAM if end else 0), stream, block(fields) + more)


def data(stream, body=b"", end=False):
    return frame("DATA", END_STREAM if end else 0, stream, body)


def settings(*pairs):
    return frame("SETTINGS", 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def reset(stream, code=8):
    return frame("RST_STREAM", 0, stream, struct.pack(">I", code))


def window(stream, more):
    return frame("WINDOW_UPDATE", 0, stream, struct.pack(">I", more))


class _Nv(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("value", ctypes.c_void_p), ("namelen", ctypes.c_size_t),
                ("valuelen", ctypes.c_size_t), ("flags", ctypes.c_uint8)]


class Inflater:
    """Fields of header blocks, by nghttp2's own HPACK."""

    def __init__(self):
        self.lib = ctypes.CDLL("libnghttp2.so.14")
        self.lib.nghttp2_hd_inflate_hd.restype = ctypes.c_ssize_t
        self.it = ctypes.c_void_p()
        assert self.lib.nghttp2_hd_inflate_new(ctypes.byref(self.it)) == 0

    def fields(self, bytes_):
        found, flags, nv, at = [], ctypes.c_int(), _Nv(), 0
        while True:
            n = self.lib.nghttp2_hd_inflate_hd(self.it, ctypes.byref(nv), ctypes.byref(flags), bytes_[at:],
                                               ctypes.c_size_t(len(bytes_) - at), 1)
            assert n >= 0, n
            at += n
            if flags.value & 2:
                found.append((ctypes.string_at(nv.name, nv.namelen).decode(),
                              ctypes.string_at(nv.value, nv.valuelen).decode("latin-1")))
            if flags.value & 1:
                self.lib.nghttp2_hd_inflate_end_headers(self.it)
                return found

    def close(self):
        self.lib.nghttp2_hd_inflate_del(self.it)


class H2Client:
    """A connection. `first` is what it says before anything else; None: preface and empty SETTINGS."""

    def __init__(self, sock, first=None, timeout=PATIENCE * SLOW):
        self.sock, self.buffer, self.inflater = sock, b"", Inflater()
        sock.settimeout(timeout)
        self.send(PREFACE + settings() if first is None else first)

    def send(self, *frames):
        try:
            self.sock.sendall(b"".join(frames))
        except (BrokenPipeError, ConnectionResetError):
            pass  # what came back before says why

    def next(self):
        """The next frame, or None at the connection's end."""
        while True:
            if len(self.buffer) >= 9:
                length = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) >= 9 + length:
                    break
            try:
                more = self.sock.recv(1 << 18)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.buffer += more
        kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
        payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
        got = SimpleNamespace(type=TYPES[kind], flags=flags, stream=stream, payload=payload,
                              end=kind in (0, 1) and bool(flags & END_STREAM))
        if got.type == "HEADERS":
            got.fields = self.inflater.fields(payload)
        if got.type == "RST_STREAM":
            got.code = CODES[int.from_bytes(payload, "big")]
        if got.type == "GOAWAY":
            got.last, got.code = int.from_bytes(payload[:4], "big"), CODES[int.from_bytes(payload[4:8], "big")]
        return got

    def until(self, wanted):
        """Frames up to the one for which wanted(frame); all frames if the connection ends before."""
        seen = []
        while (got := self.next()) is not None:
            seen.append(got)
            if wanted(got):
                break
        return seen

    def response(self, stream, grant=True):
        """What came on a stream to its end: status, fields, interim, body, trailers, reset; windows are given back."""
        out = SimpleNamespace(status=None, fields=[], interim=[], body=b"", trailers=None, reset=None)
        while (got := self.next()) is not None:
            if got.type == "DATA" and grant and got.payload:
                self.send(window(0, len(got.payload)), b"" if got.end else window(got.stream, len(got.payload)))
            if got.stream != stream:
                continue
            if got.type == "HEADERS":
                status = dict(got.fields).get(":status")
                if status is None:
                    out.trailers = got.fields
                elif status[0] == "1":
                    out.interim.append(int(status))
                else:
                    out.status, out.fields = int(status), got.fields
            elif got.type == "DATA":
                out.body += got.payload
            elif got.type == "RST_STREAM":
                out.reset = got.code
            if got.end or out.reset:
                return out
        return out

    def get(self, stream, path="/", *fields):
        self.send(headers(stream, [*GET[:2], (":path", path), GET[3], *fields]))
        return self.response(stream)

    def fate(self):
        """The first that ends a stream or the connection: ("RST_STREAM", code), ("GOAWAY", code) or ("END", None)."""
        last = self.until(lambda got: got.type in ("RST_STREAM", "GOAWAY"))
        if not last or last[-1].type not in ("RST_STREAM", "GOAWAY"):
            return "END", None
        return last[-1].type, last[-1].code

    def closed(self, timeout=PATIENCE * SLOW):
        """Reads to the connection's end."""
        end = time.monotonic() + timeout
        while self.next() is not None:
            assert time.monotonic() < end
        return True

    def close(self):
        self.sock.close()
        self.inflater.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(nuncio, name="in", first=None):
    sock = nuncio.connect(name)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return H2Client(sock, first)
