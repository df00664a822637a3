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
    commands = eventually(lambda: len(found := [line for line in demo.lines if re.match(r"  \S", line)]) == 7 and found)
    *others, watch = commands
    tap = closing(Child("sh", "-c", "exec " + watch.strip())) if os.geteuid() == 0 else None
    if tap:
        tap.wait_line("listens on lo")
    passed, here, blue, green, moved, explained = (command("sh", "-c", line) for line in others)
    assert "CN = green.test" in passed.stdout
    assert [done.stdout for done in (here, blue, green)] == ["hello from nuncio\n", "hello from blue\n", "hello from green\n"]
    assert f"location: https://www.test:{ports['DEMO_TLS']}/blue/page.html" in moved.stdout.lower()
    assert "routes[1] takes it: cluster blue_site as /page.html" in explained.stdout
    demo.wait_line(r'"GET /blue/page\.html HTTP/1\.1" 200 - ')
    if tap:
        tap.wait_line(rf"GET https://www\.test:{ports['DEMO_TLS']}/blue/page\.html -> 200 ")
        tap.wait_line(r"GET https://www\.test:\d+/page\.html -> 200 ")  # the leg to the server, over TLS again

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
