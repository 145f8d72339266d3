"""Keeps memory small where many threads come and go: a server runs a thread for each visitor's script and request."""

from __future__ import annotations

import ctypes
import sys

M_ARENA_MAX = -8  # of mallopt(3)
ARENAS = 2


def share_arenas() -> None:
    """Have all threads allocate from a few arenas; only glibc has them, elsewhere nothing happens.

    Left alone, glibc makes one for each thread, up to eight a core, and each keeps what its threads have freed, so
    that every viewer of a training adds to what the server holds.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(M_ARENA_MAX, ARENAS)
