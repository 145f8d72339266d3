"""What the live charts ask and are told: which series there are, what is new in those on screen, a zoomed stretch.

A chart may ask for one line from several series, those of its ranks. Only lines that have something new are described,
each by a few numbers: most ticks of most runs bring little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from torchglass.charts.series_titles import series_title
from torchglass.charts.smoothing import MAX_SMOOTHING
from torchglass.dashboard.answering import band, source, wire
from torchglass.dashboard.answering.query import BadQueryError, Query, to_integer
from torchglass.dashboard.answering.source import Answer, Extent, Look
from torchglass.errors import RunNotFoundError
from torchglass.store import Run, Series, Store
from torchglass.store.records import TIMED_KINDS

LIVE_KINDS = frozenset({"scalar", "layer", "phase", "memory", "work", "device", "self"})
MAX_SERIES = 64  # of one question; a page with more lines on screen asks several
MAX_RUNS = 10  # in the same charts
EXTENTS: tuple[Extent, ...] = ("", "all", "positive")


class Wanted(NamedTuple):
    """One line that a page draws, of one series or of one for each rank, and how far it has read it."""

    ids: tuple[int, ...]
    cursor: int


def news(store: Store, values: Mapping[str, str]) -> bytes:
    """What is new: `run` (ids, ...), `kinds`, `known` (how many series the page has heard of), `series`.


    The first run is the page's own; of the others, only series that it has too are told. The header holds the `status`
    of each run, the `catalogue` when the page does not know it, and `series`: of each line that has news its place in
    the question, its new cursor and a count of points, and for a line sent anew also how many points it stands for and
    what else is told of it. Raises RunNotFoundError when the first run is gone.
    """
    query = Query(values)
    kinds = _kinds(values.get("kinds", ""))
    wanted, look = _wanted(values.get("series", "")), _look(values)
    runs = _runs(store, query.integers("run", MAX_RUNS))
    catalogue = _catalogue(store, runs, kinds)
    by_id = {series.id: series for series, _ in catalogue}
    answers = _answers(store, wanted, by_id, look)
    header: dict[str, Any] = {
        "status": [run.status if run is not None else "finished" for run in runs],
        "series": [_told(place, answer) for place, answer in answers],
    }
    if len(catalogue) != query.integer("known"):
        header["catalogue"] = [_described(series, place) for series, place in catalogue]
        header["created_at"] = [run.created_at if run is not None else 0.0 for run in runs]
    return wire.encode(header, [column for _, answer in answers for column in _columns(answer)])


def window(store: Store, values: Mapping[str, str]) -> bytes:
    """Some lines from `first` to `last`: what a zoomed chart shows."""
    query, look = Query(values), _look(values)
    first, last = query.number("first"), query.number("last")
    found = [
        (place, [series for series in map(store.series_with_id, one.ids) if series is not None])
        for place, one in enumerate(_wanted(values.get("series", "")))
    ]
    alone = [(place, several[0]) for place, several in found if len(several) == 1]
    answers = dict(
        zip(
            (place for place, _ in alone),
            source.windows(store, [one for _, one in alone], first, last, look),
            strict=True,
        )
    )
    answers |= {place: band.window(store, several, first, last, look) for place, several in found if len(several) > 1}
    header = {"series": [_told(place, answers[place]._replace(reset=True)) for place in sorted(answers)]}
    return wire.encode(header, [column for place in sorted(answers) for column in _columns(answers[place])])


def _runs(store: Store, ids: Sequence[int]) -> list[Run | None]:
    """The runs; one that is gone counts only where it is the page's own."""
    if not ids:
        raise BadQueryError("run takes integers, the ids of one run or more")
    others = [_run_or_none(store, run_id) for run_id in ids[1:]]
    return [store.run(ids[0]), *others]


def _run_or_none(store: Store, run_id: int) -> Run | None:
    try:
        return store.run(run_id)
    except RunNotFoundError:
        return None


