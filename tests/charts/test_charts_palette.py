"""Colours that tell one thing from another do so for colour-blind readers too, and stand out from the page."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from torchglass.charts import phases
from torchglass.charts.theme import _INK, ALARM, NEUTRAL, PALETTE
from torchglass.dashboard.serving.server import LOOK
from torchglass.store.records import Floats

# Full dichromacy in linear RGB: Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color
# vision deficiency", 2009, table for severity 1.
EYES = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
LEAST_DISTANCE = 0.045  # in OKLab, where 0.02 is just seen side by side
PAGES = {"light": "#ffffff", "dark": "#0e1117"}
LEAST_CONTRAST = 3.0  # of lines and bars, WCAG 2.2, 1.4.11
LEAST_TEXT_CONTRAST = 4.5  # 1.4.3
# Amber and sky on white: the fifth and sixth line have a legend and a name on hover, and other colours would be alike.
PALE_ON_WHITE = {"#e69f00", "#56b4e9"}


def linear(color: str) -> Floats:
    """sRGB as linear light (3,)."""
    coded = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def oklab(light: Floats) -> Floats:
    """Linear light (3,) as OKLab (Ottosson, 2020)."""
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    opponents = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return np.asarray(opponents @ np.cbrt(cones @ light))


def contrast(first: str, second: str) -> float:
    darker, lighter = sorted(float(np.dot((0.2126, 0.7152, 0.0722), linear(each))) for each in (first, second))
    return (lighter + 0.05) / (darker + 0.05)


def distance(first: str, second: str, eye: str) -> float:
    seen = [oklab(np.clip(EYES[eye] @ linear(each), 0, 1)) for each in (first, second)]
    return float(np.linalg.norm(seen[0] - seen[1]))


def test_the_formulas_are_those_of_their_authors() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert oklab(linear("#ffffff")) == pytest.approx([1, 0, 0], abs=1e-4)
    assert oklab(linear("#ff0000")) == pytest.approx([0.628, 0.2249, 0.1258], abs=1e-3)
    assert distance("#ff0000", "#00ff00", "usual") > 3 * distance("#ff0000", "#8f8000", "protanopia")


@pytest.mark.parametrize("eye", EYES)
def test_every_pair_of_the_palette_is_told_apart(eye: str) -> None:
    close = [pair for pair in combinations(PALETTE, 2) if distance(*pair, eye) < LEAST_DISTANCE]
    assert close == []


@pytest.mark.parametrize("eye", EYES)
def test_neighbouring_phases_are_told_apart(eye: str) -> None:
    order = [phases.COLORS[name] for name in phases.ORDER]
    close = [pair for pair in pairwise(order) if distance(*pair, eye) < LEAST_DISTANCE]
    assert close == []


@pytest.mark.parametrize("page", PAGES)
def test_what_is_drawn_stands_out_from_the_page(page: str) -> None:
    weak = {color for color in (*PALETTE, ALARM, NEUTRAL) if contrast(color, PAGES[page]) < LEAST_CONTRAST}
    assert weak == (PALE_ON_WHITE if page == "light" else set())


@pytest.mark.parametrize("page", PAGES)
def test_text_can_be_read(page: str) -> None:
    assert contrast(_INK[page == "dark"], PAGES[page]) >= LEAST_TEXT_CONTRAST


def test_captions_of_the_page_can_be_read_though_they_are_faded() -> None:
    shade = int(LOOK["theme.light.textColor"][1:3], 16) * 0.6 + 255 * 0.4
    assert contrast("#{0:02x}{0:02x}{0:02x}".format(round(shade)), "#ffffff") >= LEAST_TEXT_CONTRAST


def test_streamlits_own_charts_have_the_colours_of_ours() -> None:
    assert LOOK["theme.chartCategoricalColors"] == list(PALETTE)
