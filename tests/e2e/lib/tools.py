"""Programs not written here that are told what to do on the command line, and what the kernel says about a process."""
from pathlib import Path

from lib.process import Child
from lib.servers import launch


def socat(other, options=""):
    """socat listening on a free port, a child of its own for each connection: socat("SYSTEM:cat")."""
    return launch(["socat"], lambda ports: Child(
        "socat", f"TCP-LISTEN:{ports['socat']},bind=127.0.0.1,reuseaddr,fork,backlog=128{options}", other))


def threads(proxy):
    """CPU nanoseconds of each of its threads that still run, by thread id."""
    tasks = Path(f"/proc/{proxy.pid}/task").iterdir()
    return {int(task.name): int((task / "schedstat").read_text().split()[0]) for task in tasks}


def thread_seconds(proxy):
    """CPU seconds of all its threads, to the nanosecond."""
    return sum(threads(proxy).values()) / 1e9
