"""A CA made on the spot, and certificates that it signs: for servers, clients and services, good ones and bad ones."""
from pathlib import Path
from typing import NamedTuple

from lib.process import command


class Signed(NamedTuple):
    cert: Path
    key: Path
    both: Path  # certificate and key in one file, as haproxy wants it


def new_key(path, kind="ec"):
    options = {"ec": ["-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
               "rsa": ["-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"]}[kind]
    command("openssl", "genpkey", *options, "-out", path, check=True)
    return path


class Ca:
    """`cert` is the CA's own certificate; get(...) makes one that it signed, once for the same words."""

    def __init__(self, folder, name="test CA"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.folder / "ca.pem", new_key(self.folder / "ca.key")
        self.made = {}
        command("openssl", "req", "-x509", "-new", "-key", self.key, "-days", 90, "-subj", f"/CN={name}", "-out", self.cert,
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign", check=True)

    def get(self, common_name, *alt_names, days=60, kind="ec"):
        """alt_names as openssl has them: "DNS:a.test", "URI:spiffe://mesh/web", "IP:127.0.0.1"; by default the common name."""
        alt_names = alt_names or (f"DNS:{common_name}",)
        words = (common_name, alt_names, days, kind)
        if words not in self.made:
            self.made[words] = self._make(*words)
        return self.made[words]

    def _make(self, common_name, alt_names, days, kind):
        base = self.folder / f"{len(self.made)}-{common_name.replace('*', 'any').replace('/', '_')}"
        cert, key, both, ext = (base.with_name(base.name + end) for end in (".crt", ".key", ".pem", ".ext"))
        new_key(key, kind)
        ext.write_text(f"subjectAltName={','.join(alt_names)}\nkeyUsage=digitalSignature\n"
                       "extendedKeyUsage=serverAuth,clientAuth\n")
        request = command("openssl", "req", "-new", "-key", key, "-subj", f"/CN={common_name}", check=True).stdout
        command("openssl", "x509", "-req", "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", ext, "-out", cert, input=request, check=True)
        both.write_text(cert.read_text() + key.read_text())
        return Signed(cert, key, both)
