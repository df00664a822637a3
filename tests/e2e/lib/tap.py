"""nuncio-tap under test: over a capture to its end, or live."""
import json
import os
from pathlib import Path

from lib.nuncio import BAD_NEWS, BINARY
from lib.process import command

TAP = Path(BINARY).with_name("nuncio-tap")


def tap(*words, code=0, timezone="UTC", env=None, **more):
    """Runs it to its end; judged by its exit code."""
    done = command(TAP, *words, env={**os.environ, "TZ": timezone, "NO_COLOR": "", **(env or {})}, **more)
    assert done.returncode == code and not BAD_NEWS.search(done.stderr), done.stderr
    return done


def lines(path, *words, **more):
    return tap("-r", path, *words, **more).stdout.splitlines()


def objects(path, *words, kind=None, **more):
    """Those of --json, of one type or all."""
    found = [json.loads(line) for line in lines(path, "--json", *words, **more)]
    return [one for one in found if kind in (None, one["type"])]
