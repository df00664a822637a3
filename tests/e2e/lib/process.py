"""A child process with its output at hand. Only this child is ever signalled, by its own handle."""
import contextlib
import os
import re
import resource
import select
import signal
import subprocess
import threading
from pathlib import Path

from lib.poll import PATIENCE, SLOW, eventually

TEXT = dict(encoding="utf-8", errors="replace")


def command(*words, timeout=60, check=False, **more):
    """Runs a program to its end and returns its CompletedProcess, output as text. stdin is empty unless given."""
    if "input" not in more:
        more.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout * SLOW, check=check, **TEXT, **more)


def cpu_of(fn):
    """Seconds of CPU that the programs took which began and ended in fn()."""
    def used():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = used()
    fn()
    return used() - before


class Child:
    """Starts a program; its lines from both streams are in `lines`, in order of arrival: all that it has written by now.

    It is killed by the kernel should the thread that started it end before it.
    """

    def __init__(self, *words, **more):
        self.words = [str(w) for w in words]
        self._lines, self._news, self._taking = [], threading.Condition(), False
        self.popen = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *self.words], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        self.pid = self.popen.pid
        self._begun = {self.popen.stdout: b"", self.popen.stderr: b""}  # the line that has no end yet, of each open stream
        self._readers = [threading.Thread(target=self._read, args=(stream,), daemon=True) for stream in self._begun]
        for reader in self._readers:
            reader.start()

    def _read(self, stream):
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        while stream in self._begun:
            poll.poll()
            with self._news:
                self._take_what_is_there()
                self._news.notify_all()

    def _ready(self):
        """The streams on which something waits, or that have ended."""
        poll = select.poll()
        by_fd = {stream.fileno(): stream for stream in list(self._begun)}
        for fd in by_fd:
            poll.register(fd, select.POLLIN)
        return [by_fd[fd] for fd, _ in poll.poll(0)]

    def _take_what_is_there(self):
        """Under the lock."""
        self._taking = True
        for stream in self._ready():
            data = os.read(stream.fileno(), 1 << 20)  # more than a pipe holds
            *whole, begun = (self._begun[stream] + data).split(b"\n")
            if data:
                self._begun[stream] = begun
            else:
                del self._begun[stream]
                whole += [begun] if begun else []
            self._lines += [line.decode(**TEXT) for line in whole]
        self._taking = False

    @property
    def lines(self):
        if self._ready() or self._taking:  # seldom: many threads may ask at once, and the one that reads must not wait for them
            with self._news:
                self._take_what_is_there()
        return list(self._lines)

    def running(self):
        return self.popen.poll() is None

    def output(self):
        return "\n".join(self.lines)

    def wait_line(self, pattern, timeout=PATIENCE, since=0):
        """The match of the first line from index `since` on that has `pattern`; fails when the child ends without it."""
        found = None

        def look():
            nonlocal found
            self._take_what_is_there()
            found = next((m for m in (re.search(pattern, line) for line in self._lines[since:]) if m), None)
            return found or not self._begun

        with self._news:
            self._news.wait_for(look, timeout * SLOW)
        if found is None:
            state = "still running" if self.running() else f"ended with {self.popen.returncode}"
            raise AssertionError(f"{self.words[0]} ({state}) did not print {pattern!r}:\n{self.output()}")
        return found

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    @contextlib.contextmanager
    def frozen(self):
        """Its threads stand still meanwhile: what comes then meets it all at once."""
        self.signal(signal.SIGSTOP)
        try:
            eventually(lambda: all(re.search(r"^State:\tT", task.read_text(), re.M)
                                   for task in Path(f"/proc/{self.pid}/task").glob("*/status")))
            yield
        finally:
            self.signal(signal.SIGCONT)

    def wait(self, timeout=PATIENCE):
        """Exit code, all output read."""
        code = self.popen.wait(timeout * SLOW)
        for reader in self._readers:
            reader.join(10)
        return code

    def end(self):
        """TERM, then KILL; for peers whose exit code is of no interest."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.signal(number)
            try:
                return self.wait(10)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError(f"{self.words[0]} cannot be ended")

    close = end
