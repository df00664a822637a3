"""Looks back on the whole run: a stat that no test ever raised is either broken or untested."""
import re

import pytest

from lib.build import SANITIZED
from lib.nuncio import raised, run_nuncio

pytestmark = pytest.mark.last

# Where there is no seccomp filter, it refuses nothing.
NOT_HERE = {"server.syscalls_refused"} if SANITIZED else set()


def test_every_stat_was_raised():
    listed = run_nuncio("docs", "stats-list", check=True).stdout.splitlines()
    never = []
    for pattern, name in (line.split("\t") for line in listed):
        whole = re.sub(r"<[^>]*>", "\0", f"{pattern}.{name}")
        whole = re.compile(re.escape(whole).replace("\0", ".+"))
        if f"{pattern}.{name}" not in NOT_HERE and not any(whole.fullmatch(seen) for seen in raised):
            never.append(f"{pattern}.{name}")
    assert listed and not never, "\n".join(["never above zero in any test:", *never])
