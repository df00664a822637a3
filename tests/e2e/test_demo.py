"""`make run`: the demo starts from nothing but the binary, its three commands work, and it ends whole."""
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

DEMO = ROOT / "docs/examples/demo.sh"


@pytest.fixture
def ports():
    return {"DEMO_ECHO": str(free_port()), "DEMO_TLS": str(free_port())}


def refused(port):
    try:
        clients.connect(f"127.0.0.1:{port}").close()
        return False
    except ConnectionRefusedError:
        return True


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_three_commands_work_and_ctrl_c_ends_it_all(closing, ports, end):
    demo = closing(Child("env", "--default-signal=INT", DEMO, BINARY, env={**os.environ, **ports}))
    demo.wait_line("Ctrl-C here ends everything", 30)
    eventually(lambda: len([line for line in demo.lines if line.startswith("  ")]) == 3)
    says = [command("sh", "-c", line).stdout for line in demo.lines if line.startswith("  ")]
    assert says[0] == "hello\n" and "CN = blue.test" in says[1] and "CN = green.test" in says[2]

    services = re.findall(r"127\.0\.0\.1:(\d+)", demo.output())
    demo.signal(end)
    assert demo.wait() == 0, demo.output()
    assert len({*services, *ports.values()}) == 4
    assert all(refused(port) for port in {*services, *ports.values()})


@pytest.mark.parametrize("name", ["DEMO_ECHO", "DEMO_TLS"])
def test_a_busy_port_gets_a_clear_word(peer, ports, name):
    ports[name] = str(peer(Hang).port)
    demo = command(DEMO, BINARY, env={**os.environ, **ports})
    assert demo.returncode == 1 and f"port {ports[name]} on 127.0.0.1 is busy" in demo.stderr
