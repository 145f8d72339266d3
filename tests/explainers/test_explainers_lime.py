"""LIME: segments that suit small pictures, the library's regression, seeds that repeat, sampling that ends in time."""

from typing import Any

import numpy as np
import pytest
import torch
from explainers_zoo import LeNet
from sklearn.linear_model import Ridge as StockRidge
from torch import Tensor, nn

from torchglass.errors import OptionError
from torchglass.explainers import explain
from torchglass.explainers.perturbation.ridge import fitted
from torchglass.explainers.perturbation.superpixels import FEWEST_SEGMENTS, segment, superpixels

FEW: dict[str, Any] = {"samples": 300, "segments": 30}


def squares(bias: float = 0.0) -> nn.Module:
    """Score 1 is linear in the means of 16 squares of 8 x 8 pixels, with the weights 16 to 31."""
    linear = nn.Linear(16, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.arange(32.0).reshape(2, 16))
        linear.bias.fill_(bias)
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), linear)


def ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values, axis=None))


def test_the_same_seed_repeats_bit_for_bit_and_another_differs(lenet: nn.Module, pictures: Tensor) -> None:
    first, again, other = (explain(lenet, pictures, method="lime", seed=s, **FEW) for s in (7, 7, 8))
    np.testing.assert_array_equal(first.attributions, again.attributions)
    assert dict(first.checks) == dict(again.checks)
    assert (first.attributions != other.attributions).mean() > 0.9


