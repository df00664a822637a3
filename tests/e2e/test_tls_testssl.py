"""testssl.sh against nuncio and against nginx with the same certificate: nothing bad that nginx lacks."""
import contextlib
import json
import os
import signal
import subprocess

import pytest

from lib import servers
from lib.config import cluster, config, listener
from lib.nuncio import Nuncio
from lib.pki import Ca
from lib.poll import SLOW

OPTIONS = ["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1"]
# Protocols, certificate and defaults, cipher order, vulnerabilities: all but what only lists ciphers and clients.
SECTIONS = ["-p", "-S", "-P", "-U"]
BAD = ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
SECONDS = 500  # where others take most of the machine; alone it is half a minute


class Scan:
    """A run of testssl.sh against a port."""

    def __init__(self, findings, ca, port):
        self.file = findings
        words = ["nice", "-n", "10", "testssl", *OPTIONS, *SECTIONS, "--add-ca", ca.cert, "--jsonfile", findings, f"https://localhost:{port}"]
        self.run = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                    start_new_session=True)

    def findings(self):
        """id to (severity, text)."""
        said = self.run.communicate(timeout=SECONDS * SLOW)[0]
        rows = {row["id"]: (row["severity"], row["finding"]) for row in json.loads(self.file.read_text())}
        assert "scanProblem" not in rows and len(rows) > 40, said
        return rows

    def close(self):
        if self.run.poll() is None:
            os.killpg(self.run.pid, signal.SIGKILL)  # its own session: the script and what it started
        self.run.communicate()


@pytest.fixture(scope="session")
def scans(tmp_path_factory):
    """Of nginx and of nuncio, under way. They take half a minute, much of it waiting: other tests run meanwhile."""
    folder = tmp_path_factory.mktemp("testssl")
    ca = Ca(folder / "ca")
    cert = ca.get("localhost", "DNS:localhost", "IP:127.0.0.1")
    with contextlib.ExitStack() as stack:
        def keep(thing):
            stack.callback(thing.close)
            return thing
        site = keep(servers.nginx(folder, ["tls", "plain"], lambda ports: (
            f"server {{ listen 127.0.0.1:{ports['tls']} ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {cert.cert};"
            f" ssl_certificate_key {cert.key}; return 200 'ok'; }} server {{ listen 127.0.0.1:{ports['plain']}; return 200 'ok'; }}")))
        proxy = keep(Nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}}, tls={"certificates": [
            {"cert": str(cert.cert), "key": str(cert.key)}]})], clusters=[cluster(f"127.0.0.1:{site.ports['plain']}")]), workers=2))
        yield [keep(Scan(folder / f"{name}.json", ca, port)) for name, port in (("nginx", site.ports["tls"]), ("nuncio", proxy.port("in")))]


@pytest.mark.first
def test_scans_begin(scans):
    assert all(scan.run.poll() is None for scan in scans)


@pytest.mark.deadline(SECONDS)
def test_nothing_bad_that_nginx_lacks(scans):
    theirs, ours = (scan.findings() for scan in scans)
    assert ours["TLS1_3"][1].startswith("offered") and ours["TLS1_2"][1].startswith("offered")
    assert ours["TLS1_1"][1] == "not offered" and ours["cert_chain_of_trust"][1].startswith("passed")
    assert "heartbleed" in ours and "ROBOT" in ours
    bad = {name: row for name, row in ours.items() if row[0] in BAD}
    assert {name for name in bad if theirs.get(name, ("",))[0] not in BAD} == set(), bad
