"""openssl s_client against the proxy, and what it has to say, as values."""
import re
import subprocess
import threading
from typing import NamedTuple

from lib.poll import PATIENCE, SLOW


class Said(NamedTuple):
    """None where openssl said nothing of it."""
    text: str
    version: str
    cipher: str
    alpn: str
    subject: str  # "CN = a.test", of the certificate that was shown
    signature: str  # of the server's: "ECDSA", "RSA-PSS"
    alert: str  # received: "tlsv13 alert certificate required"
    reused: bool
    echo: bool  # what was sent came back


def s_client(address, *options, say="hello", timeout=PATIENCE):
    """One connection that sends a line, waits until it comes back or the connection ends, and ends it."""
    words = [str(word) for word in ("openssl", "s_client", "-connect", address, *options)]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    watchdog = threading.Timer(timeout * SLOW, child.kill)
    watchdog.start()
    lines = []
    try:
        child.stdin.write(say + "\n")
        child.stdin.flush()
        for line in child.stdout:
            lines.append(line)
            if line == say + "\n" and not child.stdin.closed:
                child.stdin.close()
    except BrokenPipeError:
        pass  # it ended before it read its input
    finally:
        watchdog.cancel()
        child.wait()
        lines += child.stdout
        child.stdout.close()
        if not child.stdin.closed:
            try:
                child.stdin.close()
            except BrokenPipeError:
                pass
    text = "".join(lines)

    def find(pattern):
        found = re.search(pattern, text, re.M)
        return found and found[1]

    cipher = find(r"^(?:New|Reused), \S+ Cipher is (\S+)")
    return Said(text, find(r"^(?:New|Reused), (TLSv[\d.]+)"), None if cipher == "(NONE)" else cipher, find(r"^ALPN protocol: (\S+)"),
                find(r"^subject=(.*)$"), find(r"^Peer signature type: (\S+)"), find(r":((?:tls|ssl)v[\w.]+ alert [\w ]+):"),
                bool(find(r"^(Reused),")), bool(find(rf"^({re.escape(say)})$")))


def echo_once(address, *options, **more):
    """The same; what was sent has to come back."""
    said = s_client(address, *options, **more)
    assert said.echo, said.text
    return said
