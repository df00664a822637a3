"""Drain and reload under kept connections and requests in progress."""
import signal

import pytest

from lib.config import config
from lib.http import Client, Stuck, front
from lib.poll import eventually


# --- drain

def test_drain_lets_requests_finish(tight, peer):
    origin = peer(Stuck)
    nuncio = tight(front(origin) + "drain_timeout: 20s\n")
    with Client(nuncio) as idle, Client(nuncio) as busy:
        busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: origin.requests, what="the request")
        nuncio.signal(signal.SIGTERM)
        assert idle.rest() == b""
        nuncio.wait_stat("http.ingress.downstream_cx_drain_close", 2)
        origin.release()
        answer = busy.response()
        assert (answer.status, answer.get("connection")) == (200, "close")
        assert busy.rest() == b""
    assert nuncio.wait() == 0


# --- reload

def answering(body, filters=(), **keys):
    """One chain that answers by itself."""
    end = {"http": {"access_log": [], "routes": [{"respond": {"status": 200, "body": body}}], **keys}}
    return config(listeners=[{"name": "in", "bind": "127.0.0.1:0", "filters": [*filters, end]}])


def test_a_kept_connection_takes_the_new_config_at_its_next_request(tight):
    nuncio = tight(answering("1"))
    with Client(nuncio) as client:
        for body in "1", "2", "3", "4":
            nuncio.reload(answering(body))
            answer = client.get()
            assert (answer.body.decode(), answer.get("connection")) == (body, None)
        nuncio.reload(answering("5", name="other"))
        assert client.get().body == b"5"
        nuncio.wait_stat("http.other.downstream_cx_active", 1)
        nuncio.wait_stat("http.ingress.downstream_cx_active", lambda count: not count)


def test_a_request_ends_on_the_config_it_began_on(tight, peer):
    origin = peer(Stuck)
    nuncio = tight(front(origin, to={"pool": {"max_idle": 0}}))
    with Client(nuncio) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: origin.requests, what="the request")
        nuncio.reload(answering("new"))
        origin.release()
        assert client.response().body == b"ok"
        assert client.get().body == b"new"


@pytest.mark.parametrize("text", [
    answering("new", filters=[{"connection_limit": 9}]),
    config(listeners=[{"name": "in", "bind": "127.0.0.1:0", "filters": ["echo"]}]),
], ids=["another filter", "no http"])
def test_a_connection_whose_chain_is_built_otherwise_ends_with_its_next_request(tight, text):
    nuncio = tight(answering("old"))
    with Client(nuncio) as client:
        assert client.get().body == b"old"
        nuncio.reload(text)
        answer = client.get()
        assert (answer.body, answer.get("connection")) == (b"old", "close")
        assert client.rest() == b""
