"""What is measured beside each other: nuncio, haproxy, nginx and a bare relay, each with one worker on one CPU.

Each function starts a peer in front of the origins (listener name to port) and gives the Child, with `ports`.
"""
from pathlib import Path

from lib import servers
from lib.process import Child

PROXY_CPU, LOAD_CPU = 0, 1


def pinned(cpu, *words):
    return ("taskset", "-c", str(cpu), *words)


def nuncio(tools, folder, origins):
    """On ports of the kernel's choice; only what the chosen scenarios need is in its config."""
    text = "workers: 1\ncore_dumps: on\nlisteners:\n"  # lest its memory be hidden from an ordinary user
    text += "".join(f"  - {{name: {name}, bind: \"127.0.0.1:0\", filters: [{{tcp_proxy: {{cluster: {name}}}}}]}}\n" for name in origins)
    text += "clusters:\n" + "".join(f"  - {{name: {name}, endpoints: \"127.0.0.1:{port}\"}}\n" for name, port in origins.items())
    config = Path(folder) / "nuncio.yaml"
    config.write_text(text)
    child = Child(*pinned(PROXY_CPU, tools.nuncio, "run", "-c", config))
    child.wait_line(r"^ready:")
    child.ports = {name: int(child.wait_line(rf"^listening {name} .*:(\d+)$")[1]) for name in origins}
    return child


def haproxy(_tools, folder, origins):
    def render(ports):
        return "global\n  nbthread 1\n  no strict-limits\n" + "".join(
            f"listen {name}\n  mode tcp\n  option splice-auto\n  bind 127.0.0.1:{ports[name]}\n  server s 127.0.0.1:{port}\n"
            for name, port in origins.items())
    return servers.haproxy(folder, list(origins), render, prefix=pinned(PROXY_CPU))


def nginx(_tools, folder, origins):
    def stream(ports):
        return "\n".join(f"server {{ listen 127.0.0.1:{ports[name]}; proxy_pass 127.0.0.1:{port}; }}" for name, port in origins.items())
    return servers.nginx(folder, list(origins), stream=stream, prefix=pinned(PROXY_CPU), connections=20000)


def relay(tools, _folder, origins):
    child = Child(*pinned(PROXY_CPU, tools.relay, *origins.values()))
    child.ports = dict(zip(origins, map(int, child.wait_line(r"^\d.*")[0].split())))
    return child


PEERS = {"nuncio": nuncio, "haproxy": haproxy, "nginx": nginx, "relay": relay}
