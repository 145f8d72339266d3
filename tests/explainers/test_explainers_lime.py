"""LIME: segments that suit small pictures, a surrogate that is the library's, seeds that repeat."""

from typing import Any

import numpy as np
import pytest
import torch
from lime.lime_image import LimeImageExplainer
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from torchglass.errors import OptionError
from torchglass.explainers import explain
from torchglass.explainers.pictures.lime import FEWEST_SEGMENTS, segment

FEW: dict[str, Any] = {"samples": 300, "segments": 30}


class ScriptedBits(np.random.RandomState):
    """Hands the library's masking loop the bits that ours drew; everything else is numpy's."""

    bits: np.ndarray

    def randint(self, low, high=None, size=None, dtype=int):  # type: ignore[no-untyped-def]
        return self.bits.ravel() if size == self.bits.size else super().randint(low, high, size, dtype)


def test_the_same_seed_repeats_bit_for_bit_and_another_differs(lenet: nn.Module, pictures: Tensor) -> None:
    first, again, other = (explain(lenet, pictures, method="lime", seed=s, **FEW) for s in (7, 7, 8))
    np.testing.assert_array_equal(first.attributions, again.attributions)
    assert dict(first.checks) == dict(again.checks)
    assert (first.attributions != other.attributions).mean() > 0.9


def test_a_pictures_explanation_does_not_depend_on_its_neighbours(lenet: nn.Module, pictures: Tensor) -> None:
    together = explain(lenet, pictures, target=1, method="lime", **FEW).attributions
    alone = explain(lenet, pictures[1:2], target=1, method="lime", **FEW).attributions
    np.testing.assert_allclose(alone[0], together[1], rtol=1e-4, atol=1e-6)


def test_weights_equal_the_librarys_own_masking_loop(lenet: nn.Module, pictures: Tensor) -> None:
    picture = pictures[:1]
    found = explain(lenet, picture, target=3, method="lime", background=0.25, segmentation="grid", **FEW)
    image = picture[0].permute(1, 2, 0).numpy()
    segments = segment(image, 30, "grid")
    draw = ScriptedBits(0)
    draw.bits = (np.random.RandomState(0).random_sample((300, segments.max() + 1)) < 0.85).astype(int)

    def score(batch: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(lenet(torch.tensor(batch).permute(0, 3, 1, 2)).numpy())

    stock = LimeImageExplainer(random_state=draw, feature_selection="none").explain_instance(
        image, score, labels=(3,), top_labels=None, hide_color=0.25, num_samples=300, segmentation_fn=lambda _: segments
    )
    wanted = np.array([weight for _, weight in sorted(stock.local_exp[3])])[segments]
    np.testing.assert_allclose(found.attributions[0, 0], wanted, rtol=1e-3, atol=1e-6)
    assert found.checks["surrogate_r2"] == pytest.approx(stock.score, rel=1e-4)
    assert found.base_values == pytest.approx([stock.intercept[3]], rel=1e-3)


def test_r2_is_the_weighted_fit_of_the_surrogate_to_its_samples() -> None:
    """A score that is linear in the shown squares is met fully, but for the ridge's pull; noise is not."""
    linear = nn.Linear(16, 2)
    model = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), linear)
    with torch.no_grad():
        linear.weight.copy_(torch.arange(32.0).reshape(2, 16))
    picture = torch.ones(1, 1, 32, 32)
    found = explain(model, picture, target=1, method="lime", segmentation="grid", segments=16, samples=2000)
    assert found.checks["surrogate_r2"] > 0.999
    np.testing.assert_allclose(found.relevance(0)[::8, ::8].ravel(), np.arange(16.0, 32.0), rtol=0.03)
    kept = np.random.RandomState(0).random_sample((2000, 16)) < 0.85
    kept[0] = True
    distance = 1 - np.sqrt(kept.mean(1))
    ridge = Ridge(alpha=1).fit(
        kept, kept @ np.arange(16.0, 32.0), sample_weight=np.sqrt(np.exp(-((distance / 0.25) ** 2)))
    )
    np.testing.assert_allclose(found.relevance(0)[::8, ::8].ravel(), ridge.coef_, rtol=1e-4)


def test_each_sample_draws_its_fill_from_the_background() -> None:
    """Hidden squares show 0 or 0.5 at random, so a square of 1 is worth three quarters of its weight on average."""
    linear = nn.Linear(16, 2)
    model = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), linear)
    with torch.no_grad():
        linear.weight.copy_(torch.arange(32.0).reshape(2, 16))
    fills = torch.tensor([0.0, 0.5]).reshape(2, 1, 1, 1).expand(2, 1, 32, 32)
    asked: dict[str, Any] = {"target": 1, "method": "lime", "background": fills, "segments": 16, "samples": 4000}
    found = explain(model, torch.ones(1, 1, 32, 32), segmentation="grid", **asked)
    np.testing.assert_allclose(found.relevance(0)[::8, ::8].ravel(), 0.75 * np.arange(16.0, 32.0), rtol=0.12)
    assert found.checks["surrogate_r2"] < 0.95


@pytest.mark.parametrize("side", [28, 32, 64])
@pytest.mark.parametrize("kind", ["digit-like", "flat", "noise", "colour"])
@pytest.mark.parametrize("segmentation", ["slic", "grid"])
def test_small_pictures_are_cut_into_enough_segments(side: int, kind: str, segmentation: str) -> None:
    rng = np.random.default_rng(1)
    image = np.zeros((side, side, 3 if kind == "colour" else 1), np.float32)
    if kind == "digit-like":
        image[side // 4 : -side // 4, side // 2 : side // 2 + 3] = 1
    if kind in ("noise", "colour"):
        image = rng.normal(size=image.shape).astype(np.float32)
    found = segment(image, 50, segmentation)
    assert found.shape == (side, side)
    assert set(np.unique(found)) == set(range(found.max() + 1))
    assert FEWEST_SEGMENTS * 2 <= found.max() + 1 <= 100


def test_colour_and_oblong_pictures_are_explained() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    found = explain(model, torch.rand(2, 3, 24, 40), method="lime", background=torch.rand(5, 3, 24, 40), **FEW)
    assert found.attributions.shape == (2, 1, 24, 40)
    assert found.relevance(1).shape == (24, 40)


def test_a_hidden_segment_shows_the_background() -> None:
    """With the picture as its own background nothing changes, whatever is hidden."""
    picture = torch.rand(1, 1, 32, 32)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 2))
    assert np.abs(explain(model, picture, method="lime", background=picture, **FEW).attributions).max() < 1e-5
    assert np.abs(explain(model, picture, method="lime", background=0.0, **FEW).attributions).max() > 1e-3


def test_the_librarys_progress_bars_are_silent(
    lenet: nn.Module, pictures: Tensor, capfd: pytest.CaptureFixture[str]
) -> None:
    explain(lenet, pictures, method="lime", **FEW)
    explain(lenet, pictures, method="shap", algorithm="partition", evaluations=50)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("option", "value"),
    [("samples", 60), ("segments", 3), ("segmentation", "quickshift"), ("keep_rate", 1.0), ("kernel_width", 0.0)],
)
def test_options_out_of_range_are_refused(lenet: nn.Module, pictures: Tensor, option: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{option} is {value!r}"):
        explain(lenet, pictures, method="lime", **{option: value})
