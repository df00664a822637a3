"""What kind of build is under test: memory figures of a sanitizer's mean nothing."""
import mmap

from lib.nuncio import BINARY


def _has(word):
    with open(BINARY, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(word) >= 0


SANITIZED = _has(b"__asan_init") or _has(b"__tsan_init")