def test_a_pictures_explanation_does_not_depend_on_its_neighbours(lenet: nn.Module, pictures: Tensor) -> None:
    for background in (0.0, torch.rand(4, 1, 32, 32)):
        together = explain(lenet, pictures, target=1, method="lime", background=background, **FEW).attributions
        alone = explain(lenet, pictures[1:2], target=1, method="lime", background=background, **FEW).attributions
        np.testing.assert_allclose(alone[0], together[1], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("penalty", [0.3, 1.0])
def test_the_regression_is_scikit_learns_ridge(penalty: float) -> None:
    draw = np.random.default_rng(3)
    shown, weights = draw.random((80, 6)) < 0.7, draw.random(80)
    scores = shown @ np.arange(6.0) + draw.normal(size=80) + 5
    own = fitted(shown, scores, weights, penalty)
    stock = StockRidge(alpha=penalty).fit(shown, scores, sample_weight=weights)
    np.testing.assert_allclose(own.weights, stock.coef_, rtol=1e-9)
    assert own.intercept == pytest.approx(stock.intercept_, rel=1e-9)
    assert own.r2 == pytest.approx(stock.score(shown, scores, sample_weight=weights), rel=1e-9)
    assert own.whole == pytest.approx(stock.predict(np.ones((1, 6)))[0], rel=1e-9)


def test_the_errors_of_the_weights_are_how_far_they_scatter() -> None:
    draw = np.random.default_rng(5)

    def once() -> Any:
        shown = draw.random((200, 5)) < 0.8
        # The noise grows with the first part, which an estimate that pools all residuals would miss.
        scores = shown @ np.arange(5.0) + draw.normal(size=200) * (0.2 + 2 * shown[:, 0])
        return fitted(shown, scores, np.ones(200), penalty=1e-6)

    fits = [once() for _ in range(400)]
    scatter = np.std([one.weights for one in fits], axis=0)
    np.testing.assert_allclose(np.mean([one.errors for one in fits], axis=0), scatter, rtol=0.12)


def test_ours_ranks_segments_as_the_librarys_own_explainer_does(lenet: LeNet, pictures: Tensor) -> None:
    asked: dict[str, Any] = {"target": 3, "method": "lime", "background": 0.25, "segmentation": "grid", "segments": 25}
    own = explain(lenet, pictures, keep_rate=0.5, samples=2000, stop_early=False, **asked)
    library = explain(lenet, pictures, backend="library", samples=2000, **asked)
    assert library.implementation.startswith("lime ")
    assert own.implementation.startswith("torchglass ")
    assert library.parameters["background"] == "constant 0.25"
    assert library.standard_errors is None
    for mine, theirs in zip(own.attributions, library.attributions, strict=True):
        assert np.corrcoef(ranks(mine), ranks(theirs))[0, 1] >= 0.95
    assert own.checks["surrogate_r2"] == pytest.approx(library.checks["surrogate_r2"], abs=0.03)
    np.testing.assert_allclose(own.base_values, library.base_values, rtol=0.05)  # type: ignore[arg-type]


def test_a_linear_score_is_met_fully_and_its_squares_get_their_weights() -> None:
    found = explain(
        squares(), torch.ones(1, 1, 32, 32), 1, "lime", segmentation="grid", segments=16, samples=2000, stop_early=False
    )
    assert found.checks["surrogate_r2"] > 0.999
    assert found.checks["certainty"] > 0.999
    np.testing.assert_allclose(found.relevance(0)[::8, ::8].ravel(), np.arange(16.0, 32.0), rtol=0.03)


def test_each_sample_draws_its_fill_from_the_background() -> None:
    """Hidden squares show 0 or 0.5 at random, so a square of 1 is worth three quarters of its weight on average."""
    fills = torch.tensor([0.0, 0.5]).reshape(2, 1, 1, 1).expand(2, 1, 32, 32)
    asked: dict[str, Any] = {"target": 1, "method": "lime", "background": fills, "segments": 16, "samples": 4000}
    found = explain(squares(), torch.ones(1, 1, 32, 32), segmentation="grid", stop_early=False, **asked)
    assert found.standard_errors is not None
    errors = found.standard_errors[0, 0, ::8, ::8].ravel()
    away = (found.relevance(0)[::8, ::8].ravel() - 0.75 * np.arange(16.0, 32.0)) / errors
    assert np.abs(away).max() < 4
    assert errors.max() < 1
    assert found.checks["surrogate_r2"] < 0.95


def test_sampling_ends_when_the_order_is_certain_and_says_after_how_many(lenet: nn.Module, pictures: Tensor) -> None:
    asked: dict[str, Any] = {"target": 2, "method": "lime", "samples": 3000, "segmentation": "grid", "segments": 25}
    whole = explain(lenet, pictures, stop_early=False, **asked)
    early = explain(lenet, pictures, **asked)
    assert whole.parameters["samples"] == [3000] * 3
    assert max(early.parameters["samples"]) <= 1500
    assert early.checks["certainty"] >= 0.97
    for few, all_of_them in zip(early.attributions, whole.attributions, strict=True):
        assert np.corrcoef(ranks(few), ranks(all_of_them))[0, 1] >= 0.9
    assert early.standard_errors is not None
    assert early.standard_errors.shape == early.attributions.shape


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


def test_a_picture_is_cut_once_and_another_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    cuts: list[int] = []

    def counted(image: np.ndarray, segments: int, segmentation: str) -> np.ndarray:
        cuts.append(segments)
        return segment(image, segments, segmentation)

    monkeypatch.setattr("torchglass.explainers.perturbation.superpixels.segment", counted)
    picture = torch.rand(1, 24, 24, generator=torch.Generator().manual_seed(77))
    first, again = superpixels(picture, 20, "slic"), superpixels(picture.clone(), 20, "slic")
    assert torch.equal(first, again)
    assert cuts == [20]
    superpixels(picture + 0.25, 20, "slic")
    superpixels(picture, 21, "slic")
    superpixels(picture.reshape(1, 18, 32), 20, "slic")
    assert cuts == [20, 20, 21, 20]


def test_colour_and_oblong_pictures_are_explained() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    found = explain(model, torch.rand(2, 3, 24, 40), method="lime", background=torch.rand(5, 3, 24, 40), **FEW)
    assert found.attributions.shape == (2, 1, 24, 40)
    assert found.relevance(1).shape == (24, 40)


@pytest.mark.parametrize("backend", ["own", "library"])
def test_a_hidden_segment_shows_the_background(backend: str) -> None:
    """With the picture as its own background nothing changes, whatever is hidden."""
    picture = torch.full((1, 1, 32, 32), 0.5)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 2))
    asked: dict[str, Any] = {"method": "lime", "backend": backend, **FEW}
    assert np.abs(explain(model, picture, background=picture, **asked).attributions).max() < 1e-5
    assert np.abs(explain(model, picture, background=0.0, **asked).attributions).max() > 1e-3


def test_the_librarys_progress_bars_are_silent(
    lenet: nn.Module, pictures: Tensor, capfd: pytest.CaptureFixture[str]
) -> None:
    explain(lenet, pictures, method="lime", backend="library", **FEW)
    explain(lenet, pictures, method="shap", algorithm="partition", evaluations=50)
    explain(lenet, pictures, method="shap", algorithm="kernel", evaluations=80, segments=9, backend="library")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("samples", 60),
        ("samples", 0),
        ("segments", 3),
        ("segmentation", "quickshift"),
        ("keep_rate", 1.0),
        ("kernel_width", 0.0),
        ("backend", "captum"),
    ],
)
def test_options_out_of_range_are_refused(lenet: nn.Module, pictures: Tensor, option: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{option} is {value!r}"):
        explain(lenet, pictures, method="lime", **{option: value})
