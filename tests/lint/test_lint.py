"""The checkers find a planted fault, and only that."""
import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import layers  # noqa: E402
import sizes  # noqa: E402
import words  # noqa: E402


@pytest.mark.parametrize("path, include, wrong", [
    ("core/a.c", '#include "l4/sock.h"', "core may not include l4"),
    ("protocols/a.c", '#  include "tls/filter.h"', "protocols may not include tls"),
    ("tls/a.c", '#include "l4/sock.h"', "tls may not include l4"),
    ("l4/a.h", '#include "tls/filter.h"', "l4 may not include tls"),
    ("l7/a.c", '#include "tools/nuncio/admin.h"', "l7 may not include tools"),
    ("l7/a.c", '#include "tls/filter.h"', "l7 may not include tls"),
    ("core/a.c", '#include "a.h"', "from the root"),
    ("l4/a.c", '#include "core/chain_priv.h"', "private headers"),
    ("l7/a.c", "#include <event2/event.h>", "may not know"),
    ("core/a.c", "#include <openssl/ssl.h>", "may not know"),
    ("core/a.c", '#include "core/b.h"', None),
    ("core/a.c", '#include "core/b_priv.h"', None),
    ("l4/udp/a.c", '#include "l4/b_priv.h"', None),
    ("l4/a.c", '#include "l4/udp/b_priv.h"', "private headers"),
    ("tests/unit/core/test_a.c", '#include "core/b_priv.h"', None),
    ("l7/a.c", '#include "l4/sock.h"', None),
    ("tools/nuncio/a.c", "#include <openssl/ssl.h>", None),
    ("core/a.c", "#include <stdio.h>", None),
])
def test_layers(path, include, wrong):
    found = list(layers.faults(path, ["/* top */", include]))
    assert (len(found) == 1 and wrong in found[0] and f"{path}:2:" in found[0]) if wrong else not found


def test_layers_as_a_program(tmp_path):
    (tmp_path / "core").mkdir()
    (tmp_path / "core/a.c").write_text('#include "l7/stream.h"\n')
    ran = subprocess.run([sys.executable, f"{HERE}/layers.py", "core"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 1 and "core/a.c:1:" in ran.stdout


@pytest.mark.parametrize("body, long", [(60, False), (61, True)])
def test_function_size(body, long):
    text = ["static int f(int a,", "             int b)", "{", *["    a++;"] * body, "}"]
    assert [("f:" in row) for row in sizes.faults("core/a.c", text)] == [True] * long


@pytest.mark.parametrize("path, lines, long", [("core/a.c", 500, 0), ("core/a.c", 501, 1), ("core/a.h", 300, 0), ("core/a.h", 301, 1)])
def test_file_size(path, lines, long):
    assert len(list(sizes.faults(path, ["int a;"] * lines))) == long


@pytest.mark.parametrize("path, line, bad", [
    ("tests/e2e/test_a.py", "    time.sleep(1)", 1),
    ("tests/e2e/lib/poll.py", "    time.sleep(1)", 0),
    ("tests/e2e/test_a.py", '    sock.bind(("127.0.0.1", 8080))', 1),
    ("tests/e2e/test_a.py", '    sock.bind(("127.0.0.1", 0))', 0),
    ("tests/unit/core/test_a.c", "    usleep(10);", 1),
    ("tests/e2e/test_a.py", 'open("/tmp/x")', 1),
    ("core/a.c", 'open("/home/me/x");', 1),
    ("core/a.c", "/* TODO later */", 1),
    ("core/a.c", "/* one line of why */", 0),
])
def test_words(path, line, bad):
    assert len(list(words.faults(path, [line]))) == bad


@pytest.fixture
def deps():
    """Runs .ci/deps with a policy-rc.d of its own."""
    def run(policy, *args):
        return subprocess.run([f"{HERE}/../../.ci/deps", *args], env={**os.environ, "NUNCIO_POLICY": str(policy)},
                              capture_output=True, text=True)
    return run


def test_an_old_policy_survives_also_an_interrupted_install(deps, tmp_path):
    policy = tmp_path / "policy-rc.d"
    policy.write_text("old\n")
    deps(policy, "--policy-put")
    deps(policy, "--policy-put")  # the second run after a killed one
    assert "exit 101" in policy.read_text() and os.access(policy, os.X_OK)
    deps(policy, "--policy-back")
    assert policy.read_text() == "old\n" and os.listdir(tmp_path) == ["policy-rc.d"]


def test_no_policy_leaves_none(deps, tmp_path):
    deps(tmp_path / "policy-rc.d", "--policy-put")
    deps(tmp_path / "policy-rc.d", "--policy-back")
    assert os.listdir(tmp_path) == []


def test_a_missing_package_is_named_with_its_line(tmp_path):
    (tmp_path / "packages").write_text("[build]\nmake\nno-such-package-here   why\n[test]\nneither-this\n")
    os.symlink(f"{HERE}/../../.ci/deps", tmp_path / "deps")
    ran = subprocess.run([tmp_path / "deps", "--print", "build"], capture_output=True, text=True)
    assert ran.stdout == "apt-get install -y --no-install-recommends no-such-package-here\n"
    ran = subprocess.run([tmp_path / "deps", "--check", "build"], capture_output=True, text=True)
    assert ran.returncode == 1 and "make deps" in ran.stderr and "no-such-package-here" in ran.stderr


STEPS = """
good: ; @echo fine
wrong: ; @seq 50; echo 'FAILED tests/e2e/test_a.py::test_b - AssertionError'; seq 50; false
mute: ; @seq 1000 1050; exit 3
slow: ; @sleep 60
"""


@pytest.fixture
def ci(tmp_path):
    """Runs .ci/run over the steps above."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / "Makefile").write_text(STEPS)
    (tmp_path / ".ci/deps").symlink_to("/bin/true")
    outer = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}

    def run(steps, seconds=60):
        with open(f"{HERE}/../../.ci/run") as script:
            text = script.read().replace("step_seconds=1200", f"step_seconds={seconds}")
        (tmp_path / ".ci/run").write_text(text)
        return subprocess.run(["sh", tmp_path / ".ci/run"], env={**outer, "CI_STEPS": steps}, capture_output=True, text=True)
    return run


def test_ci_ends_with_what_failed_in_each_step(ci, tmp_path):
    ran = ci("wrong good mute")
    report, wrong, mute = ran.stdout.split("\n\n")[-4:-1]
    assert ran.returncode == 1 and ran.stdout.endswith("\nci: failed: wrong mute\n")
    assert [row.split()[:2] for row in report.splitlines()] == [["wrong", "FAILED"], ["good", "ok"], ["mute", "FAILED"]]
    assert "\nFAILED tests/e2e/test_a.py::test_b - AssertionError\n" in wrong and "\n30\n" not in wrong
    assert mute.startswith("== mute FAILED, of build/ci/mute.log:") and "Error 3" in mute and "\n1050\n" in mute
    assert (tmp_path / "build/ci/good.log").read_text() == "fine\n"


def test_ci_forgets_the_failures_of_a_former_run(ci):
    assert ci("wrong").returncode == 1
    ran = ci("good")
    assert ran.returncode == 0 and ran.stdout.endswith("ci: all passed\n")


def test_ci_ends_a_step_that_hangs(ci):
    ran = ci("slow good", seconds=1)
    assert ran.returncode == 1 and "not done in 1 s" in ran.stdout and "good" in ran.stdout
