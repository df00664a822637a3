"""A throw-away machine that systemd runs, as its first process: packages meet the manager that they are made for.

It starts nothing but what a test installs. The kernel's settings are read-only to it, and it has no devices of
this machine, no file systems of /etc/fstab, no modules to load and no clock to set.
"""
from pathlib import Path

from lib.poll import eventually
from lib.process import command
from lib.throwaway import SETUP, UNSHARE, Throwaway

SYSTEMD = "/lib/systemd/systemd"
UNITS = "/usr/lib/systemd"
ENTER = ["--pid", "--ipc", "--uts", "--cgroup"]  # namespaces beside those of a plain throw-away

BOOT = SETUP.replace("exec sleep infinity", r"""
cd "$1/root"
umount -l dev
mount -t tmpfs -o mode=755 dev dev
for name in null zero full random urandom tty; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mkdir dev/shm dev/pts
mount -t tmpfs shm dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
for folder in etc/systemd/system usr/lib/systemd/system/*.wants usr/lib/systemd/system-generators; do
    mount -t tmpfs none "$folder"
done
rm -f usr/sbin/policy-rc.d # a container's: nothing is started there
mkdir run/outside
pivot_root . run/outside
umount -l /run/outside
echo '[Unit]' >/etc/systemd/system/bare.target
exec setpriv --bounding-set=-sys_module,-sys_time,-sys_boot,-sys_rawio,-syslog env -i container=test PATH="$PATH" \
    %s --system --unit=bare.target --log-target=null --show-status=no
""" % SYSTEMD)


class Booted(Throwaway):
    def __init__(self, folder):
        super().__init__(folder, [*UNSHARE, *ENTER, "--fork", "--kill-child"], BOOT)
        try:
            self.child = eventually(self.first_process)
            self.enter = ["nsenter", f"--target={self.child}", "--mount", "--net", *ENTER, "--root", "--wd"]
            self.inside = self.enter
            eventually(lambda: self.systemctl("is-system-running", check=False).strip() in ("running", "degraded"))
        except Exception:
            self.close()
            raise

    def first_process(self):
        found = Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children").read_text().split()
        return found and Path(f"/proc/{found[0]}/comm").read_text() == "systemd\n" and int(found[0])

    def copy(self, path):
        name = f"/tmp/{Path(path).name}"
        with open(path, "rb") as source:
            done = command(*self.inside, "cp", "/dev/stdin", name, stdin=source)
        assert done.returncode == 0, done.stderr
        return name

    def systemctl(self, *words, **more):
        return self.run("systemctl", "--no-pager", *words, **more)

    def shown(self, key, unit="nuncio.service"):
        """A property of a unit."""
        return self.systemctl("show", "--value", "-p", key, unit).strip()


def available():
    """Whether this user may make one: what a plain one takes, systemd, and a container that lets it mount cgroups."""
    probe = "d=$(mktemp -d) && mount -t cgroup2 c $d; code=$?; umount -l $d; rmdir $d; exit $code"
    return Path(SYSTEMD).exists() and command(*UNSHARE, "--cgroup", "sh", "-c", probe).returncode == 0
