"""docs/tap.md tells stories: each command in it is run over the capture it speaks of, and prints what the page shows."""
import contextlib
import re
import shlex
import ssl

import pytest

from lib import clients
from lib.capture import Tap
from lib.config import config, listener
from lib.nuncio import ROOT
from lib.packets import Again, Talk, pcap, pcapng, request, response
from lib.pki import Ca
from lib.tap import tap

PAGE = (ROOT / "docs/tap.md").read_text()


def told(capture):
    """(command's words, what it prints) of each command of the page that reads that capture."""
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, re.M):
        for part in re.split(r"^    \$ ", block, flags=re.M)[1:]:
            line, *shown = part.splitlines()
            words = shlex.split(line)
            if capture in words:
                yield words[1:], "".join(f"{text[4:]}\n" for text in shown).rstrip("\n") + "\n"


VARIES = {  # with the day, with how long a signature is, with the client's version of OpenSSL
    r"date: .* GMT": "date: Tue, 14 Nov 2023 22:13:20 GMT",
    r"\d+B up, \d+B down": "212B up, 646B down",
    r"(ja4\W+)t12\w+": r"\1t12d280700_d943125447b4_e7e480e5a997",
    r"(ja3\W+)\w+": r"\g<1>871a754af286dfb70c1b53c6887c62e0",
}


def steady(printed):
    for pattern, shown in VARIES.items():
        printed = re.sub(pattern, shown, printed)
    return printed


def runs_as_told(tmp_path, capture, content):
    (tmp_path / capture).write_bytes(content)
    stories = list(told(capture))
    for words, shown in stories:
        assert steady(tap(*words, cwd=tmp_path).stdout) == shown, words
    assert len(stories) >= 2


def test_one_request_in_many_is_slow(tmp_path):
    talks = []
    for i in range(20):
        talk = Talk(client=f"10.0.0.{i % 4 + 1}:{40000 + i}", at=i / 10)
        for n in range(5):
            body = b"x" * 3000
            asked = request(f"/items/{5 * i + n}", host="shop.test" if n % 2 else "api.test")
            if (i, n) == (13, 2):
                whole = response(200, body, kind="application/json")
                talk.send(True, asked).wait(0.004).send(False, whole[:2800])
                at = talk.next[False] - 1400
                talk.wait(0.3).packet(False, 24, whole[1400:2800], seq=at).send(False, whole[2800:])
            else:
                talk.ask(asked, response(200 if n != 3 else 304, body if n != 3 else b"", kind="application/json"))
        talks.append(talk.close())
    runs_as_told(tmp_path, "slow.pcap", pcap(talks))


def test_both_sides_of_a_proxy(tmp_path):
    def answered(size, fields=""):
        return response(200, b"x" * size, fields, "application/json")

    def asked(target, fields=""):
        return request(target, host="shop.test", fields=fields)

    via = "Via: 1.1 edge\r\n"
    fronts = [Talk("10.0.0.7:40001", "10.0.0.1:80", 0.1).ask(asked("/v1/cart"), answered(120, via), wait=0.3).close(),
              Talk("10.0.0.8:40002", "10.0.0.1:80", 0.5).ask(asked("/v1/offers"), answered(900, via), wait=0.25).close()]
    kept = Talk("10.0.0.1:50000", "10.0.0.2:8080").wait(0.102).ask(asked("/api/cart", "X-Forwarded-For: 10.0.0.7\r\n"), answered(120), wait=0.28)
    kept.wait(0.363).ask(asked("/api/offers", "X-Forwarded-For: 10.0.0.8\r\nX-Shaped-By: quota-offers\r\n"), answered(900), wait=0.001).close()
    runs_as_told(tmp_path, "edge.pcap", pcap([kept, *fronts]))


def test_a_response_that_is_cut_short(tmp_path):
    whole = response(200, b"%PDF-1.7 " + b"x" * 9000, "Server: app/2.1\r\n", "application/pdf")
    cut = Talk(client="10.0.0.7:51000", at=1).send(True, request("/invoice/41", host="shop.test")).wait(0.02).send(False, whole[:4200]).reset()
    fine = Talk(client="10.0.0.7:51001").ask(request("/invoice/40", host="shop.test"), response(200, b"%PDF", kind="application/pdf")).close()
    runs_as_told(tmp_path, "cut.pcap", pcap([fine, cut]))


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


def test_what_a_client_says_inside_tls(nuncio, peer, ca, tmp_path):
    signed = ca.get("api.test")
    tls = {"certificates": [{"cert": str(signed.cert), "key": str(signed.key)}], "keylog": "keys.txt"}
    routes = [{"match": {"headers": {"authorization": "Bearer good"}}, "respond": {"status": 200}}, {"respond": {"status": 401, "body": "who?\n"}}]
    proxy = nuncio(config(listeners=[listener({"http": {"routes": routes}}, tls=tls)]))
    front = peer(Tap, proxy.address("in"))
    context = clients.tls_context((), ca.cert)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with context.wrap_socket(clients.connect(front.address), server_hostname="api.test") as sock:
        sock.sendall(b"POST /orders HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer stale\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 10\r\nConnection: close\r\n\r\n{\"item\":1}")
        while sock.recv(4096):
            pass
    sealed = front.captures[-1].write(tmp_path / "sealed").read_bytes()
    runs_as_told(tmp_path, "inside.pcapng", pcapng([Again(sealed)], secrets=(proxy.dir / "keys.txt").read_bytes()))


def shakes_hands(context, address):
    """In vain; reads all that comes behind, or a reset would overtake the alert."""
    heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(heard, said, server_hostname="api.test")
    with clients.connect(address) as sock:
        with pytest.raises(ssl.SSLCertVerificationError):
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                sock.sendall(said.read())
                heard.write(sock.recv(65536))
        sock.sendall(said.read())
        clients.recv_all(sock)


def test_a_handshake_that_fails(nuncio, peer, ca, tmp_path):
    signed, unknown = ca.get("api.test"), Ca(tmp_path / "unknown")
    tls = {"certificates": [{"cert": str(signed.cert), "key": str(signed.key)}]}
    proxy = nuncio(config(listeners=[listener({"http": {"routes": [{"respond": {"status": 200}}]}}, tls=tls)]))
    front = peer(Tap, proxy.address("in"))
    context = clients.tls_context((), unknown.cert)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    shakes_hands(context, front.address)
    proxy.wait_line('alert_received="unknown CA"')
    capture = front.captures[-1].write(tmp_path / "one").read_bytes()
    runs_as_told(tmp_path, "handshake.pcap", pcap([Again(capture)]))
