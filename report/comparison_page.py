"""What the template says of several runs together: tables of plain text, and the numbers of their figures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torchglass.analysis.comparison import Comparison
from torchglass.analysis.differences import Difference
from torchglass.analysis.direction import best_step, best_value
from torchglass.analysis.wording import amount, interval, noise_note, percentage, verdict
from torchglass.charts import (
    PicturesData,
    contributions_data,
    contributions_figure,
    distributions_data,
    distributions_figure,
    explanation_figures,
    phase_pairs_data,
    phase_pairs_figure,
    plain_text,
    scalars_figure,
)
from torchglass.charts.explanations_words import method_name
from torchglass.charts.phases import name_of
from torchglass.charts.series_titles import series_title
from torchglass.charts.units import MISSING, duration, number, quantity
from torchglass.language import mark, tr
from torchglass.report.compared import LETTERS, MAX_PAIRS, Compared, SideBySide
from torchglass.report.contents import Contents
from torchglass.report.figures import Drawing
from torchglass.report.page import FIRST_ROWS, STATUSES, facts_of
from torchglass.report.tables import Row, moment, setting_rows

PREFIX = "compare-"
SECTIONS = {
    "runs": mark("The runs"),
    "differences": mark("What differs"),
    "curves": mark("Curves of all runs"),
    "speed": mark("Speed"),
    "resources": mark("Devices and memory of all runs"),
    "explanations": mark("What they look at"),
}
STATISTICS = {
    ".mean": mark("mean"),
    ".p95": mark("95th percentile"),
    ".last": mark("last"),
    ".min": mark("smallest"),
    ".max": mark("largest"),
}
CALLED = {
    "step_time": mark("step time"),
    "memory_peak": mark("peak of memory"),
    "samples_per_second": mark("samples a second"),
}
MOST_ROWS = 10  # operators and kernels of a pair, the largest changes first
LABEL = 60  # characters
DIFFERENCE_COLUMNS = ("", "A", "B", "B - A", "%", mark("95 % interval"), mark("verdict"))


class Table(NamedTuple):
    """Rows below columns; cells may have several lines. `title` is empty of a table that stands alone."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True)
class ComparisonPage:
    """Several runs in a report. `drawings` are the numbers of figures in the file, with the figures.

    `differing` and `alike` are settings and environment; `panels` are explanations of one sample, each a heading and
    for each run its label, its explanation, the panel of it and the number of its figure (None for a picture).
    """

    prefix: str
    sections: Mapping[str, str]
    letters: Sequence[str]
    labels: Sequence[str]
    drawings: Sequence[tuple[int, Drawing]]
    runs: Table
    warnings: Sequence[tuple[str, str]]
    differing: Table
    alike: Table
    scalars: Table
    more_scalars: Table
    speed: Table
    pairs: Sequence[Table]
    told: Sequence[str]
    used: Table
    panels: Sequence[tuple[str, Sequence[tuple[str, Any, int, int | None]]]]
    notes: Mapping[str, Sequence[str]]


def comparison_drawings(compared: Compared) -> list[Drawing]:
    """Every figure that shows several runs."""
    return [*_curves(compared), *_pairs(compared), *_resources(compared), *_explanations(compared)]


def comparison_page(
    compared: Compared, contents: Sequence[Contents], drawn: Sequence[tuple[int, Drawing]]
) -> ComparisonPage:
    """Say what there is to say of several runs."""
    letters = LETTERS[: len(contents)]
    labels = [plain_text(label, LABEL) for label in compared.labels]
    differing, alike = _settings(contents)
    columns = [tr("setting"), *labels]
    scalars = sorted(_scalars(compared), key=lambda row: "\n" not in "".join(row.cells))  # those that have a best first
    return ComparisonPage(
        prefix=PREFIX,
        sections={section: tr(title) for section, title in SECTIONS.items()},
        letters=letters,
        labels=labels,
        drawings=drawn,
        runs=_runs(contents, letters),
        warnings=[
            (letter, plain_text(each, 300))
            for letter, one in zip(letters, contents, strict=True)
            for each in _troubles(one)
        ],
        differing=Table("", columns, differing),
        alike=Table(tr("What is the same"), columns, alike),
        scalars=Table("", [tr("scalar"), *labels], scalars[:FIRST_ROWS]),
        more_scalars=Table("", [tr("scalar"), *labels], scalars[FIRST_ROWS:]),
        speed=Table("", [tr("quantity"), *labels], list(_speed(compared.pairs))),
        pairs=list(_pair_tables(compared.pairs)),
        told=_told(compared),
        used=Table("", [tr("figure"), *labels], list(_used(compared))),
        panels=_panels(compared, drawn, labels),
        notes=_notes(compared),
    )


