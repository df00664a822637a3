"""A child process with its output at hand. Only this child is ever signalled, by its own handle."""
import contextlib
import re
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


class Child:
    """Starts a program; its lines from both streams are in `lines`, in order of arrival.

    It is killed by the kernel should the thread that started it end before it.
    """

    def __init__(self, *words, **more):
        self.words = [str(w) for w in words]
        self.lines = []
        self._news = threading.Condition()
        self.popen = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *self.words], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, **TEXT, **more)
        self.pid = self.popen.pid
        self._readers = [threading.Thread(target=self._read, args=(stream,), daemon=True)
                         for stream in (self.popen.stdout, self.popen.stderr)]
        for reader in self._readers:
            reader.start()

    def _read(self, stream):
        for line in stream:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def running(self):
        return self.popen.poll() is None

    def output(self):
        return "\n".join(self.lines)

    def wait_line(self, pattern, timeout=PATIENCE, since=0):
        """The match of the first line from index `since` on that has `pattern`; fails when the child ends without it."""
        found = None

        def look():
            nonlocal found
            found = next((m for m in (re.search(pattern, line) for line in self.lines[since:]) if m), None)
            return found or not any(r.is_alive() for r in self._readers)

        with self._news:
            self._news.wait_for(look, timeout * SLOW)
            look()
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
            reader.join(5)
        return code

    def end(self):
        """TERM, then KILL; for peers whose exit code is of no interest."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.signal(number)
            try:
                return self.wait(3)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError(f"{self.words[0]} cannot be ended")

    close = end
