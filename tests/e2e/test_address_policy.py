"""ip_filter with lists from files: what a list says, and how a changed one comes into service."""
import ipaddress
import os
import random
import select
import socket
import time

import pytest

from lib import clients, logs, proxy_header, servers
from lib.config import cluster, config, listener, relay
from lib.nuncio import run_nuncio
from lib.peers import Echo
from lib.poll import PATIENCE, SLOW, eventually
from lib.process import command, cpu_of

pytestmark = pytest.mark.threads

HERE, THERE, ELSEWHERE = "127.0.0.1", "127.0.0.2", "127.7.0.1"


def let_in(nuncio, source, name="in"):
    """Whether a client of that address reaches the server, which speaks first."""
    with socket.create_connection((HERE, nuncio.port(name)), PATIENCE, (source, 0)) as client:
        try:
            return client.recv(1) == b"E"
        except ConnectionResetError:
            return False


def all_workers(nuncio, source, expected, name="in"):
    """Whether 16 connections find the same answer: with four workers, each had some."""
    return all(let_in(nuncio, source, name) == expected for _ in range(16))


def filtered(server, **lists):
    return relay(server, before=[{"ip_filter": lists}])


def figure(nuncio, stat, name="list"):
    return nuncio.stats()[f"ip_list.{nuncio.dir / name}.{stat}"]


def replace(path, text):
    """By rename, as careful programs do."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def test_a_list_in_a_file_with_curl(tight, tmp_path, closing):
    """Two lists and the config's own network: the smallest that holds the client decides, and the log names its line."""
    def http(ports):
        return f"server {{ listen 127.0.0.1:{ports['web']}; location / {{ return 200 'web\\n'; }} }}"

    def curl(source):
        done = command("curl", "-s", "-m", 10, "--interface", source, f"http://{nuncio.address('in')}/")
        return done.stdout, done.returncode

    web = closing(servers.nginx(tmp_path, ["web"], http))
    lists = {"blocked.txt": "\ufeff# who is not welcome\r\n\r\n127.0.0.0/24 # a network\r\n127.7.0.1\r\n2001:db8::/32\r\n",
             "friends.txt": "127.0.0.3/32 ; a friend in there\n"}
    nuncio = tight(filtered(web, deny_file="blocked.txt", allow_file=["friends.txt"], allow="127.0.0.0/8"), files=lists)
    assert curl("127.0.0.3") == curl("127.0.1.1") == ("web\n", 0)
    for source, line in (("127.0.0.2", 3), ("127.7.0.1", 4)):
        assert curl(source)[1] in (52, 56)  # empty reply, reset
        prefix = {3: "127.0.0.0/24", 4: "127.7.0.1/32"}[line]
        why = f'cause=filter_denied "ip_filter: {source} denied by {prefix} (blocked.txt:{line})"'
        eventually(lambda: any(why in text for text in logs.texts(nuncio)))
    assert nuncio.stats()["ip_filter.default.denied"] == 2 and figure(nuncio, "networks", "blocked.txt") == 3


def test_the_client_is_who_the_proxy_header_names(tight, peer):
    """An IPv4 address in IPv6's clothes is an IPv4 address, in the list and in the header."""
    def named(source):
        with nuncio.connect("in") as client:
            client.sendall(proxy_header.v1((source, 1), ("::1" if ":" in source else "10.0.0.1", 2)))
            return clients.how_it_ends(client) if not client.recv(1) else "in"

    lists = {"list": "192.0.2.0/25\n::ffff:192.0.2.128/121\n2001:db8::/32\n"}
    nuncio = tight(relay(peer(Echo, b"E"), before=[{"ip_filter": {"deny_file": "list"}}], at={"proxy_protocol": "require"}), files=lists)
    refused = ("192.0.2.1", "192.0.2.200", "::ffff:192.0.2.1", "::ffff:192.0.2.200", "2001:db8::7")
    assert [named(ip) for ip in refused] == ["fin"] * 5
    assert [named(ip) for ip in ("192.0.3.1", "::ffff:192.0.3.1", "2001:db9::7", "::c000:201")] == ["in"] * 4


def write_in_place(path, text):
    path.write_text(text)


def swap_folder(path, text):
    """As Kubernetes updates a volume: a new folder, and ..data leads there from one moment to the next."""
    data = path.parent / "..data"
    new = path.parent / f"..{time.monotonic_ns()}"
    new.mkdir()
    (new / path.name).write_text(text)
    (path.parent / "..data_tmp").symlink_to(new.name)
    (path.parent / "..data_tmp").rename(data)


