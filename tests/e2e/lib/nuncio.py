"""The proxy under test: started on a config of port 0 binds, watched, reloaded, ended and judged."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from lib.poll import PATIENCE, SLOW, eventually
from lib.process import Child, command

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("NUNCIO", str(ROOT / "build/nuncio"))
BAD_NEWS = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|broken invariant:|sandbox: refused")
# What every config gets at its end unless it says otherwise.
DEFAULTS = {"workers": "1", "admin": "on", "drain_timeout": "500ms",
            "core_dumps": "on"}  # lest /proc/PID/fd be closed to tests of an ordinary user


def run_nuncio(*words, **more):
    """Runs a sub-command to its end: run_nuncio("check", "-c", path)."""
    return command(BINARY, *words, **more)


def with_defaults(text, **given):
    """The config text with DEFAULTS and `given` appended where it names no such key itself."""
    rows = {**DEFAULTS, **{k: str(v) for k, v in given.items() if v is not None}}
    missing = [f"{k}: {v}\n" for k, v in rows.items() if not re.search(rf"^{k}:", text, re.M)]
    return text + ("" if text.endswith("\n") else "\n") + "".join(missing)


NO_VALUES = "No recorded values"  # of a histogram

EMPTY_HISTOGRAM = "No recorded values"
raised = set()  # names of all stats that were seen above zero in this test run


def remember(text):
    """The stats in ctl's answer: whole numbers as int, the rest (histograms) as text; those above zero are noted in `raised`."""
    rows = (line.partition(": ") for line in text.splitlines())
    stats = {name: int(value) if re.fullmatch(r"-?\d+", value) else value for name, _, value in rows if value}
    raised.update(name for name, value in stats.items() if value not in (0, NO_VALUES))
    return stats


class Nuncio(Child):
    """`nuncio run -c FILE`, serving. `config` is a text or a Path (taken as it is); None means the arguments say all.

    `under` is a command that runs it, like `nsenter --net=...`; `more` goes to subprocess.Popen.
    """

    def __init__(self, config=None, *args, workers=None, env=None, ready=True, files=None, under=(), **more):
        self.dir = Path(tempfile.mkdtemp(prefix="nu-"))  # short: UNIX socket paths end at 107 bytes
        self.path = config if isinstance(config, Path) else None
        self.workers = workers
        for name, content in (files or {}).items():
            (self.dir / name).write_text(content)
        if config is not None and self.path is None:
            self.path = self.dir / "nuncio.yaml"
            self.write(config)
        words = ["run", *(["-c", self.path] if self.path else []), *args]
        super().__init__(*under, BINARY, *words, cwd=self.dir, env={**os.environ, **(env or {})}, **more)
        if ready:
            try:
                self.wait_ready()
            except AssertionError:
                self.signal(signal.SIGKILL)
                raise

    def write(self, text):
        self.path.write_text(with_defaults(text, workers=self.workers))

    def wait_ready(self, timeout=PATIENCE):
        """(listeners, workers) as it reports them."""
        found = self.wait_line(r"^ready: (\d+) listeners?, (\d+) workers?", timeout)
        return int(found[1]), int(found[2])

    # --- where it listens

    def addresses(self, name):
        """All addresses that were printed for the listener, in order."""
        rows = (re.match(r"listening (\S+) (\S+)$", line) for line in self._lines)
        return [m[2] for m in rows if m and m[1] == name]

    def address(self, name):
        """The newest address of the listener, as printed: HOST:PORT, [HOST]:PORT or unix:PATH."""
        found = self.addresses(name)
        assert found, f"no listener {name!r}:\n{self.output()}"
        return found[-1]

    def port(self, name):
        return int(self.address(name).rpartition(":")[2])

    # --- what it says

    def ctl(self, *words, check=True):
        """The answer of `nuncio ctl` as text."""
        done = run_nuncio("ctl", "-c", self.path, *words)
        assert done.returncode == 0 or not check, f"ctl {words}: exit {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout

    def stats(self):
        """All stats by name."""
        return remember(self.ctl("stats"))

    def wait_stat(self, name, value, timeout=PATIENCE):
        """Waits until the stat has the value; `value` may be a function of what it is."""
        fits = value if callable(value) else lambda now: now == value
        return eventually(lambda: fits(self.stats().get(name)) and self.stats(), timeout, f"{name} == {value}")

    def file_lines(self, name, least=1, timeout=PATIENCE):
        """Lines of a file beside the config (a log) once it has at least `least` whole ones."""
        def look():
            lines = (self.dir / name).read_text().rpartition("\n")[0].splitlines()
            return len(lines) >= least and lines
        return eventually(look, timeout, f"{least} lines in {name}")

    # --- what it does

    def reload(self, text=None, by="hup", good=True, timeout=PATIENCE):
        """Writes the config if given, reloads by signal or ctl, and waits for the outcome, which must be as `good` says.

        Returns the log line, or ctl's answer. The listeners' new addresses are printed by then.
        """
        if text is not None:
            self.write(text)
        if by == "ctl":
            answer = self.ctl("reload", check=good)
            assert answer.startswith("reloaded") == good, answer
            self.lines  # among them the new addresses
            return answer
        since = len(self.lines)
        self.signal(signal.SIGHUP)
        outcome = self.wait_line(r".*\breload +(done|failed|refused)\b.*", timeout, since)
        assert (outcome[1] == "done") == good, self.output()
        return outcome[0]

    def connect(self, name, timeout=PATIENCE * SLOW):
        """A client socket to the listener."""
        address = self.address(name)
        if address.startswith("unix:"):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(timeout)
            client.connect(address[5:])
            return client
        host, _, port = address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout)

    def rss_kb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[1])

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_seconds(self):
        """User and system time of all threads since the start."""
        ticks = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    # --- how it ends

    def stop(self, code=0):
        """TERM (a second one if the drain takes long); asserts the exit code and that nothing bad was reported."""
        try:
            if self.path is not None and self.running():
                remember(run_nuncio("ctl", "-c", self.path, "stats").stdout)
            self.signal(signal.SIGTERM)
            try:
                ended = self.wait(10)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGTERM)
                ended = self.wait()
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.wait()
            raise AssertionError(f"does not end after two TERM:\n{self.output()}") from None
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)
        assert not BAD_NEWS.search(self.output()), self.output()
        assert ended == code, f"exit code {ended}:\n{self.output()}"

    close = stop
