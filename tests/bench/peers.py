"""What is measured beside each other: nuncio, haproxy, nginx and a bare relay, each with one worker on one CPU.

Each function starts a peer in front of the origins (listener name to port) and gives the Child, with `ports`.
"""
from functools import cache
from pathlib import Path

from lib import servers
from lib.certs import Certs
from lib.process import Child
from scenarios import DATAGRAMS, ENCRYPTED, HTTP, PATHS, WEBSOCKET

PROXY_CPU, LOAD_CPU = 0, 1


def pinned(cpu, *words):
    return ("taskset", "-c", str(cpu), *words)


@cache
def certificate(folder):
    """The one that all peers show: P-256, as most do now."""
    return Certs(folder).get("bench.test")


def streams(origins):
    return {name: port for name, port in origins.items() if name not in DATAGRAMS}


def listener(name, folder):
    if name in HTTP or name in WEBSOCKET:
        http = f"{WEBSOCKET.get(name, '')}routes: [{{cluster: {name}}}]"
        return f"  - {{name: {name}, bind: \"127.0.0.1:0\", filters: [{{http: {{{http}}}}}]}}\n"
    if name not in DATAGRAMS:
        cert = certificate(folder)
        tls = f"tls: {{certificates: [{{cert: {cert.cert}, key: {cert.key}}}]}}, " if name in ENCRYPTED else ""
        return f"  - {{name: {name}, bind: \"127.0.0.1:0\", {tls}filters: [{{tcp_proxy: {{cluster: {name}}}}}]}}\n"
    proxy = f"udp_proxy: {{cluster: {name}, responses: {DATAGRAMS[name]}}}"
    return f"  - {{name: {name}, bind: \"udp://127.0.0.1:0\", filters: [{{{proxy}}}]}}\n"


def nuncio(tools, folder, origins):
    """On ports of the kernel's choice; only what the chosen scenarios need is in its config."""
    text = "workers: 1\ncore_dumps: on\nlisteners:\n"  # lest its memory be hidden from an ordinary user
    text += "".join(listener(name, folder) for name in origins)
    text += "clusters:\n" + "".join(f"  - {{name: {name}, endpoints: \"127.0.0.1:{port}\"}}\n" for name, port in origins.items())
    config = Path(folder) / "nuncio.yaml"
    config.write_text(text)
    child = Child(*pinned(PROXY_CPU, tools.nuncio, "run", "-c", config))
    child.wait_line(r"^ready:")
    child.ports = {name: int(child.wait_line(rf"^listening {name} .*:(\d+)$")[1]) for name in origins}
    return child


def haproxy(_tools, folder, origins):
    def end(name):
        return f" ssl crt {certificate(folder).both}" if name in ENCRYPTED else ""

    def mode(name):
        if name in WEBSOCKET:
            return "http"
        return "http\n  http-reuse always" if name in HTTP else "tcp\n  option splice-auto"

    def render(ports):
        return "global\n  nbthread 1\n  no strict-limits\n" + "".join(
            f"listen {name}\n  mode {mode(name)}\n  bind 127.0.0.1:{ports[name]}{end(name)}\n  server s 127.0.0.1:{port}\n"
            for name, port in streams(origins).items())
    return servers.haproxy(folder, list(streams(origins)), render, prefix=pinned(PROXY_CPU))


def nginx_server(name, at, port, cert):
    """Of datagrams with a TCP server of the same port beside it, which shows that it is up."""
    if name in ENCRYPTED:
        tls = f"ssl_certificate {cert.cert}; ssl_certificate_key {cert.key}; ssl_protocols TLSv1.2 TLSv1.3;"
        return f"server {{ listen 127.0.0.1:{at} ssl; {tls} proxy_pass 127.0.0.1:{port}; }}"
    if name not in DATAGRAMS:
        return f"server {{ listen 127.0.0.1:{at}; proxy_pass 127.0.0.1:{port}; }}"
    ends = f"proxy_responses {DATAGRAMS[name]};" if DATAGRAMS[name] else ""
    return f"server {{ listen 127.0.0.1:{at}; return up; }} server {{ listen 127.0.0.1:{at} udp; proxy_timeout 1m; {ends} proxy_pass 127.0.0.1:{port}; }}"


def nginx(_tools, folder, origins):
    def stream(ports):
        return "\n".join(nginx_server(name, ports[name], port, certificate(folder)) for name, port in origins.items()
                         if name not in HTTP and name not in WEBSOCKET)

    def http(ports):
        return "keepalive_requests 100000000;\n" + "\n".join(
            f"upstream {name} {{ server 127.0.0.1:{origins[name]}; keepalive 256; keepalive_requests 100000000; }}\n"
            f"server {{ listen 127.0.0.1:{ports[name]}; location / {{ proxy_http_version 1.1; proxy_set_header Connection \"\";"
            f" proxy_pass http://{name}; }} }}" for name in origins if name in HTTP) + "\n".join(
            f"server {{ listen 127.0.0.1:{ports[name]}; location / {{ proxy_http_version 1.1; proxy_set_header Connection upgrade;"
            f" proxy_set_header Upgrade $http_upgrade; proxy_pass http://127.0.0.1:{origins[name]}; }} }}" for name in origins if name in WEBSOCKET)
    return servers.nginx(folder, list(origins), http=http, stream=stream, prefix=pinned(PROXY_CPU), connections=20000)


def http_origin(folder):
    """Files of the sizes that are asked for."""
    root = Path(folder) / "origin"
    root.mkdir()
    for path, size in PATHS.items():
        (root / (path[1:] or "index.html")).write_bytes(b"x" * size)

    def http(ports):
        return f"keepalive_requests 100000000; sendfile on; open_file_cache max=10;\nserver {{ listen 127.0.0.1:{ports['http']}; root {root}; }}"
    return servers.nginx(folder, ["http"], http=http, prefix=pinned(LOAD_CPU), connections=20000)


def relay(tools, _folder, origins):
    origins = {name: port for name, port in streams(origins).items() if name not in ENCRYPTED}
    child = Child(*pinned(PROXY_CPU, tools.relay, *origins.values()))
    child.ports = dict(zip(origins, map(int, child.wait_line(r"^\d.*")[0].split())))
    return child


PEERS = {"nuncio": nuncio, "haproxy": haproxy, "nginx": nginx, "relay": relay}
