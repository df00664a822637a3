"""`make install` and what it puts: program, man pages, completion, unit; and the steps of the Containerfile."""
import json
import os
import re
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from lib import systemd, throwaway
from lib.build import SANITIZED
from lib.nuncio import BINARY, ROOT, run_nuncio
from lib.process import command
from lib.scale import PARANOID

BUILD = Path(BINARY).parent
COMMANDS = [line.split("-")[1][:-2] for line in run_nuncio("docs", "man-list").stdout.splitlines() if "-" in line]
CONTAINERFILE = ROOT / "tools/packaging/Containerfile"

built_for_users = pytest.mark.skipif(SANITIZED or PARANOID, reason="a build that nobody installs")


def make(*words):
    done = command("make", "-C", ROOT, f"BUILD={BUILD}", *words, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


# --- make install

@built_for_users
def test_install_puts_all_below_destdir_and_uninstall_takes_it_back(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt/n")
    found = files(tmp_path)
    assert all(name.startswith("opt/n/") for name in found)
    for name in ["bin/nuncio", "bin/nuncio-tap", "share/man/man1/nuncio.1", "share/man/man1/nuncio-tap.1",
                 "share/bash-completion/completions/nuncio-tap", "share/man/man5/nuncio.yaml.5", "share/bash-completion/completions/nuncio",
                 "lib/systemd/system/nuncio.service", "lib/sysusers.d/nuncio.conf", "etc/nuncio/nuncio.yaml",
                 "share/doc/nuncio/README.md", "share/doc/nuncio/examples/sni.yaml"]:
        assert f"opt/n/{name}" in found
    program = command(tmp_path / "opt/n/bin/nuncio", "check", "-c", tmp_path / "opt/n/etc/nuncio/nuncio.yaml")
    assert program.returncode == 0 and program.stdout == "ok: 0 listeners, 0 clusters\n"
    assert command(tmp_path / "opt/n/bin/nuncio-tap", "--version").returncode == 0
    make("uninstall", f"DESTDIR={tmp_path}", "PREFIX=/opt/n")
    assert files(tmp_path) == ["opt/n/etc/nuncio/nuncio.yaml"]


@built_for_users
def test_installing_again_keeps_the_config(tmp_path):
    config = tmp_path / "etc/nuncio/nuncio.yaml"
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    config.write_text("# mine\n")
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    assert config.read_text() == "# mine\n"


@built_for_users
@pytest.mark.parametrize("prefix, config", [("/usr", "/etc"), ("/usr/local", "/usr/local/etc")])
def test_the_unit_starts_what_was_installed(tmp_path, prefix, config):
    make("install", f"DESTDIR={tmp_path}", f"PREFIX={prefix}")
    rows = systemd.unit((tmp_path / f"{prefix[1:]}/lib/systemd/system/nuncio.service").read_text())
    assert rows["Service.ExecStart"] == [f"{prefix}/bin/nuncio run -c {config}/nuncio/nuncio.yaml"]
    assert rows["Service.Type"] == ["notify"] and "@" not in str(rows["Service.ExecReload"])
    for path in rows["Service.ExecStart"][0].split()[::3]:
        assert (tmp_path / path[1:]).exists()


# --- man pages

def page(name):
    done = run_nuncio("docs", name, input=(ROOT / "docs/cli.md").read_text())
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_s_page_has_its_options_and_its_story(name):
    text = page(f"nuncio-{name}.1").replace("\\-", "-")
    listed = re.findall(r"(?m)^  (?:-\w, |    )--([\w-]+)", run_nuncio(name, "--help").stdout)
    assert "help" in listed and all(f"Fl -{option}" in text for option in listed)
    story = text.split(".Sh DESCRIPTION\n")[1].split(".Sh OPTIONS")[0]
    assert len(story.split()) > 10, f"docs/cli.md has no section for {name}"


def test_the_main_page_names_commands_and_signals():
    text = page("nuncio.1")
    assert COMMANDS and all(f".Xr nuncio-{name} 1" in text for name in COMMANDS)
    assert ".Sh SIGNALS" in text and ".Sh FILES" in text and ".Sh ENVIRONMENT" in text


def test_the_config_s_page_has_every_key_of_the_reference():
    text = page("nuncio.yaml.5").replace("\\-", "-").replace("\\e", "\\")
    keys = set(re.findall(r"(?m)^\| `(\w+)` \|", run_nuncio("docs", "reference").stdout))
    assert len(keys) > 50 and [key for key in keys if f".It \\fB{key}\\fR\n" not in text] == []


# --- completion

def completed(*words):
    """What bash offers for the last of the words."""
    script = f"{run_nuncio('docs', 'completion.bash').stdout}\nCOMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))\n_nuncio\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = command("bash", "-c", script, "bash", *words, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_completion_knows_commands_options_and_words():
    assert completed("nuncio", "") == {*COMMANDS, "--help", "--version"}
    assert completed("nuncio", "ch") == {"check"}
    assert completed("nuncio", "check", "--p") == {"--print"}
    assert completed("nuncio", "ctl", "-c", "x", "cl") == {"clusters"}
    assert completed("nuncio", "filters", "tcp") == {"tcp_proxy"}
    assert completed("nuncio", "run", "--from", "") == set()


def test_completion_knows_files(tmp_path):
    (tmp_path / "edge.yaml").touch()
    for word in ["-c", "--config"]:
        assert completed("nuncio", "run", word, f"{tmp_path}/e") == {f"{tmp_path}/edge.yaml"}


# --- the image

def instructions():
    """(word, rest) of each, continued lines joined."""
    text = re.sub(r"\\\n", " ", CONTAINERFILE.read_text())
    return [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_the_image_has_the_libraries_that_the_program_needs():
    wanted = set(re.findall(r"\bz?lib[\w.-]+", next(rest for word, rest in instructions() if "libc-ares2" in rest)))
    paths = re.findall(r"=> (\S+)", command("ldd", BINARY, check=True).stdout)
    real = [os.path.realpath(path) for path in paths]  # packages know some of them as they were before /lib was /usr/lib
    owners = command("dpkg-query", "-S", *real, *(path.removeprefix("/usr") for path in real)).stdout
    needed = {row.split(":")[0] for row in owners.splitlines()} - {"libc6"}
    if not SANITIZED:
        assert needed == wanted, f"not in the Containerfile: {needed - wanted}; needless: {wanted - needed}"


@built_for_users
@pytest.mark.skipif(not throwaway.available(), reason="needs root, and a container that lets it mount")
def test_the_steps_of_the_image_make_one_that_serves(tmp_path, closing):
    """Each step as it stands there, on a copy of this machine. Packages are here already, so apt only notes what it is asked for."""
    machine = closing(throwaway.Throwaway(tmp_path))
    machine.put("/usr/local/bin/apt-get", '#!/bin/sh\necho "$@" >>/apt-was-asked\n')
    machine.run("chmod", "755", "/usr/local/bin/apt-get")
    made = ["obj", "nuncio", "packages-present", *(path.name for path in BUILD.glob("*.a"))]
    machine.copy_tree(BUILD, "/build", *made)  # what is there is not compiled again
    folder, user, words = "/", "root", {}
    for word, rest in instructions():
        if word == "COPY" and rest.startswith("--from"):
            machine.run("cp", "-a", "/image/.", "/")
        elif word == "COPY":
            machine.copy_tree(ROOT, "/src", "--exclude=./build", "--exclude=./.git", ".")
        elif word == "WORKDIR":
            folder = rest
        elif word == "RUN":
            machine.run("sh", "-c", f"cd {folder} && {rest}", timeout=120)
        elif word == "USER":
            user = rest
        elif word in ("ENTRYPOINT", "CMD"):
            words[word] = json.loads(rest)
        else:
            assert word in ("FROM", "STOPSIGNAL"), word
        folder = "/" if word == "FROM" else folder
    child = machine.start("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", *words["ENTRYPOINT"], *words["CMD"])
    child.wait_line("^ready: 0 listeners")
    child.signal(signal.SIGTERM)
    assert child.wait() == 0


def test_packages_that_steps_ask_for_exist():
    """By the index of this machine's own Debian, where it has one."""
    if not shutil.which("apt-cache") or command("apt-cache", "show", "make").returncode:
        pytest.skip("no index of packages here")
    asked = [name for word, rest in instructions() if "apt-get install" in rest
             for name in shlex.split(rest.split("--no-install-recommends")[1].split("&&")[0])]
    assert len(asked) > 4
    done = command("apt-cache", "show", "--no-all-versions", *asked)
    assert done.returncode == 0, done.stderr