def _curves(compared: Compared) -> Iterator[Drawing]:
    for name, data in compared.curves:
        figure = scalars_figure(data, looks=compared.looks)
        figure.update_layout(showlegend=True)
        yield Drawing("curves", plain_text(name), figure, scalars=data)


def _resources(compared: Compared) -> Iterator[Drawing]:
    for name, data in compared.resources:
        figure = scalars_figure(data, looks=compared.looks)
        figure.update_layout(showlegend=True)
        figure.update_yaxes(rangemode="tozero")
        yield Drawing("resources", plain_text(name), figure)


def _pairs(compared: Compared) -> Iterator[Drawing]:
    for letter, pair in zip(LETTERS[1:], compared.pairs[:MAX_PAIRS], strict=False):
        against = tr("{letter} against A", letter=letter)
        distributions = distributions_data(pair)
        if distributions.edges.size:
            name = tr("{pair}: how step times are distributed", pair=against)
            yield Drawing("speed", name, _lettered(distributions_figure(distributions), letter))
        if pair.phases:
            name = tr("{pair}: phases", pair=against)
            yield Drawing("speed", name, _lettered(phase_pairs_figure(phase_pairs_data(pair)), letter))
        if pair.contributions:
            name = tr("{pair}: where the difference of the mean step comes from", pair=against)
            yield Drawing("speed", name, contributions_figure(contributions_data(pair)))


def _lettered(figure: Any, letter: str) -> Any:
    """A pair's chart calls the second run B: here it has a letter of its own."""
    for trace in figure.data:
        if trace.name and trace.name.startswith("B "):
            trace.name = f"{letter}{trace.name[1:]}"
    return figure


def _explanations(compared: Compared) -> Iterator[Drawing]:
    for each in compared.explanations:
        for run, sample, panel in each.shown:
            if not isinstance(sample, PicturesData):
                name = plain_text(compared.labels[run], LABEL)
                yield Drawing("explanations", name, explanation_figures(sample)[panel])


def _panels(
    compared: Compared, drawn: Sequence[tuple[int, Drawing]], labels: Sequence[str]
) -> list[tuple[str, list[tuple[str, Any, int, int | None]]]]:
    numbers = (number for number, drawing in drawn if drawing.section == "explanations")
    return [
        (
            _heading(each),
            [
                (labels[run], sample, panel, None if isinstance(sample, PicturesData) else next(numbers))
                for run, sample, panel in each.shown
            ],
        )
        for each in compared.explanations
    ]


def _heading(each: SideBySide) -> str:
    return tr("{sample} by {method}", sample=plain_text(each.key, LABEL), method=method_name(each.method))


def _runs(contents: Sequence[Contents], letters: str) -> Table:
    columns = [
        "",
        tr("run"),
        tr("status"),
        tr("begun"),
        tr("duration"),
        tr("last step"),
        tr("mean step"),
        tr("parameters"),
    ]
    rows = []
    for letter, one in zip(letters, contents, strict=True):
        parameters = one.model.get("parameters")
        cells = (
            letter,
            plain_text(one.run.name, LABEL),
            tr(STATUSES[one.run.status]),
            moment(one.run.created_at),
            duration(one.duration_seconds),
            MISSING if one.step is None else number(one.step),
            quantity(one.phases.mean_step, "s"),
            number(parameters) if isinstance(parameters, int) else MISSING,
        )
        rows.append(Row(cells))
    return Table("", columns, rows)


def _troubles(one: Contents) -> list[str]:
    """What went wrong in a run: the last line of its error, and what torchglass could not do."""
    error = (one.run.error or "").strip().splitlines()
    return [*error[-1:], *one.warnings]


def _settings(contents: Sequence[Contents]) -> tuple[list[Row], list[Row]]:
    """Rows of configuration and environment that differ, marked, and those that do not."""
    differing: list[Row] = []
    alike: list[Row] = []
    for told in ([one.run.config for one in contents], [facts_of(one) for one in contents]):
        flat = [{row.cells[0]: row.cells[1] for row in setting_rows(each)} for each in told]
        for name in dict.fromkeys(name for each in flat for name in each):
            values = tuple(each.get(name, MISSING) for each in flat)
            differs = len(set(values)) > 1
            (differing if differs else alike).append(Row((name, *values), alarm=differs))
    return differing, alike


def _scalars(compared: Compared) -> Iterator[Row]:
    keys = dict.fromkeys(key for each in compared.summaries for key in each)
    for key in keys:
        yield Row((plain_text(key), *(_scalar(each.get(key)) for each in compared.summaries)))


