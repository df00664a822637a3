"""The websocket filter: frames that break a rule, limits, PINGs, drain; and what is counted and logged of it."""
import json
import signal
import threading

import pytest

from lib.config import cluster
from lib.http import Client, Origin, front, http, last_request
from lib.nuncio import ROOT
from lib.poll import eventually, patiently
from lib.scale import PARANOID
from lib.websocket import (BINARY, CLOSE, CONTINUATION, HANDSHAKE, PING, PONG, TEXT, WsClient, WsServer, client_frame, close_payload,
                           frame)

LOG = {"path": "ws.log", "format": "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %WEBSOCKET_MESSAGES_RECEIVED% "
       "%WEBSOCKET_MESSAGES_SENT% %WEBSOCKET_CLOSE_CODE% %WEBSOCKET_CLOSED_BY%"}


def looked_at(*endpoints, **options):
    return front(*endpoints, filters=[{"websocket": options}], access_log=[LOG, {"path": "http.json", "format": "json"}])


def stat(nuncio, name, value):
    nuncio.wait_stat(f"http.ingress.websocket.{name}", value)


def test_frames_pass_as_they_come(tight, peer):
    server = peer(WsServer)
    nuncio = tight(looked_at(server))
    early = client_frame(TEXT, b"early")
    with WsClient(nuncio, behind=early) as client:
        assert client.frame() == (TEXT, b"early", True, False)
        client.send(client_frame(TEXT, "é".encode()[:1], fin=False))
        client.send(client_frame(PING, b"between") + client_frame(CONTINUATION, "é".encode()[1:]))
        assert [client.frame()[:3] for _ in range(3)] == [(TEXT, b"\xc3", False), (PONG, b"between", True), (CONTINUATION, b"\xa9", True)]
        for byte in client_frame(BINARY, b"x" * 300):
            client.send(bytes([byte]))
        assert client.frame() == (BINARY, b"x" * 300, True, False)
        client.say(CLOSE, close_payload(1000, b"bye"))
        assert client.frame() == (CLOSE, close_payload(1000, b"bye"), True, False)
        assert client.rest() == b""
    assert nuncio.file_lines("ws.log", 1) == ["101 - via_upstream 3 3 1000 client"]
    for name, value in {"total": 1, "active": 0, "rx_messages": 3, "tx_messages": 3, "close_1000": 1, "rx_bytes": 319}.items():
        stat(nuncio, name, value)


def test_two_filters_see_the_same_frames(tight, peer):
    """Two of them next to each other are given frames that others cut; the first one to object closes."""
    server = peer(WsServer)
    nuncio = tight(front(server, filters=[{"websocket": {"max_frame": 500}}, {"websocket": {"max_frame": 400}}], access_log=LOG))
    early = client_frame(TEXT, b"early")
    with WsClient(nuncio, behind=early) as client:
        assert client.frame() == (TEXT, b"early", True, False)
        client.send(client_frame(TEXT, b"one") + client_frame(PING, b"two") + client_frame(BINARY, b"x" * 300))
        assert [client.frame()[1] for _ in range(3)] == [b"one", b"two", b"x" * 300]
        client.send(client_frame(BINARY, b"x" * 401))
        assert client.close_code() == 1009
        client.say(CLOSE, close_payload(1009))
        assert client.rest() == b""
    eventually(lambda: closes(server), what="the server's Close")
    assert nuncio.file_lines("ws.log", 1)[0].startswith("101 DPE websocket_frame_too_large")


def test_bulk_is_looked_at_as_it_passes(tight, peer):
    """More than sockets take at once, while the client reads nothing: what waits is not judged twice."""
    def send_all(frames, conn):
        for i in range(COUNT):
            conn.sendall(frame(TEXT, bytes([97 + i % 26]) * 65536))
        conn.sendall(frame(CLOSE, close_payload(1000)))
        frames.close_code()
    COUNT = 16 if PARANOID else 160
    nuncio = tight(looked_at(peer(WsServer, send_all)))
    with WsClient(nuncio) as client:
        for i in range(COUNT):
            assert client.frame() == (TEXT, bytes([97 + i % 26]) * 65536, True, False)
        assert client.close_code() == 1000
        client.say(CLOSE, close_payload(1000))
    stat(nuncio, "tx_messages", COUNT)
    stat(nuncio, "tx_bytes", COUNT * 65536 + 2)


