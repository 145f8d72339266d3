"""The verb `compare`: two runs side by side, and conditions on their difference for a build server."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from torchglass.terminal import complain, say, say_json, terminal_text

if TYPE_CHECKING:
    from torchglass.analysis.comparison import Comparison
    from torchglass.analysis.differences import Difference
    from torchglass.analysis.measured import Measured
    from torchglass.analysis.thresholds import Outcome, Threshold

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
Row = tuple[str, ...]

EXIT_MET, EXIT_CANNOT_TELL = 1, 2
MOST_ROWS = 10  # operators or kernels in the table, unless all are asked for
MOST_CHARACTERS = 56  # of a name
HEADINGS: Row = ("", "A", "B", "B - A", "%", "95 % INTERVAL", "MEAN STEP", "VERDICT")
EPILOG = """\
A condition is METRIC, one of < <= > >=, and a number. With a sign it is on the change from A to B (+5%, -3ms, +1GB),
without one on B itself (110ms, 20GB). A metric is one of
  step_time, or a phase such as backward    the median; .mean and .p95 (95th percentile) as well
  operator:aten::mm, kernel:NAME            own seconds a step in profiler windows; part of a name is enough if clear
  memory_peak, samples_per_second
  loss, test/accuracy.max                   a series by its last value, or its .min or .max; what is measured all along,
                                            such as gpu0/utilization_percent, by its median, .mean or .p95
  series:backward                           the series of that name, where a phase has it too
