"""Servers that keep data, each in a fresh folder and ended with the test: PostgreSQL and Redis."""
import os
import pwd
import shutil
import tempfile
from pathlib import Path

from lib.process import Child, command
from lib.servers import launch

NOBODY = "nobody"  # whom Postgres runs as where the tests are root, which it refuses to be


def postgres_program(name):
    """Debian keeps the newest version's programs out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return found[-1] if found else Path(shutil.which(name))


class Postgres:
    """A server with TLS on (the certificate and key of `signed`); user `me`, no password. `port`, `address`."""

    def __init__(self, signed):
        self.dir = Path(tempfile.mkdtemp(prefix="pg-"))
        self.data = self.dir / "data"
        self.user = []
        for name, source in (("server.crt", signed.cert), ("server.key", signed.key)):
            (self.dir / name).write_bytes(source.read_bytes())
            (self.dir / name).chmod(0o600)
        if os.geteuid() == 0:
            account = pwd.getpwnam(NOBODY)
            self.user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--"]
            for path in (self.dir, *self.dir.iterdir()):
                os.chown(path, account.pw_uid, account.pw_gid)
        command(*self.user, postgres_program("initdb"), "-D", self.data, "-U", "me", "-A", "trust", "-E", "UTF8", "--locale=C",
                "--no-sync", "--no-instructions", cwd=self.dir, check=True)
        self.child = launch(["postgres"], self._start)
        self.port, self.address = self.child.port, self.child.address

    def _start(self, ports):
        settings = {"port": ports["postgres"], "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off",
                    "ssl": "on", "ssl_cert_file": self.dir / "server.crt", "ssl_key_file": self.dir / "server.key",
                    "max_connections": 20, "shared_buffers": "4MB", "autovacuum": "off", "log_connections": "on"}
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return Child(*self.user, postgres_program("postgres"), "-D", self.data, *words, cwd=self.dir)

    def close(self):
        self.child.end()
        shutil.rmtree(self.dir)


def psql(address, *queries, sslmode="require", timeout=30, **options):
    """psql's CompletedProcess for the queries over one connection; `options` are libpq's (sslrootcert, host, ...)."""
    host, _, port = address.rpartition(":")
    words = {"hostaddr": host, "host": "localhost", "port": port, "user": "me", "dbname": "postgres", "sslmode": sslmode,
             "gssencmode": "disable", "connect_timeout": 30, **options}
    asked = [word for query in queries for word in ("-c", query)]
    return command("psql", "-X", "-q", "-A", "-t", " ".join(f"{key}={value}" for key, value in words.items()), *asked, timeout=timeout)


def redis(folder):
    """redis-server without persistence."""
    place = Path(tempfile.mkdtemp(prefix="redis-", dir=folder))
    return launch(["redis"], lambda ports: Child(
        "redis-server", "--port", ports["redis"], "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", place))


def redis_cli(port, *words, tls=()):
    """redis-cli's answer as text."""
    done = command("redis-cli", "-h", "127.0.0.1", "-p", port, *tls, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
