"""Under a service manager: what it is told, the watchdog, and sockets that it passes."""
import signal
import socket
import time
from pathlib import Path

import pytest

from lib import clients, systemd
from lib.nuncio import BINARY, Nuncio
from lib.poll import SLOW, eventually
from lib.ports import free_port
from lib.preload import when_accepting
from lib.process import Child

ECHO = 'listeners: [{name: e, bind: "127.0.0.1:0", filters: [echo]}]\n'


@pytest.fixture
def manager(tmp_path, closing):
    return closing(systemd.Manager(tmp_path))


def echo_at(address, name="e"):
    return f'listeners: [{{name: {name}, bind: "{address}", filters: [echo]}}]\n'


def says(address, word=b"hello"):
    with clients.connect(address) as client:
        client.sendall(word)
        return clients.recv_exactly(client, len(word))


@pytest.fixture
def passed(closing):
    """passed() is a listening socket on a free port, as a manager opens it; passed(path=...) a UNIX one."""
    def listen(path=None):
        sock = closing(socket.socket(socket.AF_UNIX if path else socket.AF_INET))
        sock.bind(str(path) if path else ("127.0.0.1", 0))
        sock.listen(64)
        return sock
    return listen


def address_of(sock):
    name = sock.getsockname()
    return f"unix:{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}"


# --- sd_notify

