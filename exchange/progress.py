"""A progress bar on stderr for what takes longer than a second; none where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torchglass.errors import MissingExtraError

APPEARS_AFTER_SECONDS = 1.0

Advance = Callable[[int], object]


@contextmanager
def bar(title: str, total: int, unit: str, *, show: bool) -> Iterator[Advance]:
    """Give a function that moves the bar on by so many units of `total`.

    Raises:
        MissingExtraError: a bar is to be shown and tqdm is not installed.
    """
    if not show:
        yield lambda amount: None
        return
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise MissingExtraError("tqdm", "exchange") from error
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
