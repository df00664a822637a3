"""An HTTP server (Python's own) that tells what it was asked, and other things on request."""
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lib.poll import PATIENCE
from lib.process import command


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "mirror", ""

    def answer(self):
        length = int(self.headers.get("content-length", 0))
        request = {"method": self.command, "path": self.path, "body": self.rfile.read(length).decode("latin1"),
                   "headers": [[name.lower(), value] for name, value in self.headers.items()]}
        with self.server.change:
            self.server.requests.append(request)
            self.server.change.notify_all()
        if self.path.startswith("/hold"):
            self.server.released.wait(30)
        if self.path.startswith("/empty"):
            self.send_response(204)
            self.end_headers()
            return
        body = json.dumps(request).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Secret", "yes")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class Mirror:
    """`requests` are what came. /hold waits for close(), /empty answers 204, the rest the request as JSON."""

    def __init__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.server.requests, self.server.change, self.server.released = [], threading.Condition(), threading.Event()
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def wait(self, count, timeout=PATIENCE):
        """The requests, once there are so many."""
        with self.server.change:
            assert self.server.change.wait_for(lambda: len(self.server.requests) >= count, timeout), self.server.requests
        return self.server.requests

    def close(self):
        self.server.released.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Answer:
    """What curl got: status, headers (name in small letters to value), body; `told` is the mirror's word as name to value."""

    def __init__(self, text):
        head, _, self.body = text.partition("\n\n")  # Python makes LF of CRLF
        self.lines = head.split("\n")
        self.status = int(self.lines[0].split()[1])
        self.headers = {name.lower(): value for name, value in (re.split(": ?", line, maxsplit=1) for line in self.lines[1:])}

    @property
    def told(self):
        headers = json.loads(self.body)["headers"]
        assert len(dict(headers)) == len(headers), headers
        return dict(headers)


def curl(url, *options, code=0):
    """curl -si; `code` is what it is to end with."""
    done = command("curl", "-siS", "--max-time", PATIENCE, *options, url)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return Answer(done.stdout) if code == 0 else None