LIMITS = {"max_message": "1000", "max_frame": "600", "messages_per_second": 20, "close_timeout": "20s"}
BAD = {
    "reserved_bits": (client_frame(TEXT, b"x", rsv=4), 1002),
    "reserved_opcode": (client_frame(3, b"x"), 1002),
    "mask": (frame(TEXT, b"x"), 1002),
    "length": (client_frame(TEXT, b"x", size=2), 1002),
    "control_too_long": (client_frame(PING, b"x" * 126), 1002),
    "control_fragmented": (client_frame(PING, b"x", fin=False), 1002),
    "unexpected_continuation": (client_frame(CONTINUATION, b"x"), 1002),
    "unexpected_message": (client_frame(TEXT, b"x", fin=False) + client_frame(TEXT, b"y"), 1002),
    "close_of_one_byte": (client_frame(CLOSE, b"x"), 1002),
    "close_code": (client_frame(CLOSE, close_payload(1005)), 1002),
    "close_reason": (client_frame(CLOSE, close_payload(1000, b"\xff")), 1007),
    "text": (client_frame(TEXT, b"\xed\xa0\x80"), 1007),
    "frame_too_large": (client_frame(BINARY, b"x" * 601), 1009),
    "message_too_large": (client_frame(BINARY, b"x" * 600, fin=False) + client_frame(CONTINUATION, b"x" * 401), 1009),
    "rate_limited": (client_frame(TEXT, b"x") * 60, 1008),
}


def closes(server):
    """The Close frames that it got."""
    return [said for said in server.said if not isinstance(said, Exception) and said[0] == CLOSE]


def test_what_breaks_a_rule_is_closed_on_both_sides(tight, peer):
    server = peer(WsServer)
    nuncio = tight(looked_at(server, **LIMITS))
    for count, (name, (sent, code)) in enumerate(BAD.items(), 1):
        server.said.clear()
        with WsClient(nuncio) as client:
            client.send(sent)
            assert client.close_code() == code, name
            client.say(CLOSE, close_payload(code))
            assert client.rest() == b"", name
        nuncio.file_lines("ws.log", count)
        if PARANOID and name == "text":  # byte by byte it has gone on in part: test_a_frame_that_has_gone_on_in_part_is_cut
            continue
        eventually(lambda: closes(server), what=name)
        assert closes(server)[0][1][:2] == close_payload(code), name
    rows = [row.split() for row in nuncio.file_lines("ws.log", len(BAD))]
    assert [[*row[:3], *row[5:]] for row in rows] == [
        ["101", "RL" if code == 1008 else "DPE", f"websocket_{name}", str(code), "local"] for name, (_, code) in BAD.items()]
    codes = [code for _, code in BAD.values()]
    for name, value in {"protocol_error": codes.count(1002) + codes.count(1007), "too_large": 2, "rate_limited": 1,
                        "close_1002": codes.count(1002), "close_1007": 2, "close_1008": 1, "close_1009": 2}.items():
        stat(nuncio, name, value)


def test_a_server_that_breaks_a_rule(tight, peer):
    def wrong(frames, conn):
        conn.sendall(frame(TEXT, b"fine") + frame(BINARY, b"x" * 601))
        codes.append(frames.close_code())
    codes = []
    nuncio = tight(looked_at(peer(WsServer, wrong), **LIMITS))
    with WsClient(nuncio) as client:
        assert client.frame() == (TEXT, b"fine", True, False)
        assert client.close_code() == 1009
        assert client.rest() == b""
    eventually(lambda: codes == [1009], what="the server's Close")
    assert nuncio.file_lines("ws.log", 1) == ["101 UPE websocket_frame_too_large 0 1 1009 local"]


