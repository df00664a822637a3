"""A listener with several chains, and which of them took a connection: each leads to a server that says its chain's name."""
import json

import lib.config
from lib.clients import recv_exactly
from lib.peers import Echo

LOG = {"path": "log", "format": "json"}


def config(listeners, clusters):
    """Config text; `clusters` is name to endpoint, or to the whole cluster without its name."""
    whole = [{"name": name, **(one if isinstance(one, dict) else {"endpoints": [one]})} for name, one in clusters.items()]
    return lib.config.config(listeners=listeners, clusters=whole)


def chain(name, match=None):
    """One that leads to the cluster of its name."""
    return {"name": name, **({"match": match} if match else {}), "filters": [{"tcp_proxy": {"cluster": name}}]}


def fork(nuncio, peer, chains, workers=None, **listener):
    """Starts one with a listener `edge` that has a chain for each of `chains` (name to match) and logs to `log`."""
    clusters = {name: peer(Echo, f"{name}\n".encode()).address for name in chains}
    edge = {"name": "edge", "bind": "127.0.0.1:0", "access_log": LOG, **listener,
            "chains": [chain(name, match) for name, match in chains.items()]}
    return nuncio(config([edge], clusters), workers=workers)


def taker(client):
    """The name of the chain that took the connection, or how it ended instead."""
    line = bytearray()
    try:
        while not line.endswith(b"\n"):
            byte = client.recv(1)
            if not byte:
                return "fin"
            line += byte
    except ConnectionResetError:
        return "rst"
    except TimeoutError:
        return "silence"
    return line[:-1].decode()


def echoed(client, data):
    """Whether the server got exactly these bytes so far."""
    return recv_exactly(client, len(data)) == data


def rows(proxy, least=1, name="log"):
    """The access log's lines as dicts."""
    return [json.loads(line) for line in proxy.file_lines(name, least)]
