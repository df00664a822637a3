"""Looks back on the whole run: a stat that no test ever raised is either broken or untested."""
import re

import pytest

from lib.nuncio import raised, run_nuncio

pytestmark = pytest.mark.last


def test_every_stat_was_raised():
    listed = run_nuncio("docs", "stats-list", check=True).stdout.splitlines()
    never = []
    for pattern, name in (line.split("\t") for line in listed):
        whole = re.sub(r"<[^>]*>", "\0", f"{pattern}.{name}")
        whole = re.compile(re.escape(whole).replace("\0", ".+"))
        if not any(whole.fullmatch(seen) for seen in raised):
            never.append(f"{pattern}.{name}")
    assert listed and not never, "\n".join(["never above zero in any test:", *never])
