"""One end of a TLS connection with OpenSSL's own calls, for what Python's ssl does not offer: half-closes, KeyUpdate, early data.

The library is loaded at run time; each call is named after the one of OpenSSL that it makes.
"""
import ctypes
import socket
import struct
import time

from lib.poll import PATIENCE, SLOW

SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, SSL_ERROR_SYSCALL, SSL_ERROR_ZERO_RETURN = 2, 3, 5, 6
FILETYPE_PEM = 1
CTRL_SET_MIN_VERSION, CTRL_SET_MAX_VERSION, CTRL_SET_HOST_NAME = 123, 124, 55
VERSIONS = {"1.2": 0x0303, "1.3": 0x0304}
KEY_UPDATE_NOT_REQUESTED, KEY_UPDATE_REQUESTED = 0, 1

_ssl, _crypto = ctypes.CDLL("libssl.so.3"), ctypes.CDLL("libcrypto.so.3")
for name in ("TLS_client_method", "TLS_server_method", "SSL_CTX_new", "SSL_new", "SSL_get1_session"):
    getattr(_ssl, name).restype = ctypes.c_void_p
_crypto.ERR_get_error.restype = ctypes.c_ulong
_crypto.ERR_reason_error_string.restype = ctypes.c_char_p
_crypto.ERR_reason_error_string.argtypes = [ctypes.c_ulong]


class Ended(Exception):
    """The other side is done: `clean` by close_notify, else cut (FIN alone, or RST)."""

    def __init__(self, clean):
        self.clean = clean
        super().__init__("close_notify" if clean else "cut")


class Failed(Exception):
    """The reason as OpenSSL words it."""


class Tls:
    """Client, or with an `identity` server. Owns the socket; blocking, half a minute a call at most."""

    def __init__(self, sock, identity=None, sni=None, version=None, session=None):
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 10, 0))
        self.sock = sock
        method = _ssl.TLS_server_method() if identity else _ssl.TLS_client_method()
        self.context = ctypes.c_void_p(_ssl.SSL_CTX_new(ctypes.c_void_p(method)))
        if version:
            for control in (CTRL_SET_MIN_VERSION, CTRL_SET_MAX_VERSION):
                _ssl.SSL_CTX_ctrl(self.context, control, ctypes.c_long(VERSIONS[version]), None)
        if identity:
            _ssl.SSL_CTX_use_certificate_chain_file(self.context, str(identity.cert).encode())
            _ssl.SSL_CTX_use_PrivateKey_file(self.context, str(identity.key).encode(), FILETYPE_PEM)
        self.ssl = ctypes.c_void_p(_ssl.SSL_new(self.context))
        _ssl.SSL_set_fd(self.ssl, sock.fileno())
        if sni:
            _ssl.SSL_ctrl(self.ssl, CTRL_SET_HOST_NAME, ctypes.c_long(0), sni.encode())
        if session:
            _ssl.SSL_set_session(self.ssl, session)
        (_ssl.SSL_set_accept_state if identity else _ssl.SSL_set_connect_state)(self.ssl)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Without close_notify."""
        if self.ssl:
            _ssl.SSL_free(self.ssl)
            _ssl.SSL_CTX_free(self.context)
            self.ssl = None
            self.sock.close()

    def _must(self, call, *args):
        """What it answers, if that is good. A call that the socket's timeout (or a debugger) has broken off is made again."""
        end = time.monotonic() + PATIENCE * SLOW
        while True:
            answer = call(self.ssl, *args)
            if answer > 0:
                return answer
            error = _ssl.SSL_get_error(self.ssl, answer)
            if error not in (SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE) or time.monotonic() > end:
                return self._fail(error)

    def _fail(self, error):
        code = _crypto.ERR_get_error()
        reason = (_crypto.ERR_reason_error_string(code) or b"").decode()
        _crypto.ERR_clear_error()
        if error == SSL_ERROR_ZERO_RETURN:
            raise Ended(clean=True)
        if error == SSL_ERROR_SYSCALL or reason == "unexpected eof while reading":
            raise Ended(clean=False)
        raise Failed(reason)

    def handshake(self):
        self._must(_ssl.SSL_do_handshake)
        return self

    def write(self, data):
        self._must(_ssl.SSL_write, data, len(data))

    def read(self, most=1 << 16):
        buffer = ctypes.create_string_buffer(most)
        count = self._must(_ssl.SSL_read, buffer, most)
        return buffer.raw[:count]

    def read_all(self):
        """All up to the other side's end, and whether that was clean."""
        got = bytearray()
        try:
            while True:
                got += self.read()
        except Ended as end:
            return bytes(got), end.clean

    def read_exactly(self, count):
        got = bytearray()
        while len(got) < count:
            got += self.read(count - len(got))
        return bytes(got)

    def shutdown(self):
        """close_notify. Once: the other direction lives on."""
        _ssl.SSL_shutdown(self.ssl)

    def key_update(self, kind=KEY_UPDATE_REQUESTED):
        self._must(_ssl.SSL_key_update, kind)
        self._must(_ssl.SSL_do_handshake)

    def renegotiate(self):
        self._must(_ssl.SSL_renegotiate)
        self._must(_ssl.SSL_do_handshake)

    # --- sessions

    def session(self):
        """For a later connection, if this one says shutdown(); of TLS 1.3 only once something was read."""
        return ctypes.c_void_p(_ssl.SSL_get1_session(self.ssl))

    def reused(self):
        return bool(_ssl.SSL_session_reused(self.ssl))

    def write_early(self, data):
        """Sends the data behind the ClientHello, as its session allows."""
        count = ctypes.c_size_t()
        self._must(_ssl.SSL_write_early_data, data, len(data), ctypes.byref(count))

    def early_status(self):
        """As the server answered: "not sent", "rejected" or "accepted"."""
        return ("not sent", "rejected", "accepted")[_ssl.SSL_get_early_data_status(self.ssl)]


def allow_early_data(session, most):
    """Has the session claim that its server takes so many bytes."""
    _ssl.SSL_SESSION_set_max_early_data(session, ctypes.c_uint32(most))
