"""Every autograd Function and every loss of the project against finite differences, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, vmap
from torch.nn import functional

from torchglass.reference_models.functions.perceptron import perceptron_loss
from torchglass.reference_models.functions.silu import SiLU, lean_silu
from torchglass.reference_models.tasks.classification import Classification
from torchglass.reference_models.tasks.regression import Regression

LABELS = torch.tensor([0, 2, 1, 1, 2])
NUMBERS = torch.tensor([3.0, -1.0, 8.0, 2.0, 5.0], dtype=torch.float64)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers, none of which stands within a finite difference of a tie."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


LOSSES: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "cross entropy": (lambda outputs: Classification(3).loss(outputs, LABELS), (5, 3)),
    "label-smoothed cross entropy": (lambda outputs: Classification(3, 0.2).loss(outputs, LABELS), (5, 3)),
    "perceptron": (lambda outputs: perceptron_loss(outputs, LABELS), (5, 3)),
    "squared error": (lambda outputs: Regression(2.5).loss(outputs, NUMBERS), (5, 1)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_has_the_gradient_and_the_second_derivative_that_differences_say(name: str) -> None:
    loss, shape = LOSSES[name]
    assert gradcheck(loss, numbers(*shape), check_batched_grad=True)
    assert gradgradcheck(loss, numbers(*shape))
    assert loss(numbers(*shape)).shape == ()


def test_silu_has_the_derivatives_that_differences_say_on_both_sides_of_zero() -> None:
    inputs = (8 * numbers(4, 5)).detach().requires_grad_()
    assert inputs.min() < -8
    assert inputs.max() > 8
    assert gradcheck(lean_silu, inputs, check_batched_grad=True)
    assert gradgradcheck(lean_silu, inputs)


def test_silu_equals_torch_s_own_and_its_gradient_too() -> None:
    inputs = numbers(7, 3)
    torch.testing.assert_close(lean_silu(inputs), functional.silu(inputs))
    (ours,) = torch.autograd.grad(lean_silu(inputs).square().sum(), inputs)
    (theirs,) = torch.autograd.grad(functional.silu(inputs).square().sum(), inputs)
    torch.testing.assert_close(ours, theirs)


def saved_bytes(function: Callable[[Tensor], Tensor], inputs: Tensor) -> int:
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = function(inputs)
    assert outputs.requires_grad
    return sum(kept.values())


def test_silu_keeps_its_input_alone_half_of_what_the_formula_keeps() -> None:
    inputs = torch.randn(100, 10, requires_grad=True)
    assert saved_bytes(lean_silu, inputs) == 4 * 1000
    assert saved_bytes(lambda x: x * torch.sigmoid(x), inputs) == 2 * 4 * 1000


def test_functions_are_called_by_name_in_the_graph_of_a_backward_pass() -> None:
    inputs = numbers(5, 3)
    silu = SiLU()(inputs).grad_fn
    loss = perceptron_loss(inputs, LABELS).grad_fn
    assert silu is not None
    assert loss is not None
    assert (silu.name(), loss.name()) == ("LeanSiLUBackward", "PerceptronCriterionBackward")


def test_functions_can_be_vectorised() -> None:
    inputs = numbers(4, 5, 3).detach()
    each = torch.stack([grad(lambda x: lean_silu(x).sum())(part) for part in inputs])
    torch.testing.assert_close(vmap(grad(lambda x: lean_silu(x).sum()))(inputs), each)
    losses = torch.stack([perceptron_loss(part, LABELS) for part in inputs])
    torch.testing.assert_close(vmap(lambda scores: perceptron_loss(scores, LABELS))(inputs), losses)


def test_the_perceptron_learns_from_mistakes_alone_by_rosenblatt_s_rule() -> None:
    scores = torch.tensor([[2.0, 1.0, 0.0], [0.5, 0.0, 3.0]], requires_grad=True)
    loss = perceptron_loss(scores, torch.tensor([0, 1]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx((0 + 3) / 2)
    assert scores.grad is not None
    assert scores.grad.tolist() == [[0, 0, 0], [0, -0.5, 0.5]]


def test_a_blank_perceptron_moves_though_its_loss_is_zero() -> None:
    model = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(model.weight)
    loss = perceptron_loss(model(torch.tensor([[3.0, 4.0]])), torch.tensor([1]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert model.weight.grad is not None
    assert model.weight.grad.tolist() == [[3, 4], [-3, -4]]


def test_half_precision_scores_are_summed_in_float32() -> None:
    scores = torch.zeros(300, 2, dtype=torch.bfloat16)
    scores[:, 0] = 1.0
    scores[0, 0] = 2.0
    assert perceptron_loss(scores, torch.ones(300, dtype=torch.int64)).item() == pytest.approx(301 / 300)
