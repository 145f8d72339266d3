"""Which trial of a sweep is begun next: a pure rule over those begun before, so that processes that share one agree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

MOST_LOSSES = 3  # a trial whose process dies each time, as for want of memory, would otherwise be tried for ever


class Attempt(NamedTuple):
    """A trial that was begun. `retries` is the number of the one that it repeats.

    `is_lost` tells a process that died or was interrupted from a trial that ended by itself, with a value or an error;
    `by_hand` says that it was interrupted, which speaks not against the trial.
    """

    number: int
    is_lost: bool
    by_hand: bool = False
    retries: int | None = None


class Fresh(NamedTuple):
    """A trial of new values; the first of a sweep is of the recipe's own."""

    is_first: bool


class Retry(NamedTuple):
    """The values of a lost trial once more."""

    number: int


def next_trial(attempts: Iterable[Attempt], total: int) -> Fresh | Retry | None:
    """Choose what is begun next: what was lost first, then new values until there are `total`; None when all are begun.

    A trial and its repetitions count as one.
    """
    by_number = {attempt.number: attempt for attempt in attempts}
    repeated = {attempt.retries for attempt in by_number.values()}
    for number in sorted(by_number):
        if by_number[number].is_lost and number not in repeated and _losses(by_number, number) < MOST_LOSSES:
            return Retry(number)
    begun = sum(attempt.retries is None for attempt in by_number.values())
    return Fresh(is_first=begun == 0) if begun < total else None


def _losses(by_number: dict[int, Attempt], number: int) -> int:
    """How often the trial was lost up to this attempt, but for those ended by hand."""
    losses = 0
    place: int | None = number
    while place is not None:
        attempt = by_number[place]
        losses += not attempt.by_hand
        place = attempt.retries
    return losses
