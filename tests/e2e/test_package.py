"""The Debian package: installed, started (as its unit says, and by systemd), upgraded, removed and purged on throw-away copies of this machine."""
import re
import shutil
import signal
from pathlib import Path

import pytest

from lib import booted, systemd, throwaway
from lib.build import SANITIZED
from lib.nuncio import BINARY, ROOT
from lib.poll import eventually
from lib.process import command
from lib.scale import PARANOID

pytestmark = [
    pytest.mark.skipif(not throwaway.available(), reason="needs root, and a container that lets it mount"),
    pytest.mark.skipif(SANITIZED or PARANOID, reason="a build that nobody installs"),
]
CONFIG = "/etc/nuncio/nuncio.yaml"
ECHO = "admin: unix:/run/nuncio/admin.sock\nlisteners: [{name: e, bind: '127.0.0.1:80', filters: [echo]}]\n"
BIND = 1 << 10  # CAP_NET_BIND_SERVICE
OWN = re.compile("nuncio", re.I)
ACCOUNTS = ["/etc/passwd", "/etc/group", "/etc/shadow"]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The .deb of the binary under test; packed, not compiled anew."""
    build = tmp_path_factory.mktemp("deb")
    shutil.copy(BINARY, build / "nuncio")
    done = command("make", "-C", ROOT, f"BUILD={build}", f"DEB_BUILD={Path(BINARY).parent}", "deb", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return next((build / "deb").glob("nuncio_*.deb"))


@pytest.fixture(scope="module")
def newer(package, tmp_path_factory):
    """The same with a higher version and a config that ships with a further line."""
    folder = tmp_path_factory.mktemp("newer")
    command("dpkg-deb", "-R", package, folder / "tree", check=True)
    control = folder / "tree/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 99-1", control.read_text()))
    with open(folder / "tree/etc/nuncio/nuncio.yaml", "a") as config:
        config.write("# of the newer version\n")
    command("dpkg-deb", "--root-owner-group", "-b", folder / "tree", folder / "nuncio_99-1_all.deb", check=True)
    return folder / "nuncio_99-1_all.deb"


@pytest.fixture(scope="module")
def launcher(tmp_path_factory):
    return systemd.only_listed(tmp_path_factory.mktemp("launcher"))


@pytest.fixture
def machine(tmp_path, closing):
    return closing(throwaway.Throwaway(tmp_path))


@pytest.fixture
def computer(tmp_path, closing):
    """A machine that systemd runs."""
    if not booted.available():
        pytest.skip("a container that lets systemd have no cgroups")
    return closing(booted.Booted(tmp_path))


def dpkg(machine, *words):
    """Without triggers: man-db would index all pages of this machine each time."""
    return machine.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--no-triggers", *words, timeout=120)


def says(machine, word):
    """What port 80 echoes."""
    return machine.run("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/80; echo {word} >&3; head -n 1 <&3").strip()


class Service:
    """The unit of the installed package, run as systemd would: its user, rights and system calls."""

    def __init__(self, machine, launcher):
        rows = systemd.unit(machine.read("/lib/systemd/system/nuncio.service"))
        user = rows["Service.User"][0]
        machine.run("install", "-d", "-o", user, "-g", user, "-m", rows["Service.RuntimeDirectoryMode"][0],
                    f"/run/{rows['Service.RuntimeDirectory'][0]}")
        self.machine = machine
        machine.put("/run/calls", "\n".join(systemd.allowed_calls(rows)))
        filtered = [machine.copy(launcher), "/run/calls"]
        self.child = machine.start(*systemd.as_the_unit_says(rows), *filtered, *rows["Service.ExecStart"][0].split())
        self.child.wait_line("^ready: ")

    def status(self, key):
        return re.search(rf"(?m)^{key}:\s+(.*)$", Path(f"/proc/{self.child.pid}/status").read_text())[1]

    def says(self, word):
        return says(self.machine, word)

    def stop(self):
        self.child.signal(signal.SIGTERM)
        assert self.child.wait() == 0, self.child.output()


def test_it_installs_serves_a_low_port_and_purges_clean(machine, package, launcher):
    dpkg(machine, "-i", machine.copy(package))
    assert "ok: 0 listeners" in machine.run("nuncio", "check", "-c", CONFIG)
    machine.put(CONFIG, ECHO)
    service = Service(machine, launcher)
    uid = machine.run("id", "-u", "nuncio").strip()
    assert uid != "0" and service.status("Uid").split() == [uid] * 4
    assert int(service.status("CapEff"), 16) == int(service.status("CapPrm"), 16) == BIND
    assert service.says("hello") == "hello"
    assert machine.run("nuncio", "ctl", "-c", CONFIG, "ready") == "ready\n"
    service.stop()
    dpkg(machine, "--purge", "nuncio")
    assert [path for path in machine.changed() + machine.folders() if OWN.search(path)] == []
    for path in ACCOUNTS:
        assert sorted(machine.read(path).splitlines()) == sorted(Path(path).read_text().splitlines())
    assert machine.run("id", "nuncio", check=False).endswith("no such user\n")


def test_an_upgrade_keeps_the_config_and_whoever_runs(machine, package, newer, launcher):
    dpkg(machine, "-i", machine.copy(package))
    machine.put(CONFIG, ECHO)
    uid = machine.run("id", "-u", "nuncio")
    service = Service(machine, launcher)
    dpkg(machine, "--force-confold", "-i", machine.copy(newer))
    assert machine.read(CONFIG) == ECHO and machine.run("id", "-u", "nuncio") == uid
    assert service.says("still here") == "still here"
    service.child.signal(signal.SIGHUP)
    service.child.wait_line(r"reload +done")
    service.stop()
    again = Service(machine, launcher)
    assert again.says("back") == "back"
    again.stop()


def test_the_unit_is_sound_and_removing_keeps_the_config(machine, package):
    dpkg(machine, "-i", machine.copy(package))
    assert machine.run("systemd-analyze", "verify", "--man=no", "/lib/systemd/system/nuncio.service", timeout=60) == ""
    shown = machine.run("systemd-analyze", "security", "--offline=true", "--threshold=20", "nuncio.service", timeout=60)
    assert "Overall exposure level for nuncio.service: 1." in shown
    machine.put(CONFIG, ECHO)
    dpkg(machine, "--remove", "nuncio")
    assert machine.read(CONFIG) == ECHO
    assert "No such file" in machine.run("ls", "/usr/bin/nuncio", check=False)
    dpkg(machine, "-i", machine.copy(package))
    assert machine.read(CONFIG) == ECHO


# --- by systemd itself

def main_of(computer):
    """The process of the service, once it is active."""
    try:
        eventually(lambda: computer.shown("ActiveState") == "active")
    except AssertionError:
        raise AssertionError(computer.systemctl("status", "nuncio", check=False)) from None
    return computer.shown("MainPID")


def test_systemd_starts_it_upgrades_it_and_forgets_it(computer, package, newer):
    computer.put("/run/before", "")
    dpkg(computer, "-i", computer.copy(package))
    assert computer.shown("StatusText").startswith("serving: 0 listeners")
    first, uid = main_of(computer), computer.run("id", "-u", "nuncio").strip()
    status = dict(re.findall(r"(?m)^(\w+):\s+(.*)$", computer.read(f"/proc/{first}/status")))
    assert status["Uid"].split() == [uid] * 4 and uid != "0" and int(status["CapPrm"], 16) == BIND and status["Seccomp"] == "2"
    computer.put(CONFIG, ECHO)
    computer.systemctl("reload", "nuncio")
    eventually(lambda: says(computer, "hello") == "hello")  # systemctl does not wait for what HUP does
    assert main_of(computer) == first
    computer.put(CONFIG, "nothing: here\n")
    computer.run("sh", "-c", "! systemctl reload nuncio")  # who asked is told
    assert says(computer, "still") == "still"
    computer.put(CONFIG, ECHO)
    dpkg(computer, "--force-confold", "-i", computer.copy(newer))
    assert main_of(computer) != first
    assert says(computer, "again") == "again" and computer.read(CONFIG) == ECHO
    dpkg(computer, "--purge", "nuncio")
    assert computer.shown("LoadState") == "not-found" and computer.shown("ActiveState") == "inactive"
    assert computer.run("pgrep", "-x", "nuncio", check=False) == ""
    assert computer.run("find", "/etc", "/run", "/var", "-name", "*nuncio*", "-cnewer", "/run/before") == ""
    assert computer.run("id", "nuncio", check=False).endswith("no such user\n")


def test_systemd_ends_one_that_hangs_and_starts_another(computer, package):
    computer.put("/etc/systemd/system/nuncio.service.d/soon.conf", "[Service]\nWatchdogSec=4s\nTimeoutAbortSec=1s\n")
    dpkg(computer, "-i", computer.copy(package))
    first = main_of(computer)
    computer.run("kill", "-STOP", first)
    eventually(lambda: int(computer.shown("NRestarts")) > 0 and computer.shown("ActiveState") == "active", 60)
    assert computer.shown("MainPID") != first


def test_systemd_starts_it_with_the_first_client_and_keeps_the_others(computer, package):
    """As the example of nuncio.socket says."""
    dpkg(computer, "-i", computer.copy(package))
    computer.put(CONFIG, ECHO)
    example = computer.read("/usr/share/doc/nuncio/examples/nuncio.socket")
    computer.put("/etc/systemd/system/nuncio.socket", re.sub(r"(ListenStream=0.0.0.0:80)\n(.*\n)", "ListenStream=127.0.0.1:80\n", example))
    for line in re.findall(r"(?m)^#   (systemctl .*)$", example):
        computer.run("sh", "-c", line)
    computer.systemctl("stop", "nuncio.service")
    assert computer.shown("ActiveState") == "inactive"
    assert says(computer, "first") == "first"
    main_of(computer)
    computer.systemctl("restart", "--no-block", "nuncio.service")
    assert [says(computer, word) for word in ("a", "b", "c")] == ["a", "b", "c"]
