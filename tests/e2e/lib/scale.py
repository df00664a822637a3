"""Sizes of transfers, smaller where test filters cut every byte apart."""
import os

MIB = 1 << 20
PARANOID = os.environ.get("NUNCIO_PARANOID") == "1"


def scale(size):
    """`size` in bytes; 1/1000 of it when it is over 1 MiB and the chains are full of test filters."""
    return size // 1000 if PARANOID and size > MIB else size
