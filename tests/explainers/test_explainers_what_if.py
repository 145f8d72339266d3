"""What if: the scores before and after a change are what a hand-set model gives, for pictures, texts and rows."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import Erase, Outcome, Paste, Replace, SetColumn, SetColumns, what_if
from torchglass.explainers.changing.regions import Box, drawn_elsewhere, places_apart

SIDE = 8


class Sums(nn.Module):
    """Scores a picture by the sums of its left and its right half."""

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.stack(
            (pictures[..., : SIDE // 2].sum((1, 2, 3)), pictures[..., SIDE // 2 :].sum((1, 2, 3))), dim=1
        )


class Words(nn.Module):
    """Scores a text by the sum of one number a word, for each of two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 2)
        with torch.no_grad():
            self.embedding.weight.copy_(torch.stack((torch.arange(10.0), -torch.arange(10.0)), dim=1))

    def forward(self, ids: Tensor) -> Tensor:
        scores: Tensor = self.embedding(ids).sum(dim=1)
        return scores


def test_a_box_erased_with_a_value_takes_away_what_it_held() -> None:
    picture = torch.arange(SIDE * SIDE, dtype=torch.float32).reshape(1, SIDE, SIDE)
    found = what_if(Sums(), picture, Erase((0, 0, 2, 3), fill=0.5), target=0)
    lost = float(picture[0, :3, :2].sum()) - 6 * 0.5
    assert found.difference == pytest.approx(-lost)
    assert found.after[1] == found.before[1]
    assert (found.target, found.ways, found.deviations.any()) == (0, 1, False)
    assert (found.changed[0, :3, :2] == 0.5).all()
    assert np.array_equal(found.changed[0, 3:], picture[0, 3:].numpy())


def test_a_mask_is_erased_pixel_by_pixel() -> None:
    picture, mask = torch.ones(1, SIDE, SIDE), np.eye(SIDE, dtype=bool)
    found = what_if(Sums(), picture, Erase(mask=mask, fill=0.0), target=1)
    assert found.before.tolist() == [32, 32]
    assert found.after.tolist() == [28, 28]


def test_a_box_is_hidden_behind_patches_of_the_background_and_scores_are_averaged() -> None:
    background = torch.stack([torch.full((1, SIDE, SIDE), value) for value in (2.0, 4.0)])
    found = what_if(Sums(), torch.ones(1, SIDE, SIDE), Erase((0, 0, 2, 2)), target=0, background=background, seed=1)
    assert found.ways == 16
    twos = round((4.0 - (found.after[0] - 28) / 4) / 2 * 16)
    assert 0 < twos < 16
    assert found.after[0] == pytest.approx(28 + 4 * (4 - 2 * twos / 16))
    assert found.deviations[0] == pytest.approx(8 * (twos / 16 * (1 - twos / 16)) ** 0.5, rel=1e-5)
    assert found.changed[0, 0, 0] in (2.0, 4.0)
    assert (found.changed[0, 2:] == 1).all()


def test_a_pasted_box_comes_from_the_same_place_of_the_other_picture() -> None:
    other = torch.arange(SIDE * SIDE, dtype=torch.float32).reshape(1, SIDE, SIDE)
    found = what_if(Sums(), torch.zeros(1, SIDE, SIDE), Paste((5, 1, 7, 2), other))
    assert found.after.tolist() == [0, 13 + 14]
    assert found.changed.sum() == 27


def test_a_word_is_hidden_or_replaced() -> None:
    text = torch.tensor([4, 5, 0, 0])
    hidden = what_if(Words(), text, Replace(1))
    assert (hidden.before.tolist(), hidden.after.tolist()) == ([9, -9], [5, -5])
    assert hidden.changed.tolist() == [4, 1, 0, 0]
    assert what_if(Words(), text[None], Replace(0, 9), target=1).difference == -5


def test_a_column_gets_another_value() -> None:
    model = nn.Linear(3, 1)
    found = what_if(model, torch.tensor([1.0, 2.0, 3.0]), SetColumn(1, 5.0))
    assert found.difference == pytest.approx(3 * float(model.weight[0, 1].detach()), rel=1e-5)
    assert found.output_space == "value"
    assert found.changed.tolist() == [1, 5, 3]


def test_several_columns_get_other_values_at_once() -> None:
    model = nn.Linear(3, 1)
    first, _, last = model.weight[0].tolist()
    found = what_if(model, torch.tensor([1.0, 2.0, 3.0]), SetColumns({0: 4.0, 2: -1.0}))
    assert found.difference == pytest.approx(3 * first - 4 * last, rel=1e-5)
    assert found.changed.tolist() == [4, 2, -1]


def test_the_predicted_class_is_followed_where_none_is_named() -> None:
    picture = torch.zeros(1, SIDE, SIDE)
    picture[0, 0, 7] = 3
    found = what_if(Sums(), picture, Erase((7, 0, 8, 1), fill=0.0))
    assert (found.target, found.difference) == (1, -3)


