"""Saliency, SmoothGrad and integrated gradients of pictures: closed forms, captum's own numbers, what a batch costs."""

from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from explainers_zoo import LeNet
from torch import Tensor, nn

from torchglass.errors import OptionError
from torchglass.explainers import explain


class Cubes(nn.Module):
    """Score 0 is the sum of w x^3 over the pixels, score 1 that of x."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([[1.0, -2.0], [3.0, 0.5]]))

    def forward(self, pictures: Tensor) -> Tensor:
        cubes = (self.weights * pictures.pow(3)).sum((1, 2, 3))
        return torch.stack((cubes, pictures.sum((1, 2, 3))), dim=1)


PICTURE = torch.tensor([[[[1.0, 2.0], [-3.0, 0.0]]], [[[0.5, 0.5], [0.25, -1.0]]]])
WEIGHTS = np.array([[1.0, -2.0], [3.0, 0.5]])


def test_saliency_is_the_signed_gradient_and_its_size_on_request() -> None:
    found = explain(Cubes(), PICTURE, target=[0, 1], method="saliency")
    np.testing.assert_allclose(found.attributions[0, 0], 3 * WEIGHTS * PICTURE[0, 0].numpy() ** 2, rtol=1e-6)
    np.testing.assert_array_equal(found.attributions[1, 0], np.ones((2, 2)))
    negative = explain(Cubes(), PICTURE, target=0, method="saliency").attributions
    assert negative.min() < 0
    absolute = explain(Cubes(), PICTURE, target=0, method="saliency", absolute=True).attributions
    np.testing.assert_array_equal(absolute, np.abs(negative))


def test_saliency_equals_captums(lenet: nn.Module, pictures: Tensor) -> None:
    found = explain(lenet.eval(), pictures, target=[2, 7, 2], method="saliency", absolute=True)
    wanted = captum.attr.Saliency(lenet).attribute(pictures, target=[2, 7, 2])
    np.testing.assert_allclose(found.attributions, wanted, rtol=1e-5, atol=1e-9)


def test_smoothgrad_of_cubes_adds_the_noises_variance_to_the_square() -> None:
    """E 3 w (x + e)^2 = 3 w (x^2 + s^2), s being a share of each picture's own span."""
    found = explain(Cubes(), PICTURE, target=0, method="smoothgrad", samples=4000, noise=0.2)
    spread = 0.2 * np.array([5.0, 1.5])[:, None, None]
    wanted = 3 * WEIGHTS * (PICTURE[:, 0].numpy() ** 2 + spread**2)
    assert found.standard_errors is not None
    off = (found.attributions - wanted[:, None]) / found.standard_errors
    assert np.abs(off).max() < 4.5
    # Of the pixel at 0 the slope is 3 w e^2, whose deviation is 3 w s^2 sqrt(2).
    error = 3 * 0.5 * spread[0, 0, 0] ** 2 * 2**0.5 / 4000**0.5
    assert found.standard_errors[0, 0, 1, 1] == pytest.approx(error, rel=0.1)


def test_smoothgrad_agrees_with_captums_at_equal_budget(lenet: nn.Module, pictures: Tensor) -> None:
    found = explain(lenet.eval(), pictures, target=3, method="smoothgrad", samples=400, noise=0.05)
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(lenet))
    spread = 0.05 * float(pictures.max() - pictures.min())
    wanted = tunnel.attribute(pictures, nt_samples=400, stdevs=spread, target=3, abs=False, nt_samples_batch_size=100)
    for mine, theirs in zip(found.attributions, wanted.detach().numpy(), strict=True):
        ranks = [np.argsort(np.argsort(one.ravel())) for one in (mine, theirs)]
        assert np.corrcoef(*ranks)[0, 1] > 0.95


