"""Every autograd Function and every loss of the project against finite differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, vmap
from torch.nn import functional

from torchglass.reference_models import functions
from torchglass.reference_models.functions.perceptron import perceptron_loss
from torchglass.reference_models.functions.silu import SiLU, lean_silu
from torchglass.reference_models.loops.pretraining import NOT_ASKED, word_loss
from torchglass.reference_models.loops.rivalry import discriminator_loss, generator_loss
from torchglass.reference_models.loops.surrogate import clipped_surrogate, entropy, log_likelihood, value_loss
from torchglass.reference_models.tasks.classification import Classification
from torchglass.reference_models.tasks.detection import Detection, focal_loss
from torchglass.reference_models.tasks.regression import Regression

LABELS = torch.tensor([0, 2, 1, 1, 2])
NUMBERS = torch.tensor([3.0, -1.0, 8.0, 2.0, 5.0], dtype=torch.float64)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers, none of which stands within a finite difference of a tie."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


BOXES = torch.tensor([[[0.0, 6, 5, 22, 20], [2, 30, 28, 60, 57]], [[1, 10, 30, 41, 58], [-1, 0, 0, 0, 0]]]).double()
ACTIONS = torch.tensor([0, 2, 1, 1, 2, 0])
OLD = log_likelihood(numbers(6, 3), ACTIONS).detach() + torch.tensor([0.0, 0.1, -0.1, 0.5, -0.5, 0.05])
ADVANTAGES = numbers(6, seed=2).detach()
DETECTION = Detection(3, 64, 64)

Loss = Callable[[Tensor], Tensor]
LOSSES: dict[str, tuple[Loss, tuple[int, ...]]] = {
    "cross entropy": (lambda outputs: Classification(3).loss(outputs, LABELS), (5, 3)),
    "label-smoothed cross entropy": (lambda outputs: Classification(3, 0.2).loss(outputs, LABELS), (5, 3)),
    "perceptron": (lambda outputs: perceptron_loss(outputs, LABELS), (5, 3)),
    "squared error": (lambda outputs: Regression(2.5).loss(outputs, NUMBERS), (5, 1)),
    "discriminator": (lambda judged: discriminator_loss(judged[:3], judged[3:], smoothing=0.1), (6, 1)),
    "generator": (generator_loss, (6, 1)),
    "clipped surrogate": (lambda logits: surrogate(logits), (6, 3)),
    "value": (lambda values: value_loss(values, ADVANTAGES), (6,)),
    "entropy": (entropy, (6, 3)),
    "focal": (lambda logits: focal_loss(logits, torch.tensor([1.0, 0, 1, 0, 0]).double()).sum(), (5,)),
}


def surrogate(logits: Tensor) -> Tensor:
    """PPO's loss as a policy's logits change it, with ratios on both sides of the clip range."""
    return clipped_surrogate(log_likelihood(logits, ACTIONS), OLD, ADVANTAGES, 0.2).loss


def test_the_surrogate_is_looked_at_where_some_ratios_are_clipped_and_some_are_not() -> None:
    found = clipped_surrogate(log_likelihood(numbers(6, 3), ACTIONS), OLD, ADVANTAGES, 0.2)
    assert found.clip_fraction.item() == pytest.approx(2 / 6)


def test_the_detector_s_loss_has_the_gradient_that_differences_say() -> None:
    outputs = (0.5 * numbers(2, len(DETECTION.anchors), 4 + 3)).detach().requires_grad_()
    assert gradcheck(lambda given: DETECTION.loss(given, BOXES), outputs, fast_mode=True)


def test_the_loss_of_masked_words_has_the_gradient_that_differences_say() -> None:
    asked = torch.tensor([[3, NOT_ASKED, 1], [NOT_ASKED, 0, 2]])
    logits = numbers(2, 3, 5)
    assert gradcheck(lambda given: word_loss(given, asked), logits, eps=1e-2, atol=1e-4, rtol=1e-2)  # in float32 inside
    (gradient,) = torch.autograd.grad(word_loss(logits, asked), logits)
    assert not gradient[0, 1].any()
    assert gradient[0, 0].any()


def test_no_function_of_the_project_is_left_unchecked() -> None:
    modules = [import_module(f"{functions.__name__}.{found.name}") for found in iter_modules(functions.__path__)]
    defined = {
        thing.__name__
        for module in modules
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, torch.autograd.Function)
    }
    assert defined == {"LeanSiLU", "PerceptronCriterion"}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_has_the_gradient_and_the_second_derivative_that_differences_say(name: str) -> None:
    loss, shape = LOSSES[name]
    assert gradcheck(loss, numbers(*shape))
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
    assert gradcheck(lambda scores: perceptron_loss(scores, LABELS), numbers(5, 3), check_batched_grad=True)
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
