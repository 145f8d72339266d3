"""A text explained: its words in lines, each on a ground whose colour says for or against and whose depth how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from torchglass.charts.explanations_words import Explained, heading, names_of, title
from torchglass.charts.text import plain_text, plot_text
from torchglass.charts.theme import new_figure
from torchglass.charts.trust import trust_sentences
from torchglass.charts.units import number
from torchglass.language import tr
from torchglass.store.records import Floats

LINE_CHARACTERS = 42  # as wide as a phone
LINE_HEIGHT, CHARACTER_WIDTH = 25, 7.25  # px of a monospaced font of 12 px
ABOVE, BELOW = 6, 6  # px
MOST_WORDS = 400  # each is two objects of the figure; what is left out is said
LONGEST_WORD = 30
FOR, AGAINST = (240, 90, 60), (70, 150, 235)
DECIDES = "#009e73"  # outline of what is known to decide; told from both grounds, light or dark
DEEPEST = 0.75  # of the ground's colour: the text upon it stays legible on a light and on a dark page
_FONT = "ui-monospace, 'SF Mono', Menlo, Consolas, 'Liberation Mono', monospace"


class TextPanel(NamedTuple):
    """One method's view. `words` (P,) without padding, `relevance` (P,) raw, `decides` (P,) where the truth is known.

    Colours span -limit to limit. Nothing is escaped.
    """

    method: str
    title: str
    trust: tuple[str, ...]
    words: tuple[str, ...]
    relevance: Floats
    decides: npt.NDArray[np.bool_] | None
    limit: float


class TextData(NamedTuple):
    """Explanations of one text: what it is, and one panel a method."""

    heading: str
    panels: tuple[TextPanel, ...]


def text_data(explained: Sequence[Explained], *, limits: Mapping[str, float] | None = None) -> TextData:
    """Prepare all explanations of one text; `explained` is not empty."""
    return TextData(heading(explained[0].artifact), tuple(_panel(one, limits or {}) for one in explained))


def _panel(one: Explained, limits: Mapping[str, float]) -> TextPanel:
    meta = one.artifact.meta
    method = str(meta.get("method", "explanation"))
    relevance = np.nan_to_num(one.arrays["attributions"][0].astype(np.float64))
    words = names_of(one.artifact, len(relevance))
    kept = np.array([bool(word.strip()) for word in words])
    truth = one.arrays["truth"][0].astype(bool) if "truth" in one.arrays else None
    return TextPanel(
        method=method,
        title=title(one),
        trust=(*trust_sentences(meta), *_left_out(int(kept.sum()))),
        words=tuple(word for word in words if word.strip()),
        relevance=relevance[kept],
        decides=truth[kept] if truth is not None and truth.any() else None,
        limit=limits.get(method) or float(np.abs(relevance).max(initial=0.0)) or 1.0,
    )


class _Placed(NamedTuple):
    """A word in its line, with its first character's place there."""

    place: int
    text: str
    line: int
    column: int


def text_figure(panel: TextPanel, *, dark: bool = False) -> go.Figure:
    """Draw the words in lines; pointing at one gives its value, an outline marks a word that decides."""
    placed = _placed(panel.words[:MOST_WORDS])
    lines = max((word.line for word in placed), default=0) + 1
    hidden = {"visible": False, "range": [0, 1], "fixedrange": True}
    figure = new_figure(
        dark=dark,
        height=ABOVE + BELOW + LINE_HEIGHT * lines,
        showlegend=False,
        xaxis=hidden,
        yaxis=hidden,
        margin={"l": 8, "r": 8, "t": ABOVE, "b": BELOW},
    )
    # Places in px from the upper left corner: a page may be of any width, and the words keep their distance.
    figure.update_layout(
        shapes=[_ground(word, panel) for word in placed],
        annotations=[_written(word, panel) for word in placed],
    )
    return figure


def _placed(words: Sequence[str]) -> list[_Placed]:
    """Put words into lines of at most LINE_CHARACTERS, one blank apart; a longer word is cut."""
    placed: list[_Placed] = []
    line = column = 0
    for place, word in enumerate(words):
        text = plain_text(word, LONGEST_WORD)
        if column and column + len(text) > LINE_CHARACTERS:
            line, column = line + 1, 0
        placed.append(_Placed(place, text, line, column))
        column += len(text) + 1
    return placed


def _ground(word: _Placed, panel: TextPanel) -> dict[str, object]:
    share = float(np.clip(panel.relevance[word.place] / panel.limit, -1, 1))
    red, green, blue = FOR if share >= 0 else AGAINST
    left, top = word.column * CHARACTER_WIDTH, word.line * LINE_HEIGHT
    marked = panel.decides is not None and bool(panel.decides[word.place])
    return {
        "type": "rect",
        "xref": "paper",
        "yref": "paper",
        "xsizemode": "pixel",
        "ysizemode": "pixel",
        "xanchor": 0,
        "yanchor": 1,
        "x0": left,
        "x1": left + (len(word.text) + 0.8) * CHARACTER_WIDTH,
        "y0": -top,
        "y1": -(top + LINE_HEIGHT - 4),
        "fillcolor": f"rgba({red},{green},{blue},{DEEPEST * abs(share):.3f})",
        "line": {"width": 2 if marked else 0, "color": DECIDES},
        "layer": "below",
    }


def _written(word: _Placed, panel: TextPanel) -> dict[str, object]:
    text = plot_text(word.text, LONGEST_WORD)
    return {
        "text": text,
        "x": 0,
        "y": 1,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "top",
        "xshift": (word.column + 0.4) * CHARACTER_WIDTH,
        "yshift": -word.line * LINE_HEIGHT - 1,
        "borderpad": 1,
        "font": {"family": _FONT, "size": 12},
        "showarrow": False,
        "hovertext": f"{text}: {number(float(f'{panel.relevance[word.place]:.3g}'))}",
        "captureevents": True,
    }


def _left_out(words: int) -> tuple[str, ...]:
    if words <= MOST_WORDS:
        return ()
    return (tr("Only the first {most} of {words} words are shown.", most=MOST_WORDS, words=words),)