@pytest.mark.parametrize("change", [write_in_place, replace, swap_folder])
def test_a_changed_list_serves_without_a_reload(tight, peer, workers, tmp_path, change):
    path = tmp_path / "list"
    if change is swap_folder:
        (tmp_path / "..0").mkdir()
        (tmp_path / "..0/list").write_text(f"{THERE}\n")
        (tmp_path / "..data").symlink_to("..0")
        path.symlink_to("..data/list")
    else:
        path.write_text(f"{THERE}\n")
    nuncio = tight(filtered(peer(Echo, b"E"), deny_file=path), workers=workers)
    with nuncio.connect("in") as kept:
        assert clients.recv_exactly(kept, 1) == b"E"
        assert all_workers(nuncio, THERE, False) and let_in(nuncio, ELSEWHERE)
        for text, denied, welcome in ((f"{HERE}\n{ELSEWHERE}\n", ELSEWHERE, THERE), (f"{THERE}\n", THERE, ELSEWHERE), ("", None, THERE)):
            change(path, text)
            eventually(lambda: all_workers(nuncio, welcome, True) and (denied is None or all_workers(nuncio, denied, False)))
            kept.sendall(b"still here")  # whoever is in stays, also if its address is on the list now
            assert clients.recv_exactly(kept, 10) == b"still here"
    stats = nuncio.stats()
    assert stats["server.generation"] == 1 and stats[f"ip_list.{path}.update_success"] == 3


def test_a_wrong_list_changes_nothing_and_says_why(tight, peer):
    nuncio = tight(filtered(peer(Echo, b"E"), deny_file="list"), files={"list": f"{THERE}\n"}, workers=2)
    path = nuncio.dir / "list"
    since = len(nuncio.lines)
    replace(path, f"# next\n{ELSEWHERE}\n10.0.0.1/8\nx\n")
    nuncio.wait_line(rf'error ip_list +file is wrong, the list before serves on path={path} line=3 '
                     r'error="\\"10.0.0.1/8\\" has bits behind its prefix, is 10.0.0.0/8 meant\?" more=1', since=since)
    assert figure(nuncio, "update_rejected") == 1 and figure(nuncio, "update_success") == 0
    assert all_workers(nuncio, THERE, False) and let_in(nuncio, ELSEWHERE)
    answer = nuncio.reload(by="ctl", good=False)
    assert f"ip_filter.deny_file: {path}:3: " in answer and "wrong as well: 1" in answer
    done = run_nuncio("check", "-c", nuncio.path)
    assert done.returncode == 1 and f"{path}:3: " in done.stderr
    assert let_in(nuncio, ELSEWHERE) and not let_in(nuncio, THERE)
    path.unlink()
    assert "cannot read" in nuncio.reload(by="ctl", good=False)
    assert not let_in(nuncio, THERE)
    path.write_text(f"{ELSEWHERE}\n")
    eventually(lambda: all_workers(nuncio, ELSEWHERE, False) and all_workers(nuncio, THERE, True))


def test_a_slow_writer_is_waited_for(tight, peer):
    """A download that writes into the file itself, and stalls: what is there meanwhile is no list."""
    nuncio = tight(filtered(peer(Echo, b"E"), deny_file="list"), files={"list": f"{THERE}\n"}, workers=2)
    with open(nuncio.dir / "list", "w") as writer:
        writer.write(f"{ELSEWHERE}\nhalf")
        writer.flush()
        since = time.monotonic()
        while time.monotonic() < since + 0.3:
            assert not let_in(nuncio, THERE) and let_in(nuncio, ELSEWHERE)
        writer.write(" a line\n")
    nuncio.wait_line(r'file is wrong, the list before serves on .* line=2 error="found \\"half a line\\"')
    assert figure(nuncio, "update_rejected") == 1 and not let_in(nuncio, THERE)


def test_a_change_while_the_last_one_is_read(tight, peer):
    """Two million networks take a moment: what is written meanwhile is read after it, not forgotten."""
    nuncio = tight(filtered(peer(Echo, b"E"), deny_file="list"), files={"list": f"{THERE}\n"}, workers=2)
    big = "".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}\n" for n in range(2_000_000))
    for pause in (0.06, 0.12, 0.18):
        replace(nuncio.dir / "list", big)
        select.select([], [], [], pause)
        replace(nuncio.dir / "list", f"{ELSEWHERE}\n")
        eventually(lambda: not let_in(nuncio, ELSEWHERE) and let_in(nuncio, THERE))
        replace(nuncio.dir / "list", f"{THERE}\n")
        eventually(lambda: not let_in(nuncio, THERE) and let_in(nuncio, ELSEWHERE))


def enlarge(path):
    with open(path, "r+") as file:
        file.truncate((64 << 20) + 1)


