"""tests/SKIPS: the tests that may be skipped, each with its reason."""
import fnmatch
import os


class Skips:
    """Rows of `PATTERN  reason`; the pattern is a pytest node id or PROGRAM:TEST, with shell wildcards."""

    def __init__(self, path=None):
        self.rows = []
        self.strict = os.environ.get("NUNCIO_CI") == "1"
        if path is None or not os.path.exists(path):
            return
        with open(path) as file:
            for number, line in enumerate(file, 1):
                if not line.strip() or line.startswith("#"):
                    continue
                pattern, _, reason = line.strip().partition(" ")
                if not reason.strip():
                    raise ValueError(f"{path}:{number}: a skip needs a reason")
                self.rows.append((pattern, reason.strip()))

    def reason(self, test):
        return next((why for pattern, why in self.rows if fnmatch.fnmatchcase(test, pattern)), None)
