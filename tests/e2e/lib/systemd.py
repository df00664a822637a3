"""What systemd is to a service: a socket that is told things, sockets that are passed, a unit that says how to start."""
import os
import re
import socket

from lib.poll import PATIENCE, SLOW
from lib.process import command

# Runs its words with the system calls of a list (a file) and no others, as SystemCallFilter= does.
ONLY_LISTED = r"""
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char name[64];
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    FILE *list = fopen(argv[1], "r");
    while (list && fscanf(list, "%63s", name) == 1) {
        int call = seccomp_syscall_resolve_name(name);
        if (call != __NR_SCMP_ERROR)
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
    }
    if (!list || seccomp_load(filter))
        return 9;
    execv(argv[2], argv + 2);
    return 8;
}
"""


class Manager:
    """The other end of sd_notify(3)."""

    def __init__(self, folder):
        self.path = f"{folder}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)  # as systemd's own: services of every user write to it
        self.heard = []

    def env(self, watchdog_ms=None):
        rows = {"NOTIFY_SOCKET": self.path}
        if watchdog_ms:
            rows["WATCHDOG_USEC"] = str(watchdog_ms * 1000)
        return rows

    def next(self, timeout=PATIENCE):
        """The next message as a dict; None when none came in time."""
        self.socket.settimeout(timeout * SLOW)
        try:
            text = self.socket.recv(4096).decode()
        except socket.timeout:
            return None
        message = dict(row.split("=", 1) for row in text.splitlines())
        self.heard.append(message)
        return message

    def wait(self, key, timeout=PATIENCE):
        """The next message that has the key; those before it are passed over."""
        while True:
            message = self.next(timeout)
            assert message is not None, f"no {key}; heard {self.heard}"
            if key in message:
                return message

    def close(self):
        self.socket.close()


def passing(sockets, names=()):
    """(words, more): put before a program's words and into its Child, they pass it the listening sockets as systemd does."""
    fds = [s.fileno() for s in sockets]
    moves = " ".join(f"{100 + i}<&{fd}" for i, fd in enumerate(fds))  # first out of each other's way
    places = " ".join(f"{3 + i}<&{100 + i} {100 + i}<&-" for i in range(len(fds)))
    script = f'exec {moves}; exec {places}; LISTEN_PID=$$ LISTEN_FDS={len(fds)} LISTEN_FDNAMES={":".join(names)} exec "$@"'
    return ["bash", "-c", script, "bash"], {"pass_fds": fds}


def unit(text):
    """Section.Key -> list of values, of a unit file."""
    rows, section = {}, ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            rows.setdefault(f"{section}.{key}", []).append(value)
    return rows


def as_the_unit_says(rows):
    """Words that start a program with the user and the rights of the unit: its own words follow."""
    caps = ",".join(f"+{word.removeprefix('CAP_').lower()}" for word in rows["Service.AmbientCapabilities"][0].split())
    assert rows["Service.NoNewPrivileges"] == ["yes"]
    return ["setpriv", f"--reuid={rows['Service.User'][0]}", f"--regid={rows['Service.Group'][0]}", "--init-groups",
            f"--inh-caps=-all,{caps}", f"--ambient-caps=-all,{caps}", f"--bounding-set=-all,{caps}", "--no-new-privs", "--"]


def call_sets():
    """The sets that SystemCallFilter= knows, by this machine's systemd: "@name" -> calls."""
    sets, members = {}, None
    for line in command("systemd-analyze", "syscall-filter", "--no-pager", check=True).stdout.splitlines():
        if line.startswith("@"):
            members = sets.setdefault(line.strip(), [])
        elif re.match(r"    [@\w]", line):
            members.append(line.strip())

    def expand(name):
        return {call for member in sets[name] for call in (expand(member) if member.startswith("@") else {member})}
    return expand


def allowed_calls(rows):
    """The system calls that the unit's SystemCallFilter= lines leave."""
    expand, allowed = call_sets(), set()
    for line in rows["Service.SystemCallFilter"]:
        calls = {call for word in line.lstrip("~").split() for call in (expand(word) if word.startswith("@") else {word})}
        allowed = allowed - calls if line.startswith("~") else allowed | calls | expand("@default")
    return sorted(allowed)


def only_listed(folder):
    """The program of ONLY_LISTED."""
    (folder / "only_listed.c").write_text(ONLY_LISTED)
    command("gcc", "-O1", "-o", folder / "only_listed", folder / "only_listed.c", "-lseccomp", check=True)
    return folder / "only_listed"
