"""Fixtures of the end-to-end tests. What each thing does stands in lib/, one file a concept."""
import os
import resource
import signal
from pathlib import Path

import pytest

from lib import held, netns
from lib.build import SANITIZED
from lib.certs import Certs
from lib.nuncio import ROOT, Nuncio, raised
from lib.packets import pcap
from lib.poll import SLOW
from lib.ports import RefusingPort
from lib.process import command
from lib.scale import PARANOID
from lib.skips import Skips

SKIPS = Skips(Path(__file__).parent.parent / "SKIPS")
SECONDS = 300  # of one test, stretched for sanitizers; the mark `deadline(seconds)` says otherwise


@pytest.fixture
def closing():
    """closing(thing) returns the thing and calls its close() after the test, last one first."""
    things = []

    def keep(thing):
        things.append(thing)
        return thing

    yield keep
    errors = []
    for thing in reversed(things):
        try:
            thing.close()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]


@pytest.fixture
def nuncio(closing):
    """nuncio(config, *args, workers=N, env={}, files={name: text}) starts one that serves; ended and judged after the test."""
    def start(*args, **more):
        child = closing(Nuncio(*args, **more))
        return child
    return start


@pytest.fixture
def tight(nuncio):
    """Like nuncio(...); when the test's clients are gone, the proxy must come down to the sockets it had at its start."""
    started = []

    def start(*args, **more):
        child = nuncio(*args, **more)
        started.append((child, held.sockets(child)))
        return child

    yield start
    for child, base in started:
        if child.running():  # else its end tells more
            held.wait_sockets(child, base)


@pytest.fixture
def peer(closing):
    """peer(Echo, ...) starts a server of lib.peers or lib.servers and ends it after the test."""
    def start(kind, *args, **more):
        return closing(kind(*args, **more))
    return start


@pytest.fixture(params=[1, 4], ids=["workers1", "workers4"])
def workers(request):
    """Runs the test with one worker and with four."""
    return request.param


@pytest.fixture
def refusing_port(closing):
    return closing(RefusingPort())


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    return Certs(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="session")
def example_certs(tmp_path_factory):
    """The folder that docs/examples/make-certs.sh fills."""
    folder = tmp_path_factory.mktemp("example-certs")
    command(ROOT / "docs/examples/make-certs.sh", folder, check=True)
    return folder


@pytest.fixture(scope="session")
def row():
    """Three machines behind each other (lib.netns.Row): a second to make, so all tests have the same."""
    yield from netns.row()


@pytest.fixture
def of_talks(tmp_path):
    """of_talks(talk, ...) is a capture of them (lib.packets.Talk)."""
    def write(*talks):
        (tmp_path / "in.pcap").write_bytes(pcap(talks))
        return tmp_path / "in.pcap"
    return write


# --- the run as a whole

def raise_fd_limit(wanted):
    """As near to it as this user may go; children inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in (max(wanted, hard), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return
        except (ValueError, OSError):
            continue


def pytest_configure(config):
    config.addinivalue_line("markers", "deadline(seconds): this test may take so long")
    raise_fd_limit(65536)


def is_last(item):
    return item.get_closest_marker("last") is not None


def is_first(item):
    return item.get_closest_marker("first") is not None


def pytest_collection_modifyitems(config, items):
    """What others wait for begins first. What looks back on the run is a run of its own, behind the others' processes."""
    left_out = [item for item in items if is_last(item) and config.option.markexpr != "last" or
                item.get_closest_marker("once") and (SANITIZED or PARANOID)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = sorted((item for item in items if item not in left_out), key=lambda item: not is_first(item))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    mark = item.get_closest_marker("deadline")
    seconds = int((mark.args[0] if mark else SECONDS) * SLOW)

    def late(_number, _frame):
        raise TimeoutError(f"test not done in {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# Under NUNCIO_CI=1 a skipped (or expected to fail) test that tests/SKIPS does not name fails the run.
unnamed_skips = []


def pytest_runtest_logreport(report):
    test = f"tests/e2e/{report.nodeid.removeprefix('tests/e2e/')}"
    if report.skipped and SKIPS.reason(test) is None:
        unnamed_skips.append(test)


pytest_collectreport = pytest_runtest_logreport


def pytest_terminal_summary(terminalreporter):
    for test in unnamed_skips:
        terminalreporter.write_line(f"skipped without a line in tests/SKIPS: {test}")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    if "NUNCIO_RAISED" in os.environ and raised:
        with open(os.environ["NUNCIO_RAISED"], "a") as file:
            file.write("".join(f"{name}\n" for name in raised))
    if unnamed_skips and SKIPS.strict and session.exitstatus == 0:
        session.exitstatus = 1
