"""HTTP archives judged by their specification (HAR 1.2, softwareishard.com/blog/har-12-spec): each object's members and their types,
what must be there, and that there is nothing else."""
import base64
import json
import re
from datetime import datetime

INT, NUMBER = (int,), (int, float)
PAIR = {"name": str, "value": str, "comment?": str}
COOKIE = {**PAIR, "path?": str, "domain?": str, "expires?": str, "httpOnly?": bool, "secure?": bool}
MESSAGE = {"httpVersion": str, "cookies": [COOKIE], "headers": [PAIR], "headersSize": INT, "bodySize": INT, "comment?": str}
POST = {"mimeType": str, "text?": str, "params?": [{**PAIR, "fileName?": str, "contentType?": str}], "comment?": str}
CONTENT = {"size": INT, "compression?": INT, "mimeType": str, "text?": str, "encoding?": str, "comment?": str}
TIMINGS = {**{name + "?": NUMBER for name in ("blocked", "dns", "connect", "ssl")},
           **{name: NUMBER for name in ("send", "wait", "receive")}, "comment?": str}
ENTRY = {"pageref?": str, "startedDateTime": str, "time": NUMBER, "cache": {}, "timings": TIMINGS, "serverIPAddress?": str,
         "request": {"method": str, "url": str, "queryString": [PAIR], "postData?": POST, **MESSAGE},
         "response": {"status": INT, "statusText": str, "content": CONTENT, "redirectURL": str, **MESSAGE},
         "connection?": str, "comment?": str}
TOOL = {"name": str, "version": str, "comment?": str}
ARCHIVE = {"log": {"version": str, "creator": TOOL, "browser?": TOOL, "pages?": [{}], "entries": [ENTRY], "comment?": str}}


def judge(value, shape, where="har"):
    if isinstance(shape, list):
        assert isinstance(value, list), where
        for number, one in enumerate(value):
            judge(one, shape[0], f"{where}[{number}]")
    elif isinstance(shape, dict):
        assert isinstance(value, dict), where
        needed = {name for name in shape if not name.endswith("?")}
        assert needed <= set(value) and {n for n in value if n[0] != "_"} <= {n.rstrip("?") for n in shape}, (where, sorted(value))
        for name, member in value.items():
            if name[0] != "_":
                judge(member, shape.get(name, shape.get(name + "?")), f"{where}.{name}")
    else:
        assert isinstance(value, shape) and (shape is bool or not isinstance(value, bool)), (where, value)


def read_har(path):
    """The entries of a valid archive."""
    log = json.loads(path.read_bytes().decode(), object_pairs_hook=distinct)
    judge(log, ARCHIVE)
    assert log["log"]["version"] == "1.2"
    for entry in log["log"]["entries"]:
        datetime.fromisoformat(entry["startedDateTime"].replace("Z", "+00:00"))
        spent = [ms for name, ms in entry["timings"].items() if name != "ssl" and ms != -1]
        assert min(spent) >= 0 and abs(entry["time"] - sum(spent)) < 0.01
        assert re.match(r"https?://[^/]+/", entry["request"]["url"])
    return log["log"]["entries"]


def distinct(pairs):
    assert len({name for name, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


def body(content):
    """What a response's content, or a request's postData, holds."""
    if content.get("encoding", content.get("_encoding")) == "base64":
        return base64.b64decode(content["text"], validate=True)
    return content["text"].encode()
