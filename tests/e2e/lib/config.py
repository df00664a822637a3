"""Configs from Python values: each section is one line of JSON, which is YAML too."""
import json

LOGS = [{"path": "access.json", "format": "json"}, {"path": "access.log"}]  # each line in both default formats


def config(**sections):
    """The text of a config with these top-level keys."""
    return "".join(f"{key}: {json.dumps(value, default=str)}\n" for key, value in sections.items())


def listener(*filters, name="in", **keys):
    """A listener on a free port with one chain, or with `chains=[...]`; logs in both formats."""
    if filters:
        keys["filters"] = list(filters)
    return {"name": name, "bind": "127.0.0.1:0", "access_log": LOGS, **keys}


def cluster(*endpoints, name="c", **keys):
    """A cluster of peers, addresses or endpoint maps."""
    return {"name": name, "endpoints": [getattr(e, "address", e) for e in endpoints], **keys}


def relay(*endpoints, before=(), proxy=None, to=None, at=None, **top):
    """Listener "in" and cluster "c" of the endpoints, a tcp_proxy between them with `before` in front of it.

    `proxy`, `to` and `at` are more keys of the tcp_proxy, the cluster and the listener.
    """
    end = {"tcp_proxy": {"cluster": "c", **(proxy or {})}}
    return config(listeners=[listener(*before, end, **(at or {}))], clusters=[cluster(*endpoints, **(to or {}))], **top)
