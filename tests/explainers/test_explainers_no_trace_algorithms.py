"""Every algorithm of SHAP, and every overview, leaves the model and the generators as they were, failing or not."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explainers_written import Recurrent, rows_network, texts
from test_explainers_no_trace import random_state, state

from torchglass.explainers import explain
from torchglass.explainers.overview.interactions import interactions
from torchglass.explainers.overview.partial_dependence import partial_dependence
from torchglass.explainers.overview.permutation_importance import permutation_importance

ROWS = torch.randn(12, 6, generator=torch.Generator().manual_seed(9))
ALGORITHMS: dict[str, dict[str, Any]] = {
    "exact": {},
    "kernel": {"evaluations": 40},
    "sampling": {"evaluations": 60},
    "sampling by captum": {"evaluations": 60, "backend": "library"},
    "deep": {},
    "gradient": {"evaluations": 16},
}


class Cancelled(Exception):
    pass


def cancel(_done: int, _total: int) -> None:
    raise Cancelled


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rows_by_every_algorithm(algorithm: str) -> None:
    model = rows_network().train()
    model.register_forward_hook(lambda *_: pytest.fail("a hook of the caller's was called"))
    F.cross_entropy(model.forward(ROWS[:3]), torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
    before, randomness = state(model), random_state()
    options = {"algorithm": algorithm.split()[0], "background": ROWS, "seed": 3, **ALGORITHMS[algorithm]}
    found, again = (explain(model, ROWS[:3], 1, "shap", **options) for _ in range(2))
    np.testing.assert_array_equal(found.attributions, again.attributions)
    with pytest.raises(ValueError):
        explain(model, ROWS[:3], 99, "shap", **options)
    if algorithm in ("exact", "kernel", "sampling"):
        with pytest.raises(Cancelled):
            explain(model, ROWS[:3], 1, "shap", **options, progress=cancel)
    assert state(model) == before
    assert random_state() == randomness


@pytest.mark.parametrize("algorithm", ["exact", "kernel"])
def test_words_by_every_algorithm(algorithm: str) -> None:
    model = Recurrent().train()
    before, randomness = state(model), random_state()
    explain(model, texts(), 1, "shap", algorithm=algorithm, evaluations=40)
    with pytest.raises(Cancelled):
        explain(model, texts(), 1, "shap", algorithm=algorithm, progress=cancel)
    assert state(model) == before
    assert random_state() == randomness


@pytest.mark.parametrize("inputs", [ROWS[:2], texts()], ids=["rows", "texts"])
@pytest.mark.parametrize("method", ["lime", "occlusion", "shap"])
def test_methods_tell_how_far_they_are(method: str, inputs: torch.Tensor) -> None:
    told: list[tuple[int, int]] = []
    model = rows_network() if inputs.is_floating_point() else Recurrent()
    background = ROWS if inputs.is_floating_point() else None
    explain(model, inputs, 0, method, background=background, progress=lambda *done: told.append(done))
    assert told == [(done + 1, len(inputs)) for done in range(len(inputs))]


def test_overviews() -> None:
    model = rows_network().train()
    before, randomness = state(model), random_state()
    partial_dependence(model, ROWS, points=3)
    permutation_importance(model, ROWS, np.zeros(12, np.int64), repeats=2)
    interactions(model, ROWS[:2], background=ROWS)
    for call in (
        lambda: partial_dependence(model, ROWS, 99),
        lambda: permutation_importance(model, ROWS, np.zeros(3)),
        lambda: interactions(model, ROWS, background=ROWS[:, :2]),
    ):
        with pytest.raises(ValueError):
            call()
    assert state(model) == before
    assert random_state() == randomness
