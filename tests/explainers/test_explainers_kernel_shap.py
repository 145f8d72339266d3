"""Kernel SHAP of superpixels: the definition by enumeration, shap's numbers, a linear model's, and honest errors."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import shap
import torch
from explainers_written import shapley_by_hand
from explainers_zoo import LeNet
from torch import Tensor, nn

from torchglass.errors import OptionError
from torchglass.explainers import explain
from torchglass.explainers.perturbation.codes import Coalitions
from torchglass.explainers.perturbation.least_squares import Shapley

KERNEL: dict[str, Any] = {"method": "shap", "algorithm": "kernel", "segmentation": "grid"}
CELLS = (torch.arange(30) // 10)[:, None] * 3 + torch.arange(30) // 10


def enlarged(model: nn.Module) -> nn.Module:
    """Larger weights: a fresh network's scores hardly differ."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
    return model.eval()


class Small(nn.Module):
    """Two classes of 30 x 30 pixels, with products of far cells, so that shares are not what each cell does alone."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.AvgPool2d(5), nn.Flatten(), nn.Linear(36, 16), nn.Tanh(), nn.Linear(16, 2))

    def forward(self, pictures: Tensor) -> Tensor:
        table: Tensor = self.body(pictures)
        return table


def worth(model: nn.Module, picture: Tensor, background: Tensor, target: int) -> Any:
    @cache
    def of(coalition: frozenset[int]) -> float:
        shown = torch.isin(CELLS, torch.tensor(sorted(coalition), dtype=torch.int64))
        with torch.no_grad():
            return float(model(torch.where(shown, picture, background))[:, target].double().mean())

    return lambda coalition: of(frozenset(coalition))


def sums(values: np.ndarray) -> np.ndarray:
    """Add (30, 30) up over the nine cells."""
    return np.asarray(values.reshape(3, 10, 3, 10).sum(axis=(1, 3)).ravel())


def test_all_coalitions_give_the_definitions_values() -> None:
    model, background = enlarged(Small()), torch.rand(3, 1, 30, 30)
    pictures = torch.rand(2, 1, 30, 30)
    found = explain(model, pictures, [0, 1], segments=9, background=background, **KERNEL)
    assert found.parameters["coalitions"] == "all coalitions"
    assert found.standard_errors is None
    for i in range(2):
        exact = shapley_by_hand(worth(model, pictures[i], background, i), 9)
        np.testing.assert_allclose(sums(found.relevance(i)), exact, atol=1e-5)
        assert np.ptp(found.relevance(i)[:10, :10]) == 0


def test_the_library_gives_the_same_where_it_asks_all_coalitions(pictures: Tensor) -> None:
    model = enlarged(LeNet())
    asked: dict[str, Any] = {"segments": 9, "background": torch.rand(2, 1, 32, 32), **KERNEL}
    own, library = (explain(model, pictures, 3, backend=backend, **asked) for backend in ("own", "library"))
    assert library.implementation == f"shap {shap.__version__} KernelExplainer"
    np.testing.assert_allclose(
        own.attributions, library.attributions, atol=1e-6 + 1e-4 * np.abs(own.attributions).max()
    )
    np.testing.assert_allclose(own.base_values, library.base_values, rtol=1e-5)  # type: ignore[arg-type]


def test_drawn_values_rank_as_shaps_at_the_same_budget_and_add_up(pictures: Tensor) -> None:
    model = enlarged(LeNet())
    asked: dict[str, Any] = {"segments": 25, "background": 0.1, "evaluations": 1200, **KERNEL}
    own = explain(model, pictures, 3, stop_early=False, **asked)
    library = explain(model, pictures, 3, backend="library", **asked)
    for mine, theirs in zip(own.attributions, library.attributions, strict=True):
        ranks = [np.argsort(np.argsort(values, axis=None)) for values in (mine, theirs)]
        assert np.corrcoef(*ranks)[0, 1] >= 0.95
    assert own.base_values is not None
    np.testing.assert_allclose(own.attributions.sum((1, 2, 3)), own.outputs - own.base_values, rtol=1e-3, atol=1e-5)
    assert own.checks["completeness_error"] < 1e-5
    assert max(own.parameters["evaluations"]) <= 1200


@pytest.mark.parametrize("background", [torch.zeros(1, 1, 30, 30), torch.rand(7, 1, 30, 30)], ids=["one", "seven"])
def test_a_linear_model_gets_weight_times_distance_from_the_mean(background: Tensor) -> None:
    linear = nn.Linear(900, 2)
    picture = torch.rand(1, 1, 30, 30)
    found = explain(
        nn.Sequential(nn.Flatten(), linear),
        picture,
        1,
        segments=9,
        evaluations=400,
        background=background,
        stop_early=False,
        **KERNEL,
    )
    shares = (linear.weight.detach()[1].reshape(30, 30) * (picture[0, 0] - background.mean(dim=0)[0])).numpy()
    assert found.parameters["coalitions"] == "drawn in pairs"
    exact = len(background) == 1
    np.testing.assert_allclose(sums(found.relevance(0)), sums(shares), atol=1e-5 if exact else 0.2)


def test_the_errors_of_drawn_values_are_how_far_they_scatter() -> None:
    model, picture, background = enlarged(Small()), torch.rand(1, 1, 30, 30), torch.rand(4, 1, 30, 30)
    exact = shapley_by_hand(worth(model, picture[0], background, 1), 9)
    asked: dict[str, Any] = {"segments": 9, "evaluations": 300, "background": background, "stop_early": False, **KERNEL}
    misses, errors = [], []
    for seed in range(40):
        found = explain(model, picture, 1, seed=seed, **asked)
        assert found.standard_errors is not None
        misses.append(sums(found.relevance(0)) - exact)
        errors.append(sums(found.standard_errors[0, 0]))
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(misses, axis=0), rtol=0.4)
    np.testing.assert_allclose(np.mean(misses, axis=0), 0, atol=3.5 * float(np.mean(errors)) / 40**0.5)


def test_pairs_need_fewer_coalitions_than_single_draws() -> None:
    """On a game of twelve players with random pairwise products: exact in pairs, far from it without."""
    draw = np.random.default_rng(0)
    alone, products = draw.normal(size=12), np.triu(draw.normal(size=(12, 12)), 1)

    def game(shown: np.ndarray) -> np.ndarray:
        members = shown.astype(float)
        return members @ alone + ((members @ products) * members).sum(axis=1)

    exact = alone + (products + products.T).sum(axis=1) / 2
    difference = float(alone.sum() + products.sum())
    misses: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(30):
        for paired in misses:
            plan = Coalitions.planned(12, 0)
            shown = plan.drawn(100 if paired else 200, np.random.default_rng(seed))
            solver = Shapley(plan, difference)
            chosen = shown if paired else shown[::2]
            solver.add(chosen, game(chosen))
            misses[paired].append(float(np.square(solver.solved()[0] - exact).mean()))
    assert np.mean(misses[True]) < 1e-20  # products of two are met exactly by a coalition and its complement
    assert np.mean(misses[False]) > 1e-3


def test_drawing_ends_when_the_order_is_certain(pictures: Tensor) -> None:
    model = enlarged(LeNet())
    asked: dict[str, Any] = {"segments": 25, "background": 0.1, "evaluations": 3000, **KERNEL}
    early, whole = explain(model, pictures, 3, **asked), explain(model, pictures, 3, stop_early=False, **asked)
    assert max(early.parameters["evaluations"]) * 2 <= min(whole.parameters["evaluations"])
    assert early.checks["certainty"] >= 0.97
    for few, all_of_them in zip(early.attributions, whole.attributions, strict=True):
        assert np.corrcoef(few.ravel(), all_of_them.ravel())[0, 1] >= 0.95


def test_gradient_is_expected_gradients_and_exact_for_a_linear_model() -> None:
    linear, picture = nn.Linear(48, 2), torch.rand(2, 3, 4, 4)
    found = explain(nn.Sequential(nn.Flatten(), linear), picture, 1, "shap", algorithm="gradient", background=0.25)
    assert "GradientShap" in found.implementation
    wanted = linear.weight.detach()[1].reshape(3, 4, 4) * (picture - 0.25)
    np.testing.assert_allclose(found.attributions, wanted, atol=1e-6)
    assert found.checks["completeness_error"] < 1e-5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"evaluations": 20}, "evaluations is 20: give at least 52 for 25 segments"),
        ({"segments": 4}, "segments is 4"),
        ({"segmentation": "felzenszwalb"}, "segmentation is 'felzenszwalb'"),
        ({"backend": "lime"}, "backend is 'lime'"),
        ({"evaluations": 0}, "evaluations is 0"),
    ],
)
def test_options_out_of_range_are_refused(pictures: Tensor, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        explain(LeNet(), pictures, **{"segments": 25, **KERNEL, **options})
