"""What is measured: one row a scenario. A new one is a new row, and a listener in each peer's config if it needs one."""
from typing import NamedTuple


class Scenario(NamedTuple):
    unit: str
    listener: str         # name of the listener that each peer's config has for it
    load: tuple = ()      # kind, connections, bytes: arguments of the load program; empty: idle connections are counted
    per_unit: float = 1   # units of `unit` in one exchange
    idle: int = 0         # connections opened and left alone
    scale: float = 1e-3   # from nanoseconds of CPU to the unit


SCENARIOS = {
    "idle_tcp": Scenario("KiB/connection", "echo", idle=4000),
    "tcp": Scenario("us/round trip", "echo", ("ping", 64, 64)),
    "tcp_1m": Scenario("us/MiB", "blob", ("pull", 8, 1 << 20)),
}
