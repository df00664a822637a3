"""What a running one may still do: its user, its capabilities, its system calls."""
import os
import pwd
import re
import shutil
import signal
import socket
import tempfile
from pathlib import Path

import pytest

from lib import clients
from lib.build import SANITIZED
from lib.nuncio import Nuncio, run_nuncio
from lib.preload import when_accepting, without_seccomp_call

ECHO = 'listeners: [{name: e, bind: "127.0.0.1:0", filters: [echo]}]\n'
BIND = 1 << 10  # CAP_NET_BIND_SERVICE

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to give up")
filtered = pytest.mark.skipif(SANITIZED, reason="sanitizers go without a seccomp filter")


def threads(child):
    """The status of each of its threads, as a dict."""
    files = Path(f"/proc/{child.pid}/task").glob("*/status")
    return [dict(re.findall(r"(?m)^(\w+):\s+(.*)$", file.read_text())) for file in files]


def low_port():
    """A free port below 1024."""
    for port in range(1023, 512, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    pytest.fail("no low port is free")


@pytest.fixture
def nobodys():
    """nobodys(text) writes nobody's config into nobody's folder."""
    folder = Path(tempfile.mkdtemp(prefix="nu-"))
    shutil.chown(folder, "nobody")

    def write(text):
        (folder / "n.yaml").write_text(f"user: nobody\nadmin: unix:admin.sock\nworkers: 2\ndrain_timeout: 500ms\n{text}")
        (folder / "n.yaml").chmod(0o644)
        return folder / "n.yaml"
    yield write
    shutil.rmtree(folder)


def says_hello(child, name="e"):
    with child.connect(name) as client:
        client.sendall(b"hello")
        return clients.recv_exactly(client, 5) == b"hello"


# --- user and capabilities

@as_root
def test_it_becomes_its_user_and_keeps_low_ports(nuncio, nobodys):
    nobody, port = pwd.getpwnam("nobody"), low_port()
    child = nuncio(nobodys(f'listeners: [{{name: e, bind: "127.0.0.1:{port}", filters: [echo], access_log: {{path: a.log}}}}]\n'))
    rows = threads(child)
    assert len(rows) == 3
    for row in rows:
        assert row["Uid"].split() == [str(nobody.pw_uid)] * 4 and row["Gid"].split() == [str(nobody.pw_gid)] * 4
        assert row["Groups"].split() == [str(nobody.pw_gid)]
        assert int(row["CapEff"], 16) == int(row["CapPrm"], 16) == BIND and int(row["CapInh"], 16) == 0
        assert row["NoNewPrivs"] == "1"
    assert os.stat(child.path.parent / "a.log").st_uid == nobody.pw_uid
    assert says_hello(child)


@as_root
def test_a_reload_binds_low_ports_and_reopens_logs_as_that_user(nuncio, nobodys):
    child = nuncio(nobodys(ECHO))
    port = low_port()
    nobodys(f'listeners: [{{name: low, bind: "127.0.0.1:{port}", filters: [echo], access_log: {{path: a.log}}}}]\n')
    child.reload()
    assert child.address("low") == f"127.0.0.1:{port}" and says_hello(child, "low")
    (child.path.parent / "a.log").rename(child.path.parent / "a.old")
    child.signal(signal.SIGUSR1)
    child.wait_line("reopened failed=0")
    assert os.stat(child.path.parent / "a.log").st_uid == pwd.getpwnam("nobody").pw_uid


@as_root
def test_files_that_only_root_may_write_fail_at_the_start(nobodys):
    path = nobodys(ECHO.replace("filters", "access_log: {path: roots/a.log}, filters"))
    (path.parent / "roots").mkdir()
    done = run_nuncio("run", "-c", path)
    assert done.returncode == 1 and "Permission denied" in done.stderr


@as_root
def test_a_config_that_its_user_cannot_read_is_warned_of(nuncio, nobodys):
    path = nobodys(ECHO)
    path.chmod(0o600)
    child = nuncio(path)
    child.wait_line("nobody cannot read this file: a reload will fail")
    child.reload(good=False)
    assert says_hello(child)


@as_root
def test_root_without_a_user_gives_up_what_it_can(nuncio):
    child = nuncio(ECHO)
    child.wait_line("runs as root")
    files = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    ours = int(re.search(r"(?m)^CapPrm:\s+(\w+)", Path("/proc/self/status").read_text())[1], 16)  # a container has fewer
    assert {int(row["CapPrm"], 16) for row in threads(child)} == {ours & (BIND | files)}


def test_keys_of_the_process_change_at_a_restart_only(nuncio):
    child = nuncio(ECHO + "seccomp: on\ncore_dumps: on\n")
    warned = child.reload(ECHO + "seccomp: off\ncore_dumps: off\nuser: root\n", by="ctl")
    for key in ["seccomp", "core_dumps", "user"]:
        assert f"`{key}` changes at a restart only" in warned


@as_root
@pytest.mark.parametrize("key, owner", [("on", "nobody"), ("off", "root")])
def test_core_dumps_says_who_may_look_into_it(nuncio, nobodys, key, owner):
    child = nuncio(nobodys(ECHO + f"core_dumps: {key}\n"))
    assert os.stat(f"/proc/{child.pid}/fd").st_uid == pwd.getpwnam(owner).pw_uid


def test_an_unknown_user_is_told_by_check(tmp_path):
    (tmp_path / "n.yaml").write_text(ECHO + "user: nobdy-here\n")
    done = run_nuncio("check", "-c", tmp_path / "n.yaml")
    assert done.returncode == 1 and 'user: no user "nobdy-here" on this system' in done.stderr


# --- system calls

@filtered
def test_every_thread_has_a_filter(nuncio, workers):
    child = nuncio(ECHO, workers=workers)
    rows = threads(child)
    assert len(rows) == workers + 1
    assert all(row["Seccomp"] == "2" and row["NoNewPrivs"] == "1" for row in rows)


def test_without_seccomp_there_is_none(nuncio):
    child = nuncio(ECHO + "seccomp: off\n")
    before = Path("/proc/self/status").read_text()
    outside = int(re.search(r"Seccomp_filters:\s+(\d+)", before)[1])  # of a container around us
    assert {int(row["Seccomp_filters"]) for row in threads(child)} == {outside}


@filtered
def test_a_worker_that_executes_a_program_is_the_end(tmp_path):
    child = Nuncio(ECHO, env=when_accepting("execve", tmp_path))
    with clients.connect(child.address("e")):
        assert child.wait() == -signal.SIGSYS


@filtered
def test_it_confines_itself_where_only_prctl_is_left(tmp_path):
    """As under SystemCallFilter=@system-service, which has no seccomp(2)."""
    child = Nuncio(ECHO, env=when_accepting("execve", tmp_path), under=[without_seccomp_call(tmp_path)])
    assert all(row["Seccomp"] == "2" and int(row["Seccomp_filters"]) >= 2 for row in threads(child))
    with clients.connect(child.address("e")):
        child.wait_line(r"^sandbox: refused a system call, this is the end: execve, number \d+$")
        assert child.wait() == 128 + signal.SIGSYS


@filtered
def test_a_call_that_is_not_needed_fails_and_is_told(tmp_path):
    child = Nuncio(ECHO, env=when_accepting("setuid", tmp_path))
    try:
        assert all(says_hello(child) for _ in range(3))
        child.wait_line(r"^sandbox: refused a system call, it fails: setuid, number \d+$")
        assert child.stats()["server.syscalls_refused"] == 1 and child.output().count("sandbox:") == 1
    finally:
        child.signal(signal.SIGTERM)
        assert child.wait() == 0


@filtered
def test_valgrind_goes_without(nuncio, tmp_path):
    """Its own system calls are made in our threads."""
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")
    child = nuncio(ECHO, under=["valgrind", "-q", "--tool=none"], ready=False)
    child.wait_ready(30)
    child.wait_line('no seccomp filter reason="runs under valgrind"')
    assert says_hello(child)
