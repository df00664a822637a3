"""nuncio-tap on loopback while h2load asks nginx 5,000 times a second: every request has its line, and nothing is dropped. As root."""
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "e2e"))
from lib import servers  # noqa: E402
from lib.poll import eventually  # noqa: E402

CLIENTS, EACH, SECONDS = 50, 100, 8  # connections, requests a second on each
BODY = 3600


def origin(folder):
    root = Path(folder) / "origin"
    root.mkdir()
    (root / "item").write_bytes(b"x" * BODY)

    def http(ports):
        return f"keepalive_requests 100000000;\nserver {{ listen 127.0.0.1:{ports['http']}; root {root}; }}"
    return servers.nginx(folder, ["http"], http=http)


def asked(port):
    """How many requests of h2load were answered in time."""
    words = ["h2load", "--h1", f"--clients={CLIENTS}", f"--rps={EACH}", f"--duration={SECONDS}", f"http://127.0.0.1:{port}/item"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60).stdout
    return int(re.search(r"(\d+) done, (\d+) succeeded", said)[2])


def most_memory(pid):
    """MiB of the process and what it maps of the kernel's ring."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def wait_for(look):
    """The kernel hands a block of packets on when it is full or 100 ms old; what is asked of it before is not there."""
    try:
        eventually(look, timeout=5)
    except AssertionError:
        pass  # told by the figures


def live(tap, folder):
    """True: as it should be."""
    if os.geteuid() != 0:
        print("live: capturing needs root")
        return True
    server = origin(folder)
    port = server.ports["http"]
    out = Path(folder) / "lines"
    with out.open("wb") as lines:
        child = subprocess.Popen([str(tap), "-i", "lo", f"tcp port {port}", "--where", 'method == "GET"'], stdout=lines, stderr=subprocess.PIPE, text=True)
    assert "listens on" in child.stderr.readline()
    requests = asked(port)

    def told():
        return out.read_bytes().count(b" -> 200 ")

    wait_for(lambda: told() >= requests)
    memory = most_memory(child.pid)
    child.send_signal(signal.SIGINT)
    said = child.communicate(timeout=30)[1]
    server.close()
    dropped = int(re.search(r"(\d+) dropped by the kernel", said)[1])
    print(f"live: {requests} requests in {SECONDS} s, {told()} lines, {dropped} packets dropped, {memory:.1f} MiB")
    # h2load counts no answer that comes when its time is over.
    return requests <= told() <= requests + CLIENTS and not dropped and memory <= 64
