"""The life of a process: start, HUP, USR1, TERM, INT."""
import os
import pty
import re
import signal
import socket
import threading
from pathlib import Path

import pytest

from lib import clients
from lib.build import SANITIZED
from lib.config import cluster, config, listener
from lib.hello import hello
from lib.logs import closed
from lib.nuncio import BINARY, raised, remember
from lib.peers import Echo
from lib.poll import eventually, patiently
from lib.process import Child

pytestmark = pytest.mark.threads

TO = "{tcp_proxy: {cluster: %s}}"


def proxy(to, name="edge", **keys):
    return listener({"tcp_proxy": {"cluster": to}}, name=name, **keys)


def says(sock):
    """The server's name: the first byte it sends."""
    return clients.recv_exactly(sock, 1)


def carries(sock, data=b"still here"):
    sock.sendall(data)
    return clients.recv_exactly(sock, len(data)) == data


def refuses(address):
    try:
        clients.connect(address).close()
        return False
    except ConnectionRefusedError:
        return True


def swap(one, text):
    """Replaces the config in one step: a reload that is on its way finds a whole file."""
    path = one.path
    one.path = path.with_name("next.yaml")
    one.write(text)
    one.path = one.path.rename(path)  # the path it has now


@pytest.fixture
def echoes(peer):
    """Three servers that say a, b, c first."""
    return [peer(Echo, name) for name in (b"a", b"b", b"c")]


# --- the start

def test_one_worker_per_cpu_and_all_descriptors_allowed(nuncio, echoes):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])], workers=0))
    assert one.wait_ready() == (1, len(os.sched_getaffinity(0)))
    limit = re.search(r"^Max open files +(\d+) +(\d+)", Path(f"/proc/{one.pid}/limits").read_text(), re.M)
    assert limit[1] == limit[2]


# --- what changes, and what does not

def test_a_listener_comes_and_goes(nuncio, echoes, workers):
    only = config(listeners=[proxy("c")], clusters=[cluster(echoes[0])])
    both = config(listeners=[proxy("c"), proxy("c", name="more")], clusters=[cluster(echoes[0])])
    one = nuncio(only, workers=workers)
    with one.connect("edge") as old:
        assert says(old) == b"a"
        one.reload(both)
        with one.connect("more") as new:
            assert says(new) == b"a"
            one.reload(only)
            eventually(lambda: refuses(one.address("more")))
            assert carries(new) and carries(old)
        assert len(one.addresses("edge")) == 1 and one.connect("edge").close() is None


def test_a_removed_listener_drains_until_its_timeout(nuncio, echoes, workers):
    def story(factor):
        timeout = f"{300 * factor}ms"
        only = config(listeners=[proxy("c")], clusters=[cluster(echoes[0])], drain_timeout=timeout)
        both = config(listeners=[proxy("c"), proxy("c", name="more")], clusters=[cluster(echoes[0])], drain_timeout=timeout)
        one = nuncio(both, workers=workers)
        with one.connect("edge") as stays, one.connect("more") as goes:
            assert says(stays) == says(goes) == b"a"
            one.reload(only)
            assert carries(goes)
            assert clients.how_it_ends(goes) in ("fin", "rst")
            assert carries(stays)
        assert "drain_timeout" in [line["cause"] for line in closed(one, 2)]
    patiently(story)


def test_a_listener_that_comes_back_in_time_keeps_its_connections(nuncio, echoes):
    def story(factor):
        def having(*names):
            return config(listeners=[proxy("c", name=name) for name in names], clusters=[cluster(echoes[0])], drain_timeout=f"{700 * factor}ms")

        one = nuncio(having("edge", "more", "clock"))
        with one.connect("more") as kept, one.connect("clock") as clock:
            assert says(kept) == says(clock) == b"a"
            one.reload(having("edge"))
            one.reload(having("edge", "more"))
            assert clients.how_it_ends(clock) in ("fin", "rst")  # the time of both is over
            assert carries(kept)
    patiently(story)


def test_endpoints_change_under_kept_connections(nuncio, echoes, workers):
    a, b, _ = echoes
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(a)]), workers=workers)
    with one.connect("edge") as old:
        assert says(old) == b"a"
        one.reload(config(listeners=[proxy("c")], clusters=[cluster(b)]))
        with one.connect("edge") as new:
            assert says(new) == b"b" and carries(new) and carries(old)


