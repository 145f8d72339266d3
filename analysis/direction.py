"""Which way a score improves, by its name: a loss by getting smaller, an accuracy by getting larger."""

from __future__ import annotations

import re
from typing import Literal

from torchglass.store import Series

Extreme = Literal["min", "max"]

_SMALLER_IS_BETTER = re.compile(r"loss|error|perplexity|(^|[/_.])(mse|mae|rmse|nll|ppl|wer|cer|fid|ece)($|[/_.])")
_LARGER_IS_BETTER = re.compile(
    r"acc|auc|f1|precision|recall|bleu|rouge|score|reward|psnr|ssim|(^|[/_.])(iou|miou|r2)($|[/_.])|(^|[/.])map($|[/_.])"
)


def best_extreme(key: str) -> Extreme | None:
    """Whether the smallest or the largest value of a series is its best one; None where its name does not say.

    What stands behind the last slash says more than what stands before it.
    """
    whole = key.lower()
    for name in (whole.rpartition("/")[2], whole):
        if _SMALLER_IS_BETTER.search(name):
            return "min"
        if _LARGER_IS_BETTER.search(name):
            return "max"
    return None


def best_value(series: Series) -> float | None:
    """The best value of a series; None where it has none, or its name does not say which that is."""
    return {"min": series.minimum, "max": series.maximum, None: None}[best_extreme(series.key)]


def best_step(series: Series) -> int | None:
    """The step of its best value."""
    return {"min": series.minimum_step, "max": series.maximum_step, None: None}[best_extreme(series.key)]
