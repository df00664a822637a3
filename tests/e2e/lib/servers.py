"""Servers not written here: nginx, haproxy, nghttpd, nghttpx, openssl s_server, iperf3. Each is one child on ports that were free."""
import re
import tempfile
from pathlib import Path

from lib.poll import eventually
from lib.ports import free_port, listens
from lib.process import Child

TRIES = 5  # times another process may snatch a port between choice and bind

NGINX_MAIN = """
daemon off; master_process off; pid nginx.pid; error_log stderr notice;
{modules}
events {{ worker_connections {connections}; }}
"""
NGINX_HTTP = """
http {{
  access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  {http}
}}
"""
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
HAPROXY_MAIN = """
global
  maxconn 4000
defaults
  timeout connect 5s
  timeout client 60s
  timeout server 60s
"""


def launch(names, start):
    """Starts a server on a free port for each of the names: start(ports) gives the Child, ports being name to port.

    The child gets `ports`, `port` (the first) and `dir`; ready when it listens on all. A port taken meanwhile means another try.
    """
    for left in reversed(range(TRIES)):
        ports = {name: free_port() for name in names}
        child = start(ports)
        try:
            for port in ports.values():
                eventually(lambda: not child.running() or listens(child.pid, port), what=f"{child.words[0]} on port {port}")
            assert child.running(), f"{child.words} ended:\n{child.output()}"
        except AssertionError:
            child.end()
            if left and re.search("already in use|cannot bind", child.output()):
                continue
            raise
        child.ports, child.port = ports, next(iter(ports.values()))
        child.address = f"127.0.0.1:{child.port}"
        return child
    raise AssertionError(f"no port stayed free for {names}")


def nginx(folder, names, http=None, stream=None, connections=2000, prefix=()):
    """nginx with what http(ports) and stream(ports) give inside those blocks; `prefix` is a command that runs it."""
    def start(ports):
        place = Path(tempfile.mkdtemp(prefix="nginx-", dir=folder))
        text = NGINX_MAIN.format(modules=f"load_module {STREAM_MODULE};" if stream else "", connections=connections)
        text += NGINX_HTTP.format(http=http(ports)) if http else ""
        text += f"stream {{\n{stream(ports)}\n}}\n" if stream else ""
        (place / "nginx.conf").write_text(text)
        return Child(*prefix, "nginx", "-p", place, "-e", "stderr", "-c", place / "nginx.conf")
    return launch(names, start)


def nginx_tls(folder, certs, body=None):
    """One TLS server per name of `certs` (name to Cert), answering every request with its own name; ports by name."""
    def http(ports):
        return "\n".join(
            f"server {{ listen 127.0.0.1:{ports[name]} ssl; ssl_certificate {cert.cert}; ssl_certificate_key {cert.key};"
            f" location / {{ return 200 '{body or name}\\n'; }} }}" for name, cert in certs.items())
    return nginx(folder, list(certs), http)


def haproxy(folder, names, render, prefix=()):
    """haproxy with what render(ports) gives after the defaults; `prefix` is a command that runs it."""
    def start(ports):
        place = Path(tempfile.mkdtemp(prefix="haproxy-", dir=folder))
        (place / "haproxy.cfg").write_text(HAPROXY_MAIN + render(ports))
        return Child(*prefix, "haproxy", "-db", "-f", place / "haproxy.cfg")
    return launch(names, start)


def nghttpd(*options, cert=None):
    """nghttp2's own server: gives uploads back with --echo-upload; in clear text without a certificate."""
    def start(ports):
        tls = [ports["nghttpd"], cert.key, cert.cert] if cert else ["--no-tls", ports["nghttpd"]]
        return Child("nghttpd", "--address=127.0.0.1", *options, *tls)
    return launch(["nghttpd"], start)


def nghttpx(front, *options, behind):
    """nghttp2's own proxy: `front` and `behind` are what its --frontend and --backend say after the address."""
    address, _, how = behind.partition(";")
    host, _, port = address.rpartition(":")
    return launch(["nghttpx"], lambda ports: Child(
        "nghttpx", "--conf=/dev/null", "--single-process", "--workers=1", "--errorlog-file=/dev/stderr",
        f"--frontend=127.0.0.1,{ports['nghttpx']}{front}", f"--backend={host},{port};{how}", *options))


def iperf3():
    return launch(["iperf3"], lambda ports: Child("iperf3", "-s", "-B", "127.0.0.1", "-p", ports["iperf3"], "--forceflush"))


def s_server(cert, *options, port=0):
    """openssl s_server, by default on a port of the kernel's choice; answers HTTP requests with its status page (-www)."""
    child = Child("openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert.cert, "-key", cert.key, *(options or ["-www"]))
    child.port = int(child.wait_line(r"^ACCEPT.*?(?::(\d+))?$")[1] or port)
    child.address = f"127.0.0.1:{child.port}"
    return child