def test_a_cluster_is_replaced_while_a_client_is_sniffed(nuncio, echoes, workers):
    """Its hello is whole when the cluster of its chain serves nobody else any more."""
    def to(address, name):
        return config(listeners=[listener(name="edge", chains=[{"match": {"sni": "*.test"}, "filters": [{"tcp_proxy": name}]}])],
                      clusters=[cluster(address, name=name)])

    first = hello("a.test")
    one = nuncio(to(echoes[0], "c"), workers=workers)
    with one.connect("edge") as early:
        early.sendall(first[:9])
        one.wait_stat("listener.edge.downstream_pre_cx_active", 1)
        one.reload(to(echoes[1], "d"))
        early.sendall(first[9:])
        assert says(early) == b"a" and clients.recv_exactly(early, len(first)) == first
        with one.connect("edge") as late:
            late.sendall(first)
            assert says(late) == b"b"
    one.wait_stat("listener.edge.downstream_cx_active", 0)


def test_a_cluster_is_renamed_under_kept_connections(nuncio, echoes):
    a, b, _ = echoes
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(a)]))
    with one.connect("edge") as old:
        assert says(old) == b"a"
        one.reload(config(listeners=[proxy("d")], clusters=[cluster(b, name="d")]))
        with one.connect("edge") as new:
            assert says(new) == b"b"
        assert carries(old)
    eventually(lambda: not any(name.startswith("cluster.c.") for name in one.stats()))


def test_chains_change_under_kept_connections(nuncio, echoes):
    a, b, c = (echo.address for echo in echoes)
    clusters = [cluster(a, name="a"), cluster(b, name="b"), cluster(c, name="c")]

    def chains(**ends):
        rest = [{"filters": [{"tcp_proxy": ends.pop("rest")}]}]
        return config(listeners=[{"name": "edge", "bind": "127.0.0.1:0", "chains": rest + [
            {"match": {"source_port": int(port)}, "filters": [{"tcp_proxy": to}]} for port, to in ends.items()]}], clusters=clusters)

    one = nuncio(chains(rest="a"))
    with one.connect("edge") as old:
        assert says(old) == b"a"
        one.reload(chains(rest="b"))
        with one.connect("edge") as newer:
            assert says(newer) == b"b" and carries(old)
            with socket.socket() as chosen:
                chosen.bind(("127.0.0.1", 0))
                one.reload(chains(rest="b", **{str(chosen.getsockname()[1]): "c"}))
                chosen.connect(("127.0.0.1", one.port("edge")))
                assert says(chosen) == b"c" and carries(newer) and carries(old)


def test_an_idle_timeout_of_an_old_chain_stays_its_own(nuncio, echoes):
    def text(idle):
        return config(listeners=[listener({"tcp_proxy": {"cluster": "c", "idle_timeout": idle}})], clusters=[cluster(echoes[0])])
    one = nuncio(text("1h"))
    with one.connect("in") as old, one.connect("in") as other:
        assert says(old) == says(other) == b"a"
        one.reload(text("100ms"))
        with one.connect("in") as new:
            assert clients.how_it_ends(new) in ("fin", "rst")
        assert carries(old) and carries(other)


def test_a_hundred_reloads_under_load(nuncio, echoes, workers):
    """Each adds and removes a listener, a chain and an endpoint; nothing is lost, and no memory either."""
    a, b, c = echoes

    def text(n):
        chains = [{"name": "rest", "filters": [{"tcp_proxy": "web"}]},
                  {"name": f"chain{n}", "match": {"source": [f"192.0.2.{n}"]}, "filters": ["echo"]}]
        return config(listeners=[{"name": "edge", "bind": "127.0.0.1:0", "chains": chains}, proxy("web", name=f"extra{n}")],
                      clusters=[cluster(a, b, *([c] if n % 2 else []), name="web")])

    one = nuncio(text(0), workers=workers)
    kept = [one.connect("edge") for _ in range(32)]
    assert all(says(sock) in b"ab" for sock in kept)
    done, failures, rounds = threading.Event(), [], []

    def load():
        while not done.is_set():
            try:
                with one.connect("edge") as sock:
                    assert says(sock) in b"abc" and carries(sock, b"x" * 5000)
                    sock.shutdown(socket.SHUT_WR)
                    assert sock.recv(1) == b""
                    rounds.append(1)
            except (OSError, AssertionError) as error:
                failures.append(repr(error))
                return

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for n in range(1, 101):
            before = len(rounds)
            one.reload(text(n))
            with one.connect(f"extra{n}") as sock:
                assert says(sock) in b"abc"
            eventually(lambda: refuses(one.address(f"extra{n - 1}")))
            eventually(lambda: failures or len(rounds) > before + 2)
            if n == 10:
                rss = one.rss_kb()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert all(carries(sock) for sock in kept)
    if not SANITIZED:
        assert one.rss_kb() <= rss + 1024
    assert one.stats()["server.reload_total"] == 100 and one.stats()["server.generation"] == 101
    for sock in kept:
        sock.close()


# --- when it is wrong

