"""This machine as a throw-away: what is installed, started and removed in it leaves the real one as it is. Needs root.

An overlay over / in namespaces of its own (mounts, network); what was changed lies in its upper folder.
"""
import os
import signal
from pathlib import Path

from lib.poll import eventually
from lib.process import Child, command

SETUP = r"""
set -e
mount -t tmpfs throwaway "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay throwaway -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mount -t tmpfs run "$1/root/run"
mount -t tmpfs tmp "$1/root/tmp"
ip link set lo up
echo made
exec sleep infinity
"""
UNSHARE = ["unshare", "--mount", "--net", "--propagation", "private"]


def available():
    """Whether this user may make one: root, in a container that lets it mount."""
    if os.geteuid() != 0:
        return False
    probe = "d=$(mktemp -d) && mount -t tmpfs t $d && mkdir $d/u $d/w $d/r && mount -t overlay o -o lowerdir=/,upperdir=$d/u,workdir=$d/w $d/r"
    return command(*UNSHARE, "sh", "-c", f"{probe}; code=$?; umount -l $d; rmdir $d; exit $code").returncode == 0


class Throwaway:
    def __init__(self, folder, unshare=UNSHARE, script=SETUP):
        self.folder = folder
        self.keeper = Child(*unshare, "sh", "-c", script, "sh", folder)
        self.keeper.wait_line("^made$")
        self.enter = ["nsenter", f"--target={self.keeper.pid}", "--mount", "--net", "--root"]  # its root: ours may be a chroot
        self.inside = [*self.enter, "chroot", f"{folder}/root"]

    def run(self, *words, check=True, **more):
        """Runs a program in it to its end: output of both streams as text."""
        done = command(*self.inside, *words, **more)
        assert done.returncode == 0 or not check, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def start(self, *words, **more):
        return Child(*self.inside, *words, **more)

    def put(self, path, text):
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1"', "sh", path, input=text)

    def copy(self, path):
        """A file of the test into /tmp; returns its path there."""
        command(*self.enter, "cp", path, f"{self.folder}/root/tmp/", check=True)
        return f"/tmp/{Path(path).name}"

    def copy_tree(self, source, to, *words):
        """What tar makes of the words, in a real folder, into a folder of this one."""
        script = 'mkdir -p "$2" && cd "$1" && to=$2 && shift 2 && tar -c "$@" | tar -x -C "$to"'
        command(*self.enter, "sh", "-c", script, "sh", source, f"{self.folder}/root{to}", *words, check=True)

    def read(self, path):
        return self.run("cat", path)

    def changed(self):
        """Files that differ from the real machine's: made, written or (as devices) deleted."""
        found = command(*self.enter, "find", f"{self.folder}/upper", "-xdev", "!", "-type", "d", "-printf", "/%P\n", check=True)
        return sorted(found.stdout.splitlines())

    def folders(self):
        found = command(*self.enter, "find", f"{self.folder}/upper", "-xdev", "-type", "d", "-printf", "/%P\n", check=True)
        return sorted(found.stdout.splitlines())

    def close(self):
        self.keeper.signal(signal.SIGKILL)
        self.keeper.wait()
        eventually(lambda: not os.path.exists(f"/proc/{self.keeper.pid}"))
