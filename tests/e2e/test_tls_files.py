"""Files that a config names and that change while it is served: certificates, keys, CAs, lists, staples, keys of tickets."""
import contextlib
import json
import os
import pwd
import shutil
import ssl
import tempfile
import threading
from pathlib import Path

import pytest

from lib import clients, flow
from lib.authority import Authority
from lib.build import SANITIZED
from lib.config import cluster, config, listener
from lib.poll import eventually
from lib.s_client import echo_once, s_client
from lib.servers import s_server


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("root"), "files-root", end=99.5)


def shown(proxy, name="in"):
    """The certificate that a client is shown now (DER)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(proxy.connect(name)) as sock:
        return sock.getpeercert(True)


def der(identity):
    return ssl.PEM_cert_to_DER_cert(identity.cert.read_text().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")


def wait_shown(proxy, identity, name="in"):
    eventually(lambda: shown(proxy, name) == der(identity), what="the new certificate")


class Place:
    """Where a config looks for a pair; put(identity) replaces it in one of the ways that are usual."""

    def __init__(self, folder, identity):
        self.folder, self.round = folder, 0
        self.cert, self.key = folder / "tls.crt", folder / "tls.key"
        self.pair = {"cert": str(self.cert), "key": str(self.key)}
        self.in_place(identity)

    def in_place(self, identity):
        self.cert.write_bytes(identity.cert.read_bytes())
        self.key.write_bytes(identity.key.read_bytes())

    def key_first(self, identity):
        self.key.write_bytes(identity.key.read_bytes())
        self.cert.write_bytes(identity.cert.read_bytes())

    def rename(self, identity):
        for path, content in ((self.key, identity.key), (self.cert, identity.cert)):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(content.read_bytes())
            fresh.rename(path)

    def kubernetes(self, identity):
        """..data is a link to a folder of this version; the files are links through it. One rename changes them all."""
        self.round += 1
        version = self.folder / f"..{self.round}"
        version.mkdir()
        for path, content in ((self.key, identity.key), (self.cert, identity.cert)):
            (version / path.name).write_bytes(content.read_bytes())
            if not path.is_symlink():
                path.unlink(missing_ok=True)
                path.symlink_to(f"..data/{path.name}")
        (self.folder / "..tmp").symlink_to(version.name)
        (self.folder / "..tmp").rename(self.folder / "..data")


@pytest.mark.parametrize("way", ["in_place", "key_first", "rename", "kubernetes"])
def test_ways_of_replacing_a_pair(nuncio, root, tmp_path, way):
    first, second, third = (root.issue("a.test") for _ in range(3))
    place = Place(tmp_path, first)
    if way == "kubernetes":
        place.kubernetes(first)
    proxy = nuncio(config(listeners=[listener("echo", tls={"certificates": place.pair})]), workers=2)
    assert shown(proxy) == der(first)
    slowest = 0
    for identity in (second, third):
        _, took = flow.seconds(getattr(place, way), identity)
        slowest = max(slowest, took)
        wait_shown(proxy, identity)
    stats = proxy.stats()
    assert stats["listener.in.ssl.context_update_success"] >= 2  # a slow write shows twice
    assert stats["listener.in.ssl.context_update_failure"] == 0 or slowest > 0.5  # halves a second apart are no pair


def test_bad_pair_keeps_the_old_one(nuncio, root, tmp_path):
    first, second = root.issue("a.test"), root.issue("a.test")
    place = Place(tmp_path, first)
    proxy = nuncio(config(listeners=[listener("echo", tls={"certificates": place.pair})]))
    place.cert.write_bytes(second.cert.read_bytes())
    proxy.wait_stat("listener.in.ssl.context_update_failure", lambda n: n >= 1)
    proxy.wait_line(r'.*warn +tls +files changed and cannot be used.*owner="listener in" key=key reason=".*does not belong')
    assert shown(proxy) == der(first)
    proxy.reload(good=False)  # what a start would refuse a reload refuses, too
    assert shown(proxy) == der(first)
    place.key.write_bytes(second.key.read_bytes())
    wait_shown(proxy, second)
    before = proxy.stats()["listener.in.ssl.context_update_failure"]
    place.cert.unlink()
    place.key.write_text("")
    proxy.wait_stat("listener.in.ssl.context_update_failure", lambda n: n > before)
    assert shown(proxy) == der(second)


def test_one_of_several(nuncio, root, tmp_path):
    """A bad one among them holds up none of the others."""
    places = []
    for name in ("a.test", "b.test"):
        (tmp_path / name).mkdir()
        places.append(Place(tmp_path / name, root.issue(name)))
    proxy = nuncio(config(listeners=[listener("echo", tls={"certificates": [p.pair for p in places]})]))
    places[1].cert.write_text("nothing")
    new = root.issue("a.test")
    places[0].in_place(new)
    wait_shown(proxy, new)
    assert echo_once(proxy.address("in"), "-servername", "b.test").subject == "CN = b.test"


# --- under load

class Load(threading.Thread):
    """Handshakes without end, each with an echo; what went wrong is in `errors`."""

    def __init__(self, proxy, names, ca):
        super().__init__(daemon=True)
        self.proxy, self.names, self.count, self.errors, self.over = proxy, names, 0, [], False
        self.context = clients.tls_context((), ca)
        self.start()

    def run(self):
        while not self.over:
            name = self.names[self.count % len(self.names)]
            try:
                with self.context.wrap_socket(self.proxy.connect(name), server_hostname="a.test") as sock:
                    sock.sendall(b"hello")
                    assert clients.recv_exactly(sock, 5) == b"hello"
            except (OSError, AssertionError) as error:
                self.errors.append(repr(error))
            self.count += 1

    def close(self):
        self.over = True
        self.join(60)


@pytest.mark.threads
def test_200_swaps_under_load(nuncio, root, tmp_path, closing):
    """Eight contexts share a pair that is renewed 25 times (instrumented, 5); every handshake meets one certificate or the
    other, whole."""
    identities = [root.issue("a.test"), root.issue("a.test")]
    place, names = Place(tmp_path, identities[0]), [f"l{i}" for i in range(8)]
    proxy = nuncio(config(listeners=[listener("echo", name=n, tls={"certificates": place.pair}) for n in names]), workers=2)
    loads = [closing(Load(proxy, names, root.cert)) for _ in range(2)]

    def swaps():
        return [proxy.stats()[f"listener.{n}.ssl.context_update_success"] for n in names]

    for i in range(1, 6 if SANITIZED else 26):
        before = swaps()
        place.kubernetes(identities[i % 2]) if i % 2 else place.rename(identities[i % 2])
        eventually(lambda: all(n > was for n, was in zip(swaps(), before)), what=f"swap {i}")  # a slow one is seen in two halves
    for load in loads:
        load.close()
        assert not load.errors and load.count > 5, (load.count, load.errors[:3])
    stats = proxy.stats()
    assert sum(stats[f"listener.{n}.ssl.handshake"] for n in names) == sum(load.count for load in loads)
    assert all(stats[f"listener.{n}.ssl.connection_error"] == 0 for n in names)
    for name in names:
        wait_shown(proxy, identities[1], name)


# --- across a reload

def test_reload_keeps_what_was_swapped(nuncio, root, tmp_path):
    first, second = root.issue("a.test"), root.issue("a.test")
    place, session = Place(tmp_path, first), tmp_path / "session"
    text = config(listeners=[listener("echo", tls={"certificates": place.pair})])
    proxy = nuncio(text)
    place.in_place(second)
    wait_shown(proxy, second)
    echo_once(proxy.address("in"), "-sess_out", session)
    proxy.reload()
    assert shown(proxy) == der(second)
    assert echo_once(proxy.address("in"), "-sess_in", session).reused
    proxy.reload(text.replace('"cert"', '"cert" '))  # the same words
    assert echo_once(proxy.address("in"), "-sess_in", session).reused
    third = root.issue("a.test")
    place.in_place(third)  # still watched
    wait_shown(proxy, third)


def test_reload_with_other_files_and_back(nuncio, root, tmp_path):
    """Connections of before go on; nothing of the old context stays watched."""
    one, two = root.issue("a.test"), root.issue("a.test")
    text = config(listeners=[listener("echo", tls={"certificates": one.pair()})])
    proxy = nuncio(text)
    with clients.tls_context((), root.cert).wrap_socket(proxy.connect("in"), server_hostname="a.test") as old:
        port = proxy.port("in")
        other = text.replace("127.0.0.1:0", f"127.0.0.1:{port}").replace(str(one.cert), str(two.cert)).replace(str(one.key), str(two.key))
        proxy.reload(other)
        assert shown(proxy) == der(two)
        old.sendall(b"still")
        assert clients.recv_exactly(old, 5) == b"still"
    for _ in range(3):
        proxy.reload(other)
    assert {row["cert_chain"][0]["path"] for row in json.loads(proxy.ctl("certs"))["certificates"]} == {str(two.cert)}


# --- other files

def test_ca_and_list_of_clients(nuncio, root, tmp_path):
    """A CA that comes lets in, one that goes keeps out; who is revoked is out at once."""
    other = Authority(tmp_path / "other", "other-root")
    ca, crl = tmp_path / "ca.pem", tmp_path / "list.pem"
    ca.write_bytes(root.pem())
    crl.write_bytes(root.crl().read_bytes() + other.crl().read_bytes())
    me, you = root.issue("me.test"), other.issue("you.test")
    tls = {"certificates": root.issue("a.test").pair(), "client_certs": {"ca": str(ca), "crl": str(crl)}}
    proxy = nuncio(config(listeners=[listener("echo", tls=tls)]))
    address = proxy.address("in")

    def show(identity):
        return s_client(address, "-cert", identity.cert, "-key", identity.key).echo

    assert show(me) and not show(you)
    ca.write_bytes(root.pem() + other.pem())
    eventually(lambda: show(you))
    crl.write_bytes(root.crl(me).read_bytes() + other.crl().read_bytes())
    eventually(lambda: show(you) and not show(me))
    before = proxy.stats()["listener.in.ssl.context_update_failure"]
    ca.write_text("nothing at all")
    proxy.wait_stat("listener.in.ssl.context_update_failure", lambda n: n > before)
    assert show(you) and not show(me)


def test_folder_of_cas(nuncio, root, tmp_path):
    """What comes into the folder lets in, also if it is written slowly; what goes keeps out; what is no CA's changes nothing."""
    other, third = (Authority(tmp_path / name, f"{name}-root") for name in ("other", "third"))
    folder = tmp_path / "cas"
    folder.mkdir()
    (folder / "root.pem").write_bytes(root.pem())
    me, you, she = root.issue("me.test"), other.issue("you.test"), third.issue("she.test")
    tls = {"certificates": root.issue("a.test").pair(), "client_certs": {"ca": str(folder)}}
    proxy = nuncio(config(listeners=[listener("echo", tls=tls)]))

    def show(identity):
        return s_client(proxy.address("in"), "-cert", identity.cert, "-key", identity.key).echo

    assert show(me) and not show(you)
    (folder / "other.pem").write_bytes(other.pem())
    eventually(lambda: show(you))
    (folder / "other.pem").write_bytes(third.pem())
    eventually(lambda: show(she))
    assert not show(you)
    with (folder / "slow.pem").open("wb", buffering=0) as slow:
        slow.write(other.pem()[:100])
        proxy.wait_stat("listener.in.ssl.context_update_failure", lambda n: n >= 1)
        assert show(me) and show(she)
        slow.write(other.pem()[100:])
    eventually(lambda: show(you))
    (folder / "root.pem").unlink()
    eventually(lambda: not show(me))
    stats = proxy.stats()
    updates, failures = (stats[f"listener.in.ssl.context_update_{what}"] for what in ("success", "failure"))
    (folder / "readme").write_text("nothing")
    (folder / "empty.pem").write_text("")
    (folder / "third.pem").write_bytes(third.pem() + root.pem())
    eventually(lambda: show(me))
    stats = proxy.stats()
    assert stats["listener.in.ssl.context_update_success"] > updates and stats["listener.in.ssl.context_update_failure"] == failures