def test_the_model_and_the_generators_come_back_as_they_were() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(72, 3))
    model.train()
    before = [tensor.clone() for tensor in model.state_dict().values()]
    states = (torch.get_rng_state().tolist(), random.getstate())
    asked = [what_if(model, torch.rand(1, SIDE, SIDE, generator=torch.Generator()), Erase((1, 1, 3, 3)))]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        asked.append(what_if(model, torch.rand(1, SIDE, SIDE, generator=torch.Generator()), Erase((1, 1, 3, 3))))
    assert asked[0].after.tolist() == asked[1].after.tolist()
    assert (torch.get_rng_state().tolist(), random.getstate()) == states
    assert all(torch.equal(old, new) for old, new in zip(before, model.state_dict().values(), strict=True))
    assert model.training


def test_patches_are_drawn_from_places_that_share_no_pixel_with_the_box() -> None:
    box = Box(2, 2, 5, 4)
    picture = torch.zeros(1, SIDE, SIDE)
    picture[0, 2:4, 2:5] = 1
    drawn = drawn_elsewhere(picture.expand(200, -1, -1, -1), box, np.random.default_rng(0))
    assert drawn.shape == (200, 1, 2, 3)
    assert not drawn.any()
    # A box of almost the whole picture shares the fewest pixels with one in the opposite corner.
    assert places_apart(Box(0, 0, 7, 7), SIDE, SIDE) == [(1, 1)]


@pytest.mark.parametrize("box", [Box(2, 1, 4, 4), Box(0, 0, 5, 3), Box(1, 0, 7, 5)])
def test_places_apart_are_those_that_share_fewest_pixels_in_reading_order(box: Box) -> None:
    width, height = 8, 6
    every = [box.moved_to(left, top) for top in range(height) for left in range(width)]
    inside = [one for one in every if one.right <= width and one.bottom <= height]
    fewest = min(box.shared(one) for one in inside)
    assert places_apart(box, height, width) == [one[:2] for one in inside if box.shared(one) == fewest]


def test_a_seed_below_nought_is_one_like_any_other() -> None:
    picture = torch.rand(1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    once, again = (what_if(Sums(), picture, Erase((1, 1, 3, 3)), seed=-1) for _ in range(2))
    assert np.array_equal(once.each, again.each)


PICTURE = torch.zeros(1, SIDE, SIDE)
WRONG: dict[str, tuple[Tensor, Any, type[Exception], str]] = {
    "box": (PICTURE, Erase((4, 4, 9, 5)), OptionError, r"box \(4, 4, 9, 5\) is not within the picture of 8 x 8 pixels"),
    "half a pixel": (PICTURE, Erase((0, 0, 1.5, 2)), OptionError, "give left, top, right and bottom in whole pixels"),  # type: ignore[arg-type]
    "three edges": (PICTURE, Erase((0, 0, 2)), OptionError, "give left, top, right and bottom in whole pixels"),  # type: ignore[arg-type]
    "fill": (PICTURE, Erase((0, 0, 2, 2), fill=float("nan")), OptionError, "fill is nan: give a finite number"),
    "empty box": (PICTURE, Erase((4, 4, 4, 5)), OptionError, "is not within the picture"),
    "neither": (PICTURE, Erase(), OptionError, "Erase takes a box or a mask: give one of them"),
    "mask": (PICTURE, Erase(mask=np.ones((3, 3), bool)), OptionError, r"mask has shape \(3, 3\) and 9 pixels"),
    "source": (PICTURE, Paste((0, 0, 1, 1), torch.zeros(1, 4, 4)), ExplainError, r"source has shape \(1, 4, 4\)"),
    "kind": (PICTURE, Replace(0), ExplainError, "Replace changes token ids, and the input is pictures"),
    "place": (torch.tensor([1, 2]), Replace(2), OptionError, "word 2 is out of range: give a number from 0 to 1"),
    "token": (torch.tensor([1, 2]), Replace(0, 99), ExplainError, "token id 99 is out of range"),
    "column": (torch.ones(3), SetColumn(3, 1.0), OptionError, "column 3 is out of range: give a number from 0 to 2"),
    "columns": (torch.ones(3), SetColumns({0: 1.0, 3: 1.0}), OptionError, "column 3 is out of range"),
    "no columns": (torch.ones(3), SetColumns({}), OptionError, "values is empty: give a value for a column"),
    "value": (torch.ones(3), SetColumn(0, float("nan")), OptionError, "value is nan: give a finite number"),
    "several": (torch.ones(2, 3), SetColumn(0, 1.0), ExplainError, r"input has shape \(2, 3\): give a picture"),
}


@pytest.mark.parametrize(("given", "change", "kind", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_each_mistake_gives_one_sentence(given: Tensor, change: Any, kind: type[Exception], sentence: str) -> None:
    model: nn.Module = Words() if not given.is_floating_point() else nn.Linear(3, 2) if given.ndim < 3 else Sums()
    with pytest.raises(kind, match=sentence):
        what_if(model, given, change)


def test_a_class_that_there_is_not_gives_one_sentence() -> None:
    with pytest.raises(ExplainError, match="target class 7 is out of range: the model has classes 0 to 1"):
        what_if(Sums(), PICTURE, Erase((0, 0, 1, 1)), target=7)
    assert isinstance(what_if(Sums(), PICTURE, Erase((0, 0, 1, 1))), Outcome)