@pytest.mark.parametrize("make, why", [
    (enlarge, "is larger than 64 MiB"),
    (lambda path: replace(path, "".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}\n" for n in range(2_000_001))), "more than 2000000 networks"),
    (lambda path: replace(path, "1.2.3.4\0\n"), 'found'), (lambda path: replace(path, "x" * 1_000_000), 'found')],
    ids=["size", "count", "nul", "line"])
def test_files_that_are_no_lists(tight, peer, make, why):
    """Too large, too many, no text: the list before serves on, and serving goes on meanwhile."""
    nuncio = tight(filtered(peer(Echo, b"E"), deny_file="list"), files={"list": f"{THERE}\n"})
    make(nuncio.dir / "list")
    nuncio.wait_line(rf"file is wrong, the list before serves on .*{why}")
    assert figure(nuncio, "update_rejected") == 1
    assert not let_in(nuncio, THERE) and let_in(nuncio, ELSEWHERE)


def test_an_empty_allow_list_lets_nobody_in(tight, peer):
    nuncio = tight(filtered(peer(Echo, b"E"), allow_file="list"), files={"list": f"{HERE}\n"})
    assert let_in(nuncio, HERE) and not let_in(nuncio, THERE)
    (nuncio.dir / "list").write_text("# nobody\n")
    eventually(lambda: not let_in(nuncio, HERE))


def test_filters_of_one_file_share_its_list(tight, peer):
    """Two listeners, and a reload that takes one away and brings it back: read once, and again only when it changed."""
    def having(*names):
        return config(listeners=[listener({"ip_filter": {"deny_file": "list"}}, {"tcp_proxy": "c"}, name=name) for name in names],
                      clusters=[cluster(server)])

    server = peer(Echo, b"E")
    nuncio = tight(having("in", "out"), files={"list": f"{THERE}\n"}, workers=2)
    (nuncio.dir / "list").write_text(f"{ELSEWHERE}\n")
    for name in ("in", "out"):
        eventually(lambda: all_workers(nuncio, THERE, True, name) and all_workers(nuncio, ELSEWHERE, False, name))
    nuncio.reload(having("in"))
    nuncio.reload(having("in", "out"))
    assert not let_in(nuncio, ELSEWHERE, "out") and figure(nuncio, "update_success") == 1


# --- a million

def million(seed):
    """Networks that hold no loopback address, IPv4 and IPv6 in turn, in no order."""
    draw = random.Random(seed)
    rows = []
    for _ in range(500000):
        bits, ip = draw.randint(16, 32), draw.getrandbits(31) | 1 << 31
        rows.append(f"{ipaddress.IPv4Address(ip >> 32 - bits << 32 - bits)}/{bits}")
        a, b, c = draw.getrandbits(16), draw.getrandbits(16), draw.getrandbits(16)
        rows.append(f"2001:{a:x}:{b:x}:{c:x}::/64")
    return rows


@pytest.mark.once
def test_a_million_networks_load_within_a_second(tight, peer, tmp_path):
    """One second of CPU; and a change is read beside main, which goes on answering."""
    path, rows = tmp_path / "list", million(1)
    path.write_text("\n".join([*rows, THERE, ""]))
    (tmp_path / "c.yaml").write_text(filtered("127.0.0.1:9", deny_file=path))

    def check():
        assert run_nuncio("check", "-c", tmp_path / "c.yaml", check=True).stdout.startswith("ok")

    eventually(lambda: cpu_of(check) < 1.0 * SLOW)  # others on the machine cost it CPU, too
    nuncio = tight(filtered(peer(Echo, b"E"), deny_file=path), workers=2)
    assert all_workers(nuncio, THERE, False) and let_in(nuncio, ELSEWHERE)

    def answers_until(denied, welcome):
        replace(path, "\n".join([*rows[::-1], denied, ""]))
        answers = 0
        while let_in(nuncio, denied):
            answers += nuncio.ctl("listeners") != ""
        eventually(lambda: all_workers(nuncio, denied, False) and all_workers(nuncio, welcome, True))
        return answers

    eventually(lambda: answers_until(ELSEWHERE, THERE) >= 5 or answers_until(THERE, ELSEWHERE) >= 5)  # if we are not stopped meanwhile
    assert nuncio.stats()[f"ip_list.{path}.networks"] > 950000  # some were drawn twice


@pytest.mark.parametrize("make, words", [
    (lambda path: None, "cannot read"),
    (os.mkfifo, "is no regular file"),
    (lambda path: path.symlink_to("/dev/zero"), "is no regular file"),
    (lambda path: path.open("w").truncate((64 << 20) + 1), "is larger than 64 MiB"),
    (lambda path: path.write_bytes(b"\x7fELF\0\0\n"), ':1: found "?ELF??", expected a network like'),
])
def test_check_looks_into_the_files(tmp_path, make, words):
    make(tmp_path / "list")
    (tmp_path / "c.yaml").write_text(filtered("127.0.0.1:9", deny_file="list"))
    done = run_nuncio("check", "-c", tmp_path / "c.yaml")
    assert done.returncode == 1 and f"{tmp_path / 'list'}" in done.stderr and words in done.stderr
