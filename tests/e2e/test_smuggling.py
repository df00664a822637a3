"""What could be read in two ways: bytes of clients and of servers, and exactly what the other side got of them."""
import codecs
import re
import threading
from pathlib import Path

import pytest

from lib.http import OK, Client, Reader, front
from lib.nuncio import Nuncio
from lib.peers import Server


def table(name, columns):
    rows = []
    for line in (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            rows.append(line.split("\t"))
            assert len(rows[-1]) == columns, line
    return rows


def plain(text):
    """The bytes that a cell of a table means."""
    text = text.replace("⏎", "\\r\\n")
    text = re.sub(r"\{([^{}]+)\*(\d+)\}", lambda m: m[1] * int(m[2]), text)
    return codecs.escape_decode(text.encode("utf-8"))[0]


class Recorder(Server):
    """Keeps all bytes of each connection; takes them for HTTP only to know when to answer, as `answers` has it for its path."""

    def __init__(self, **more):
        self.answers, self.came, self.lock = {}, [], threading.Lock()
        super().__init__(**more)

    def serve(self, conn):
        reader = Tee(conn)
        with self.lock:
            self.came.append(reader)
        try:
            while request := reader.request():
                reader.requests.append(request)
                answer, stays = self.answers.get(request.start.split()[1], (OK, True))
                if request.start.startswith("HEAD ") and answer is OK:
                    answer = OK[:-2]
                conn.sendall(answer)
                if not stays:
                    return
        except EOFError:
            pass  # in the midst of a request

    def taken(self):
        """All connections since the last call."""
        with self.lock:
            came, self.came = self.came, []
        return came


class Tee(Reader):
    """A reader that knows what it has read."""

    def __init__(self, sock):
        super().__init__(self)
        self.conn, self.bytes, self.requests = sock, b"", []

    def recv(self, size):
        data = self.conn.recv(size)
        self.bytes += data
        return data


REQUESTS = table("smuggling_requests.tsv", 5)
RESPONSES = table("smuggling_responses.tsv", 7)


@pytest.fixture(scope="module")
def stand():
    """One proxy and one server for all cases."""
    server = Recorder()
    proxy = Nuncio(front(server, to={"pool": {"max_idle": 0}}))
    yield proxy, server
    proxy.close()
    server.close()


def statuses(client, methods=()):
    """Of all answers up to the end of the connection."""
    found, methods = [], list(methods)
    while True:
        try:
            found.append(client.response(methods.pop(0) if methods else "GET").status)
        except EOFError as end:
            assert end.args[0] == b"", end
            return found


def one_meaning(request):
    """Whatever a server thinks of the rules, it reads this request as we do."""
    lines = request.head.split(b"\r\n")
    assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", b"".join(lines)), lines
    assert re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~]+ HTTP/1\.1", lines[0]), lines[0]
    for line in lines[1:]:
        assert re.match(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ", line), line
    assert len(request.all("host")) == 1
    lengths, codings = request.all("content-length"), request.all("transfer-encoding")
    assert len(lengths) + len(codings) <= 1 and codings in ([], ["chunked"])
    assert all(value.isdecimal() and str(int(value)) == value for value in lengths)
    assert request.all("connection") in ([], ["upgrade"]) and not request.all("te") and not request.all("proxy-connection")


def forwarded(server):
    got = []
    for conn in server.taken():
        for request in conn.requests:
            one_meaning(request)
        assert not conn.buffer or not conn.requests, "more than requests"
        got += [r.start.removesuffix(" HTTP/1.1").encode("latin-1") + b"|" + r.body for r in conn.requests]
    return got


@pytest.mark.parametrize("name, clause, text, expected, wanted", REQUESTS, ids=[row[0] for row in REQUESTS])
def test_requests(stand, name, clause, text, expected, wanted):
    proxy, server = stand
    data = plain(text)
    server.taken()
    with Client(proxy) as client:
        client.send(data)
        client.half_close()
        methods = ["HEAD"] if data.startswith(b"HEAD ") else []
        assert statuses(client, methods) == [int(code) for code in expected.split()], clause
    assert forwarded(server) == ([] if wanted == "-" else [plain(part) for part in wanted.split(" ; ")]), clause


def test_there_are_many():
    assert len(REQUESTS) + len(RESPONSES) >= 200
    assert all(re.match(r"RFC \d+ \w", row[1]) for row in REQUESTS + RESPONSES)


@pytest.mark.parametrize("name, clause, method, text, stays, expected, body", RESPONSES, ids=[row[0] for row in RESPONSES])
def test_responses(stand, name, clause, method, text, stays, expected, body):
    """A second request on the client's connection, if it still is one, gets its own answer."""
    proxy, server = stand
    server.answers["/case"] = plain(text), stays == "stays"
    with Client(proxy) as client:
        client.send(f"{method} /case HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            answer = client.response(method)
        except (EOFError, ConnectionResetError) as end:
            assert expected == "cut", (clause, end)
            return
        assert (str(answer.status), answer.body) == (expected, plain(body)), clause
        assert len(answer.all("content-length")) + len(answer.all("transfer-encoding")) <= 1
        assert client.buffer == b""
        again = client.get("/next")
        assert (again.status, again.body, client.buffer) == (200, b"ok", b"")
