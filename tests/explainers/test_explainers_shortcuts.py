"""Shortcuts: what a hand-set network reads is confirmed with exact figures, heat alone confirms nothing."""

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import Explanation, find_shortcuts
from torchglass.explainers.changing.regions import Box
from torchglass.explainers.shortcuts.evidence import effect_of
from torchglass.explainers.shortcuts.grouping import groups_of, in_cells
from torchglass.explainers.shortcuts.interventions import Change
from torchglass.explainers.shortcuts.spots import is_same_spot, spot_of

SIDE = 16
CORNER = slice(0, 2)


class ReadsOneCorner(nn.Module):
    """Scores (a m, -a m): m is the mean of the upper left 2 x 2 pixels, and nothing else counts."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, pictures: Tensor) -> Tensor:
        mark = self.slope * pictures[:, :, CORNER, CORNER].mean(dim=(1, 2, 3))
        return torch.stack((mark, -mark), dim=1)


class ReadsTheRightHalf(nn.Module):
    """A convolution that passes pixels on, and a head that weighs those of the right half alone.

    Grad-CAM multiplies the maps by the mean of the head's weights, so that it is hot wherever a picture is bright.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)
        self.relu = nn.ReLU()
        self.head = nn.Linear(SIDE * SIDE, 2)
        with torch.no_grad():
            self.conv.weight.fill_(1.0)
            self.conv.bias.zero_()  # type: ignore[union-attr]
            weights = torch.zeros(SIDE, SIDE)
            weights[:, SIDE // 2 :] = 0.5
            self.head.weight.copy_(torch.stack((weights.flatten(), torch.zeros(SIDE * SIDE))))
            self.head.bias.copy_(torch.tensor([0.0, 0.5 * 0.25 * SIDE * SIDE / 2]))

    def forward(self, pictures: Tensor) -> Tensor:
        scores: Tensor = self.head(self.relu(self.conv(pictures)).flatten(1))
        return scores


def marked(count: int) -> Tensor:
    """Black pictures, the corner 1 in every other one and -1 in the others."""
    pictures = torch.zeros(count, 1, SIDE, SIDE)
    signs = torch.tensor([1.0, -1.0]).repeat(count // 2)
    pictures[:, :, CORNER, CORNER] = signs[:, None, None, None]
    return pictures


def test_a_corner_that_alone_decides_is_confirmed_with_the_effects_that_follow_from_its_weights() -> None:
    slope = 0.7
    (found,) = find_shortcuts(ReadsOneCorner(slope), marked(48), cells=8)
    sure = 1 / (1 + math.exp(-2 * slope))
    assert found.confirmed
    assert found.box == Box(0, 0, 2, 2)
    assert found.relevance_share == pytest.approx(1.0)
    assert found.area_share == pytest.approx(4 / SIDE**2)
    # What lies elsewhere is black: both classes are then equally likely.
    assert found.erase.mean == pytest.approx(sure - 0.5, abs=1e-6)
    assert found.paste.mean == pytest.approx(sure - (1 - sure), abs=1e-6)
    assert (found.paste.changed, found.paste.control_changed) == (1.0, 0.0)
    for effect in (found.erase, found.paste):
        assert effect.control == pytest.approx(0.0, abs=1e-6)
        assert (effect.low, effect.high) == pytest.approx((effect.mean, effect.mean), abs=1e-6)
        assert effect.p == 1 / 40
        assert effect.pictures == len(found.tested) == 24
    assert set(found.members).isdisjoint(found.tested)
    assert len(found.members) == 24
    assert found.mask.sum() == 4


def test_an_effect_smaller_than_asked_is_told_and_not_confirmed() -> None:
    (found,) = find_shortcuts(ReadsOneCorner(0.1), marked(48), cells=8, least_effect=0.1)
    assert found.erase.mean == pytest.approx(1 / (1 + math.exp(-0.2)) - 0.5, abs=1e-6)
    assert found.erase.low > 0
    assert not found.confirmed
    (found,) = find_shortcuts(ReadsOneCorner(0.1), marked(48), cells=8, least_effect=0.04)
    assert found.confirmed


def test_a_watermark_that_is_hot_and_decides_nothing_is_not_confirmed() -> None:
    pictures = 0.5 * torch.rand(60, 1, SIDE, SIDE)
    pictures[::2, :, :, SIDE // 2 :] *= 0.5
    pictures[:, :, CORNER, CORNER] = 4.0
    found = find_shortcuts(ReadsTheRightHalf(), pictures, method="gradcam", layer="relu", cells=8)
    on_the_mark = [one for one in found if one.box == Box(0, 0, 2, 2)]
    assert on_the_mark, "Grad-CAM is hottest on the watermark"
    assert on_the_mark[0].relevance_share > 5 * on_the_mark[0].area_share
    assert on_the_mark[0].erase.mean == pytest.approx(0.0, abs=1e-6)
    assert on_the_mark[0].paste.mean == pytest.approx(0.0, abs=1e-6)
    assert not any(one.confirmed for one in found)


def test_a_mark_of_one_class_is_tested_on_that_class() -> None:
    """Two corners, each with the mark of one class: two spots, each confirmed for its own class."""

    class ReadsTwoCorners(nn.Module):
        def forward(self, pictures: Tensor) -> Tensor:
            first = 3 * pictures[:, 0, :2, :2].mean(dim=(1, 2))
            second = 3 * pictures[:, 0, -2:, -2:].mean(dim=(1, 2))
            return torch.stack((first, second, torch.ones_like(first)), dim=1)

    pictures = torch.zeros(90, 1, SIDE, SIDE)
    pictures[0:30, :, :2, :2] = 1
    pictures[30:60, :, -2:, -2:] = 1
    found = find_shortcuts(ReadsTwoCorners(), pictures, cells=8, background=0.0)
    assert {(one.box, one.classes) for one in found if one.confirmed} == {
        (Box(0, 0, 2, 2), (0,)),
        (Box(14, 14, 16, 16), (1,)),
    }


def test_maps_that_were_made_before_are_taken() -> None:
    pictures = marked(32)
    heat = np.zeros((32, 1, SIDE, SIDE), np.float32)
    heat[:, :, 8:10, 4:6] = 1
    given = Explanation(
        attributions=heat,
        inputs=pictures.numpy(),
        targets=np.zeros(32, np.int64),
        outputs=np.zeros(32, np.float32),
        output_space="logit",
        method="drawn",
        implementation="by hand",
        seed=0,
        seconds=0.0,
        model_evaluations=0,
    )
    (found,) = find_shortcuts(ReadsOneCorner(1.0), pictures, explanation=given, cells=8)
    assert found.box == Box(4, 8, 6, 10)
    assert not found.confirmed
    with pytest.raises(ExplainError, match="explain these pictures, all of them and in this order"):
        find_shortcuts(ReadsOneCorner(1.0), pictures[:20], explanation=given)


def test_the_search_repeats_itself_and_leaves_generators_and_model_as_they_were() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(392, 2))
    model.train()
    pictures = torch.rand(32, 1, SIDE, SIDE)
    pictures[::2] *= -3
    before = [tensor.clone() for tensor in model.state_dict().values()]
    states = (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[union-attr]
    first = find_shortcuts(model, pictures, cells=8, controls=19, seed=3)
    second = find_shortcuts(model, pictures, cells=8, controls=19, seed=3)
    assert [(one.box, one.erase, one.paste) for one in first] == [(one.box, one.erase, one.paste) for one in second]
    assert (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()) == states  # type: ignore[union-attr]
    assert all(torch.equal(old, new) for old, new in zip(before, model.state_dict().values(), strict=True))
    assert model.training
    assert all(not module._forward_hooks and not module._backward_hooks for module in model.modules())


WRONG: dict[str, tuple[int, dict[str, Any], type[Exception], str]] = {
    "too few": (14, {}, ExplainError, "14 pictures are too few to group: give 16 or more"),
    "controls": (32, {"controls": 5}, OptionError, "controls is 5: give at least 19"),
    "effect": (32, {"least_effect": 0}, OptionError, "least_effect is 0: give a difference of probabilities"),
    "area": (32, {"most_area": 0.9}, OptionError, "most_area is 0.9: give a share of the picture"),
    "cells": (32, {"cells": 1}, OptionError, "cells is 1: give at least 2"),
    "groups": (32, {"most_groups": 0}, OptionError, "most_groups is 0: give at least 1"),
    "method": (32, {"method": "tarot"}, ExplainError, "unknown method 'tarot'"),
}


@pytest.mark.parametrize(("count", "options", "kind", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_each_mistake_gives_one_sentence(
    count: int, options: dict[str, Any], kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        find_shortcuts(ReadsOneCorner(1.0), marked(count), **options)


def test_a_model_that_cannot_be_asked_gives_one_sentence() -> None:
    with pytest.raises(ExplainError, match="the model gives one score per picture"):
        find_shortcuts(nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 1)), marked(32))
    same = torch.zeros(32, 1, SIDE, SIDE)
    with pytest.raises(ExplainError, match="takes all 32 pictures for class 0"):
        find_shortcuts(ReadsOneCorner(1.0), same)


def test_clusters_are_told_apart_and_everything_is_a_group_as_well() -> None:
    draw = np.random.default_rng(0)
    points = np.concatenate([draw.normal(place, 0.1, (20, 5)) for place in (0, 3, 6)])
    everything, *groups = groups_of(points, 8, seed=0)
    assert everything.tolist() == list(range(60))
    assert sorted(group.tolist() for group in groups) == [list(range(k, k + 20)) for k in (0, 20, 40)]


def test_a_spot_is_what_hangs_together_with_the_hottest_cell_and_small_enough() -> None:
    heat = np.zeros((8, 8))
    heat[1, 1], heat[1, 2], heat[2, 2], heat[6, 6] = 1.0, 0.7, 0.55, 0.9
    assert spot_of(heat, 2, 16, 16, most_area=0.2) == Box(2, 2, 6, 6)
    assert spot_of(heat, 2, 16, 16, most_area=0.05) == Box(2, 2, 6, 4)
    assert spot_of(heat, 2, 16, 16, most_area=0.001) == Box(2, 2, 4, 4)
    assert spot_of(np.zeros((8, 8)), 2, 16, 16, most_area=0.2) is None
    assert is_same_spot(Box(0, 0, 4, 4), Box(2, 0, 6, 4))
    assert is_same_spot(Box(0, 0, 2, 2), Box(0, 0, 8, 8))
    assert not is_same_spot(Box(0, 0, 4, 4), Box(3, 0, 7, 4))


def test_cells_add_up_what_lies_in_them_at_the_edge_too() -> None:
    maps = np.arange(2 * 5 * 7, dtype=np.float64).reshape(2, 5, 7)
    cells = in_cells(maps, 3)
    assert cells.shape == (2, 2, 3)
    assert cells[0, 0, 0] == maps[0, :3, :3].sum()
    assert cells[1, 1, 2] == maps[1, 3:, 6:].sum()
    assert cells.sum() == maps.sum()


def test_bounds_are_those_of_the_mean_difference_and_wider_for_more_questions() -> None:
    draw = np.random.default_rng(1)
    spot = draw.normal(0.3, 0.2, 50)
    gains = np.stack([spot, *(np.full(50, 0.1 * k) for k in range(-2, 3))])
    change = Change(gains, gains > 0.2)
    one = effect_of(change, 1, np.random.default_rng(0))
    assert one.mean == pytest.approx(spot.mean())
    assert one.control == pytest.approx(0.0, abs=1e-12)
    half_width = 1.96 * spot.std() / 50**0.5
    assert one.low == pytest.approx(spot.mean() - half_width, abs=0.25 * half_width)
    assert one.high == pytest.approx(spot.mean() + half_width, abs=0.25 * half_width)
    assert one.changed == (spot > 0.2).mean()
    assert one.control_changed == 0.0
    many = effect_of(change, 12, np.random.default_rng(0))
    assert many.low < one.low
    assert many.high > one.high
    assert one.p == 1 / 6
    assert effect_of(Change(gains[[2, 0, 1, 3, 4, 5]], change.changed), 1, draw).p == 5 / 6
