"""The Debian package: installed, started as its unit says, upgraded, removed and purged on a throw-away copy of this machine."""
import re
import shutil
import signal
from pathlib import Path

import pytest

from lib import systemd, throwaway
from lib.build import SANITIZED
from lib.nuncio import BINARY, ROOT
from lib.process import command
from lib.scale import PARANOID

pytestmark = [
    pytest.mark.skipif(not throwaway.available(), reason="needs root, and a container that lets it mount"),
    pytest.mark.skipif(SANITIZED or PARANOID, reason="a build that nobody installs"),
]
CONFIG = "/etc/nuncio/nuncio.yaml"
ECHO = "admin: unix:/run/nuncio/admin.sock\nlisteners: [{name: e, bind: '127.0.0.1:80', filters: [echo]}]\n"
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


def dpkg(machine, *words):
    """Without triggers: man-db would index all pages of this machine each time."""
    return machine.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--no-triggers", *words, timeout=60)


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
        """What port 80 echoes."""
        script = f"exec 3<>/dev/tcp/127.0.0.1/80; echo {word} >&3; head -n 1 <&3"
        return self.machine.run("bash", "-c", script).strip()

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
    assert int(service.status("CapEff"), 16) == int(service.status("CapPrm"), 16) == 1 << 10  # CAP_NET_BIND_SERVICE
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
