"""Spots that a classifier may decide by: where they lie, which pictures are hot there, and what changing them did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from torchglass.charts.generated import GAP, GREY, enlarged
from torchglass.charts.pictures import resized, rgb
from torchglass.charts.text import plain_text, plot_text
from torchglass.charts.theme import ALARM, NEUTRAL, PALETTE, Picture, empty_figure, new_figure
from torchglass.charts.units import number
from torchglass.language import mark, tr
from torchglass.store.records import Artifact

ARTIFACT_KIND = "shortcuts"
TILE_PIXELS = 128  # of a picture's longer side on the sheet
MAX_EXAMPLES = 6
HEIGHT = 240  # px
HOT = (240, 90, 60)
FRAME = (0, 230, 120)  # in none of the pictures' usual colours, as in explanations
STRENGTH = 0.8
SENTENCE_CHARACTERS = 900
_NOTHING = mark("Nobody has looked for shortcuts in this run: do so with torchglass shortcuts.")


class EffectData(NamedTuple):
    """What a change of a spot moved, in points of probability: in the mean, at random spots, and bounds of the mean.

    The bounds are those of the difference from random spots, put on top of what these do.
    """

    name: str
    mean: float
    control: float
    low: float
    high: float
    pictures: int
    changed_percent: float


class SpotData(NamedTuple):
    """A tested spot. `picture` (h, w, 3) is the mean of all pictures, framed, beside the mean map of the group over it.

    `examples` (h, w, 3) are pictures of the group with their maps over them beneath, None where none were kept.
    """

    title: str
    sentence: str
    confirmed: bool
    picture: Picture
    examples: Picture | None
    effects: tuple[EffectData, ...]


class ShortcutsData(NamedTuple):
    """The outcome of one search; texts are not escaped."""

    summary: str
    spots: tuple[SpotData, ...]

    @property
    def is_alarm(self) -> bool:
        """Whether a spot was confirmed."""
        return any(spot.confirmed for spot in self.spots)


def shortcuts_data(artifact: Artifact, arrays: Mapping[str, npt.NDArray[Any]]) -> ShortcutsData:
    """Prepare a stored search."""
    meta = artifact.meta
    suspects: Sequence[Mapping[str, Any]] = meta.get("suspects") or ()
    mean = arrays["mean_picture"]
    spots = tuple(_spot(place, one, mean, arrays) for place, one in enumerate(suspects))
    return ShortcutsData(_summary(meta, spots, artifact.step), spots)


def _summary(meta: Mapping[str, Any], spots: Sequence[SpotData], step: int) -> str:
    searched = tr(
        "{count} pictures at step {step}, maps by {method}",
        count=number(meta.get("pictures", 0)),
        step=f"{step:,}",
        method=meta.get("method"),
    )
    if not spots:
        none = tr("Nothing found: no small spot is hot in pictures enough to test it ({searched}).", searched=searched)
        return plain_text(none, 300)
    confirmed = sum(spot.confirmed for spot in spots)
    if len(spots) == 1:
        tested = tr("1 suspected spot tested ({searched})", searched=searched)
    else:
        tested = tr("{count} suspected spots tested ({searched})", count=len(spots), searched=searched)
    if not confirmed:
        return plain_text(
            tr("{tested}: none confirmed. Pasted into other pictures, none of them decides.", tested=tested), 300
        )
    return plain_text(
        tr("{tested}: {count} confirmed. The model decides by a small fixed spot.", tested=tested, count=confirmed), 300
    )


def _spot(
    place: int, suspect: Mapping[str, Any], mean: npt.NDArray[Any], arrays: Mapping[str, npt.NDArray[Any]]
) -> SpotData:
    left, top, right, bottom = (int(edge) for edge in suspect["box"])
    box = (left, top, right, bottom)
    confirmed = bool(suspect["confirmed"])
    mean_map = arrays[f"mean_map_{place}"].astype(np.float64)
    whole = rgb(mean)
    picture = _row([_framed(whole, box), _framed(_heated(whole, mean_map), box)])
    pictures, maps = arrays.get(f"examples_{place}"), arrays.get(f"example_maps_{place}")
    examples = None
    if pictures is not None and maps is not None and len(pictures):
        shown = [rgb(each) for each in pictures[:MAX_EXAMPLES]]
        heated = [_heated(each, heat.astype(np.float64)) for each, heat in zip(shown, maps, strict=False)]
        examples = _stacked(
            [_row([_framed(each, box) for each in shown]), _row([_framed(each, box) for each in heated])]
        )
    where = tr(
        "columns {left} to {right}, rows {top} to {bottom}", left=left, right=right - 1, top=top, bottom=bottom - 1
    )
    return SpotData(
        title=tr("Confirmed: {where}", where=where) if confirmed else tr("Not confirmed: {where}", where=where),
        sentence=plain_text(suspect.get("sentence", ""), SENTENCE_CHARACTERS),
        confirmed=confirmed,
        picture=picture,
        examples=examples,
        effects=(_effect(tr("erased"), suspect["erase"]), _effect(tr("pasted elsewhere"), suspect["paste"])),
    )


def _effect(name: str, effect: Mapping[str, Any]) -> EffectData:
    control = 100 * float(effect["control"])
    return EffectData(
        name=name,
        mean=100 * float(effect["mean"]),
        control=control,
        low=100 * float(effect["low"]) + control,
        high=100 * float(effect["high"]) + control,
        pictures=int(effect["pictures"]),
        changed_percent=100 * float(effect["changed"]),
    )


def effects_figure(spot: SpotData | None, *, title: str = "", dark: bool = False, reason: str = "") -> go.Figure:
    """Draw what erasing and pasting a spot moved, beside the same at random spots."""
    if spot is None:
        return empty_figure(plot_text(reason or tr(_NOTHING), 300), dark=dark, title=plot_text(title))
    figure = new_figure(dark=dark, title=plot_text(title), height=HEIGHT, barmode="group", bargap=0.35)
    names = [f"{effect.name}<br>({tr('{count} pictures', count=number(effect.pictures))})" for effect in spot.effects]
    means = [effect.mean for effect in spot.effects]
    figure.add_bar(
        x=names,
        y=means,
        name=tr("this spot"),
        marker={"color": ALARM if spot.confirmed else PALETTE[0]},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, effect.high - effect.mean) for effect in spot.effects],
            "arrayminus": [max(0.0, effect.mean - effect.low) for effect in spot.effects],
        },
        customdata=[[effect.low, effect.high, effect.changed_percent] for effect in spot.effects],
        hovertemplate=tr(
            "{points} points ({low} to {high})",
            points="%{y:.1f}",
            low="%{customdata[0]:.1f}",
            high="%{customdata[1]:.1f}",
        )
        + "<br>"
        + tr("{percent} % change the prediction", percent="%{customdata[2]:.0f}")
        + "<extra></extra>",
    )
    figure.add_bar(
        x=names,
        y=[effect.control for effect in spot.effects],
        name=tr("random spots"),
        marker={"color": NEUTRAL},
        hovertemplate=tr("{points} points", points="%{y:.1f}") + "<extra></extra>",
    )
    figure.update_yaxes(title_text=tr("points of probability"), rangemode="tozero")
    return figure


def _heated(picture: Picture, heat: npt.NDArray[np.float64]) -> Picture:
    """The picture in grey with its map's heat over it, the hottest place at full strength."""
    shares = resized(heat / max(float(heat.max(initial=0.0)), 1e-30), *picture.shape[:2])[..., None]
    cover = np.sqrt(np.clip(shares, 0, 1)) * STRENGTH
    grey = picture.mean(axis=2, keepdims=True)
    return np.asarray((grey * (1 - cover) + np.array(HOT) * cover).round(), np.uint8)


def _framed(picture: Picture, box: tuple[int, int, int, int]) -> Picture:
    """The picture enlarged, with a line around the box, which keeps what is inside it free."""
    large = enlarged(picture, TILE_PIXELS).copy()
    factor = large.shape[0] // picture.shape[0]
    left, top, right, bottom = (edge * factor for edge in box)
    rows, columns = np.indices(large.shape[:2])
    near = (rows >= top - 2) & (rows < bottom + 2) & (columns >= left - 2) & (columns < right + 2)
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    large[near & ~inside] = FRAME
    return large


def _row(pictures: Sequence[Picture]) -> Picture:
    between = np.full((pictures[0].shape[0], GAP, 3), GREY, np.uint8)
    parts = [part for picture in pictures for part in (picture, between)][:-1]
    return np.concatenate(parts, axis=1)


def _stacked(rows: Sequence[Picture]) -> Picture:
    between = np.full((GAP, rows[0].shape[1], 3), GREY, np.uint8)
    parts = [part for row in rows for part in (row, between)][:-1]
    return np.concatenate(parts, axis=0)
