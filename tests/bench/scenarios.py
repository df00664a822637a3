"""What is measured: one row a scenario. A new one is a new row, and a listener in each peer's config if it needs one."""
from typing import NamedTuple


class Scenario(NamedTuple):
    unit: str
    listener: str         # name of the listener that each peer's config has for it
    load: tuple = ()      # kind, connections, bytes: arguments of the load program; empty: idle connections are counted
    per_unit: float = 1   # units of `unit` in one exchange
    idle: int = 0         # connections opened and left alone
    scale: float = 1e-3   # from nanoseconds of CPU to the unit
    program: str = "load"  # or tls, udp, ws, wrk: then `load` is connections, path, headers
    peers: tuple = ("nuncio", "haproxy", "nginx", "relay")


# Listeners of datagrams, by their name, and how many answers end a session (0: none does).
DATAGRAMS = {"udp": 0, "udp_ask": 1}
RELAY_UDP = ("nuncio", "nginx")

# Listeners that speak TLS, by their name, and the origin behind them, which does not.
ENCRYPTED = {"tls_echo": "echo", "tls_once": "once", "tls_blob": "blob"}
TLS = ("nuncio", "haproxy", "nginx")

# Listeners that proxy HTTP; the origin behind them is an nginx, which answers /N with N bytes.
HTTP = ("http",)
PATHS = {"/": 2, "/64k": 64 << 10, "/1m": 1 << 20}

# Listeners that proxy WebSockets, and what ours has in its list of filters; the origin behind them sends each frame back.
WEBSOCKET = {"ws": "", "ws_seen": "filters: [{websocket: {messages_per_second: 0}}], "}

SCENARIOS = {
    "idle_tcp": Scenario("KiB/connection", "echo", idle=4000),
    "tcp": Scenario("us/round trip", "echo", ("ping", 64, 64)),
    "tcp_1m": Scenario("us/MiB", "blob", ("pull", 8, 1 << 20)),
    "idle_h1": Scenario("KiB/connection", "http", idle=4000, peers=TLS),
    "h1": Scenario("us/request", "http", (64, "/"), program="wrk"),
    "h1_64k": Scenario("us/request", "http", (16, "/64k"), program="wrk"),
    "h1_1m": Scenario("us/MiB", "http", (8, "/1m"), program="wrk"),
    "connrate": Scenario("us/request", "http", (32, "/", "Connection: close"), program="wrk", peers=TLS),
    "idle_ws": Scenario("KiB/connection", "ws", idle=4000, peers=TLS),
    "idle_seen": Scenario("KiB/connection", "ws_seen", idle=4000, peers=TLS),
    "ws": Scenario("us/round trip", "ws", ("ping", 64, 64), program="ws"),
    "ws_seen": Scenario("us/round trip", "ws_seen", ("ping", 64, 64), program="ws"),  # by us; others see bytes in both
    "idle_tls": Scenario("KiB/connection", "tls_echo", idle=1000, peers=TLS),
    "tls": Scenario("us/round trip", "tls_echo", ("ping", 64, 64), program="tls", peers=TLS),
    "tls_1m": Scenario("us/MiB", "tls_blob", ("pull", 8, 1 << 20), program="tls", peers=TLS),
    "handshake": Scenario("us/handshake", "tls_once", ("connect", 32, 64), program="tls", peers=TLS),
    # A datagram there and one back are two: 64 players at a time, one alone, QUIC's size, a session for each question.
    "udp": Scenario("us/datagram", "udp", ("ping", 64, 64), 2, program="udp", peers=RELAY_UDP),
    "udp_alone": Scenario("us/datagram", "udp", ("ping", 1, 64), 2, program="udp", peers=RELAY_UDP),
    "udp_1200": Scenario("us/datagram", "udp", ("ping", 64, 1200), 2, program="udp", peers=RELAY_UDP),
    "udp_ask": Scenario("us/datagram", "udp_ask", ("ask", 64, 64), 2, program="udp", peers=RELAY_UDP),
}
