"""The admin socket and `nuncio ctl`."""
import re
import signal
import socket
import stat

import pytest

from lib.build import SANITIZED
from lib import clients
from lib.nuncio import BINARY, run_nuncio
from lib.peers import Echo
from lib.poll import eventually
from lib.ports import free_port
from lib.process import Child

CONFIG = "listeners: [{name: a, bind: '127.0.0.1:0', filters: [echo]}]\n"


def talk(proxy):
    """A connection to the admin socket, and a function that reads one answer as its lines."""
    sock = clients.connect(f"unix:{proxy.dir}/admin.sock")
    file = sock.makefile("r")

    def answer():
        lines = list(iter(file.readline, "\n"))
        assert "" not in lines, "closed within an answer"
        return [line.rstrip("\n") for line in lines]
    return sock, answer


# --- commands

def test_help_lists_what_works(nuncio):
    proxy = nuncio(CONFIG)
    names = [line.split()[0] for line in proxy.ctl("help").splitlines()]
    assert {"stats", "ready", "clusters", "listeners", "certs", "reload", "drain", "server_info", "memory", "log_level", "help"} == set(names)
    for name in set(names) - {"drain"}:
        proxy.ctl(name)


def test_unknown_commands_and_arguments(nuncio):
    proxy = nuncio(CONFIG)
    for words, said in ([["stat"], 'error: unknown command "stat": did you mean "stats"?'], [["ready", "now"], 'error: "ready" takes no argument'],
                        [["\x1b[31m"], 'error: unknown command "?[31m"'], [["log_level", "loud"], 'error: unknown level "loud"']):
        done = run_nuncio("ctl", "-c", proxy.path, *words)
        assert done.returncode == 1 and done.stdout.startswith(said), done


def test_stats_by_name_and_for_prometheus(nuncio):
    proxy = nuncio(CONFIG, workers=2)
    with proxy.connect("a") as client:
        client.sendall(b"x")
        client.recv(1)
        stats = proxy.wait_stat("listener.a.downstream_cx_active", 1)
        assert stats["server.live"] == 1 and stats["server.concurrency"] == 2 and stats["server.total_connections"] == 1
        assert stats["server.generation"] == 1
        some = proxy.ctl("stats", "downstream_cx_active").splitlines()
        assert "listener.a.downstream_cx_active: 1" in some and all("downstream_cx_active" in line for line in some)
        assert 'nuncio_listener_downstream_cx_active{listener="a"} 1' in proxy.ctl("stats", "prometheus").splitlines()


