"""Metrics against those of captum and of quantus, on the same model, maps and hidden parts."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient
from captum.metrics import infidelity, sensitivity_max
from explainers_judged import by_hand
from explainers_written import rows_network
from torch import Tensor, nn

from torchglass.explainers import evaluate, explain
from torchglass.explainers.evaluation.metrics.infidelity import DRAWS, hidden_parts
from torchglass.explainers.rank_correlation import rank_correlation

quantus = pytest.importorskip("quantus")


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4)).eval().requires_grad_(False)


@pytest.fixture
def small() -> Tensor:
    return torch.rand(3, 1, 8, 8)


def drawn(seed: int = 4) -> np.ndarray[Any, Any]:
    return torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(seed)).numpy()


def truth() -> np.ndarray[Any, Any]:
    marks = np.zeros((3, 1, 8, 8))
    for i in range(3):
        marks[i, 0, 2 : 4 + i, 1:6] = 1
    return marks


def test_infidelity_is_captums_for_the_same_hidden_parts(network: nn.Module, small: Tensor) -> None:
    own = by_hand(network, small, drawn(), output_space="logit")
    found = evaluate(own, network, metrics=("infidelity",), background=0.3)
    case = cast(Any, SimpleNamespace(inputs=small, present=torch.ones(3, 64)))
    draw = torch.Generator().manual_seed(0)
    hidden = torch.cat([hidden_parts(case, i, draw) for i in range(3)]).reshape(-1, 1, 8, 8)
    assert 0 < float(hidden.float().mean()) < 0.25

    def hide(inputs: Tensor) -> tuple[Tensor, Tensor]:
        return hidden.float(), torch.where(hidden, torch.full_like(inputs, 0.3), inputs)

    wanted = infidelity(
        network,
        hide,
        small,
        torch.from_numpy(drawn()),
        target=torch.from_numpy(own.targets.copy()),
        n_perturb_samples=DRAWS,
        normalize=True,
    )
    np.testing.assert_allclose(found.values["infidelity"], wanted.numpy(), rtol=1e-4)


def test_sensitivity_is_captums_of_captums_own_attributions() -> None:
    model, rows = rows_network().eval(), torch.rand(3, 6)
    own = explain(model, rows, method="gradient_x_input")
    found = evaluate(own, model, metrics=("sensitivity",), seed=3)

    def attribute(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        targets = torch.from_numpy(own.targets.copy()).repeat_interleave(len(inputs[0]) // 3)
        return (InputXGradient(model).attribute(inputs[0].requires_grad_(), target=targets).detach(),)

    with torch.random.fork_rng():
        torch.manual_seed(3)
        wanted = sensitivity_max(attribute, rows.clone())
    assert float(wanted.min()) > 0.005
    np.testing.assert_allclose(found.values["sensitivity"], wanted.detach().numpy(), rtol=1e-4)


def test_deletion_is_the_area_of_quantus_pixel_flipping(network: nn.Module, small: Tensor) -> None:
    own = by_hand(network, small, drawn(), output_space="logit")
    found = evaluate(own, network, metrics=("deletion",), steps=64)
    flipping = quantus.PixelFlipping(
        features_in_step=1, perturb_baseline=0.0, normalise=False, disable_warnings=True, display_progressbar=False
    )
    curves = np.array(
        flipping(model=network, x_batch=small.numpy(), y_batch=own.targets, a_batch=drawn(), device="cpu", softmax=True)
    )
    np.testing.assert_allclose(found.curves["deletion"][:, 1:], curves, atol=1e-5)
    whole = np.concatenate((found.curves["deletion"][:, :1], curves), axis=1)
    np.testing.assert_allclose(found.values["deletion"], ((whole[:, 1:] + whole[:, :-1]) / 2).mean(axis=1), atol=1e-5)


@pytest.mark.parametrize(
    ("metric", "judge", "settings"),
    [
        ("sparseness", "Sparseness", {"abs": True}),
        ("pointing_game", "PointingGame", {}),
        ("relevance_rank", "RelevanceRankAccuracy", {}),
        # Its mass counts what speaks against the class as negative mass, so it is asked about a positive map.
        ("relevance_mass", "RelevanceMassAccuracy", {"abs": True}),
    ],
    ids=["sparseness", "pointing_game", "relevance_rank", "relevance_mass"],
)
def test_a_metric_of_the_map_alone_is_quantus_own(
    network: nn.Module, small: Tensor, metric: str, judge: str, settings: dict[str, Any]
) -> None:
    values = np.abs(drawn()) if metric == "relevance_mass" else drawn()
    values[1, 0, 3, 3] = 9.0
    own = by_hand(network, small, values, output_space="logit")
    found = evaluate(own, network, metrics=(metric,), truth=truth())
    wanted = getattr(quantus, judge)(disable_warnings=True, display_progressbar=False, **settings)(
        model=network, x_batch=small.numpy(), y_batch=own.targets, a_batch=values, s_batch=truth(), device="cpu"
    )
    np.testing.assert_allclose(found.values[metric], np.asarray(wanted, dtype=float), atol=1e-5)


def test_rank_correlation_is_quantus_own() -> None:
    one, other = drawn().round(1).reshape(3, -1), drawn(5).round(1).reshape(3, -1)
    wanted = quantus.correlation_spearman(one, other, batched=True)
    for i in range(3):
        assert rank_correlation(one[i], other[i]) == pytest.approx(wanted[i])
