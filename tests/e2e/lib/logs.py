"""The two access logs that lib.config gives every listener."""
import json

# The default text line (docs/access-log.md), as key=value where it says so.
TEXT_KEYS = ("sni", "alpn", "cluster", "upstream", "in", "out", "ms", "flags", "by", "layer", "cause")


def closed(nuncio, least=1):
    """The JSON lines of the connections that ended, oldest first."""
    return [json.loads(line) for line in nuncio.file_lines("access.json", least)]


def last(nuncio, least=1):
    """The newest JSON line once there are at least so many."""
    return closed(nuncio, least)[-1]


def texts(nuncio, least=1):
    return nuncio.file_lines("access.log", least)