A change within noise meets no condition that no change at all would not meet; --ignore-noise goes by the numbers alone.
Exit code: 0 no condition is met, 1 one is, 2 that cannot be told (unknown, not measured, too few steps).
"""


def add_compare(verb: Verb) -> None:
    """Add the verb to a command line whose `verb(name, command, text)` adds one."""
    compare = verb("compare", _compare, "Compare two runs: step time, phases, operators, kernels, memory, results.")
    compare.add_argument("base", metavar="A", help="the run to compare with: its name, or beginning of the uid")
    compare.add_argument("new", metavar="B", help="the run to be compared")
    compare.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="CONDITION",
        help="such as 'step_time > +5%%'; may be given again",
    )
    compare.add_argument("--ignore-noise", action="store_true", help="conditions go by the numbers alone")
    compare.add_argument("--base-store", metavar="STORE", help="where A is (default: where B is)")
    compare.add_argument("--rank", type=int, default=0, help="the process to compare (0)")
    compare.add_argument("--all", action="store_true", help="list every operator and kernel")
    compare.add_argument("--json", action="store_true", help="for a machine to read")
    compare.formatter_class = argparse.RawDescriptionHelpFormatter
    compare.epilog = EPILOG


def _compare(options: argparse.Namespace) -> int:
    from torchglass.analysis.comparison import compare
    from torchglass.analysis.measured import measure
    from torchglass.analysis.thresholds import read_threshold
    from torchglass.store import open_store

    thresholds = [read_threshold(text) for text in options.fail_if]
    base_location = options.store if options.base_store is None else options.base_store
    with open_store(options.store, read_only=True) as store, open_store(base_location, read_only=True) as base_store:
        base = measure(base_store, base_store.run(options.base), options.rank)
        new = measure(store, store.run(options.new), options.rank)
        comparison = compare(base, new)
        judged = [_judged(base, new, threshold, ignore_noise=options.ignore_noise) for threshold in thresholds]
    if options.json:
        say_json(_as_json(comparison, thresholds, judged))
    else:
        _print(comparison, show_all=options.all)
        for threshold, found in zip(thresholds, judged, strict=True):
            if not isinstance(found, str):
                say(f"fail if {_plain(threshold.text)}: {found.sentence}{_by(found)}")
    for found in judged:
        if isinstance(found, str):
            complain(f"torchglass: {_plain(found)}")
    if any(isinstance(found, str) for found in judged):
        return EXIT_CANNOT_TELL
    return EXIT_MET if any(not isinstance(found, str) and found.is_met for found in judged) else 0


def _judged(base: Measured, new: Measured, threshold: Threshold, *, ignore_noise: bool) -> Outcome | str:
    """What comes of a condition, or why that cannot be told."""
    from torchglass.analysis.metrics import difference_in
    from torchglass.analysis.thresholds import judge
    from torchglass.errors import OptionError

    try:
        return judge(threshold, difference_in(base, new, threshold.metric), ignore_noise=ignore_noise)
    except OptionError as error:
        return str(error)


def _print(comparison: Comparison, *, show_all: bool) -> None:
    from torchglass.analysis.wording import noise_note

    for letter, each in (("A", comparison.base), ("B", comparison.new)):
        say(f"{letter} = {terminal_text(each.run.name)}: {each.run.status}, {each.steps.told}")
    for name, base, new in comparison.circumstances:
        say(
            terminal_text(
                f"differs: {name}: {'not said' if base is None else base} -> {'not said' if new is None else new}"
            )
        )
    say()
    _print_table([HEADINGS, *_rows(comparison, show_all=show_all)])
    say(f"\n{noise_note()}")


def _rows(comparison: Comparison, *, show_all: bool) -> Iterator[Row]:
    from torchglass.analysis.comparison import contribution

    step = comparison.step
    yield from (_row(each, each.name, step[1].change if place == 0 else None) for place, each in enumerate(step))
    contributions = {each.name.removesuffix(".mean"): contribution(each) for each in comparison.contributions}
    for each in comparison.phases:
        yield _row(each, f"  {each.name}", contributions.get(each.name.removesuffix(".mean")))
    groups = (("operators", comparison.operators), ("kernels", comparison.kernels))
    for title, differences in groups:
        shown = differences if show_all else differences[:MOST_ROWS]
        if shown:
            more = f", the {len(shown)} largest changes of {len(differences)}" if len(shown) < len(differences) else ""
            yield (f"{title}, own time a step{more}",)
            yield from (_row(each, f"  {each.name.partition(':')[2]}") for each in shown)
    yield from (_row(each, each.name) for each in comparison.resources)
    yield from (_row(each, each.name) for each in comparison.results)


def _row(difference: Difference, name: str, in_mean_step: float | None = None) -> Row:
    from torchglass.analysis.wording import amount, arrow, interval, percentage, verdict

    unit = difference.unit
    return (
        _shortened(name),
        amount(difference.base, unit),
        amount(difference.new, unit),
        f"{arrow(difference)} {amount(difference.change, unit, signed=True)}",
        percentage(difference.percent),
        interval(difference),
        "" if in_mean_step is None else amount(in_mean_step, unit, signed=True),
        verdict(difference),
    )


def _print_table(rows: Sequence[Row]) -> None:
    full = [row for row in rows if len(row) == len(HEADINGS)]
    widths = [max(len(cell) for cell in column) for column in zip(*full, strict=True)]
    last = len(HEADINGS) - 1
    for row in rows:
        cells = [
            cell.ljust(width) if place in (0, last) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        say("  ".join(cells).rstrip())


def _by(outcome: Outcome) -> str:
    from torchglass.analysis.wording import amount, interval, percentage

    difference = outcome.difference
    if not outcome.threshold.is_change:
        return f" ({_plain(difference.name)} is {amount(difference.new, difference.unit)})"
    bounds = "" if difference.low is None else f", 95 % interval {interval(difference)}"
    change = f"{amount(difference.change, difference.unit, signed=True)}, {percentage(difference.percent)}"
    return f" ({_plain(difference.name)}: {change}{bounds})"


def _as_json(
    comparison: Comparison, thresholds: Sequence[Threshold], judged: Sequence[Outcome | str]
) -> dict[str, Any]:
    groups = ("step", "phases", "contributions", "operators", "kernels", "resources", "results")
    return {
        "base": _side(comparison.base),
        "new": _side(comparison.new),
        "circumstances": [each._asdict() for each in comparison.circumstances],
        **{group: [_difference(each) for each in getattr(comparison, group)] for group in groups},
        "conditions": [
            {"text": threshold.text, "met": None, "said": found}
            if isinstance(found, str)
            else {
                "text": threshold.text,
                "met": found.is_met,
                "said": found.sentence,
                "difference": _difference(found.difference),
            }
            for threshold, found in zip(thresholds, judged, strict=True)
        ],
    }


def _side(measured: Measured) -> dict[str, Any]:
    steps = measured.steps
    return {
        "name": measured.run.name,
        "uid": measured.run.uid,
        "status": measured.run.status,
        "rank": measured.rank,
        "steps_compared": len(steps.numbers),
        "steps_recorded": steps.recorded,
        "steps_of_warm_up": steps.warm_up,
        "steps_profiled": steps.profiled,
        "windows": len(measured.windows),
    }


def _difference(difference: Difference) -> dict[str, Any]:
    values = {**asdict(difference), "change": difference.change, "percent": difference.percent}
    # JSON has no word for what is not finite; `reason` says so where it happens.
    return {key: None if isinstance(each, float) and not math.isfinite(each) else each for key, each in values.items()}


def _shortened(name: str) -> str:
    shown = _plain(name)
    return shown if len(shown) <= MOST_CHARACTERS else f"{shown[: MOST_CHARACTERS - 25]}…{shown[-24:]}"


def _plain(text: str) -> str:
    return terminal_text(text)
