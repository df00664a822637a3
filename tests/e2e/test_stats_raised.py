"""Looks back on the whole run: a stat that no test ever raised is either broken or untested."""
import functools
import os
import re
from pathlib import Path

import pytest

from lib.build import SANITIZED
from lib.nuncio import run_nuncio

pytestmark = pytest.mark.last

# Those that no run raises, and why.
NEVER = {
    "cluster.<name>.ssl.no_certificate": "a server always shows one: ciphers without are never offered",
    "cluster.<name>.ssl.fail_verify_no_cert": "the same",
    "cluster.<name>.ssl.fail_verify_cert_hash": "allowed hashes are of clients' certificates",
    "cluster.<name>.ssl.ocsp_staple_responses": "stapled by listeners; nothing is asked of servers",
    "cluster.<name>.ssl.ocsp_staple_omitted": "the same",
    "cluster.<name>.ssl.context_update_failure": "raised where listeners raise it, by the code of both",
}
# Where there is no seccomp filter, it refuses nothing.
NOT_HERE = {*NEVER, *({"server.syscalls_refused"} if SANITIZED else ())}

# One row for each thing that handshakes agree on, from one table of names: one row that counts shows that the others do.
CHOICES = re.compile(r"(.*\.ssl\.(?:versions|ciphers|curves|sigalgs))\..*")


def fits(name):
    """A regular expression of the whole name; of a choice, of any in its family."""
    choice = CHOICES.fullmatch(name)
    name = f"{choice[1]}.<any>" if choice else name
    return re.compile(re.escape(re.sub("<[^>]*>", "\0", name)).replace("\0", ".+"))


@functools.cache
def raised():
    """Names of all stats that the run's processes saw above zero."""
    return {*Path(os.environ["NUNCIO_RAISED"]).read_text().splitlines()}


def was_raised(name):
    return any(map(fits(name).fullmatch, raised()))


def listed():
    rows = run_nuncio("docs", "stats-list", check=True).stdout.splitlines()
    return [line.replace("\t", ".") for line in rows]


def test_every_stat_was_raised():
    never = [name for name in listed() if name not in NOT_HERE and not was_raised(name)]
    assert listed() and not never, "\n".join(["never above zero in any test:", *never])


def test_no_excuse_is_stale():
    assert {*NEVER} <= {*listed()} and not [name for name in NEVER if was_raised(name)]
