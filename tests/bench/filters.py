#!/usr/bin/python3
"""User instructions that each HTTP filter adds to a request that it has nothing to do with, counted by valgrind.

  tests/bench/filters.py --nuncio BINARY [--filters A,B] [--limit INSTRUCTIONS]

Client and server are this program, which waits until the proxy sleeps before it says the next thing: so each request
takes two wake-ups, and counts repeat to a few instructions. A long and a short run are subtracted from each other;
what a request takes without filters is subtracted from that. With --limit,
exit 1 when a filter adds more.
"""
import argparse
import re
import signal
import socket
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
from lib.clients import connect  # noqa: E402
from lib.process import Child  # noqa: E402

CONFIG = """workers: 1
drain_timeout: 100ms
listeners: [{{name: http, bind: "127.0.0.1:0", filters: [{{http: {{filters: [{filters}], routes: [{{cluster: web}}]}}}}]}}]
clusters: [{{name: web, endpoints: "127.0.0.1:{port}"}}]
"""
# As people configure them; the request is a GET without Origin, the answer two bytes without a type to compress.
AT_REST = {
    "none": "",
    "basic_auth (off in its route)": '{basic_auth: {users: ["a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="]}}',
    "buffer": "{buffer: {max_request_bytes: 64KiB}}",
    "compress": "compress",
    "connection_limit": "{connection_limit: 1000}",
    "cors": '{cors: {allow_origin: "https://a.test"}}',
    "csrf": "csrf",
    "decompress": "decompress",
    "fault": "{fault: {abort: 503, share: 0%}}",
    "header_edit (a response's header to remove)": "{header_edit: {response: {remove: [x-internal]}}}",
    "health_check": "{health_check: {path: /healthz}}",
    "ip_filter": "{ip_filter: {deny: [192.0.2.0/24, 2001:db8::/32]}}",
    "local_rate_limit": "{local_rate_limit: {tokens: 1000000}}",
    "throttle": "{throttle: 1GiB}",
    "websocket": "websocket",
}
FEW, MANY = 100, 600  # requests


REQUEST = b"GET / HTTP/1.1\r\nHost: bench.test\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n"
ANSWER = (b"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n"
          b"Content-Length: 2\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nxx")
ASLEEP = re.compile(r"\) S ")


def sleeps(child):
    """Once all threads do: what the proxy was told is done with."""
    while not all(ASLEEP.search(task.read_text()) for task in Path(f"/proc/{child.pid}/task").glob("*/stat")):
        assert child.running(), child.output()


def said(child, peer, end):
    got = b""
    while not got.endswith(end):
        more = peer.recv(4096)
        assert more, child.output()
        got += more
    sleeps(child)


def ask(child, port, listening, times):
    server = None
    with connect(f"127.0.0.1:{port}") as client:
        for _ in range(times):
            client.sendall(REQUEST)
            server = server or listening.accept()[0]
            said(child, server, b"\r\n\r\n")
            server.sendall(ANSWER)
            said(child, client, b"\r\n\r\nxx")
    server.close()


def counted(args, folder, name, times):
    """All instructions of a process that served so many requests."""
    listening = socket.create_server(("127.0.0.1", 0))
    text = CONFIG.format(filters=AT_REST[name], port=listening.getsockname()[1])
    if "off in its route" in name:
        text = text.replace("{cluster: web}", f"{{cluster: web, filters: {{{name.split()[0]}: off}}}}")
    config = Path(folder) / "nuncio.yaml"
    config.write_text(text)
    proxy = Child("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.out", args.nuncio, "run", "-c", config, cwd=folder)
    try:
        port = proxy.wait_line(r"listening http .*:(\d+)$", 60)[1]
        proxy.wait_line(r"ready:", 60)
        ask(proxy, port, listening, times)
        proxy.signal(signal.SIGTERM)
        proxy.wait(60)
        return int(proxy.wait_line(r"Collected : (\d+)")[1])
    finally:
        proxy.close()
        listening.close()


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--nuncio", required=True)
    parse.add_argument("--filters", help="names, separated by commas")
    parse.add_argument("--limit", type=int)
    args = parse.parse_args()
    chosen = [name for name in AT_REST if not args.filters or name == "none" or name.split()[0] in args.filters.split(",")]
    added = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name in chosen:
            few, many = (counted(args, folder, name, times) for times in (FEW, MANY))
            added[name] = (many - few) / (MANY - FEW) - added.get("none", 0)
    none = added.pop("none")
    print(f"user instructions per request without filters: {none:.0f}; with one that has nothing to do, more by" +
          (f" (limit {args.limit})" if args.limit else ""))
    for name, more in added.items():
        print(f"  {name:<44}{more:>6.0f}")
    return 1 if args.limit and max(added.values()) > args.limit else 0


if __name__ == "__main__":
    sys.exit(main())
