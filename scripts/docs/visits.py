"""Which pictures there are, and where in the page each is taken."""

from __future__ import annotations

from typing import NamedTuple

from exhibition import DEMO, PICTURES, SLOWER, SWEEP, TABLE

WIDTH, PHONE = 1280, (390, 844)
DARK = "-dark"


class Picture(NamedTuple):
    """A picture of the page at `address`; `{report}` stands for the report's file.

    `waits_for` is a selector of what must be there first; `top` one of what the picture begins with, the page's upper
    edge where there is none; `height` is the most that it shows, in pixels. `clicks` are names of buttons or tabs that
    are pressed before it is taken.
    """

    name: str
    address: str
    waits_for: str = ".js-plotly-plot .main-svg"
    top: str = ""
    height: int = 900
    clicks: tuple[str, ...] = ()
    phone: bool = False

    @property
    def ends(self) -> tuple[str, ...]:
        """What its files' names end with."""
        return ("",) if self.phone else ("", DARK)


def of(page: str, run: str = DEMO, more: str = "") -> str:
    """The address of a page about a run."""
    return f"{page}?run={run}{more}"


EXPLAINED = '[data-testid="stButtonGroup"]:has-text("Explained class")'
CODE = '[data-testid="stCode"]'
TABLE_GRID = '[data-testid="stDataFrame"]'
PICTURES_OF_THE_PAGE: tuple[Picture, ...] = (
    Picture("runs", "", TABLE_GRID, height=620),
    Picture("training", of("training"), height=1000),
    Picture("step-time", of("step_time"), height=1000),
    Picture("kernels", of("kernels"), height=1100),
    Picture("timeline", of("timeline"), ".tg-timeline canvas, canvas", height=760),
    Picture("devices", of("devices"), height=1000),
    Picture("memory", of("memory"), height=1000),
    Picture("distributions", of("distributions"), height=1150),
    Picture("model", of("model"), height=1150),
    Picture("quality", of("quality"), height=1000),
    Picture("explain", of("explain", PICTURES, "&sample=1"), top=EXPLAINED, height=1008),
    Picture("explain-over-training", of("explain", DEMO), top='h3:has-text("Over training")', height=1000),
    Picture("explain-table", of("explain", TABLE), top='h3:has-text("Over many rows")', height=900),
    Picture("explain-shortcuts", of("explain", PICTURES), top='h3:has-text("Shortcuts")', height=960),
    Picture("compare", of("compare", SLOWER, f"&runs={DEMO},{SLOWER}"), height=1100),
    Picture("sweep", f"sweep?sweep={SWEEP}", height=1300),
    Picture("train", "train", CODE, height=800),
    Picture("report", "{report}", height=1000),
    Picture("training-phone", of("training"), height=PHONE[1], phone=True),
)
