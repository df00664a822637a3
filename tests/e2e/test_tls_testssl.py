"""testssl.sh against nuncio and against nginx with the same certificate: nothing bad that nginx lacks."""
import json
import subprocess

import pytest

from lib import servers
from lib.config import cluster, config, listener
from lib.pki import Ca
from lib.poll import SLOW

# Protocols, certificate and defaults, cipher order, vulnerabilities: all but what only lists ciphers and clients.
OPTIONS = ["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1", "-p", "-S", "-P", "-U"]
BAD = ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
SECONDS = 150


def start(ca, port, findings):
    words = ["testssl", *OPTIONS, "--add-ca", ca.cert, "--jsonfile", findings, f"https://localhost:{port}"]
    return subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            start_new_session=True)


def findings(path, run):
    """id to (severity, text)."""
    try:
        said = run.communicate(timeout=SECONDS * SLOW)[0]
    finally:
        run.kill()
    rows = {row["id"]: (row["severity"], row["finding"]) for row in json.loads(path.read_text())}
    assert "scanProblem" not in rows and len(rows) > 40, said
    return rows


@pytest.mark.deadline(SECONDS)
@pytest.mark.parametrize("kind", ["ec"])
def test_nothing_bad_that_nginx_lacks(nuncio, peer, tmp_path, kind):
    ca = Ca(tmp_path / "ca")
    cert = ca.get("localhost", "DNS:localhost", "IP:127.0.0.1", kind=kind)
    site = peer(servers.nginx, tmp_path, ["tls", "plain"], lambda ports: (
        f"server {{ listen 127.0.0.1:{ports['tls']} ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {cert.cert};"
        f" ssl_certificate_key {cert.key}; return 200 'ok'; }} server {{ listen 127.0.0.1:{ports['plain']}; return 200 'ok'; }}"))
    proxy = nuncio(config(listeners=[listener({"tcp_proxy": {"cluster": "c"}}, tls={"certificates": [
        {"cert": str(cert.cert), "key": str(cert.key)}]})], clusters=[cluster(f"127.0.0.1:{site.ports['plain']}")]), workers=2)
    runs = {name: start(ca, port, tmp_path / f"{name}.json") for name, port in (("nginx", site.ports["tls"]), ("nuncio", proxy.port("in")))}
    theirs, ours = (findings(tmp_path / f"{name}.json", run) for name, run in runs.items())
    assert ours["TLS1_3"][1].startswith("offered") and ours["TLS1_2"][1].startswith("offered")
    assert "offered" not in ours["TLS1_1"][1].replace("not offered", "") and ours["cert_chain_of_trust"][1].startswith("passed")
    bad = {name: row for name, row in ours.items() if row[0] in BAD}
    assert {name for name in bad if theirs.get(name, ("",))[0] not in BAD} == set(), bad
