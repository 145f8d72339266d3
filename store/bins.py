"""The bins of every histogram: fixed, sign-aware, logarithmic, and the same for all tensors, steps and ranks.

A bin is the top eleven bits of an IEEE-754 float32: sign, eight bits of exponent, two of mantissa. So each octave has
four equal bins on either side of zero, a bin's edges never depend on the data, and two histograms merge by addition.
"""

from __future__ import annotations

import numpy as np

from torchglass.store.records import Floats, Integers

BIN_COUNT = 2048
SHIFT = 21  # float32 bits below the bin index
SIGN_BIN = 1024  # first bin of the negative half
NONFINITE_BIN = 1020  # exponent 255 begins here, in either half
MAX_FLOAT32 = float(np.finfo(np.float32).max)


def bin_edges(bins: Integers) -> tuple[Floats, Floats]:
    """Lower and upper edge of each bin, (m,) and (m,), lower < upper on the number line."""
    magnitude_bits = (bins % SIGN_BIN).astype(np.uint32) << np.uint32(SHIFT)
    near = magnitude_bits.view(np.float32).astype(np.float64)
    past = magnitude_bits + np.uint32(1 << SHIFT)
    # The last finite bin ends at infinity; its honest upper edge is the largest float32.
    far = np.minimum(past.view(np.float32).astype(np.float64), MAX_FLOAT32)
    negative = bins >= SIGN_BIN
    return np.where(negative, -far, near), np.where(negative, -near, far)


def number_line_order(bins: Integers) -> Integers:
    """Sort key that puts bins in the order of the numbers they hold, most negative first."""
    return np.where(bins >= SIGN_BIN, SIGN_BIN - 1 - bins, bins)
