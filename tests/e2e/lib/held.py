"""What a process holds: its descriptors by kind, and its memory at most."""
import os
import re
import resource
from pathlib import Path

from lib.poll import PATIENCE, eventually


def sockets(child):
    """How many sockets it has open. Other descriptors (log files, pipes kept for reuse) do not come with connections."""
    count = 0
    for fd in os.listdir(f"/proc/{child.pid}/fd"):
        try:
            count += os.readlink(f"/proc/{child.pid}/fd/{fd}").startswith("socket:")
        except FileNotFoundError:
            pass  # closed meanwhile
    return count


def wait_sockets(child, count, timeout=PATIENCE):
    """Waits until it holds that many sockets."""
    eventually(lambda: sockets(child) == count, timeout, f"{count} sockets, has {sockets(child)}")


def peak_kb(child):
    """The most memory it had at once since the start or reset_peak."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{child.pid}/status").read_text())[1])


def reset_peak(child):
    Path(f"/proc/{child.pid}/clear_refs").write_text("5")


def limit_fds(child, count):
    """Lets it open `count` more, seen from now; returns what takes the limit back."""
    before = resource.prlimit(child.pid, resource.RLIMIT_NOFILE)
    used = {int(fd) for fd in os.listdir(f"/proc/{child.pid}/fd")}
    free = [fd for fd in range(len(used) + count + 1) if fd not in used]
    resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (free[count], before[1]))
    return lambda: resource.prlimit(child.pid, resource.RLIMIT_NOFILE, before)
