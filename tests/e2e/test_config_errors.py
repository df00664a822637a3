"""What `nuncio check` says to planted mistakes, word for word: golden/NAME.yaml in, golden/NAME.out out.

With NUNCIO_GOLDEN=write the outputs are written instead; read the diff before committing it.
"""
import os
import re
from pathlib import Path

import pytest

from lib.authority import Authority
from lib.nuncio import run_nuncio
from lib.poll import SLOW
from lib.process import cpu_of

GOLDEN = Path(__file__).parent / "golden"
MISTAKES = sorted({path.stem for path in GOLDEN.glob("*.yaml")} - {"contract"})
ECHO = b"listeners: [{bind: 127.0.0.1:8080, filters: [echo]}]\n"

# Too large, or no text that an editor would keep.
MADE = {
    "deep_nesting": b"listeners: " + b"[" * (10 << 20),
    "deep_maps": b"{a: " * 300000,
    "deep_but_closed": b"a: " + b"[" * 1000 + b"]" * 1000 + b"\n",
    "nul_byte": b"workers: 1\nadmin: \0on\n",
    "not_utf8": b"workers: 1\nadmin: \xff\xfe\n",
    "control_character": b"workers: 1\nadmin: \x1b[31mon\n",
    "utf16": ECHO.decode().encode("utf-16"),
    "a_hundred_mistakes": b"".join(b"key%d: 1\n" % n for n in range(150)),
    "too_large": b"# " + b"x" * (64 << 20),
    "long_value": b"workers: " + b"9" * 100000 + b"\n",
    "long_key": b"k" * 5000 + b": 1\n",
    "deep_filters": b"listeners: [{bind: 127.0.0.1:8080, filters: [" + b"echo, " * 5000 + b"echo]}]\n",
}


def compare(name, folder, file):
    done = run_nuncio("check", "-c", file, cwd=folder, env={k: v for k, v in os.environ.items() if not k.startswith("NUNCIO_")})
    said = done.stderr.replace(str(folder), "DIR")
    golden = GOLDEN / f"{name}.out"
    if os.environ.get("NUNCIO_GOLDEN") == "write":
        golden.write_text(said)
    assert said == golden.read_text()
    assert done.returncode == 1 and done.stdout == ""


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name):
    compare(name, GOLDEN, f"{name}.yaml")


@pytest.mark.parametrize("name", MADE)
def test_made_mistake(name, tmp_path):
    (tmp_path / "made.yaml").write_bytes(MADE[name])
    assert cpu_of(lambda: compare(name, tmp_path, "made.yaml")) < 2 * SLOW


def test_every_output_belongs_to_an_input():
    assert {path.stem for path in GOLDEN.glob("*.out")} == {*MISTAKES, *MADE, "no_file", "a_folder"}
    assert len(MISTAKES) >= 40


def test_a_mistake_shows_its_place_and_a_caret():
    """The form that every output has, whatever its words: place, path, words; the line; carets below it."""
    for name in MISTAKES:
        said = (GOLDEN / f"{name}.out").read_text().splitlines()
        head = re.fullmatch(rf"{name}\.yaml:(\d+):(\d+): .+", said[0])
        assert head, said[0]
        assert re.fullmatch(rf" *{head[1]} \| .*", said[1]) and re.fullmatch(r" +\| *\^+( did you mean \".*\"\?)?", said[2]), said


def test_no_file(tmp_path):
    compare("no_file", tmp_path, "made.yaml")


def test_a_folder(tmp_path):
    (tmp_path / "made.yaml").mkdir()
    compare("a_folder", tmp_path, "made.yaml")


def test_all_mistakes_are_told_in_the_file_s_order():
    lines = [int(m[1]) for m in re.finditer(r"^many_mistakes\.yaml:(\d+):", (GOLDEN / "many_mistakes.out").read_text(), re.M)]
    assert lines == sorted(lines) and len(lines) >= 9


# --- the contract's own example

def make_files(folder):
    """Those that the page's example names."""
    root = Authority(folder / "root")
    pairs = {"www": root.issue("www.test"), "www-rsa": root.issue("www.test", key="rsa"), "me": root.issue("me.test")}
    for name, identity in pairs.items():
        (folder / f"{name}.pem").write_bytes(identity.cert.read_bytes())
        (folder / f"{name}.key").write_bytes(identity.key.read_bytes())
    for name in ("clients.pem", "ca.pem"):
        (folder / name).write_bytes(root.pem())
    (folder / "revoked.pem").write_bytes(root.crl().read_bytes())


def test_the_contract_s_example_lacks_only_what_comes_later(tmp_path):
    make_files(tmp_path)
    (tmp_path / "contract.yaml").write_text((GOLDEN / "contract.yaml").read_text())
    done = run_nuncio("check", "-c", tmp_path / "contract.yaml")
    heads = [line for line in done.stderr.splitlines() if ".yaml:" in line]
    assert done.returncode == 1 and heads
    assert [line for line in heads if "is not in this version" not in line] == []
    told = {m[1] for m in re.finditer(r'"(\w+)" is not in this version', done.stderr)}
    assert told == {"outlier", "pending", "requests", "retries"}