def test_a_frame_that_has_gone_on_in_part_is_cut(tight, peer):
    """No Close can follow it: the server sees its connection end within the frame."""
    server = peer(WsServer)
    nuncio = tight(looked_at(server, close_timeout="200ms"))
    with WsClient(nuncio) as client:
        whole = client_frame(TEXT, b"x" * 2000 + b"\xff" + b"x" * 2000)
        client.send(whole[:1000])
        stat(nuncio, "rx_bytes", 992)
        client.send(whole[1000:])
        assert client.close_code() == 1007
    eventually(lambda: server.said and isinstance(server.said[-1], (EOFError, OSError)) or server.conns[0].fileno() < 0, what="the cut")
    assert all(said[0] != TEXT for said in server.said if not isinstance(said, Exception))


def test_quiet_clients_are_asked_and_dead_ones_closed(tight, peer):
    def story(factor):
        server = peer(WsServer)
        nuncio = tight(looked_at(server, ping_interval=f"{100 * factor}ms", close_timeout=f"{200 * factor}ms"))
        with WsClient(nuncio) as client:
            for _ in range(2):
                opcode, payload, *_ = client.frame()
                assert opcode == PING and len(payload) == 8
                client.say(PONG, payload)
            client.say(PONG, b"of my own")
            eventually(lambda: [said[:2] for said in server.said[:1]] == [(PONG, b"of my own")], what="ours stay here, others pass")
            assert client.close_code() == 1001
        eventually(lambda: [said[:2] for said in closes(server)] == [(CLOSE, close_payload(1001, b"no answer to a ping"))], what="the server's Close")
        assert nuncio.file_lines("ws.log", 1)[0].split()[2] == "websocket_ping_timeout"
        stat(nuncio, "ping_timeout", 1)
    patiently(story)


def test_drain_says_goodbye_to_each(nuncio, peer):
    """TERM: each gets its Close within the window, and what is answered ends before drain_timeout."""
    def story(factor):
        server = peer(WsServer)
        child = nuncio(looked_at(server) + f"drain_timeout: {factor}s\n")
        clients = [WsClient(child) for _ in range(10)]
        child.signal(signal.SIGTERM)
        stat(child, "drain_close", lambda count: count >= 1)
        for client in clients:
            assert client.close_code() == 1001
            client.say(CLOSE, close_payload(1001))
            assert client.rest() == b""
        assert child.wait() == 0
        assert [json.loads(row)["details"] for row in child.file_lines("http.json", 10)] == ["websocket_drain"] * 10
        assert all(said[1][:2] == close_payload(1001) for said in closes(server))
    patiently(story)


@pytest.mark.parametrize("answers", [True, False])
def test_a_drain_waits_for_streams_whose_client_is_gone(nuncio, peer, answers):
    """Its connection is over, yet the server has still to hear of it: until it answers, or drain_timeout."""
    def story(factor):
        go = threading.Event()
        child = nuncio(looked_at(peer(WsServer, lambda frames, conn: go.wait(60) and server_says_goodbye(frames, conn)), close_timeout="1m")
                       + f"drain_timeout: {factor}s\n")
        with WsClient(child) as client:
            child.signal(signal.SIGTERM)
            assert client.close_code() == 1001
            client.say(CLOSE, close_payload(1001))
            assert client.rest() == b""
        if answers:
            go.set()
        assert child.wait() == 0
        go.set()
        assert [json.loads(row)["details"] for row in child.file_lines("http.json", 1)] == ["websocket_drain"]
    patiently(story)


def server_says_goodbye(frames, conn):
    while frames.frame()[0] != CLOSE:
        pass
    conn.sendall(frame(CLOSE, close_payload(1001)))


