"""Access logs: the default line and object, formats of one's own, every operator, and that no line is lost.

What each cause of an end says is in test_causes.py.
"""
import json
import re
import signal
import threading

import pytest

from lib import clients, logs
from lib.config import LOGS, cluster, config, listener, relay
from lib.nuncio import ROOT, Nuncio, run_nuncio
from lib.peers import Echo, Resetter
from lib.poll import PATIENCE, eventually

PAGE = (ROOT / "docs/access-log.md").read_text()
HELLO = clients.client_hello("a.test", ["h2", "http/1.1"])
OF_TLS = re.compile("_TLS_|_PEER_|_SAN$|_LOCAL_SUBJECT$|TRANSPORT_FAILURE")  # test_tls_visibility.py has them
HTTP_ONLY = {"PROTOCOL", "UPSTREAM_PROTOCOL", "REQ", "RESP", "TRAILER", "REQUEST_DURATION", "RESPONSE_DURATION", "RESPONSE_TX_DURATION", "UPSTREAM_SERVICE_MS",
             "REQ_WITHOUT_QUERY", "QUERY_PARAM", "ROUTE_NAME", "RESPONSE_FLAGS_LONG",  # test_http_log.py has them
             "GRPC_STATUS", "GRPC_STATUS_NUMBER",  # test_grpc.py
             "WEBSOCKET_MESSAGES_RECEIVED", "WEBSOCKET_MESSAGES_SENT", "WEBSOCKET_CLOSE_CODE", "WEBSOCKET_CLOSED_BY"}  # test_websocket.py
UDP_ONLY = {"DATAGRAMS_RECEIVED", "DATAGRAMS_SENT"}


def operators():
    """The program's own list: name to (what stands between the percent signs, kind)."""
    page = run_nuncio("docs", "reference", check=True).stdout
    rows = re.findall(r"^\| `%((\w+)[^`]*)%` \| (\w+) \|", page, re.M)
    return {name: (whole, kind) for whole, name, kind in rows}


def sniffed(server, log):
    """A listener that reads SNI and ALPN and relays as they are."""
    chain = {"name": "a", "match": {"sni": "a.test"}, "filters": [{"tcp_proxy": {"cluster": "c"}}]}
    return config(listeners=[listener(chains=[chain], access_log=log, proxy_protocol="optional")], clusters=[cluster(server)])


def talk(nuncio, data=HELLO):
    with nuncio.connect("in") as client:
        client.sendall(data)
        clients.recv_exactly(client, len(HELLO))
        return "127.0.0.1:%d" % client.getsockname()[1]


def test_the_default_line_and_object_tell_the_story(nuncio, peer):
    server = peer(Echo)
    child = nuncio(sniffed(server, LOGS))
    client = talk(child)
    line, text = logs.last(child), logs.texts(child)[-1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["start_time"])
    expected = {"listener": "in", "chain": "a", "client": client, "local": child.address("in"), "sni": "a.test", "alpn": "h2,http/1.1",
                "cluster": "c", "upstream": server.address, "bytes_received": len(HELLO), "bytes_sent": len(HELLO), "flags": None,
                "closed_by": "client", "layer": "sock", "cause": "client_closed", "details": None}
    assert {**line, **expected} == line and {*line} == {*expected, "start_time", "duration_ms", "connection_id"}
    assert text == (f"[{line['start_time']}] in a {client} -> {child.address('in')} sni=a.test alpn=h2,http/1.1 cluster=c "
                    f"upstream={server.address} in={len(HELLO)} out={len(HELLO)} ms={line['duration_ms']} flags=- by=client "
                    f'layer=sock cause=client_closed "-" id={line["connection_id"]}')


def test_the_page_shows_the_default_format_and_keys(nuncio, peer):
    written = next(line for line in PAGE.splitlines() if line.startswith("[%START_TIME%]"))
    child = nuncio(sniffed(peer(Echo), [*LOGS, {"path": "own.log", "format": written}]))
    talk(child)
    assert child.file_lines("own.log") == logs.texts(child)
    keys = re.search(r"^`(start_time [\w ]+)`", PAGE, re.M)[1].split()
    assert keys == [*logs.last(child)]


def test_every_operator_stands_on_the_page():
    rows = {name: (whole, kind) for whole, name, kind in re.findall(r"^\| `%((\w+)[^`]*)%` \| (\w+) \|", PAGE, re.M)}
    assert rows == operators()


