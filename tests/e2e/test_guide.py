"""docs/guide.md typed in as it stands, from top to bottom: configs are written, commands run, answers compared. Only ports differ."""
import os
import re
from pathlib import Path

import pytest

from lib.nuncio import BINARY, ROOT
from lib.poll import eventually
from lib.ports import free_port, listens
from lib.process import Child, command

pytestmark = pytest.mark.once
GUIDE = ROOT / "docs/guide.md"
PORT = r"(?<=[:. ])(?:8080|8443|9000|9001|15006)\b"


def other_ports(text):
    """The same text with ports that are free here, the same one for the same."""
    ports = {port: str(free_port()) for port in sorted(set(re.findall(PORT, text)))}
    return re.sub(PORT, lambda m: ports[m[0]], text)


def blocks(text):
    """("heading" | "yaml" | "", what it says) in order."""
    for m in re.finditer(r"^## (?P<heading>[^\n]+)$|^```(?P<kind>\w*)\n(?P<body>.*?)^```$", text, re.M | re.S):
        yield ("heading", m["heading"]) if m["heading"] else (m["kind"], m["body"])


def steps(session):
    """(command, answer) of each `$` line."""
    return [(m[1], m[2]) for m in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, re.M)]


def fits(answer, said):
    """`...` stands for anything within a line."""
    return re.fullmatch(".*".join(map(re.escape, answer.split("..."))), said)


class Shell:
    """A folder to work in, and what runs in the background: `proxies` until the next chapter, `others` to the end."""

    def __init__(self, folder, closing):
        self.folder, self.closing, self.proxies = folder, closing, []
        (folder / "bin").mkdir()
        (folder / "bin/nuncio").symlink_to(Path(BINARY).resolve())
        self.more = {"cwd": folder, "env": {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}}

    def chapter(self):
        for proxy in self.proxies:
            proxy.end()
        self.proxies.clear()

    def run(self, line, answer):
        line = line.replace("docs/examples/", f"{ROOT}/docs/examples/")
        if line.endswith(" &"):
            self.background(line.removesuffix(" &"))
            return
        if line.startswith(("curl", "nuncio", "cat")):
            eventually(lambda: self.compare(line, answer))
        else:
            self.compare(line, answer)

    def compare(self, line, answer):
        done = command("sh", "-c", line, **self.more)
        assert fits(answer, done.stdout + done.stderr), f"$ {line}\n{done.stdout}{done.stderr}--- expected:\n{answer}"
        return True

    def background(self, line):
        child = self.closing(Child("sh", "-c", f"exec {line}", **self.more))
        if line.startswith("nuncio run"):
            self.proxies.append(child)
            child.wait_line("^ready: ")
        else:
            eventually(lambda: listens(child.pid, int(re.search(r"\b\d{4,5}\b", line)[0])))


def test_the_guide(closing, tmp_path):
    shell = Shell(tmp_path, closing)
    written = set()
    text = other_ports(GUIDE.read_text())
    for kind, body in blocks(text):
        if kind == "heading":
            shell.chapter()
        elif kind == "yaml":
            name = re.match(r"# (\S+\.yaml)\n", body)[1]
            (tmp_path / name).write_text(body)
            written.add(name)
        else:
            for line, answer in steps(body):
                shell.run(line, answer)
    assert written == set(re.findall(r"^\$ nuncio run -c (\S+) &$", text, re.M))


def test_the_files_that_the_guide_names_exist():
    links = re.findall(r"\]\(([^)]+)\)", GUIDE.read_text())
    assert links and all((GUIDE.parent / link).exists() for link in links)
