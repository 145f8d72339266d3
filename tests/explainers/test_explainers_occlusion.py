"""Occlusion: captum's numbers, a hand-set net whose loss is known, windows that cover every pixel."""

from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from explainers_zoo import LeNet
from torch import Tensor, nn

from torchglass.errors import OptionError
from torchglass.explainers import explain
from torchglass.explainers.pictures.occlusion import spread, windows


@pytest.mark.parametrize(("window", "stride"), [(6, 2), (7, 4), (11, 11), (32, 1)])
@pytest.mark.parametrize("baseline", [0.0, 0.4])
def test_values_are_captums(lenet: LeNet, pictures: Tensor, window: int, stride: int, baseline: float) -> None:
    found = explain(lenet, pictures, [1, 5, 5], "occlusion", background=baseline, window=window, stride=stride)
    with torch.no_grad():
        wanted = Occlusion(lenet.eval()).attribute(
            pictures, (1, window, window), (1, stride, stride), baseline, torch.tensor([1, 5, 5])
        )
    np.testing.assert_allclose(found.attributions, wanted, atol=1e-5 * float(wanted.abs().max()) + 1e-8)
    assert found.implementation.startswith("torchglass ")


def test_the_library_can_be_asked_itself(lenet: LeNet, pictures: Tensor) -> None:
    own = explain(lenet, pictures, method="occlusion", background=0.3)
    library = explain(lenet, pictures, method="occlusion", background=0.3, backend="library")
    assert library.implementation.startswith("captum ")
    np.testing.assert_allclose(own.attributions, library.attributions, atol=1e-6)


def test_a_pixel_that_decides_is_found_and_worth_its_weight() -> None:
    head = nn.Linear(144, 2, bias=False)
    with torch.no_grad():
        head.weight.zero_()
        head.weight[1, 5 * 12 + 7] = 3.0
    picture = torch.full((1, 1, 12, 12), 2.0)
    found = explain(nn.Sequential(nn.Flatten(), head), picture, 1, "occlusion", background=0.5, window=1, stride=1)
    wanted = np.zeros((12, 12))
    wanted[5, 7] = 3 * 1.5
    np.testing.assert_allclose(found.relevance(0), wanted, atol=1e-6)


def test_several_background_pictures_are_averaged_over_the_first_few() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    picture, background = torch.rand(1, 1, 8, 8), torch.rand(6, 1, 8, 8)
    found = explain(model, picture, method="occlusion", background=background, window=8, stride=8)
    with torch.no_grad():
        lost = float(model(picture) - model(background[:4]).mean())
    np.testing.assert_allclose(found.relevance(0), np.full((8, 8), lost), atol=1e-5)
    assert found.parameters["references"] == 4
    assert (
        explain(model, picture, method="occlusion", background=background, references=1).parameters["references"] == 1
    )


@pytest.mark.parametrize(
    ("size", "sides", "steps"), [((10, 7), (3, 3), (2, 3)), ((8, 8), (8, 8), (3, 3)), ((9, 5), (4, 1), (4, 1))]
)
def test_windows_cover_every_pixel_and_average_where_they_meet(size: Any, sides: Any, steps: Any) -> None:
    corners = windows(size, sides, steps)
    amounts = np.random.default_rng(0).normal(size=(2, len(corners)))
    total, times = np.zeros((2, *size)), np.zeros(size)
    for number, (top, left, bottom, right) in enumerate(corners):
        total[:, top:bottom, left:right] += amounts[:, number, None, None]
        times[top:bottom, left:right] += 1
    assert times.min() >= 1
    np.testing.assert_allclose(spread(amounts, corners, size)[:, 0], total / times, rtol=1e-5)


def test_oblong_colour_pictures_are_taken() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    found = explain(model, torch.rand(2, 3, 16, 40), method="occlusion")
    assert found.attributions.shape == (2, 1, 16, 40)
    assert found.parameters["window"] == [3, 8]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"window": 33}, "window is 33: give 1 to 32"),
        ({"window": 0}, "window is 0"),
        ({"window": 4, "stride": 5}, "stride is 5: give 1 to 4"),
        ({"stride": 0}, "stride is 0"),
        ({"references": 0}, "references is 0"),
        ({"backend": "lime"}, "backend is 'lime'"),
    ],
)
def test_options_out_of_range_are_refused(
    lenet: LeNet, pictures: Tensor, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence):
        explain(lenet, pictures, method="occlusion", **options)
