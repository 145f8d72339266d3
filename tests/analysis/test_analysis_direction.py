"""Which value of a series is its best is told by its name, for the pages, the report and the command line alike."""

from __future__ import annotations

import pytest

from torchglass.analysis.direction import best_extreme, best_step, best_value
from torchglass.store import Series


@pytest.mark.parametrize(
    ("key", "extreme"),
    [
        ("loss", "min"),
        ("val/Perplexity", "min"),
        ("test/mae", "min"),
        ("train/top1_acc", "max"),
        ("test/mAP", "max"),
        ("psnr", "max"),
        ("loss_head/accuracy", "max"),
        ("accuracy/loss", "min"),
        ("loss/total", "min"),
        ("feature_map/scale", None),
        ("learning_rate", None),
        ("mapping", None),
    ],
)
def test_the_name_says_which_way_is_better(key: str, extreme: str | None) -> None:
    assert best_extreme(key) == extreme


@pytest.mark.parametrize(
    ("key", "best"), [("loss", (1.5, 20)), ("accuracy", (9.5, 70)), ("learning_rate", (None, None))]
)
def test_the_best_value_stands_with_its_step(key: str, best: tuple[float | None, int | None]) -> None:
    series = Series(1, 1, 0, key, "scalar", "", 3, 0, 1.5, 20, 9.5, 70, 5.0, 4.0, 90)
    assert (best_value(series), best_step(series)) == best