def test_it_tells_of_start_reload_and_stop(nuncio, manager):
    child = nuncio(ECHO, env=manager.env(), workers=2)
    assert manager.next() == {"READY": "1", "STATUS": "serving: 1 listeners, 2 workers"}
    before = time.monotonic_ns() // 1000
    child.reload(ECHO + "# another\n")
    began = manager.next()
    assert began["RELOADING"] == "1" and before <= int(began["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert manager.next() == {"READY": "1", "STATUS": "serving: 1 listeners, 2 workers, generation 2"}
    child.reload("listners: []\n", good=False)
    assert manager.next()["RELOADING"] == "1"
    assert manager.next() == {"READY": "1", "STATUS": "reload failed, errors: 1; generation 2 serves on"}
    child.signal(signal.SIGTERM)
    end = manager.next()
    assert end["STOPPING"] == "1" and int(end["EXTEND_TIMEOUT_USEC"]) > 500_000  # more than drain_timeout


def test_an_abstract_name_will_do(nuncio, closing):
    name = f"nuncio-test-{time.monotonic_ns()}"
    hears = closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    hears.bind(f"\0{name}")
    hears.settimeout(10 * SLOW)
    nuncio(ECHO, env={"NOTIFY_SOCKET": f"@{name}"})
    assert hears.recv(4096).startswith(b"READY=1\n")


@pytest.mark.parametrize("path", ["relative", "/no/such/folder/notify", "/" + "x" * 200])
def test_a_manager_that_cannot_be_told_is_no_reason_to_fail(nuncio, path):
    child = nuncio(ECHO, env={"NOTIFY_SOCKET": path})
    child.wait_line("cannot notify")
    assert says(child.address("e")) == b"hello"


# --- the watchdog

def test_it_gives_signs_of_life(nuncio, manager):
    began = time.monotonic()
    nuncio(ECHO, env=manager.env(watchdog_ms=100), workers=2)
    for _ in range(12):
        manager.wait("WATCHDOG")
    assert time.monotonic() - began > 11 * 0.045  # each half of the time, not as fast as it can


def test_signs_are_for_whom_they_were_asked(nuncio, manager):
    nuncio(ECHO, env={**manager.env(watchdog_ms=50), "WATCHDOG_PID": "1"})
    assert manager.next()["READY"] == "1" and manager.next(timeout=0.5) is None


def test_a_worker_that_hangs_gives_no_sign(manager, tmp_path):
    """Main is well and answers ctl; the service is not."""
    env = {**manager.env(watchdog_ms=100), **when_accepting("hang", tmp_path)}
    child = Nuncio(ECHO, env=env, workers=2)
    try:
        manager.wait("WATCHDOG")
        with clients.connect(child.address("e")):
            eventually(lambda: manager.next(timeout=1) is None)
            assert child.ctl("ready") == "ready\n"
    finally:
        child.signal(signal.SIGKILL)
        child.wait()


# --- sockets that are passed

def test_systemd_socket_activate_starts_it_with_the_first_client(nuncio):
    address = f"127.0.0.1:{free_port()}"
    child = nuncio(echo_at(address), ready=False, under=["systemd-socket-activate", "-l", address, "-E", "ASAN_OPTIONS"])
    child.wait_line("Listening on")
    assert says(address) == b"hello"
    child.wait_ready()
    assert child.address("e") == address


def test_each_listener_takes_the_socket_of_its_address(nuncio, passed, tmp_path, workers):
    web, local, other = passed(), passed(path=tmp_path / "s"), passed()
    under, more = systemd.passing([other, web, local], names=["spare", "web", "local"])
    config = f'''listeners:
      - {{name: web, bind: "{address_of(web)}", filters: [echo]}}
      - {{name: local, bind: "{address_of(local)}", filters: [echo]}}
      - {{name: own, bind: "127.0.0.1:0", filters: [echo]}}
    '''
    child = nuncio(config, workers=workers, under=under, **more)
    assert [says(address_of(s)) for s in (web, local) for _ in range(4)] == [b"hello"] * 8
    assert says(child.address("own")) == b"hello"
    found = child.wait_line(r"passed socket is used by no listener name=(\S+) address=(\S+)")
    assert (found[1], found[2]) == ("spare", address_of(other))
    child.stop()
    assert Path(local.getsockname()).exists()  # the file is the manager's


def test_a_listener_that_comes_back_finds_its_socket(nuncio, passed):
    web = passed()
    under, more = systemd.passing([web])
    child = nuncio(echo_at(address_of(web)), under=under, **more)
    child.reload(ECHO)
    child.reload(echo_at(address_of(web)))
    assert says(address_of(web)) == b"hello"


def test_nobody_is_refused_while_it_is_restarted(nuncio, passed):
    """As at an upgrade: the old one drains, with its last connection open, and clients come."""
    web = passed()
    under, more = systemd.passing([web])
    old = nuncio(echo_at(address_of(web)), under=under, **more)
    with clients.connect(address_of(web)) as last:
        last.sendall(b"x")
        clients.recv_exactly(last, 1)
        old.signal(signal.SIGTERM)
        old.wait_line("draining")
        waiting = [clients.connect(address_of(web)) for _ in range(20)]
        for client in waiting:
            client.sendall(b"hello")
        last.close()
        assert old.wait() == 0
    nuncio(echo_at(address_of(web)), under=under, **more)
    for client in waiting:
        with client:
            assert clients.recv_exactly(client, 5) == b"hello"


def test_a_connection_is_no_listening_socket(nuncio, closing):
    """What Accept=yes would pass."""
    near, far = socket.socketpair()
    closing(near), closing(far)
    under, more = systemd.passing([near], names=["conn"])
    child = nuncio(ECHO, under=under, **more)
    child.wait_line(r"used by no listener name=conn address=-")
    assert says(child.address("e")) == b"hello"


def test_without_a_manager_nothing_is_taken(nuncio, tmp_path):
    """Descriptors of somebody else's protocol (LISTEN_PID of another process) are left alone."""
    child = nuncio(ECHO, env={"LISTEN_FDS": "3", "LISTEN_PID": "1"})
    assert says(child.address("e")) == b"hello" and "passed socket" not in child.output()


def test_a_manager_sees_a_start_that_fails(manager, tmp_path):
    (tmp_path / "bad.yaml").write_text("nothing: here\n")
    child = Child(BINARY, "run", "-c", tmp_path / "bad.yaml", env=manager.env())
    assert child.wait() == 1 and manager.next(timeout=0.2) is None