def test_what_is_new_and_doubtful_is_told(nuncio, root, tmp_path):
    place = Place(tmp_path, root.issue("a.test"))
    proxy = nuncio(config(listeners=[listener("echo", tls={"certificates": place.pair})]))
    old = root.issue("a.test", start=-9, end=-3)
    place.in_place(old)
    proxy.wait_line(r'.*warn +tls +files changed and are used, but owner="listener in" key=cert reason="the certificate CN=a.test expired 3')
    wait_shown(proxy, old)
    assert proxy.stats()["server.days_until_first_cert_expiring"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to give up")
def test_renewed_by_root_for_nobody(nuncio, root):
    """A key that only root may read is told by name; made readable for the user's group it is taken."""
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="nu-") as name:
        folder, first, second = Path(name), root.issue("a.test"), root.issue("a.test")
        folder.chmod(0o755)
        both = folder / "both.pem"
        both.write_bytes(first.both.read_bytes())
        shutil.chown(folder, "nobody")
        proxy = nuncio(config(user="nobody", listeners=[listener("echo", access_log=[], tls={"certificates": str(both)})], admin=f"unix:{folder}/s"))
        fresh = folder / "fresh"
        fresh.touch(0o600)
        fresh.write_bytes(second.both.read_bytes())
        fresh.rename(both)
        line = proxy.wait_line(r'.*warn +tls +files changed and cannot be used.* key=cert reason=.*')[0]
        assert f"both.pem cannot be opened: Permission denied (as user {nobody.pw_uid}, group {nobody.pw_gid})" in line
        proxy.wait_stat("listener.in.ssl.context_update_failure", 1)
        assert shown(proxy) == der(first)
        os.chown(both, 0, nobody.pw_gid)
        both.chmod(0o640)
        wait_shown(proxy, second)


