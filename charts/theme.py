"""What all figures share: colours that colour-blind readers tell apart, one height, a light and a dark template."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from torchglass.charts.text import wrapped
from torchglass.language import tr

Picture = npt.NDArray[np.uint8]
Colors = tuple[tuple[int, int, int], ...]

HEIGHT = 280  # px; plotly's own 450 shows half as many charts on a screen
TITLE_HEIGHT = 26  # px that a title adds above the plot
MAX_LINES = 12  # six colours in two dashes: beyond that nobody can match a line to the legend
ALARM = "#cc3311"
NEUTRAL = "#8a8f98"

# After Okabe and Ito, Color Universal Design (2008), the blue a little lighter: the order keeps 3:1 contrast on white
# and on black for as long as possible.
PALETTE = ("#1a80bb", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("solid", "dash")

# Blue, white, red is told apart in every common form of colour blindness; cividis was made for it.
DIVERGING: Colors = ((5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31))
SEQUENTIAL: Colors = ((0, 32, 76), (49, 68, 107), (102, 105, 112), (149, 143, 120), (203, 186, 105), (255, 233, 69))

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
_INK = {False: "#2b2f36", True: "#d7dae0"}
_GRID = {False: "rgba(128,134,145,0.22)", True: "rgba(150,156,168,0.22)"}
_HOVER = {False: "#ffffff", True: "#22262e"}


def line_style(index: int) -> dict[str, str]:
    """Colour and dash of the line at a place in the legend; the same place always looks the same."""
    return {"color": PALETTE[index % len(PALETTE)], "dash": DASHES[index // len(PALETTE) % len(DASHES)]}


def colorscale(colors: Colors) -> list[list[Any]]:
    """The colours, evenly spaced, as plotly takes them."""
    return [[place / (len(colors) - 1), f"rgb{color}"] for place, color in enumerate(colors)]


def paint(shares: npt.NDArray[np.floating[Any]], colors: Colors) -> Picture:
    """Colour (..., 3) of each share (...) between 0, the first colour, and 1, the last."""
    places = np.linspace(0, 1, len(colors))
    channels = [np.interp(shares, places, [color[channel] for color in colors]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def template(dark: bool) -> dict[str, Any]:
    """Look of a figure on a light or a dark page; the page's own background shows through."""
    axis = {
        "automargin": True,
        "gridcolor": _GRID[dark],
        "linecolor": _GRID[dark],
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": _GRID[dark],
        "title": {"standoff": 6},
    }
    legend = {"orientation": "h", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"}
    return {
        "layout": {
            "font": {"family": _FONT, "size": 12, "color": _INK[dark]},
            "colorway": list(PALETTE),
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "xaxis": axis,
            "yaxis": axis,
            "legend": legend,
            "hoverlabel": {"bgcolor": _HOVER[dark], "font": {"color": _INK[dark]}, "bordercolor": _GRID[dark]},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": NEUTRAL, "activecolor": _INK[dark]},
            "title": {"x": 0, "xref": "paper", "xanchor": "left", "y": 0.985, "yanchor": "top", "font": {"size": 14}},
        }
    }


def new_figure(*, dark: bool, title: str = "", height: int = HEIGHT, **layout: Any) -> go.Figure:
    """An empty figure in the house's look; `title` must have passed `plot_text`."""
    top = (24 if layout.get("showlegend") is False else 34) + (TITLE_HEIGHT if title else 0)
    figure = go.Figure(
        layout={
            "template": template(dark),
            "height": height + (TITLE_HEIGHT if title else 0),
            "margin": {"l": 52, "r": 12, "t": top, "b": 40},
        }
        | layout
    )
    if title:
        figure.update_layout(title_text=title)
    return figure


def empty_figure(reason: str, *, dark: bool = False, title: str = "") -> go.Figure:
    """A figure that says that nothing was recorded, and why; `reason` must have passed `plot_text`."""
    hidden = {"visible": False, "range": [0, 1], "fixedrange": True}
    figure = new_figure(dark=dark, title=title, xaxis=hidden, yaxis=hidden)
    figure.add_annotation(
        text=f"<b>{tr('Nothing recorded')}</b><br>{wrapped(reason, 56)}",
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        showarrow=False,
        font={"color": NEUTRAL, "size": 13},
    )
    return figure