def test_uptime_and_memory(nuncio):
    proxy = nuncio(CONFIG)
    eventually(lambda: proxy.stats()["server.uptime"] > 0)
    memory = dict(line.split(": ") for line in proxy.ctl("memory").splitlines())
    for rss in int(memory["rss"]), proxy.stats()["server.memory_physical_size"]:
        assert abs(rss // 1024 - proxy.rss_kb()) < 4096


def test_server_info(nuncio):
    proxy = nuncio(CONFIG, workers=3)
    with proxy.connect("a") as client:
        client.sendall(b"x")
        client.recv(1)
        info = dict(line.split(": ", 1) for line in proxy.ctl("server_info").splitlines())
    assert info["pid"] == str(proxy.pid) and info["workers"] == "3" and info["generation"] == "1" and info["state"] == "live"
    assert info["connections"] == "1" and info["config"] == str(proxy.path) and re.match(r"\d+\.\d+", info["version"])


def test_listeners_and_clusters(nuncio, peer):
    echo = peer(Echo)
    proxy = nuncio(CONFIG + f"clusters: [{{name: web, endpoints: '{echo.address}'}}]\n")
    assert proxy.ctl("listeners") == f"a::{proxy.address('a')}\n"
    assert f"web::{echo.address}::cx_total::0" in proxy.ctl("clusters").splitlines()


def test_log_level_is_shown_and_set(nuncio):
    proxy = nuncio(CONFIG)
    assert proxy.ctl("log_level") == "log level: info\n"
    assert proxy.ctl("log_level", "debug") == "log level: debug\n" == proxy.ctl("log_level")
    proxy.ctl("reload")
    proxy.wait_line(r"debug reload +step from=switching to=retiring")


def test_ready_waits_for_names(nuncio):
    proxy = nuncio(CONFIG + "clusters: [{name: web, endpoints: 'nothing.invalid:80'}]\n")
    done = run_nuncio("ctl", "-c", proxy.path, "ready")
    assert done.returncode == 1 and done.stdout.startswith("not ready: cluster web: resolving nothing.invalid")
    with proxy.connect("a") as client:
        client.sendall(b"served")
        assert clients.recv_exactly(client, 6) == b"served"
    proxy.reload(CONFIG)
    assert proxy.ctl("ready") == "ready\n"


# --- the line protocol

def test_commands_in_one_piece_are_answered_in_order(nuncio):
    proxy = nuncio(CONFIG)
    sock, answer = talk(proxy)
    sock.sendall(b"ready\r\n\n  \nreload\nserver_info\nnonsense\nlog_level\n")
    assert answer() == ["ready"]
    assert answer()[0] == "reloaded: generation 2, 1 listeners, 0 clusters"
    assert "generation: 2" in answer()
    assert answer() == ['error: unknown command "nonsense": "help" lists them']
    assert answer() == ["log level: info"]
    sock.close()


def test_a_command_byte_by_byte_and_a_half_close(nuncio):
    sock, answer = talk(nuncio(CONFIG))
    for byte in b"ready\n":
        sock.sendall(bytes([byte]))
    sock.shutdown(socket.SHUT_WR)
    assert answer() == ["ready"] and sock.recv(1) == b""


def test_a_long_line_is_refused_and_the_next_one_answered(nuncio):
    sock, answer = talk(nuncio(CONFIG))
    sock.sendall(b"x" * 4097 + b"\n" + b"y" * 4096 + b"\nready\n" + b"z" * 100000 + b"\nready\n")
    assert answer() == ["error: a line longer than 4096 bytes"]
    assert answer()[0].startswith('error: unknown command "yyy')
    assert answer() == ["ready"]
    assert answer() == ["error: a line longer than 4096 bytes"]
    assert answer() == ["ready"]


@pytest.mark.parametrize("target", ["/", "/" + "x" * 5000])
def test_http_is_not_obeyed(nuncio, target):
    """A web page can have a browser send this to a loopback port: not one line of it may be taken for a command."""
    proxy = nuncio(CONFIG)
    sock, _ = talk(proxy)
    sock.sendall(f"POST {target} HTTP/1.1\r\nHost: localhost\r\n\r\ndrain\n".encode())
    assert clients.how_it_ends(sock) in ("fin", "rst")
    assert proxy.ctl("ready") == "ready\n"


def test_who_does_not_read_is_waited_for(nuncio):
    """Answers are not made faster than they are read: memory stays where it is, other clients are served."""
    proxy = nuncio(CONFIG)
    sock, answer = talk(proxy)
    before = proxy.rss_kb()
    sock.setblocking(False)
    sent = 0
    try:
        while sent < 1 << 20:
            sent += sock.send(b"stats\n" * 100)
    except BlockingIOError:
        pass
    assert sent < 1 << 20 and proxy.ctl("ready") == "ready\n"
    assert SANITIZED or proxy.rss_kb() - before < 4096  # sanitizers keep what is freed
    sock.close()


def test_many_reloads_in_one_piece(nuncio):
    """Each is answered; a failing one does not deepen the stack of the next."""
    proxy = nuncio(CONFIG)
    proxy.write(CONFIG + "bogus: 1\n")
    sock, answer = talk(proxy)
    sock.sendall(b"reload\n" * 300)
    for _ in range(300):
        assert answer()[0] == "error: reload failed, errors: 1; generation 1 serves on"


# --- where it listens

def test_the_socket_is_its_owner_s_alone(nuncio):
    proxy = nuncio(CONFIG)
    mode = (proxy.dir / "admin.sock").stat().st_mode
    assert stat.S_ISSOCK(mode) and mode & 0o777 == 0o600


def test_a_loopback_port_and_a_path(nuncio):
    for address in f"127.0.0.1:{free_port()}", f"[::1]:{free_port('::1')}", "unix:other.sock":
        proxy = nuncio(CONFIG + f"admin: '{address}'\n")
        where = address.replace("unix:", f"unix:{proxy.dir}/")
        assert run_nuncio("ctl", "-s", where, "ready").stdout == proxy.ctl("ready") == "ready\n"


def test_a_socket_left_behind_is_replaced(nuncio, closing, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG + "admin: on\n")
    killed = closing(Child(BINARY, "run", "-c", path))
    killed.wait_line("^ready")
    killed.signal(signal.SIGKILL)
    killed.wait()
    assert (tmp_path / "admin.sock").exists()
    again = nuncio(path)
    assert again.ctl("ready") == "ready\n"
    again.signal(signal.SIGTERM)
    again.wait()
    assert not (tmp_path / "admin.sock").exists()


def test_a_second_process_on_the_same_config_is_told_so(nuncio):
    proxy = nuncio(CONFIG)
    done = run_nuncio("run", "-c", proxy.path)
    assert done.returncode == 1 and f"cannot listen on unix:{proxy.dir}/admin.sock: Address already in use" in done.stderr
    assert proxy.ctl("ready") == "ready\n"


def test_without_admin_there_is_none(nuncio, tmp_path):
    proxy = nuncio(CONFIG + "admin: off\n")
    done = run_nuncio("ctl", "-c", proxy.path, "ready")
    assert done.returncode == 1 and 'add the line "admin: on"' in done.stderr
    assert not (proxy.dir / "admin.sock").exists()


@pytest.mark.parametrize("address, code, said", [("unix:/no/such.sock", 1, "Is nuncio running there?"),
                                                 ("10.0.0.1:9901", 2, "neither a loopback address"),
                                                 ("somewhere", 2, "is not an address")])
def test_ctl_says_why_it_cannot_ask(address, code, said):
    done = run_nuncio("ctl", "-s", address, "ready")
    assert (done.returncode, done.stdout) == (code, "") and said in done.stderr


def test_a_reload_moves_the_admin_socket(nuncio):
    proxy = nuncio(CONFIG)
    before = proxy.path.read_text()
    sock, answer = talk(proxy)
    proxy.path.write_text(before.replace("admin: on", "admin: unix:moved.sock"))
    sock.sendall(b"reload\n")
    assert answer()[0].startswith("reloaded: generation 2")
    assert proxy.ctl("ready") == "ready\n"
    with pytest.raises(OSError):
        clients.connect(f"unix:{proxy.dir}/admin.sock")
    proxy.path.write_text(before.replace("admin: on", "admin: unix:/no/such/folder/sock"))
    refused = run_nuncio("ctl", "-s", f"unix:{proxy.dir}/moved.sock", "reload")
    assert refused.returncode == 1 and "cannot listen on unix:/no/such/folder/sock: No such file or directory" in refused.stdout
    assert run_nuncio("ctl", "-s", f"unix:{proxy.dir}/moved.sock", "ready").stdout == "ready\n"
    proxy.path.write_text(before.replace("admin: on", "admin: unix:moved.sock"))