def test_smoothgrad_is_repeated_by_its_seed_and_constant_pictures_have_no_noise(lenet: nn.Module) -> None:
    flat = torch.full((1, 1, 32, 32), 0.5)
    noisy = torch.rand(1, 1, 32, 32)
    first, again, other = (explain(lenet, noisy, 1, "smoothgrad", seed=seed).attributions for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    smooth = explain(lenet, flat, 1, "smoothgrad")
    np.testing.assert_allclose(smooth.attributions, explain(lenet, flat, 1, "saliency").attributions, atol=1e-7)


def test_integrated_gradients_of_cubes_are_the_cubes() -> None:
    found = explain(Cubes(), PICTURE, target=0, method="integrated_gradients")
    np.testing.assert_allclose(found.attributions[:, 0], WEIGHTS * PICTURE[:, 0].numpy() ** 3, rtol=1e-4, atol=1e-6)
    assert found.parameters["steps"] == 64


def test_integrated_gradients_equal_captums_at_the_same_steps(lenet: nn.Module, pictures: Tensor) -> None:
    found = explain(lenet.eval(), pictures, [2, 7, 2], "integrated_gradients", steps=32, background=0.25)
    reference = captum.attr.IntegratedGradients(lenet)
    wanted = reference.attribute(pictures, torch.full_like(pictures, 0.25), target=[2, 7, 2], n_steps=32)
    np.testing.assert_allclose(found.attributions, wanted.detach(), rtol=1e-5, atol=1e-7)


def test_only_pictures_that_miss_are_cut_more_finely() -> None:
    class Kinked(nn.Module):
        """Linear in the left column, kinked a thousand times over the right."""

        seen = 0

        def forward(self, pictures: Tensor) -> Tensor:
            Kinked.seen += len(pictures)
            kinks = (pictures[..., 1] * 1000).sin().relu()
            return (pictures[..., 0] + kinks).sum((1, 2))[:, None]

    smooth = torch.tensor([[[[0.3, 0.0], [0.7, 0.0]]]])
    kinked = torch.tensor([[[[0.3, 0.9], [0.7, 0.8]]]])
    Kinked.seen = 0
    found = explain(Kinked(), torch.cat((smooth, smooth, kinked)), method="integrated_gradients", steps=256)
    # The batch, the ends of the paths, 64 points on each of three, then 128 and 256 on the one that misses.
    assert Kinked.seen == 3 + 6 + 3 * 64 + 128 + 256
    assert found.parameters["steps"] == 256
    np.testing.assert_allclose(found.attributions[0], [[[0.3, 0.0], [0.7, 0.0]]], rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "options"),
    [("saliency", {}), ("smoothgrad", {"samples": 10}), ("integrated_gradients", {"steps": 64})],
    ids=["saliency", "smoothgrad", "integrated gradients"],
)
def test_a_batch_takes_no_more_passes_than_one_picture(method: str, options: dict[str, Any]) -> None:
    class Counting(LeNet):
        calls = 0

        def forward(self, pictures: Tensor) -> Tensor:
            Counting.calls += 1
            return super().forward(pictures)

    model, batch = Counting().eval(), torch.rand(8, 1, 32, 32)
    explain(model, batch[:1], target=3, method=method, **options)
    for_one, Counting.calls = Counting.calls, 0
    together = explain(model, batch, target=3, method=method, **options)
    assert Counting.calls == for_one
    if method != "smoothgrad":
        alone = np.concatenate([explain(model, batch[i : i + 1], 3, method, **options).attributions for i in range(8)])
        np.testing.assert_allclose(together.attributions, alone, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "smoothgrad", "samples": 1}, "samples is 1: give at least 2"),
        ({"method": "smoothgrad", "noise": 0.0}, r"noise is 0\.0: give a share of the picture's span above 0"),
        ({"method": "smoothgrad", "noise": float("nan")}, "noise is nan"),
        ({"method": "integrated_gradients", "steps": 3}, "steps is 3: give at least 16"),
    ],
    ids=["samples", "no noise", "NaN noise", "steps"],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], sentence: str, pictures: Tensor) -> None:
    with pytest.raises(OptionError, match=sentence):
        explain(LeNet(), pictures, **options)
