"""Certificates made on the spot by openssl, each name once per test run."""
from pathlib import Path
from typing import NamedTuple

from lib.process import command


class Cert(NamedTuple):
    cert: Path
    key: Path
    both: Path  # certificate and key in one file, as haproxy wants it


class Certs:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.made = {}

    def get(self, name, *more_names):
        """A self-signed P-256 certificate for the names."""
        names = (name, *more_names)
        if names not in self.made:
            self.made[names] = self._make(names)
        return self.made[names]

    def _make(self, names):
        base = self.folder / f"{len(self.made)}-{names[0].replace('*', 'any')}"
        cert, key, both = (base.with_name(base.name + end) for end in (".crt", ".key", ".pem"))
        alt = ",".join(f"DNS:{n}" for n in names)
        command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alt},IP:127.0.0.1",
                "-keyout", key, "-out", cert, check=True)
        both.write_text(cert.read_text() + key.read_text())
        return Cert(cert, key, both)