def test_ca_of_servers(nuncio, peer, root, tmp_path):
    other = Authority(tmp_path / "other", "other-root")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(other.pem())
    server = peer(lambda: s_server(root.issue("api.test"), "-rev"))
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}})],
                          clusters=[cluster(server, tls={"sni": "api.test", "ca": str(ca)})]))

    def works():
        with proxy.connect("in") as sock, contextlib.suppress(ConnectionResetError, BrokenPipeError, AssertionError):
            sock.sendall(b"abc\n")
            return clients.recv_exactly(sock, 4) == b"cba\n"

    assert not works()
    ca.write_bytes(root.pem())
    eventually(works)


def test_staple_and_passphrase(nuncio, root, tmp_path):
    cert = root.issue("a.test")
    staple, word, key = tmp_path / "staple.der", tmp_path / "word", tmp_path / "key"
    staple.write_bytes(root.ocsp(cert, start=-5, end=-1).read_bytes())
    locked, first = cert.locked_key("eins")
    key.write_bytes(locked.read_bytes())
    word.write_bytes(first.read_bytes())
    files = {"cert": str(cert.cert), "key": str(key), "passphrase_file": str(word), "ocsp": str(staple)}
    proxy = nuncio(config(listeners=[listener("echo", tls={"certificates": files})]))
    assert "no response sent" in echo_once(proxy.address("in"), "-status").text
    staple.write_bytes(root.ocsp(cert).read_bytes())
    eventually(lambda: "OCSP Response Status: successful" in echo_once(proxy.address("in"), "-status").text)
    locked, second = cert.locked_key("zwei")

    def both():
        key.write_bytes(locked.read_bytes())
        word.write_bytes(second.read_bytes())
    _, took = flow.seconds(both)
    stats = proxy.wait_stat("listener.in.ssl.context_update_success", lambda times: times >= 2)
    assert stats["listener.in.ssl.context_update_failure"] == 0 or took > 0.5


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_keys_of_tickets(nuncio, root, tmp_path, version):
    """Two proxies with the same file know each other's tickets; with a new key old tickets are forgotten."""
    keys, session, pair = tmp_path / "keys", tmp_path / "session", root.issue("a.test").pair()
    keys.write_bytes(os.urandom(80))
    text = config(listeners=[listener("echo", tls={"certificates": pair, "tickets": {"keys": [str(keys)]}})])
    one, two = nuncio(text), nuncio(text)
    echo_once(one.address("in"), version, "-sess_out", session)
    assert echo_once(two.address("in"), version, "-sess_in", session).reused
    keys.write_bytes(os.urandom(80))
    eventually(lambda: not echo_once(two.address("in"), version, "-sess_in", session).reused)
    before = two.stats()["listener.in.ssl.context_update_failure"]
    keys.write_bytes(b"short")
    two.wait_stat("listener.in.ssl.context_update_failure", lambda n: n > before)
    echo_once(two.address("in"), version)


