"""How much of a run a report shows, and what it gives up, in which order, to become smaller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torchglass.charts.units import number
from torchglass.language import tr


@dataclass(frozen=True)
class Bounds:
    """The most that a report shows of each; what is left out is said in it.

    `points` are those of a curve, `samples` explained ones, `strips` explanations over training, `rows` those of a
    profiler's table, `nodes` parts of the tree from phases to kernels, `own` runs of a comparison that are shown each
    by itself as well. Without `pictures` there are no large ones: graphs, galleries, shortcuts.
    """

    points: int = 1000
    curve_charts: int = 200
    histograms: int = 40
    ridgelines: int = 12
    samples: int = 24
    strips: int = 6
    windows: int = 20
    rows: int = 30
    nodes: int = 300
    own: int = 4
    pictures: bool = True


FULL = Bounds()


def ladder() -> Iterator[Bounds]:
    """Bounds from everything to the bare report: points go first, then histograms, samples, windows, own sections."""
    bounds = FULL
    yield bounds
    for points in (500, 250, 120):
        yield (bounds := replace(bounds, points=points))
    for histograms in (20, 8, 0):
        yield (bounds := replace(bounds, histograms=histograms, ridgelines=min(histograms, 4)))
    for samples, strips in ((8, 2), (2, 1), (0, 0)):
        yield (bounds := replace(bounds, samples=samples, strips=strips))
    for windows, rows, nodes in ((5, 10, 100), (1, 0, 0)):
        yield (bounds := replace(bounds, windows=windows, rows=rows, nodes=nodes))
    yield (bounds := replace(bounds, own=0))
    yield (bounds := replace(bounds, pictures=False))
    for charts in (48, 12):
        yield (bounds := replace(bounds, curve_charts=charts))


def given_up(bounds: Bounds) -> list[str]:
    """A sentence for each thing that a report gave up to be small enough."""
    said = []
    if bounds.points < FULL.points:
        said.append(tr("Curves have at most about {count} points each, extremes among them.", count=bounds.points))
    if bounds.histograms < FULL.histograms:
        said.append(tr("At most {count} histograms are shown.", count=bounds.histograms))
    if bounds.samples < FULL.samples:
        said.append(
            tr(
                "At most {samples} explained samples and {strips} film strips are shown.",
                samples=bounds.samples,
                strips=bounds.strips,
            )
        )
    if bounds.windows < FULL.windows:
        said.append(
            tr(
                "At most {windows} profiler windows are read, and {rows} rows of each table listed.",
                windows=bounds.windows,
                rows=bounds.rows,
            )
        )
    if bounds.own < FULL.own:
        said.append(tr("Runs are compared, and none is shown by itself."))
    if not bounds.pictures:
        said.append(tr("Graphs, galleries and pictures of shortcuts are left out."))
    if bounds.curve_charts < FULL.curve_charts:
        said.append(tr("At most {count} charts of scalars are drawn.", count=number(bounds.curve_charts)))
    return said
