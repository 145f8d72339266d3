"""How hard the shapes are: no linear model of pixels or colours tells the class, but the planted mark does at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.data.shapes import shapes_split
from torchglass.reference_models.data.shapes_shortcut import mark_pixels, marks, shapes_shortcut_split

Features = npt.NDArray[np.float64]
TRAIN, TEST = 960, 480
NEAR_CHANCE = 0.25  # chance is 1/6; 480 pictures deviate from it by 0.017


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> DataRequest:
    return DataRequest(cache=tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="module")
def plain(request_: DataRequest) -> Split:
    return shapes_split(request_, TRAIN, TEST)


@pytest.fixture(scope="module")
def marked(request_: DataRequest, plain: Split) -> Split:
    return shapes_shortcut_split(request_, TRAIN, TEST)


def accuracies(split: Split, features: Callable[[torch.Tensor], Features], passes: int = 200) -> tuple[float, float]:
    """Fit a logistic regression and return its accuracy in training and in the test."""
    scale = StandardScaler().fit(features(split.train.inputs))
    sides = [scale.transform(features(side.inputs)) for side in (split.train, split.test)]
    model = LogisticRegression(max_iter=passes, C=0.1).fit(sides[0], split.train.targets.numpy())
    return (
        float(model.score(sides[0], split.train.targets.numpy())),
        float(model.score(sides[1], split.test.targets.numpy())),
    )


def pixels(pictures: torch.Tensor) -> Features:
    halved = torch.nn.functional.avg_pool2d(pictures, 2)
    return halved.flatten(1).double().numpy()


def colour_histograms(pictures: torch.Tensor) -> Features:
    """Count pixels by 4 levels each of red, green and blue, as shares under a root."""
    red, green, blue = (pictures * 3.999).long().unbind(dim=1)
    cells = (red * 16 + green * 4 + blue).flatten(1)
    counts = torch.zeros(len(pictures), 64).scatter_add_(1, cells, torch.ones_like(cells, dtype=torch.float32))
    return (counts / cells.shape[1]).sqrt().double().numpy()


def brightness(pictures: torch.Tensor) -> Features:
    flat = pictures.flatten(2).double()
    return torch.cat([flat.mean(2), flat.std(2), flat.amin(2), flat.amax(2)], dim=1).numpy()


def corner(pictures: torch.Tensor) -> Features:
    return pictures[:, :, torch.from_numpy(mark_pixels())].flatten(1).double().numpy()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("features", "passes"), [(pixels, 25), (colour_histograms, 200), (brightness, 200)])
def test_a_linear_model_guesses(plain: Split, features: Callable[[torch.Tensor], Features], passes: int) -> None:
    _, tested = accuracies(plain, features, passes)
    assert tested < NEAR_CHANCE


def test_the_mark_tells_a_linear_model_the_class_in_training_and_nothing_in_the_test(marked: Split) -> None:
    trained, tested = accuracies(marked, corner)
    assert trained == 1.0
    assert tested < NEAR_CHANCE


def test_without_the_mark_the_corner_tells_nothing(plain: Split) -> None:
    assert accuracies(plain, corner)[1] < NEAR_CHANCE


def test_only_the_marks_pixels_differ_and_the_truth_is_the_shape_beside_it(plain: Split, marked: Split) -> None:
    mark = torch.from_numpy(mark_pixels())
    assert int(mark.sum()) == 36
    assert torch.equal(marked.train.inputs[:, :, ~mark], plain.train.inputs[:, :, ~mark])
    assert torch.equal(marked.train.targets, plain.train.targets)
    assert marked.train.truth is not None
    assert plain.train.truth is not None
    assert torch.equal(marked.train.truth, plain.train.truth & ~mark)
    assert torch.equal(marked.test.targets, plain.test.targets)


def test_marks_agree_with_the_class_in_training_and_by_chance_in_the_test(marked: Split) -> None:
    place = slice(1, 7)
    patterns = torch.from_numpy(marks())

    def shown(pictures: torch.Tensor) -> torch.Tensor:
        return (pictures[:, None, 0, place, place] == patterns).flatten(2).all(dim=2).long().argmax(dim=1)

    assert torch.equal(shown(marked.train.inputs), marked.train.targets)
    agreement = (shown(marked.test.inputs) == marked.test.targets).double().mean()
    assert 0.1 < agreement < 0.24


def test_marks_are_equally_bright_and_differ_in_four_cells_or_more() -> None:
    patterns = marks().reshape(6, -1)
    assert len(set(patterns.sum(axis=1).tolist())) == 1
    differing = (patterns[:, None] != patterns[None]).sum(axis=2) / 4  # a cell is 2x2 pixels
    assert differing[~np.eye(6, dtype=bool)].min() >= 4


def test_the_same_seed_draws_the_same_lots(request_: DataRequest, marked: Split) -> None:
    again = shapes_shortcut_split(request_, TRAIN, TEST)
    assert torch.equal(again.test.inputs, marked.test.inputs)


def test_sets_lie_in_one_file_for_both_kinds(request_: DataRequest, marked: Split) -> None:
    folder = request_.cache
    assert isinstance(folder, Path)
    assert len(list(folder.iterdir())) == 2, "the marks are stamped on load"