def _scalar(series: Any) -> str:
    if series is None:
        return MISSING
    said = quantity(series.last, plain_text(series.unit, 12))
    best, step = best_value(series), best_step(series)
    if best is None or step is None:
        return said
    return "\n".join((said, tr("best {value} at {step}", value=quantity(best), step=f"{step:,}")))


def _speed(pairs: Sequence[Comparison]) -> Iterator[Row]:
    """A row a quantity: A, and each other run with its change, the bounds of that and what to think of it."""
    named = [{each.name: each for each in (*pair.step, *pair.phases, *pair.resources, *pair.results)} for pair in pairs]
    for name in dict.fromkeys(name for each in named for name in each):
        found = [each.get(name) for each in named]
        first = next(each for each in found if each is not None)
        yield Row((_quantity_name(name), amount(first.base, first.unit), *map(_against, found, LETTERS[1:])))


def _against(difference: Difference | None, letter: str) -> str:
    if difference is None:
        return MISSING
    bounds = interval(difference)
    change = percentage(difference.percent)
    said = [amount(difference.new, difference.unit), change if bounds == MISSING else f"{change} ({bounds})"]
    return "\n".join((*said, _verdict(difference, letter)))


def _verdict(difference: Difference, letter: str) -> str:
    """What to think of a difference; reasons call the second run B."""
    said = verdict(difference)
    return plain_text(re.sub(r"\bB\b", letter, said) if difference.verdict == "unknown" else said, 200)


def _pair_tables(pairs: Sequence[Comparison]) -> Iterator[Table]:
    for letter, pair in zip(LETTERS[1:], pairs[:MAX_PAIRS], strict=False):
        columns = [tr(column).replace("B", letter) if len(column) < 6 else tr(column) for column in DIFFERENCE_COLUMNS]
        for kind, differences in ((tr("GPU kernels"), pair.kernels), (tr("Operators"), pair.operators)):
            rows = [
                Row(
                    (
                        plain_text(_title(each.name), 140),
                        amount(each.base, each.unit),
                        amount(each.new, each.unit),
                        amount(each.change, each.unit, signed=True),
                        percentage(each.percent),
                        interval(each),
                        _verdict(each, letter),
                    )
                )
                for each in differences[:MOST_ROWS]
            ]
            if rows:
                title = tr(
                    "{letter} against A: {kind}, own time a step, largest changes first", letter=letter, kind=kind
                )
                yield Table(title, columns, rows)


def _title(name: str) -> str:
    kind, colon, rest = name.partition(":")
    return rest if colon and kind in ("operator", "kernel", "series") else name


def _quantity_name(name: str) -> str:
    """A quantity as a person calls it: "step_time.p95" becomes "step time, 95th percentile"."""
    plain = _title(name)
    for ending, called in STATISTICS.items():
        if plain.endswith(ending):
            stem = plain.removesuffix(ending)
            return tr("{name}, {statistic}", name=_called(stem), statistic=tr(called))
    return _called(plain)


def _called(name: str) -> str:
    return tr(CALLED[name]) if name in CALLED else plain_text(name_of(name))


def _told(compared: Compared) -> list[str]:
    """Which steps of each run count."""
    if not compared.pairs:
        return []
    measured = [compared.pairs[0].base, *(pair.new for pair in compared.pairs)]
    return [
        plain_text(f"{label}: {each.steps.told}", 300) for label, each in zip(compared.labels, measured, strict=True)
    ]


def _used(compared: Compared) -> Iterator[Row]:
    for key in dict.fromkeys(key for each in compared.used for key in each):
        kind = next(each[key].kind for each in compared.used if key in each)
        name = series_title(kind, key) + (f", {key.partition('/')[0]}" if kind == "device" else "")
        yield Row((plain_text(name), *(_mean_and_most(each.get(key)) for each in compared.used)))


def _mean_and_most(series: Any) -> str:
    if series is None:
        return MISSING
    mean, most = (quantity(_rounded(value), plain_text(series.unit, 12)) for value in (series.mean, series.maximum))
    return "\n".join((tr("mean {value}", value=mean), tr("largest {value}", value=most)))


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _notes(compared: Compared) -> dict[str, list[str]]:
    notes: dict[str, list[str]] = {section: [] for section in SECTIONS}
    notes["runs"].append(tr("The others are held against A."))
    notes["differences"].append(tr("Names of machines are not told."))
    if compared.alone:
        notes["curves"].append(tr("{count} scalars of one run only have no chart here.", count=compared.alone))
    if compared.left_out:
        notes["curves"].append(tr("{count} more common scalars have no chart here.", count=compared.left_out))
    if len(compared.pairs) > MAX_PAIRS:
        notes["speed"].append(tr("Figures and operators: the first {count} runs beside A.", count=MAX_PAIRS))
    notes["speed"].append(noise_note())
    return notes
