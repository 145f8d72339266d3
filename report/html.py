"""Contents -> one HTML file: no address in it leads anywhere, and no script in it but those that it names by hash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from torchglass.charts import plain_text
from torchglass.charts.explanations_pictures import MethodPanel
from torchglass.charts.over_training import LEGEND
from torchglass.charts.pictures import png_data_uri
from torchglass.charts.plotly_js import Build, build_for
from torchglass.charts.theme import DIVERGING, SEQUENTIAL, colorscale
from torchglass.charts.units import number
from torchglass.language import language, tr
from torchglass.report.bounds import FULL, Bounds, given_up
from torchglass.report.compared import LETTERS, Compared
from torchglass.report.comparison_page import ComparisonPage, comparison_drawings, comparison_page
from torchglass.report.contents import Contents
from torchglass.report.figures import Drawing, drawings
from torchglass.report.options import EVERYTHING, Options
from torchglass.report.page import Page, page_of
from torchglass.report.payload import Scalar, figures_json, raw_traces
from torchglass.report.scripts import own_script, packed_plotly, part, policy
from torchglass.report.tables import moment


@dataclass(frozen=True)
class Report:
    """What a file tells: its runs, the first `bounds.own` of them by themselves, and together where there are several.

    `compared` is None for one run.
    """

    contents: tuple[Contents, ...]
    compared: Compared | None = None
    options: Options = EVERYTHING
    bounds: Bounds = FULL


def render(contents: Contents) -> str:
    """The report of one run, as text."""
    return render_report(Report((contents,)))


def render_report(report: Report) -> str:
    """The report as text, in the language in use."""
    figures: list[Drawing] = []
    comparison = None
    if report.compared is not None:
        drawn = _numbered(figures, comparison_drawings(report.compared))
        comparison = comparison_page(report.compared, report.contents, drawn)
    own = report.contents if report.compared is None else report.contents[: report.bounds.own]
    pages = [
        page_of(
            one,
            _numbered(figures, drawings(one, report.options)),
            report.options,
            prefix=f"{letter.lower()}-" if report.compared else "",
            letter=letter,
            present_only=report.compared is not None,
        )
        for letter, one in zip(LETTERS, own, strict=False)
    ]
    needs_full = build_for(drawing.figure for drawing in figures) == "full"
    builds: tuple[Build, ...] = ("cartesian", "full") if needs_full else ("cartesian",)
    return (
        _environment()
        .get_template("report.html")
        .render(
            title=_title(report.contents),
            pages=pages,
            comparison=comparison,
            unshown=len(report.contents) - len(own),
            given_up=given_up(report.bounds),
            most=report.options.max_mb,
            written=moment(report.contents[0].written_at),
            language=language(),
            policy=policy(builds),
            style=Markup(part("report.css")),
            plotly=[(build, packed_plotly(build)) for build in builds],
            script=own_script(),
            figures=Markup(_payload(figures, pages, comparison)),
            film_legend=tr(LEGEND),
        )
    )


def _numbered(figures: list[Drawing], added: Sequence[Drawing]) -> list[tuple[int, Drawing]]:
    """Append drawings to those of the file; each with its number there."""
    first = len(figures)
    figures.extend(added)
    return list(enumerate(added, start=first))


def _title(contents: Sequence[Contents]) -> str:
    names = [plain_text(one.run.name, 60 if len(contents) > 1 else 120) for one in contents]
    return names[0] if len(names) == 1 else tr("Comparison of {names}", names=", ".join(names))


def _payload(figures: Sequence[Drawing], pages: Sequence[Page], comparison: ComparisonPage | None) -> str:
    if comparison is not None:
        scalars, runs = list(_compared_scalars(comparison)), list(comparison.letters)
    else:
        scalars, runs = [scalar for page in pages for scalar in _scalars(page)], [""]
    return figures_json([drawing.figure for drawing in figures], scalars, runs)


def _scalars(page: Page) -> Iterator[Scalar]:
    for number_of, drawing in page.drawings:
        if drawing.scalars is not None:
            traces = raw_traces(drawing.scalars, drawing.figure)
            for line, trace in zip(drawing.scalars.lines, traces, strict=True):
                name = plain_text(line.name if drawing.section == "curves" else drawing.name)
                yield Scalar(name, 0, number_of, trace, drawing.scalars.unit)


def _compared_scalars(comparison: ComparisonPage) -> Iterator[Scalar]:
    for number_of, drawing in comparison.drawings:
        if drawing.scalars is not None:
            traces = raw_traces(drawing.scalars, drawing.figure)
            for line, trace in zip(drawing.scalars.lines, traces, strict=True):
                yield Scalar(drawing.name, LETTERS.index(line.name[0]), number_of, trace, drawing.scalars.unit)


def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(part),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain": plain_text, "png": png_data_uri, "number": number, "tr": tr}
    environment.globals |= {"tr": tr, "scale_of": _scale, "limit_of": _limit}
    return environment


def _scale(panel: MethodPanel) -> str:
    """The colours of a map as a CSS gradient."""
    stops = ", ".join(color for _, color in colorscale(DIVERGING if panel.signed else SEQUENTIAL))
    return f"linear-gradient(to right, {stops})"


def _limit(panel: MethodPanel) -> str:
    return number(float(f"{panel.limit:.2g}"))