def test_every_operator_has_a_value(nuncio, peer):
    """Over two connections, one behind a PROXY header and one that a server cuts; those of HTTP and UDP are null."""
    own = {name: f"%{name}%" if "(ARG)" not in whole or "[" in whole else f"%{name}(x)%" for name, (whole, _) in operators().items()}
    log = [{"path": "all.json", "json": own}, *LOGS]
    child = nuncio(sniffed(peer(Echo), log))
    talk(child, b"PROXY TCP4 192.0.2.7 198.51.100.1 1234 443\r\n" + HELLO)
    cut = nuncio(relay(peer(Resetter, 1), before=[], at={"access_log": log}))
    with cut.connect("in") as client:
        client.sendall(b"x")
        clients.how_it_ends(client)
    none = nuncio(relay("unix:gone", at={"access_log": log}))
    with none.connect("in") as client:
        clients.how_it_ends(client)
    lines = [json.loads(one.file_lines("all.json")[-1]) for one in (child, cut, none)]
    absent = {name for name in own if all(line[name] is None for line in lines)}
    assert {name for name in absent if not OF_TLS.search(name)} == HTTP_ONLY | UDP_ONLY
    for name, (_, kind) in operators().items():
        assert all(line[name] is None or isinstance(line[name], int) == (kind == "number") for line in lines), name
    assert lines[0]["DOWNSTREAM_REMOTE_ADDRESS"] == "192.0.2.7:1234" and lines[0]["DOWNSTREAM_LOCAL_PORT"] == 443
    assert lines[0]["DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT"] == "127.0.0.1"
    assert lines[1]["CLOSE_HOW"] == "reset" and lines[2]["CONNECTION_TERMINATION_DETAILS"].startswith("connection_failure: ")


def test_a_format_of_ones_own(nuncio, peer):
    log = [{"path": "own.log", "format": "100%% %START_TIME(%Y)%|%UPSTREAM_CLUSTER:2%|%RESPONSE_FLAGS%|%LISTENER%"},
           {"path": "own.json", "json": {"n": "%BYTES_SENT%", "text": "%BYTES_SENT% to %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
                                         "flags": "%RESPONSE_FLAGS%"}}]
    text = relay(peer(Echo), at={"access_log": log}).replace('"c"', '"cluster"')
    child = nuncio(text)
    with child.connect("in") as client:
        client.sendall(b"four")
        clients.recv_exactly(client, 4)
    assert re.fullmatch(r"100% 20\d\d\|cl\|-\|in", child.file_lines("own.log")[0])
    assert json.loads(child.file_lines("own.json")[0]) == {"n": 4, "text": "4 to 127.0.0.1", "flags": None}


def test_what_a_client_sends_adds_no_line(nuncio, peer):
    """The name in a PROXY header is an address, so the one text that a client chooses freely is ALPN."""
    child = nuncio(sniffed(peer(Echo), LOGS))
    hello = clients.client_hello("a.test", ["x\ny\"\\z"])
    with child.connect("in") as client:
        client.sendall(hello)
        clients.recv_exactly(client, len(hello))
    assert len(logs.texts(child)) == 1 and logs.texts(child)[0].count("\n") == 0
    assert "\n" not in logs.last(child)["alpn"]


def test_chains_may_have_their_own_log(nuncio, peer):
    chains = [{"name": name, "match": {"sni": f"{name}.test"}, "filters": [{"tcp_proxy": {"cluster": "c"}}],
               **({"access_log": "own.log"} if name == "b" else {})} for name in "ab"]
    child = nuncio(config(listeners=[listener(chains=chains)], clusters=[cluster(peer(Echo))]))
    for name in "aba":
        with child.connect("in") as client:
            client.sendall(clients.client_hello(f"{name}.test"))
            clients.recv_exactly(client, 9)
    assert len(logs.texts(child, 2)) == 2 and len(child.file_lines("own.log")) == 1


def whole_lines(path):
    """Without one that is being written."""
    return path.read_text().rpartition("\n")[0].splitlines()


@pytest.mark.threads
def test_rotation_loses_no_line(nuncio, peer, workers):
    """Lines go on being written while the file is renamed and USR1 comes, several times."""
    child = nuncio(relay(peer(Echo)), workers=workers)
    done, stop = [], threading.Event()

    def run():
        while not stop.is_set():
            with child.connect("in") as client:
                client.sendall(b"x")
                clients.recv_exactly(client, 1)
            done.append(1)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(5):
        seen = len(done)
        eventually(lambda: len(done) >= seen + 20)
        (child.dir / "access.json").rename(child.dir / f"old.{turn}")
        child.signal(signal.SIGUSR1)
        eventually((child.dir / "access.json").exists)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    files = ["access.json", *(f"old.{turn}" for turn in range(5))]

    def ids():
        return [json.loads(line)["connection_id"] for name in files for line in whole_lines(child.dir / name)]

    eventually(lambda: len(ids()) == len(done), what="a line for each connection")
    assert len(set(ids())) == len(done)


def test_a_log_that_cannot_be_opened_is_a_config_error():
    child = Nuncio(relay("127.0.0.1:9", at={"access_log": "no/such/folder/x.log"}), ready=False)
    assert child.wait() == 1 and "no/such/folder/x.log" in child.output()
    child.stop(code=1)
