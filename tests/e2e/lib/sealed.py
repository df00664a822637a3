"""TLS between two ends in memory, as packets of a capture: no socket and no clock, so always the same conversation."""
import ssl

from lib.packets import Talk


def contexts(ca, keylog, version=ssl.TLSVersion.TLSv1_3, alpn=(), asks=False, shows=None):
    """(server's, client's): the client logs its secrets; `asks`: the server wants a certificate; `shows`: the client's."""
    signed = ca.get("a.test")
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(signed.cert, signed.key)
    server.load_verify_locations(ca.cert)
    client.load_verify_locations(ca.cert)
    server.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
    if shows:
        client.load_cert_chain(shows.cert, shows.key)
    client.keylog_filename = str(keylog)
    for one in (server, client):
        one.minimum_version = one.maximum_version = version
        if alpn:
            one.set_alpn_protocols(list(alpn))
    return server, client


class Sealed:
    """`talk` has the packets; True is the client, as there."""

    def __init__(self, server, client, session=None, talk=None):
        self.talk = talk or Talk()
        self.wires = {side: (ssl.MemoryBIO(), ssl.MemoryBIO()) for side in (True, False)}  # to it, from it
        self.ends = {True: client.wrap_bio(*self.wires[True], server_hostname="a.test", session=session),
                     False: server.wrap_bio(*self.wires[False], server_side=True)}
        self.refused = None  # why the server gave up

    def carry(self, side):
        """What the side has to send, as it lies; whether there was something."""
        out = self.wires[side][1].read()
        self.talk.send(side, out)
        self.wires[not side][0].write(out)
        return bool(out)

    def _step(self, side):
        try:
            self.ends[side].do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as why:
            self.refused = why

    def shake(self, flights=5):
        """Both are through. After 3 flights of TLS 1.3 the client is, and the server has not looked at it yet."""
        for flight in range(flights):
            self._step(flight % 2 == 0)
            self.carry(flight % 2 == 0)
        return self

    def say(self, side, data):
        self.ends[side].write(data)
        self.carry(side)
        return self

    def hear(self, side):
        """What it was told; its handshake's end, tickets and the like, on the way."""
        if self.refused is None and not self.ends[side].version():
            self._step(side)
        try:
            said = self.ends[side].read(65536)
        except ssl.SSLWantReadError:
            said = b""
        except ssl.SSLError as why:
            said, self.refused = b"", why
        self.carry(side)
        return said

    def ask(self, request, response):
        self.say(True, request).hear(False)
        self.say(False, response).hear(True)
        return self
