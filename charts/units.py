"""Numbers with their units, as a person writes them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from torchglass.store.records import Floats

MISSING = "–"
MINUTE, HOUR = 60.0, 3600.0


class Scale(NamedTuple):
    """What to multiply stored values by, and the unit that they then have."""

    factor: float
    unit: str


_SECONDS = (Scale(1e6, "µs"), Scale(1e3, "ms"), Scale(1.0, "s"))
_BYTES = (Scale(1.0, "B"), Scale(1e-3, "kB"), Scale(1e-6, "MB"), Scale(1e-9, "GB"), Scale(1e-12, "TB"))
_BYTE_RATES = tuple(Scale(scale.factor, f"{scale.unit}/s") for scale in _BYTES)
_JOULES = (Scale(1e3, "mJ"), Scale(1.0, "J"), Scale(1e-3, "kJ"), Scale(1e-6, "MJ"))
_LADDERS = {"s": _SECONDS, "B": _BYTES, "B/s": _BYTE_RATES, "J": _JOULES}


def scale_of(unit: str, largest: float | None) -> Scale:
    """The unit in which `largest` (in stored units: "s", "B", ...) has one to three digits before its point."""
    ladder = _LADDERS.get(unit)
    if ladder is None:
        return Scale(1.0, unit)
    if largest is None or not math.isfinite(largest) or largest == 0:
        return next(scale for scale in ladder if scale.unit == unit)
    return next((scale for scale in reversed(ladder) if abs(largest) * scale.factor >= 1), ladder[0])


def largest_magnitude(values: Floats) -> float | None:
    """The largest finite |value| of (n,), None where there is none."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else None


def quantity(value: float | None, unit: str = "") -> str:
    """A value with its unit to four significant digits: "12.5 ms", "9.5 GB", "71 %"; "–" for a missing one."""
    if value is None:
        return MISSING
    scale = scale_of(unit, value)
    return f"{number(value * scale.factor)} {scale.unit}".rstrip()


def number(value: float) -> str:
    """A number to four significant digits: thousands apart, an exponent only where zeros would be counted."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "-∞")
    if value == int(value) and abs(value) < 1e7:
        return f"{int(value):,}"
    if 1e-3 <= abs(value) < 1e7:
        digits = max(0, 3 - math.floor(math.log10(abs(value))))
        return f"{value:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:,.0f}"
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def duration(seconds: float | None) -> str:
    """A length of time: "850 ms", "42.1 s", "3 min 05 s", "2 h 07 min"."""
    if seconds is None or seconds < MINUTE:
        return quantity(seconds, "s")
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)} min {int(seconds % MINUTE):02d} s"
    return f"{int(seconds // HOUR)} h {int(seconds % HOUR // MINUTE):02d} min"


def time_scale(seconds: float) -> Scale:
    """The unit for an axis that is `seconds` long."""
    if seconds < 5 * MINUTE:
        return Scale(1.0, "s")
    return Scale(1 / MINUTE, "min") if seconds < 5 * HOUR else Scale(1 / HOUR, "h")