BAD = "listeners: [{name: edge, bind: '127.0.0.1:0', filters: [ecko]}]\nbogus: 1\n"


@pytest.mark.parametrize("by", ["hup", "ctl"])
def test_a_bad_file_changes_nothing_and_is_reported(nuncio, echoes, by):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])]))
    with one.connect("edge") as old:
        assert says(old) == b"a"
        good, outcome = one.path.read_text(), one.reload(BAD, by=by, good=False)
        for said in ('nuncio.yaml:1:57: listeners[0].filters[0]: unknown filter "ecko"', 'did you mean "echo"?', 'nuncio.yaml:2:1: unknown key "bogus"'):
            eventually(lambda: said in (outcome if by == "ctl" else one.output()), what=said)
        with one.connect("edge") as new:
            assert says(new) == b"a" and carries(old)
        stats = one.wait_stat("server.reload_failed", 1)
        assert (stats["server.generation"], stats["server.reload_total"]) == (1, 1)
        one.path.write_text(good)
        one.reload()
        assert carries(old) and len(one.addresses("edge")) == 1


def test_a_missing_file_changes_nothing(nuncio, echoes):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])]))
    text = one.path.read_text()
    one.path.unlink()
    one.reload(good=False)
    one.wait_line("cannot be read: No such file or directory")
    one.path.write_text(text)
    one.reload()


def test_an_empty_file_changes_nothing(nuncio, echoes):
    """As one finds it that somebody is just writing."""
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])]))
    text = one.path.read_text()
    one.path.write_text("")
    one.reload(good=False)
    one.path.write_text(text)
    assert one.connect("edge").close() is None


def test_admin_goes_and_comes_back(nuncio, echoes):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])]))
    with_admin = one.path.read_text()
    without = with_admin.replace("admin: on", "admin: off")
    for _ in range(3):
        swap(one, "admin: off\n" + without.replace("admin: off\n", ""))
        one.signal(signal.SIGHUP)
        swap(one, with_admin)
        one.reload()
        eventually(lambda: one.ctl("ready") == "ready\n")


def test_a_busy_address_changes_nothing(nuncio, echoes):
    """Also the listeners that could be bound before the busy one are not there."""
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])]))
    busy = proxy("c", name="busy") | {"bind": echoes[1].address}
    before = one.fds()
    one.reload(config(listeners=[proxy("c", name="new"), busy], clusters=[cluster(echoes[0])]), good=False)
    one.wait_line(f"{echoes[1].address}.*in use")
    eventually(lambda: one.fds() == before)
    assert one.addresses("new") == []
    assert one.connect("edge").close() is None
    one.reload(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])]))


def test_a_change_of_workers_is_told_and_waits(nuncio, echoes):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])], workers=1))
    one.reload(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])], workers=3))
    one.wait_line("warning: workers: the number of workers changes at a restart only; 1 go on")
    assert one.stats()["server.concurrency"] == 1


def test_many_hups_at_once_end_with_the_newest_file(nuncio, echoes):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])]), workers=4)
    for n in range(50):
        swap(one, config(listeners=[proxy("c"), proxy("c", name=f"n{n}")], clusters=[cluster(echoes[0])]))
        one.signal(signal.SIGHUP)
    eventually(lambda: one.addresses("n49") and one.connect("n49").close() is None)
    assert one.ctl("reload").startswith("reloaded")
    assert re.findall(r"^(\w+)::", one.ctl("listeners"), re.M) == ["edge", "n49"]


# --- the end

def test_term_drains(nuncio, echoes, workers):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])], drain_timeout="1h"), workers=workers)
    held = [one.connect("edge") for _ in range(5)]
    assert all(says(sock) == b"a" for sock in held)
    one.signal(signal.SIGTERM)
    eventually(lambda: refuses(one.address("edge")))
    assert re.fullmatch(r"not ready: draining since \d+ s\n", one.ctl("ready", check=False))
    assert one.ctl("reload", check=False) == "error: not reloaded: the process is draining\n"
    stats = remember(one.ctl("stats"))
    assert stats["server.live"] == 0 and stats["server.state"] == 1 and "server.state" in raised
    for sock in held:
        assert carries(sock) and one.running()
        sock.close()
    assert one.wait() == 0 and "drained" in one.output()


def test_ctl_drains(nuncio, echoes):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])], drain_timeout="1h"))
    with one.connect("edge") as sock:
        assert says(sock) == b"a" and one.ctl("drain") == "draining\n"
        eventually(lambda: refuses(one.address("edge")))
        assert carries(sock)
    assert one.wait() == 0


