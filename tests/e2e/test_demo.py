"""`make run`: the demo starts from nothing but the binary, the commands it prints work, and it ends whole."""
import os
import re
import signal

import pytest

from lib import clients
from lib.nuncio import BINARY, ROOT
from lib.peers import Hang
from lib.poll import eventually
from lib.ports import free_port
from lib.process import Child, command

pytestmark = pytest.mark.once
DEMO = ROOT / "docs/examples/demo.sh"


@pytest.fixture
def ports():
    return {"DEMO_HTTP": str(free_port()), "DEMO_TLS": str(free_port())}


def refused(port):
    try:
        clients.connect(f"127.0.0.1:{port}").close()
        return False
    except ConnectionRefusedError:
        return True


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_commands_work_and_ctrl_c_ends_it_all(closing, ports, end):
    demo = closing(Child("env", "--default-signal=INT", DEMO, BINARY, env={**os.environ, **ports}))
    demo.wait_line("Ctrl-C here ends everything")
    commands = eventually(lambda: len(found := [line for line in demo.lines if line.startswith("  ")]) == 6 and found)
    passed, here, blue, green, moved, explained = (command("sh", "-c", line) for line in commands)
    assert "CN = green.test" in passed.stdout
    assert [done.stdout for done in (here, blue, green)] == ["hello from nuncio\n", "hello from blue\n", "hello from green\n"]
    assert f"location: https://www.test:{ports['DEMO_TLS']}/blue/page.html" in moved.stdout.lower()
    assert "routes[1] takes it: cluster blue_site as /page.html" in explained.stdout
    demo.wait_line(r'"GET /blue/page\.html HTTP/1\.1" 200 - ')

    services = re.findall(r"127\.0\.0\.1:(\d+)[,.]", demo.output())
    demo.signal(end)
    assert demo.wait() == 0, demo.output()
    assert len({*services, *ports.values()}) == 4
    assert all(refused(port) for port in {*services, *ports.values()})


@pytest.mark.parametrize("name", ["DEMO_HTTP", "DEMO_TLS"])
def test_a_busy_port_gets_a_clear_word(peer, ports, name):
    ports[name] = str(peer(Hang).port)
    demo = command(DEMO, BINARY, env={**os.environ, **ports})
    assert demo.returncode == 1 and f"port {ports[name]} on 127.0.0.1 is busy" in demo.stderr
