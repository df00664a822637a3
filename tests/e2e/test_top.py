"""`nuncio top`: one picture for a pipe, a live one on a terminal of any size."""
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading

from lib.config import cluster, config, listener
from lib.http import Client, Origin
from lib.nuncio import BINARY, run_nuncio
from lib.poll import SLOW, eventually

TURNED = "x\u202e"  # writes backwards


def serve(nuncio, peer, names):
    routes = [{"match": {"path_prefix": "/sick"}, "cluster": names[0]}, {"cluster": "c"}]
    clusters = [cluster(peer(Origin).address), *({"name": name, "endpoints": "127.0.0.1:1"} for name in names)]
    return nuncio(config(listeners=[listener({"http": {"routes": routes, "name": "in"}}, access_log=[])], clusters=clusters))


def test_one_picture(nuncio, peer):
    proxy = serve(nuncio, peer, [TURNED])
    with Client(proxy) as client:
        busy = threading.Thread(target=lambda: [client.get(path) for _ in range(200) for path in ("/", "/sick")])
        client.get("/sick")
        busy.start()
        done = run_nuncio("top", "-c", proxy.path, "-d", "0.2")
        busy.join()
    assert done.returncode == 0, done.stderr
    rows = done.stdout.splitlines()
    assert rows[0].startswith("nuncio ") and "generation 1" in rows[0] and "open 1 " in rows[1] and "\x1b" not in done.stdout and "\u202e" not in done.stdout
    assert any(row.startswith("x? ") for row in rows), done.stdout
    assert any(row.startswith("in ") and proxy.address("in") in row for row in rows)
    assert any("503 GET a.test/sick" in row and "UF" in row for row in rows), done.stdout


def test_nobody_there(tmp_path):
    done = run_nuncio("top", "-s", f"unix:{tmp_path}/none.sock")
    assert done.returncode == 1 and done.stderr.startswith("nuncio top: ") and done.stdout == ""
    assert run_nuncio("top").returncode == run_nuncio("top", "-s", "unix:/x", "-d", "0").returncode == 2


class Terminal:
    """A program on a terminal of that size; `seen` is all that it wrote."""

    def __init__(self, rows, columns, *words):
        self.end, far = pty.openpty()
        self.far, self.seen = far, ""
        self.resize(rows, columns)
        self.before = termios.tcgetattr(far)
        self.child = subprocess.Popen([str(word) for word in words], stdin=far, stdout=far, stderr=far, start_new_session=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while data := os.read(self.end, 65536):
                self.seen += data.decode(errors="replace")
        except OSError:
            pass  # closed

    def resize(self, rows, columns):
        fcntl.ioctl(self.far, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.end, keys)

    def picture(self):
        """The rows of the newest whole picture."""
        return self.seen.split("\x1b[H")[-1].partition("\x1b[J")[0].split("\r\n")

    def close(self):
        self.child.kill()
        self.child.wait()
        os.close(self.end)
        os.close(self.far)


def test_on_a_terminal(nuncio, peer, closing):
    proxy = serve(nuncio, peer, [f"name-{n:02}" for n in range(40)])
    screen = closing(Terminal(24, 80, BINARY, "top", "-c", proxy.path, "-d", "0.1"))
    eventually(lambda: "name-00" in screen.seen and len(screen.picture()) == 24)
    assert "name-39" not in screen.seen
    screen.resize(70, 120)
    screen.child.send_signal(signal.SIGWINCH)
    eventually(lambda: "name-39" in screen.seen)
    screen.resize(12, 60)
    screen.child.send_signal(signal.SIGWINCH)
    eventually(lambda: len(screen.picture()) == 12 and "name-39" not in "".join(screen.picture()))
    for _ in range(20):
        screen.type(b" \x1b[B")
    eventually(lambda: "name-39" in "".join(screen.picture()))
    screen.type(b"q")
    assert screen.child.wait(30 * SLOW) == 0
    eventually(lambda: screen.seen.endswith("\x1b[?25h\x1b[?1049l"))
    assert termios.tcgetattr(screen.far) == screen.before