def _catalogue(store: Store, runs: Sequence[Run | None], kinds: Sequence[str]) -> list[tuple[Series, int]]:
    """Every series to draw, with the place of its run."""
    found = [
        (series, place)
        for place, run in enumerate(runs)
        if run is not None
        for kind in kinds
        for series in store.series_of(run.id, kind=kind)
    ]
    if len(runs) == 1:
        return found
    keys = {series.key for series, place in found if place == 0}
    return [(series, place) for series, place in found if series.key in keys]


def _answers(
    store: Store, wanted: Sequence[Wanted], by_id: Mapping[int, Series], look: Look
) -> list[tuple[int, Answer]]:
    """Place and answer of each line that has something new; nothing of a series that is not the runs' own."""
    known = [
        (place, tuple(by_id[one] for one in each.ids), each.cursor)
        for place, each in enumerate(wanted)
        if all(one in by_id for one in each.ids)
    ]
    alone = [(place, series[0], cursor) for place, series, cursor in known if len(series) == 1]
    told = source.news(store, [(series, cursor) for _, series, cursor in alone], look)
    answers = {place: answer for (place, _, _), answer in zip(alone, told, strict=True)}
    answers |= {place: band.news(store, each, cursor, look) for place, each, cursor in known if len(each) > 1}
    return [(place, answers[place]) for place in sorted(answers) if answers[place].reset or _count(answers[place])]


def _told(place: int, answer: Answer) -> list[Any]:
    told: list[Any] = [place, answer.points.cursor, _count(answer)]
    if not answer.reset:
        return told
    extras: dict[str, Any] = {}
    if answer.columns:
        extras["columns"] = list(answer.columns)
    if answer.state is not None:
        extras["state"] = answer.state[1:]
    if answer.extent is not None:
        extras["extent"] = answer.extent
    return [*told, answer.points.total, *([extras] if extras else [])]


def _count(answer: Answer) -> int:
    return len(answer.points.steps)


def _columns(answer: Answer) -> list[np.ndarray]:
    return [answer.points.steps, answer.points.times, answer.points.values, *answer.columns.values()]


def _described(series: Series, run_place: int) -> dict[str, object]:
    return {
        "id": series.id,
        "run": run_place,
        "key": series.key,
        "title": series_title(series.kind, series.key),
        "kind": series.kind,
        "unit": series.unit,
        "rank": series.rank,
        "timed": series.kind in TIMED_KINDS,
    }


def _wanted(text: str) -> list[Wanted]:
    found = [_one_wanted(entry) for entry in text.split(",")] if text else []
    if (count := sum(len(one.ids) for one in found)) > MAX_SERIES:
        raise BadQueryError(f"{count} series asked for at once: at most {MAX_SERIES}")
    return found


def _one_wanted(entry: str) -> Wanted:
    ids, _, cursor = entry.partition(":")
    found = tuple(to_integer("series", one) for one in ids.split("+"))
    return Wanted(found, to_integer("series", cursor or str(source.NOTHING_YET)))


def _look(values: Mapping[str, str]) -> Look:
    smoothing = Query(values).number("smoothing", "0")
    if not 0 <= smoothing <= MAX_SMOOTHING:
        raise BadQueryError(f"smoothing takes a number from 0 to {MAX_SMOOTHING}, not {smoothing}")
    extent = values.get("extent", "")
    if extent not in EXTENTS:
        raise BadQueryError(f"no extent {extent!r}: there are {', '.join(EXTENTS[1:])}")
    return Look(smoothing, extent)


def _kinds(text: str) -> list[str]:
    kinds = text.split(",") if text else []
    if unknown := set(kinds) - LIVE_KINDS:
        raise BadQueryError(f"no kind {sorted(unknown)}: there are {', '.join(sorted(LIVE_KINDS))}")
    return list(dict.fromkeys(kinds))