# --- what is loaded

def test_certs_and_days(nuncio, root, tmp_path):
    cert = root.issue("a.test", dns=["a.test", "*.b.test"], uri=["spiffe://mesh/web"], ip=["10.0.0.1"], end=5.5)
    tls = {"certificates": cert.pair(), "client_certs": {"ca": str(root.cert)}}
    proxy = nuncio(config(listeners=[listener("echo", tls=tls)]))
    rows = json.loads(proxy.ctl("certs"))["certificates"]
    own = next(row for row in rows if row["cert_chain"])["cert_chain"][0]
    ca = next(row for row in rows if row["ca_cert"])["ca_cert"][0]
    assert own["path"] == str(cert.cert) and own["subject"] == "CN=a.test" and own["days_until_expiration"] == "5"
    assert int(own["serial_number"], 16) == cert.x509.serial_number
    assert own["subject_alt_names"] == [{"dns": "a.test"}, {"dns": "*.b.test"}, {"uri": "spiffe://mesh/web"}, {"ip_address": "10.0.0.1"}]
    assert ca["subject"] == "CN=files-root" and ca["days_until_expiration"] == "99"
    assert proxy.stats()["server.days_until_first_cert_expiring"] == 5
    through = Authority(tmp_path, "brief", parent=root, end=3.5).issue("b.test")  # a CA in between ends first
    assert nuncio(config(listeners=[listener("echo", tls={"certificates": through.pair()})])).stats()["server.days_until_first_cert_expiring"] == 3
    assert nuncio(config(listeners=[listener("echo")])).stats()["server.days_until_first_cert_expiring"] == 4294967295