def test_what_waits_to_be_accepted_is_served(nuncio, echoes):
    """Connections that are complete for the kernel but not accepted when TERM comes are no reason for a reset."""
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])], drain_timeout="1h"))
    one.signal(signal.SIGSTOP)
    queued = [one.connect("edge") for _ in range(20)]
    one.signal(signal.SIGTERM)
    one.signal(signal.SIGCONT)
    assert all(says(sock) == b"a" and carries(sock) for sock in queued)
    for sock in queued:
        sock.close()
    assert one.wait() == 0


def test_drain_timeout_cuts_and_says_so(nuncio, echoes):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])], drain_timeout="200ms"))
    log, folder = (one.dir / "access.json"), one.dir
    with one.connect("edge") as sock:
        assert says(sock) == b"a"
        one.signal(signal.SIGTERM)
        assert clients.how_it_ends(sock) in ("fin", "rst")
        assert one.wait() == 0 and folder.exists()
    line = closed(one)[-1]
    assert line["cause"] == "drain_timeout" and "DT" in str(line) and log.exists()


def test_a_second_term_ends_now(nuncio, echoes):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])], drain_timeout="1h"))
    with one.connect("edge") as sock:
        assert says(sock) == b"a"
        one.signal(signal.SIGTERM)
        one.wait_line("draining")
        assert carries(sock)
        one.signal(signal.SIGTERM)
        assert one.wait() == 0
    assert closed(one)[-1]["cause"] == "drain_timeout"


def test_term_at_once_after_hup(nuncio, echoes):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])]), workers=4)
    for _ in range(3):
        one.signal(signal.SIGHUP)
    one.signal(signal.SIGTERM)
    assert one.wait() == 0


def test_int_without_a_terminal_drains(nuncio, echoes):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])], drain_timeout="1h"))
    with one.connect("edge") as sock:
        assert says(sock) == b"a"
        one.signal(signal.SIGINT)
        one.wait_line("draining timeout_ms=3600000")
        assert carries(sock)
    assert one.wait() == 0


def test_ctrl_c_on_a_terminal_ends_now(closing, echoes, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])], drain_timeout="1h"))
    ours, theirs = pty.openpty()
    one = closing(Child("bash", "-c", f'exec "$@" <&{theirs}', "bash", BINARY, "run", "-c", path, pass_fds=[theirs]))
    port = int(one.wait_line(r"listening edge .*:(\d+)")[1])
    one.wait_line("^ready")
    with clients.connect(f"127.0.0.1:{port}") as sock:
        assert says(sock) == b"a"
        one.signal(signal.SIGINT)
        assert one.wait() == 0
    os.close(ours)
    os.close(theirs)


def test_usr1_reopens_logs(nuncio, echoes):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])]))

    def visit():
        with one.connect("edge") as sock:
            assert says(sock) == b"a"

    visit()
    assert len(one.file_lines("access.log")) == 1
    (one.dir / "access.log").rename(one.dir / "access.log.1")
    one.signal(signal.SIGUSR1)
    one.wait_line("log +reopened failed=0")
    visit()
    assert len(one.file_lines("access.log")) == 1 and len(one.file_lines("access.log.1")) == 1


def test_usr2_ends_nothing(nuncio, echoes):
    one = nuncio(config(listeners=[proxy("c")], clusters=[cluster(echoes[0])]))
    one.signal(signal.SIGUSR2)
    one.wait_line("warn +server +replacing the binary by USR2 is not in this version")
    with one.connect("edge") as sock:
        assert says(sock) == b"a"


def test_a_log_that_cannot_be_reopened_goes_on(nuncio, echoes):
    """The old file gets the lines until the folder is back."""
    logs = [{"path": "logs/a.log"}]
    text = config(listeners=[proxy("c", access_log=logs)], clusters=[cluster(echoes[0])])
    with pytest.raises(AssertionError, match="its folder does not exist"):
        nuncio(text)
    one = nuncio(text.replace("logs/a.log", "a.log"))
    (one.dir / "logs").mkdir()
    one.reload(text)
    (one.dir / "logs").rename(one.dir / "gone")
    one.signal(signal.SIGUSR1)
    one.wait_line("log +reopened failed=1")
    with one.connect("edge") as sock:
        assert says(sock) == b"a"
    assert one.file_lines("gone/a.log") and one.stats()["filesystem.reopen_failed"] == 1


def test_a_full_disk_costs_lines_not_traffic(nuncio, echoes):
    one = nuncio(config(listeners=[proxy("c", access_log=[{"path": "/dev/full"}])], clusters=[cluster(echoes[0])]))
    for _ in range(3):
        with one.connect("edge") as sock:
            assert says(sock) == b"a" and carries(sock)
    stats = one.wait_stat("filesystem.lines_lost", lambda lost: lost > 0)
    assert stats["filesystem.write_failed"] > 0
    one.wait_line("/dev/full.*No space left|No space left.*/dev/full")