def test_messages_over_compression(tight, peer):
    """permessage-deflate: RSV1 is fine once, and what is compressed need not look like text."""
    def compressed(frames, conn):
        got.extend(frames.frame()[1] for _ in range(2))
        conn.sendall(frame(TEXT, b"\xfc", rsv=4))
        frames.frame()
    got, extension = [], "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    nuncio = tight(looked_at(peer(WsServer, compressed, fields=extension), close_timeout="200ms"))
    with WsClient(nuncio, fields=extension) as client:
        client.send(client_frame(TEXT, b"\xff\xfe", rsv=4, fin=False) + client_frame(CONTINUATION, b"\xfd"))
        assert client.frame()[1] == b"\xfc" and got == [b"\xff\xfe", b"\xfd"]
        client.send(client_frame(TEXT, b"x", fin=False) + client_frame(CONTINUATION, b"y", rsv=4))
        assert client.close_code() == 1002


def test_where_nobody_checks(tight, peer):
    """validate: false leaves all but limits to the ends; a route may look at nothing at all."""
    free = {"match": {"headers": {"x-free": "1"}}, "cluster": "c", "filters": {"websocket": False}}
    nuncio = tight(http(free, {"cluster": "c"}, clusters=[cluster(peer(WsServer))],
                        filters=[{"websocket": {"validate": False, "max_message": 100, "close_timeout": "200ms"}}]))
    odd, large = client_frame(TEXT, b"\xff", rsv=2), client_frame(BINARY, b"x" * 101)
    with WsClient(nuncio) as client, WsClient(nuncio, fields="x-free: 1\r\n") as other:
        client.send(odd)
        assert client.frame()[:2] == (TEXT, b"\xff")
        client.send(large)
        assert client.close_code() == 1009
        other.send(odd + large)
        assert [other.frame()[0] for _ in range(2)] == [TEXT, BINARY]


def test_how_each_ended_is_counted(tight, peer):
    nuncio = tight(looked_at(peer(WsServer), close_timeout="20s"))
    said = {"1003": close_payload(1003), "1005": b"", "1011": close_payload(1011), "other": close_payload(4000), "1006": None}
    for count, payload in enumerate(said.values(), 1):
        with WsClient(nuncio) as client:
            if payload is None:
                client.half_close()
            else:
                client.say(CLOSE, payload)
                assert client.frame()[:2] == (CLOSE, payload)
            assert client.rest() == b""
        nuncio.file_lines("ws.log", count)
    for name in said:
        stat(nuncio, f"close_{name}", 1)
    assert nuncio.file_lines("ws.log", len(said))[-1] == "101 - via_upstream 0 0 1006 -"


def test_neither_side_ends_behind_a_close(tight, peer):
    """Both have said Close, and neither closes: that is done for them."""
    def linger(frames, conn):
        frames.frame()
        conn.sendall(frame(CLOSE, close_payload(1000)))
        frames.rest()

    def story(factor):
        nuncio = tight(looked_at(peer(WsServer, linger), close_timeout=f"{100 * factor}ms"))
        with WsClient(nuncio) as client:
            client.say(CLOSE, close_payload(1000))
            assert client.close_code() == 1000
            assert client.rest() == b""
        assert last_request(nuncio)["details"] == "via_upstream"
    patiently(story)


def test_example_websocket(nuncio, peer, monkeypatch):
    server = peer(WsServer)
    for key, value in {"CHAT_PORT": 0, "CHAT": server.address}.items():
        monkeypatch.setenv(key, str(value))
    child = nuncio(ROOT / "docs/examples/websocket.yaml")
    with WsClient(child, "chat") as client, WsClient(child, "chat", path="/raw") as raw:
        for one in (client, raw):
            one.send(client_frame(BINARY, b"x" * 65537))
        assert raw.frame()[0] == BINARY
        assert client.close_code() == 1009
        client.say(CLOSE, close_payload(1009))
        assert client.rest() == b""
    child.wait_line("^/chat 101 websocket_frame_too_large 0 0 1009 local$")


def test_other_answers_pass_the_filter_by(tight, peer):
    nuncio = tight(front(peer(Origin, lambda r: b"HTTP/1.1 403 no\r\nContent-Length: 2\r\n\r\nno"), filters=["websocket"],
                         to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        for answer in (client.ask(HANDSHAKE + "\r\n"), client.get()):
            assert (answer.status, answer.body) == (403, b"no")
    stat(nuncio, "total", 0)
