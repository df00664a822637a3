"""dnsmasq as the only name server of a nuncio: a table of names, changed at run time, with a TTL of one second."""
import shutil
import signal
import tempfile
from pathlib import Path

from lib import servers
from lib.process import Child


class Dns:
    """Answers for the names it was given, all under .test, and says "no such name" for the others there."""

    def __init__(self, names, *options):
        self.options = options
        self.dir = Path(tempfile.mkdtemp(prefix="dns-"))
        self._write(names)
        self.child = servers.launch(["dns"], self._start)
        self.env = {"NUNCIO_DNS": self.child.address}

    def _start(self, ports):
        return Child("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-poll",
                     "--bind-interfaces", "--listen-address=127.0.0.1", f"--port={ports['dns']}", "--user=root",
                     "--local=/test/", "--pid-file=", f"--addn-hosts={self.dir / 'hosts'}", "--local-ttl=1", "--log-queries", "--log-facility=-",
                     *self.options)

    def _write(self, names):
        rows = (f"{address} {name}\n" for name, addresses in names.items() for address in addresses)
        (self.dir / "hosts").write_text("".join(rows))

    def set(self, **names):
        """Replaces the table; name=[addresses], "_" standing for "."."""
        self._write({name.replace("_", "."): addresses for name, addresses in names.items()})
        since = len(self.child.lines)
        self.child.signal(signal.SIGHUP)
        self.child.wait_line("read .*hosts", since=since)

    def queries(self):
        return sum("query[A]" in line for line in self.child.lines)

    def close(self):
        self.child.end()
        shutil.rmtree(self.dir, ignore_errors=True)
