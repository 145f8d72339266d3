"""Counting as one loop, compiled by numba where that is installed: a third of the time that numpy's passes take.

Importing numba and loading the loop keeps the interpreter busy for half a second (a second when it is compiled for the
first time on a machine). So it is fetched only once numpy's way has cost as long, and meanwhile numpy's way serves:
together they never cost twice what the better of the two would have.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.instrumentation.histograms.rows import (
    INFINITY_KEY,
    LARGEST,
    MAGNITUDE,
    NEGATIVE_INFINITIES,
    NEGATIVE_INFINITY_KEY,
    NEGATIVE_ZEROS,
    POSITIVE_INFINITIES,
    POSITIVE_ZEROS,
    SMALLEST,
)
from torchglass.store.bins import BIN_COUNT, NONFINITE_BIN, SHIFT, SIGN_BIN

FETCH_SECONDS = 0.5
STRETCH = 4096  # values that stay in the first cache between the loop that compares and the loop that counts

Loop = Callable[[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.intp]], None]

_SIGN, _LAST_BIN = -(2**31), BIN_COUNT - 1
_BITS_OF_NEGATIVE_INFINITY = 0xFF800000 - 2**32


def count_loop(rows: npt.NDArray[np.int32], bits: npt.NDArray[np.int32], starts: npt.NDArray[np.intp]) -> None:
    """Count float32 values, given as bits (n,), into rows (r, 2054); each row's begin at `starts` (r,)."""
    # Four tables by turns: a value in the same bin as the one before would wait for that one's count.
    tables = np.empty((4, BIN_COUNT), np.uint32)
    for row in range(starts.size):
        first = starts[row]
        last = starts[row + 1] if row + 1 < starts.size else bits.size
        tables[:, :] = 0
        smallest, largest = INFINITY_KEY, NEGATIVE_INFINITY_KEY
        for at in range(first, last, STRETCH):
            part = bits[at : min(at + STRETCH, last)]  # indices from zero on: others would be checked for their sign
            low, high = np.int32(2**31 - 1), np.int32(-(2**31))
            for i in range(part.size):
                key = np.int32(part[i] ^ np.int32(np.int32(part[i] >> np.int32(31)) & MAGNITUDE))
                low, high = min(low, key), max(high, key)
            if low > NEGATIVE_INFINITY_KEY and high < INFINITY_KEY:
                smallest, largest = min(smallest, int(low)), max(largest, int(high))
            else:  # something is not finite, which is rare: look at each value
                for i in range(part.size):
                    key = np.int32(part[i] ^ np.int32(np.int32(part[i] >> np.int32(31)) & MAGNITUDE))
                    if NEGATIVE_INFINITY_KEY < key < INFINITY_KEY:
                        smallest, largest = min(smallest, int(key)), max(largest, int(key))
            whole = part.size // 4 * 4
            for i in range(0, whole, 4):
                tables[0, (part[i] >> SHIFT) & _LAST_BIN] += np.uint32(1)
                tables[1, (part[i + 1] >> SHIFT) & _LAST_BIN] += np.uint32(1)
                tables[2, (part[i + 2] >> SHIFT) & _LAST_BIN] += np.uint32(1)
                tables[3, (part[i + 3] >> SHIFT) & _LAST_BIN] += np.uint32(1)
            for i in range(whole, part.size):
                tables[0, (part[i] >> SHIFT) & _LAST_BIN] += np.uint32(1)
        nonfinite = 0
        for index in range(BIN_COUNT):
            rows[row, index] = tables[0, index] + tables[1, index] + tables[2, index] + tables[3, index]
            if index % SIGN_BIN >= NONFINITE_BIN:
                nonfinite += rows[row, index]
        zeros = negative_zeros = infinities = negative_infinities = 0
        of_row = bits[first:last]
        if rows[row, 0] or rows[row, SIGN_BIN]:
            for i in range(of_row.size):
                zeros += of_row[i] == 0
                negative_zeros += of_row[i] == _SIGN
        if nonfinite:
            for i in range(of_row.size):
                infinities += of_row[i] == INFINITY_KEY
                negative_infinities += of_row[i] == _BITS_OF_NEGATIVE_INFINITY
        rows[row, POSITIVE_ZEROS] = zeros
        rows[row, NEGATIVE_ZEROS] = negative_zeros
        rows[row, POSITIVE_INFINITIES] = infinities
        rows[row, NEGATIVE_INFINITIES] = negative_infinities
        rows[row, SMALLEST] = smallest
        rows[row, LARGEST] = largest


class Compiled:
    """The compiled loop of this process, once it has been earned."""

    def __init__(self) -> None:
        self.loop: Loop | None = None
        self.why_not = "" if importlib.util.find_spec("numba") else "numba is not installed"
        self._spent_seconds = 0.0
        self._fetching: threading.Thread | None = None
        self._lock = threading.Lock()

    def earn(self, seconds: float) -> None:
        """Take note of what numpy's way cost; fetch the loop, in a thread, when it has cost enough."""
        self._spent_seconds += seconds
        if self._spent_seconds < FETCH_SECONDS or self._fetching is not None or self.why_not:
            return
        with self._lock:
            if self._fetching is None:
                self._fetching = threading.Thread(target=self.fetch, name="torchglass-compiling")
                self._fetching.start()

    def fetch(self) -> None:
        """Import numba and compile the loop, or load what was compiled before."""
        try:
            try:
                self.loop = _compile(cache=True)
            except RuntimeError:  # no folder of ours or the user's can be written
                self.loop = _compile(cache=False)
        except Exception as error:  # a numba that does not suit this numpy, say
            self.why_not = f"numba failed: {type(error).__name__}: {error}"

    def settle(self) -> None:
        """Wait for what is being fetched: a process forked amid an import could never import that module."""
        if self._fetching is not None and self._fetching is not threading.current_thread():
            self._fetching.join()


def _compile(cache: bool) -> Loop:
    numba: Any = importlib.import_module("numba")
    signature = "void(int32[:,::1], int32[::1], int64[::1])"
    loop: Loop = numba.njit(signature, nogil=True, cache=cache, error_model="numpy")(count_loop)
    return loop


COMPILED = Compiled()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=COMPILED.settle)
