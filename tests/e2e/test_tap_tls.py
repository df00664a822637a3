"""nuncio-tap inside TLS: what comes behind the handshake, what is not read of it, and why."""
import ssl

import pytest

from lib.packets import pcap, request, response
from lib.pki import Ca
from lib.sealed import Sealed, contexts
from lib.tap import lines, objects

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def keylog(tmp_path):
    return tmp_path / "keys"


@pytest.fixture
def file(tmp_path):
    def write(sealed):
        (tmp_path / "tls.pcap").write_bytes(pcap([sealed.talk]))
        return tmp_path / "tls.pcap"
    return write


def test_an_alert_behind_the_data_is_told_with_what_it_cut_short(ca, keylog, file):
    """In TLS 1.3 a client has sent its request before it hears that it should have shown a certificate."""
    sealed = Sealed(*contexts(ca, keylog, asks=True)).shake(3)
    sealed.say(True, request("/cut"))
    sealed.hear(False)
    sealed.talk.close()
    path = file(sealed)
    [asked] = objects(path, "--keylog", keylog, kind="http")
    assert asked["target"] == "/cut" and "alert by the server: certificate_required" in asked["note"]
    assert objects(path, "--keylog", keylog, kind="tcp")[0]["alert"] == "server: certificate_required"
    assert "alert by the server: certificate_required" in lines(path, "--keylog", keylog)[0]
    found = objects(path, "--keylog", keylog, "--where", 'alert contains "certificate_required"')
    assert [one["type"] for one in found] == ["tcp"]


@pytest.mark.parametrize("version, alert", [(TLS12, "handshake_failure"), (TLS13, "certificate_required")])
def test_a_handshake_that_fails_says_why_and_that_there_was_no_data(ca, keylog, file, version, alert):
    sealed = Sealed(*contexts(ca, keylog, version, asks=True)).shake()
    sealed.talk.close()
    [closed] = objects(file(sealed), "--keylog", keylog, kind="tls")
    assert (closed["decrypted"], closed["reason"], closed["alert"]) == (False, "no data", f"server: {alert}")


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_certificates(ca, keylog, file, version):
    """The server's subject; that the client shows one, too, is in nobody's way."""
    sealed = Sealed(*contexts(ca, keylog, version, asks=True, shows=ca.get("joe"))).shake()
    sealed.ask(request("/in"), response(200, b"hello")).talk.close()
    path = file(sealed)
    assert [one["target"] for one in objects(path, "--keylog", keylog, kind="http")] == ["/in"]
    assert objects(path, "--keylog", keylog, kind="tls")[0]["subject"] == "CN=a.test"
    assert objects(path, kind="tls")[0].get("subject") == ("CN=a.test" if version == TLS12 else None)


def test_one_sides_keys_open_that_side_and_the_other_one_says_why_not(ca, keylog, file):
    sealed = Sealed(*contexts(ca, keylog)).shake()
    sealed.ask(request("/up"), response(200, b"down")).talk.close()
    keylog.write_text("".join(line for line in keylog.open() if not line.startswith("CLIENT_")))
    path = file(sealed)
    [half] = objects(path, "--keylog", keylog, kind="http")
    assert (half["status"], half["response_body"], half.get("target"), half["complete"]) == (200, 4, None, False)
    [conn] = objects(path, "--keylog", keylog, kind="tcp")
    assert conn["unread_up"] == "no keys" and "unread_down" not in conn
    assert "!TLS of the client: no keys" in lines(path, "--keylog", keylog)[-1]


def test_what_nobody_understands_inside_tls_is_counted(ca, keylog, file):
    sealed = Sealed(*contexts(ca, keylog)).shake()
    sealed.ask(b"PING\r\n", b"+PONG\r\n").talk.close()
    path = file(sealed)
    [line] = lines(path, "--keylog", keylog)
    assert " tcp -> 10.0.0.2:80  [" in line
    assert lines(path, "--keylog", keylog, "--follow", "1")[1:3] == ["    > PING", "    < +PONG"]


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_resumed_one(ca, keylog, file, version):
    ends = contexts(ca, keylog, version)
    first = Sealed(*ends).shake()
    first.hear(True)
    first.ask(request("/one"), response())
    again = Sealed(*ends, session=first.ends[True].session).shake()
    again.ask(request("/two"), response(201)).talk.close()
    path = file(again)
    assert objects(path, "--keylog", keylog, kind="tls")[0]["resumed"] is True
    assert [(one["target"], one["status"]) for one in objects(path, "--keylog", keylog, kind="http")] == [("/two", 201)]
