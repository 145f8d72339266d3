"""A progress bar on stderr for what takes longer than a second; none without tqdm, or where stderr is no terminal."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager

APPEARS_AFTER_SECONDS = 1.0

Advance = Callable[[int], object]


@contextmanager
def bar(title: str, total: int, unit: str, *, show: bool) -> Iterator[Advance]:
    """Give a function that moves the bar on by so many units of `total`."""
    if not show or importlib.util.find_spec("tqdm") is None:
        yield lambda amount: None
        return
    from tqdm import tqdm

    # tqdm reads disable=None as: where stderr is no terminal.
    with tqdm(
        desc=title,
        total=total,
        unit=unit,
        unit_scale=True,
        disable=None,
        delay=APPEARS_AFTER_SECONDS,
        leave=False,
        mininterval=0.2,
    ) as shown:
        yield shown.update
