"""The examples of datagrams, run as they stand."""
import signal

import pytest

from lib import udp
from lib.dns import Dns
from lib.nuncio import ROOT
from lib.poll import eventually
from lib.ports import lone_port
from lib.process import command

FOLDER = ROOT / "docs/examples"


@pytest.fixture
def example(nuncio, monkeypatch):
    """example("game-udp", ONE=...) runs that file."""
    def start(name, **variables):
        for key, value in variables.items():
            monkeypatch.setenv(key, str(value))
        return nuncio(FOLDER / f"{name}.yaml")
    return start


def dig(port, *options):
    done = command("dig", "@127.0.0.1", "-p", str(port), "+tries=1", "+timeout=30", "+short", "a.test", *options)
    return done.stdout.split()


def test_example_dns_balancing(example, closing, tmp_path):
    """One of two servers, then both, then the other: nobody who asks notices. TCP goes beside it."""
    one, two = closing(Dns({"a.test": ["192.0.2.1"]})), Dns({"a.test": ["192.0.2.2"]})
    port = lone_port()
    proxy = example("dns-balancing", BIND=f"127.0.0.1:{port}", ADMIN=f"unix:{tmp_path}/a", ONE=one.child.address, TWO=two.child.address)
    assert {*dig(port), *dig(port), *dig(port)} == {"192.0.2.1", "192.0.2.2"}
    assert dig(port, "+tcp") in (["192.0.2.1"], ["192.0.2.2"])
    two.close()
    assert [dig(port) for _ in range(6)] == [["192.0.2.1"]] * 6
    proxy.wait_line(rf"^dns 127\.0\.0\.1:\d+ {one.child.address} 1 \d+ms session_complete$")
    proxy.wait_stat("udp.name-servers.downstream_sess_active", 0)


def test_example_game_udp(example, closing, tmp_path):
    """A player keeps the server through reloads; the example's servers share new players by weight."""
    game, old = closing(udp.Game()), closing(udp.Server(udp.named(b"old")))
    proxy = example("game-udp", BIND="127.0.0.1:0", DRAIN="20ms", ADMIN=f"unix:{tmp_path}/a", NEW=game.address, OLD=old.address)
    game.start(proxy.address("game"))
    eventually(lambda: len(game.got[1]) > 10)
    for _ in range(3):
        since = len(game.got[1])
        proxy.reload()
        eventually(lambda: len(game.got[1]) > since + 5)
    assert game.stop() == ([], []) and len(game.players) == 1
    with udp.client(proxy.address("game"), "127.0.0.9") as another:
        for _ in range(4):
            eventually(lambda: another.send(b"x"), 1)
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert any(line.startswith("game 127.0.0.1:") and game.address in line for line in proxy.lines)
