"""A trained model of text or of rows comes back as it was, and its training goes on as if nothing had happened."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explainers_written import TEXT_ZOO, Attentive, Recurrent, rows_network, texts
from test_explainers_no_trace import random_state, state
from torch import Tensor, nn

from torchglass.explainers import explain, method_names

ROWS = torch.randn(40, 6, generator=torch.Generator().manual_seed(9))
CASES: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    **{name: (build, texts()) for name, build in TEXT_ZOO.items()},
    "rows": (rows_network, ROWS[:3]),
}


def kind_of(inputs: Tensor) -> str:
    return "table" if inputs.is_floating_point() else "text"


@pytest.mark.parametrize(("build", "inputs"), CASES.values(), ids=CASES.keys())
def test_success_and_failure_leave_no_trace(build: Callable[[], nn.Module], inputs: Tensor) -> None:
    model = build().train()
    model.register_forward_hook(lambda *_: pytest.fail("a hook of the caller's was called"))
    F.cross_entropy(model.forward(inputs), torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
    background = ROWS if inputs.is_floating_point() else 2
    before, randomness, given = state(model), random_state(), inputs.clone()
    cudnn = torch.backends.cudnn.enabled
    for method in method_names("table" if inputs.is_floating_point() else "text"):
        if method == "attention_rollout" and not isinstance(model, Attentive):
            continue
        found = explain(model, inputs, method=method, background=background, seed=3)
        again = explain(model, inputs, method=method, background=background, seed=3)
        np.testing.assert_array_equal(found.attributions, again.attributions)
        for wrong in ({"target": 99}, {"background": "none"}, {"option": 1}):
            with pytest.raises(ValueError):
                explain(model, inputs, **{"method": method, **wrong})  # type: ignore[arg-type]
    assert state(model) == before
    assert random_state() == randomness
    assert torch.equal(inputs, given)
    assert torch.backends.cudnn.enabled == cudnn


def test_a_recurrent_training_is_bit_equal_with_and_without_explanations_in_between() -> None:
    def losses(explaining: bool) -> list[bytes]:
        torch.manual_seed(1)
        model = Recurrent()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        seen = []
        for _ in range(4):
            loss = F.cross_entropy(model(torch.randint(1, 20, (8, 8))), torch.randint(3, (8,)))
            if explaining:
                for method in sorted({*method_names("text")} - {"attention_rollout"}):
                    explain(model, texts(), method=method)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            seen.append(loss.detach().numpy().tobytes())
        return [*seen, *(t.detach().numpy().tobytes() for t in model.state_dict().values())]

    assert losses(explaining=True) == losses(explaining=False)


def test_another_seed_draws_otherwise() -> None:
    model = Recurrent()
    first, second = (explain(model, texts(), 0, "lime", seed=seed).attributions for seed in (0, 1))
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(first, second, atol=0.1)
