"""Two runs side by side: how their steps are distributed, their phases, and where the difference comes from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from torchglass.analysis.comparison import Comparison, contribution
from torchglass.analysis.differences import Difference, Verdict
from torchglass.analysis.wording import verdict
from torchglass.charts.phases import name_of
from torchglass.charts.records import packed
from torchglass.charts.text import plot_text
from torchglass.charts.theme import NEUTRAL, PALETTE, empty_figure, new_figure
from torchglass.charts.units import quantity, scale_of
from torchglass.language import mark, tr
from torchglass.store.records import Floats

FEWEST_BINS, MOST_BINS, STEPS_PER_BIN = 20, 80, 8
SHOWN_QUARTILES = 4.0  # times the distance of the quartiles, beyond them; what lies outside is counted, not drawn
ROW_HEIGHT = 26  # px a phase
COLORS = PALETTE[:2]  # of A and of B, as wherever runs are drawn over each other
# Slower stands out, faster is good news, and what is not told from noise recedes.
VERDICT_COLORS: dict[Verdict, str] = {"higher": PALETTE[1], "lower": PALETTE[2]}
_NO_STEPS = mark("One of the runs timed no step: attach with the model and its optimizer.")


class DistributionsData(NamedTuple):
    """Shares of steps (2, m) of run A and run B between `edges` (m + 1,) seconds, their medians, and their names.

    `beyond` are the shares of steps that lie outside of the edges.
    """

    names: tuple[str, str]
    edges: Floats
    shares: Floats
    medians: tuple[float, float]
    beyond: tuple[float, float]


class PhasePairsData(NamedTuple):
    """Seconds a step (2, k) of k phases in run A and run B with their 95 % bounds (2, k), NaN where there are none.

    `verdicts` say of each phase what B is, in words.
    """

    names: tuple[str, str]
    phases: tuple[str, ...]
    seconds: Floats
    low: Floats
    high: Floats
    verdicts: tuple[str, ...]


class ContributionsData(NamedTuple):
    """By how many seconds each phase (k,) makes B's mean step longer; they sum to `total`.

    `low` and `high` (k + 1,) are 95 % bounds of each and of the total, NaN where there are none; `verdicts` (k + 1)
    tell which of them are more than noise.
    """

    phases: tuple[str, ...]
    seconds: Floats
    total: float
    low: Floats
    high: Floats
    verdicts: tuple[Verdict, ...]


def distributions_data(comparison: Comparison) -> DistributionsData:
    """Count the steps of both runs in common bins."""
    runs = (comparison.base, comparison.new)
    names = (runs[0].run.name, runs[1].run.name)
    wholes = [each.steps.whole for each in runs]
    if not all(whole.size for whole in wholes):
        return DistributionsData(names, np.empty(0), np.empty((2, 0)), (np.nan, np.nan), (np.nan, np.nan))
    fences = np.array([_fences(whole) for whole in wholes])
    low, high = float(fences[:, 0].min()), float(fences[:, 1].max())
    bins = int(np.clip(min(map(len, wholes)) / STEPS_PER_BIN, FEWEST_BINS, MOST_BINS))
    edges = np.linspace(low, high if high > low else low * 1.01 + 1e-9, bins + 1)
    counts = np.array([np.histogram(whole, edges)[0] / len(whole) for whole in wholes])
    beyond = [float(((whole < edges[0]) | (whole > edges[-1])).mean()) for whole in wholes]
    medians = [float(np.median(whole)) for whole in wholes]
    return DistributionsData(names, edges, counts, (medians[0], medians[1]), (beyond[0], beyond[1]))


def distributions_figure(
    data: DistributionsData, *, title: str = "", dark: bool = False, reason: str = _NO_STEPS
) -> go.Figure:
    """Draw the step times of both runs as two outlines over each other, the median of each marked."""
    if not data.edges.size:
        return empty_figure(plot_text(tr(reason), 300), dark=dark, title=plot_text(title))
    scale = scale_of("s", max(data.medians))
    edges = data.edges * scale.factor
    figure = new_figure(dark=dark, title=plot_text(title), hovermode="x unified")
    letters = zip("AB", data.names, data.shares, data.medians, COLORS, strict=True)
    for letter, name, shares, median, color in letters:
        figure.add_scatter(
            x=packed(edges),
            y=packed(100 * np.append(shares, shares[-1])),
            name=f"{letter} {plot_text(name, 40)}, {tr('median {value}', value=quantity(median, 's'))}",
            line={"color": color, "width": 1.5, "shape": "hv"},
            fill="tozeroy",
            opacity=0.8,
            hovertemplate=f"%{{y:.3g}} {tr('% of steps')}",
        )
        figure.add_vline(x=median * scale.factor, line={"color": color, "width": 1.5, "dash": "dash"})
    shares = [f"{100 * share:.1f}" for share in data.beyond]
    outside = tr("outside: {a} % of A and {b} % of B", a=shares[0], b=shares[1])
    title_text = tr("step time, {unit}", unit=scale.unit)
    figure.update_xaxes(
        title_text=f"{title_text} · {outside}" if any(data.beyond) else title_text,
        range=[float(edges[0]), float(edges[-1])],
    )
    figure.update_yaxes(title_text=tr("% of steps"), rangemode="tozero")
    return figure


def phase_pairs_data(comparison: Comparison) -> PhasePairsData:
    """Take each phase as it is compared: by its median, or by its mean where most steps do without it."""
    found = comparison.phases
    sides = (("base", "base_low", "base_high"), ("new", "new_low", "new_high"))
    values = np.array([[[_or_nan(getattr(each, name)) for each in found] for name in side] for side in sides])
    values = values.reshape(2, 3, len(found))
    return PhasePairsData(
        names=(comparison.base.run.name, comparison.new.run.name),
        phases=tuple(_phase(each) for each in found),
        seconds=values[:, 0],
        low=values[:, 1],
        high=values[:, 2],
        verdicts=tuple(verdict(each) for each in found),
    )


def phase_pairs_figure(
    data: PhasePairsData, *, title: str = "", dark: bool = False, reason: str = _NO_STEPS
) -> go.Figure:
    """Draw each phase as two bars with their bounds, what to think of the difference beside its name."""
    if not data.phases:
        return empty_figure(plot_text(tr(reason), 300), dark=dark, title=plot_text(title))
    scale = scale_of("s", float(np.nanmax(data.seconds)))
    figure = new_figure(
        dark=dark, title=plot_text(title), height=110 + 2 * ROW_HEIGHT * len(data.phases), barmode="group", bargap=0.3
    )
    rows = [_label(phase, said) for phase, said in zip(data.phases, data.verdicts, strict=True)]
    for place, (letter, name, color) in enumerate(zip("AB", data.names, COLORS, strict=True)):
        seconds = data.seconds[place] * scale.factor
        figure.add_bar(
            x=packed(seconds),
            y=rows,
            orientation="h",
            name=f"{letter} {plot_text(name, 40)}",
            marker={"color": color},
            error_x=_error(seconds, data.low[place] * scale.factor, data.high[place] * scale.factor),
            hovertemplate=f"{letter}: %{{x:.4g}} {scale.unit}<extra></extra>",
        )
    figure.update_layout(legend_traceorder="normal")
    figure.update_xaxes(title_text=tr("{unit} a step", unit=scale.unit), rangemode="tozero")
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    return figure


def contributions_data(comparison: Comparison) -> ContributionsData:
    """Take the change of each phase's mean; they add up to the change of the mean step."""
    mean = next(each for each in comparison.step if each.statistic == "mean")
    found = comparison.contributions if mean.change is not None else ()
    rows = [*found, mean] if found else []
    return ContributionsData(
        phases=tuple(_phase(each) for each in found),
        seconds=np.array([contribution(each) for each in found]),
        total=mean.change or 0.0,
        low=np.array([_or_nan(each.low) for each in rows]),
        high=np.array([_or_nan(each.high) for each in rows]),
        verdicts=tuple(each.verdict for each in rows),
    )


