"""Waiting with a deadline. The one place of the end-to-end tests that sleeps, and only between two looks."""
import os
import time

# Sanitizer builds are slower: every deadline is stretched by this.
SLOW = float(os.environ.get("NUNCIO_SLOW", "1"))
PATIENCE = 30  # seconds, where a test has no reason for others: only what fails ever takes so long, and machines do stand still


def patiently(attempt):
    """attempt(factor): what a test sees only where nobody stands still for longer than its times, which it stretches by the factor.

    Once it failed it has another try with longer times, and yet another; what is wrong is so with the longest, too.
    """
    for factor in (1, 4):
        try:
            return attempt(factor)
        except (AssertionError, EOFError, OSError):
            continue
    return attempt(20)


def eventually(look, timeout=PATIENCE, what=None):
    """The first true value that look() gives. An AssertionError or OSError it raises counts as "not yet".

    Fails with the last value or error once `timeout` seconds (times NUNCIO_SLOW) have passed.
    """
    end = time.monotonic() + timeout * SLOW
    pause, last = 0.002, None
    while True:
        try:
            last = look()
            if last:
                return last
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout * SLOW:g} s: {what or look}; last: {last!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
