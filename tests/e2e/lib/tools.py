"""Programs not written here that are told what to do on the command line, and what the kernel says about a process."""
from pathlib import Path

from lib.process import Child
from lib.servers import launch


def socat(*words, options=""):
    """socat listening on a free port, a child of its own for each connection: socat("SYSTEM:cat")."""
    return launch(["socat"], lambda ports: Child(
        "socat", *words[:-1], f"TCP-LISTEN:{ports['socat']},bind=127.0.0.1,reuseaddr,fork,backlog=128{options}", words[-1]))


def threads(proxy):
    """CPU nanoseconds and turns on a CPU of each of its threads, by thread id."""
    tasks = Path(f"/proc/{proxy.pid}/task").iterdir()
    rows = {int(task.name): (task / "schedstat").read_text().split() for task in tasks}
    return {number: (int(row[0]), int(row[2])) for number, row in rows.items()}


def thread_seconds(proxy):
    """CPU seconds of all its threads that still run, to the nanosecond."""
    return sum(cpu for cpu, _ in threads(proxy).values()) / 1e9
