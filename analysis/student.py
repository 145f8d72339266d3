"""Quantiles of Student's t, for bounds that rest on few measurements."""

from __future__ import annotations

import math

NORMAL = 1.960  # the 97.5 % quantile that t comes to with ever more measurements
# 97.5 % quantiles for 1, 2, ... 30 degrees of freedom.
_QUANTILES = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def student(freedom: float) -> float:
    """The 97.5 % quantile of Student's t for the next smaller whole number (1 or more) of degrees of freedom."""
    if freedom <= len(_QUANTILES):
        return _QUANTILES[max(1, int(freedom)) - 1]
    return NORMAL + 2.5 / freedom if math.isfinite(freedom) else NORMAL
