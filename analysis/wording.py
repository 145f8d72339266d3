"""Differences in words and numbers, as a terminal and a page say them."""

from __future__ import annotations

import math

from torchglass.analysis.differences import LEAST_SHARE, Difference
from torchglass.analysis.metrics import LEAST_SHARE_OF_STEP, RATE_KEY, SAMPLES_PER_SECOND
from torchglass.language import mark, tr

NOISE_NOTE = mark(
    "Within noise: the 95 % interval includes no change, or the change is below {share} % of A or {step_share} % of a "
    "step. Intervals come from resampled blocks of steps, those of operators and kernels from how profiler windows "
    "differ. They know the noise within each run; where a machine is busier or hotter in one of two runs of the same "
    "code, these differ by more."
)
MISSING = "–"
_LADDERS = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "B": ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")),
}
_WORDS = {"s": (mark("slower"), mark("faster")), "B": (mark("more"), mark("less"))}
_OTHER_WORDS = (mark("higher"), mark("lower"))
_ARROWS = {"higher": "▲", "lower": "▼"}


def noise_note() -> str:
    """What is called noise."""
    return tr(NOISE_NOTE, share=f"{100 * LEAST_SHARE:.1f}", step_share=f"{100 * LEAST_SHARE_OF_STEP:.1f}")


def amount(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A value to four significant digits in a fitting unit: "12.5 ms", "+1.2 GB", "–" where there is none."""
    if value is None:
        return MISSING
    sign = "+" if signed and value > 0 else ""
    if not math.isfinite(value):
        return f"{sign}{value}"
    ladder = _LADDERS.get(unit, ((1.0, unit),))
    factor, name = next((step for step in ladder if abs(value) >= step[0]), ladder[-1] if value else ladder[0])
    return f"{sign}{_four_digits(value / factor)} {name}".rstrip()


def percentage(value: float | None) -> str:
    """A percentage with its sign; "–" where there is none."""
    if value is None:
        return MISSING
    return f"{value:+,.0f} %" if abs(value) >= 1000 else f"{value:+.1f} %"


def interval(difference: Difference) -> str:
    """The bounds of a difference: as percentages of A, or as they are where A is zero."""
    if difference.low is None or difference.high is None:
        return MISSING
    low, high = difference.percent_of_base(difference.low), difference.percent_of_base(difference.high)
    if low is not None and high is not None:
        return f"{percentage(low)} … {percentage(high)}"
    return " … ".join(amount(each, difference.unit, signed=True) for each in (difference.low, difference.high))


def arrow(difference: Difference) -> str:
    """The direction of a difference that is more than noise, else a blank."""
    return _ARROWS.get(difference.verdict, " ")


def verdict(difference: Difference) -> str:
    """What to think of a difference: "slower", "within noise", "more, single measurement", or why it cannot be told."""
    if difference.verdict == "unknown":
        return difference.reason or tr("cannot be told")
    if difference.verdict == "noise":
        return tr("within noise")
    word = tr("the same") if difference.verdict == "same" else _direction(difference)
    return tr("{verdict}, single measurement", verdict=word) if difference.evidence == "single" else word


def _direction(difference: Difference) -> str:
    if difference.name.startswith((SAMPLES_PER_SECOND, RATE_KEY)):
        words = _WORDS["s"][::-1]
    else:
        words = _WORDS.get(difference.unit, _OTHER_WORDS)
    return tr(words[difference.verdict == "lower"])


def _four_digits(value: float) -> str:
    if value == 0 or abs(value) >= 1e15:
        return f"{value:g}"
    if abs(value) < 1e-4:
        return f"{value:.3e}"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text
