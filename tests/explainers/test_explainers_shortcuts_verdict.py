"""When a spot is confirmed: each of the conditions decides where all others hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from torchglass.explainers.changing.regions import Box
from torchglass.explainers.shortcuts.evidence import effect_of
from torchglass.explainers.shortcuts.interventions import Change
from torchglass.explainers.shortcuts.search import FEWEST_TESTED, _is_confirmed
from torchglass.explainers.shortcuts.suspect import Effect, Suspect

LARGE = Effect(pictures=9, mean=0.6, control=0.1, low=0.3, high=0.7, p=0.025, changed=0.5, control_changed=0.0)


def suspect(erase: Effect = LARGE, paste: Effect = LARGE, tested: int = FEWEST_TESTED) -> Suspect:
    return Suspect(
        box=Box(0, 0, 1, 1),
        members=np.arange(4),
        classes=(0,),
        mean_map=np.ones((2, 2), np.float32),
        example_maps=np.ones((1, 2, 2), np.float32),
        relevance_share=0.5,
        area_share=0.25,
        tested=np.arange(tested),
        erase=erase,
        paste=paste,
        confirmed=False,
    )


@pytest.mark.parametrize(
    "doubtful",
    [
        suspect(erase=replace(LARGE, low=-0.01)),
        suspect(paste=replace(LARGE, low=-0.01)),
        suspect(erase=replace(LARGE, p=0.06)),
        suspect(paste=replace(LARGE, p=0.06)),
        suspect(erase=replace(LARGE, mean=0.05)),
        suspect(paste=replace(LARGE, mean=0.19)),
        suspect(tested=FEWEST_TESTED - 1),
    ],
    ids=["erase unsure", "paste unsure", "erase by chance", "paste by chance", "erase small", "paste small", "few"],
)
def test_a_spot_is_confirmed_only_where_nothing_speaks_against_it(doubtful: Suspect) -> None:
    assert _is_confirmed(suspect(), 0.1)
    assert _is_confirmed(suspect(erase=replace(LARGE, mean=0.15)), 0.1)
    assert not _is_confirmed(doubtful, 0.1)


def test_the_bounds_are_those_of_what_the_spot_does_beyond_random_ones() -> None:
    gains = np.array([[0.5] * 8, [0.4] * 8, [0.2] * 8])
    found = effect_of(Change(gains, np.zeros((3, 8), dtype=bool)), 1, np.random.default_rng(0))
    assert (found.low, found.high) == (pytest.approx(0.2), pytest.approx(0.2))
    assert found.beyond_control == pytest.approx(0.2)
    assert found.p == pytest.approx(1 / 3)