def contributions_figure(
    data: ContributionsData, *, title: str = "", dark: bool = False, reason: str = _NO_STEPS
) -> go.Figure:
    """Draw a waterfall: each bar begins where the one above ended, and the last is the whole difference."""
    if not data.phases:
        return empty_figure(plot_text(tr(reason), 300), dark=dark, title=plot_text(title))
    ends = np.cumsum(data.seconds)
    scale = scale_of("s", float(np.abs(np.append(ends, data.seconds)).max()))
    widths = np.append(data.seconds, data.total) * scale.factor
    starts = np.append(ends - data.seconds, 0.0) * scale.factor
    rows = [*(plot_text(name_of(phase)) for phase in data.phases), f"<b>{tr('mean step')}</b>"]
    figure = new_figure(
        dark=dark, title=plot_text(title), height=90 + ROW_HEIGHT * len(rows), showlegend=False, bargap=0.3
    )
    figure.add_bar(
        x=packed(widths),
        base=packed(starts),
        y=rows,
        orientation="h",
        marker={"color": [VERDICT_COLORS.get(each, NEUTRAL) for each in data.verdicts]},
        error_x=_error(widths, data.low * scale.factor, data.high * scale.factor),
        customdata=packed(widths),
        hovertemplate=f"%{{y}}: %{{customdata:+.3g}} {scale.unit}<extra></extra>",
    )
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 1})
    figure.update_xaxes(
        title_text=f"{tr('B - A, {unit} of the mean step', unit=scale.unit)}<br>"
        f"{tr('grey: within noise, or not measured in both')}"
    )
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    return figure


def _fences(values: Floats) -> tuple[float, float]:
    """How far most of the values (n,) reach."""
    low, high = np.percentile(values, (25, 75))
    reach = SHOWN_QUARTILES * (high - low)
    return max(float(values.min()), low - reach), min(float(values.max()), high + reach)


def _error(values: Floats, low: Floats, high: Floats) -> dict[str, object]:
    """Error bars from bounds (k,); none where a bound is missing."""
    return {
        "type": "data",
        "symmetric": False,
        "array": packed(np.nan_to_num(high - values)),
        "arrayminus": packed(np.nan_to_num(values - low)),
        "thickness": 1.2,
        "width": 3,
        "color": NEUTRAL,
    }


def _label(phase: str, said: str) -> str:
    return f"{plot_text(name_of(phase))}<br><sub>{plot_text(said, 40)}</sub>"


def _phase(difference: Difference) -> str:
    return difference.name.removesuffix(f".{difference.statistic}")


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
