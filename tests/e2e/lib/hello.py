"""ClientHellos made by hand, down to the byte: for what no honest client sends. See RFC 8446 4.1.2 and 5.1."""

SERVER_NAME, GROUPS, ALPN, PADDING = 0, 10, 16, 21
TLS12 = 0x0303


def number(value, size):
    return value.to_bytes(size, "big")


def vector(size, body):
    """The bytes behind their length, which is a number of `size` bytes."""
    return number(len(body), size) + body


def extension(kind, body=b""):
    return number(kind, 2) + vector(2, body)


def server_name(*names, kind=0):
    """As text; more than one name is forbidden, and no name at all."""
    listed = b"".join(number(kind, 1) + vector(2, n if isinstance(n, bytes) else n.encode()) for n in names)
    return extension(SERVER_NAME, vector(2, listed))


def alpn(*names):
    listed = b"".join(vector(1, n if isinstance(n, bytes) else n.encode()) for n in names)
    return extension(ALPN, vector(2, listed))


def message(*extensions, version=TLS12, session=b"", ciphers=b"\x13\x01\xc0\x2b"):
    """The handshake message, header and all."""
    body = number(version, 2) + bytes(range(32)) + vector(1, session) + vector(2, ciphers) + vector(1, b"\0")
    return b"\1" + vector(3, body + vector(2, b"".join(extensions)))


def message_of(size, *extensions):
    """One whose body has exactly `size` bytes, by padding."""
    bare = len(message(*extensions, extension(PADDING))) - 4
    return message(*extensions, extension(PADDING, bytes(size - bare)))


def record(payload, version=0x0301, kind=22):
    return number(kind, 1) + number(version, 2) + vector(2, payload)


def records(payload, *cuts):
    """The payload in several records, cut at the places given."""
    edges = [0, *cuts, len(payload)]
    return b"".join(record(payload[a:b]) for a, b in zip(edges, edges[1:]))


def hello(sni=None, *protocols):
    """The usual one, in one record."""
    parts = ([server_name(sni)] if sni else []) + ([alpn(*protocols)] if protocols else [])
    return record(message(*parts))
