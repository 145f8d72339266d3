"""Products that torch's own counter has no formula for, and products in eight bits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchglass.instrumentation.work.call_shapes import plan_of
from torchglass.instrumentation.work.facts import formats_of
from torchglass.instrumentation.work.flops import Work, count_work
from torchglass.instrumentation.work.meta_copies import meta_copy


def work_of(model: nn.Module, *arguments: Tensor) -> Work:
    return count_work(meta_copy(model), plan_of(arguments), {}, device=torch.device("cpu"), pause_seconds=0)


ONE, MATRIX, BATCH = torch.zeros(3), torch.zeros(3, 4), torch.zeros(2, 3, 4)
INTEGERS = torch.zeros(32, 16, dtype=torch.int8), torch.zeros(16, 8, dtype=torch.int8)


@pytest.mark.parametrize(
    ("call", "tensors", "flops"),
    [
        (torch.mv, (MATRIX, torch.zeros(4)), 2 * 3 * 4),
        (torch.addmv, (ONE, MATRIX, torch.zeros(4)), 2 * 3 * 4),
        (Tensor.addmv_, (ONE, MATRIX, torch.zeros(4)), 2 * 3 * 4),
        (torch.dot, (ONE, ONE), 2 * 3),
        (torch.vdot, (ONE, ONE), 2 * 3),
        (torch.addr, (MATRIX, ONE, torch.zeros(4)), 2 * 3 * 4),
        (torch.addbmm, (torch.zeros(3, 5), BATCH, torch.zeros(2, 4, 5)), 2 * 2 * 3 * 4 * 5),
        (Tensor.addmm_, (torch.zeros(3, 5), MATRIX, torch.zeros(4, 5)), 2 * 3 * 4 * 5),
        (Tensor.baddbmm_, (torch.zeros(2, 3, 5), BATCH, torch.zeros(2, 4, 5)), 2 * 2 * 3 * 4 * 5),
        (torch._int_mm, INTEGERS, 2 * 32 * 16 * 8),
        (torch._addmm_activation, (torch.zeros(5), MATRIX, torch.zeros(4, 5)), 2 * 3 * 4 * 5),
    ],
)
def test_products_that_torch_has_no_formula_for_are_counted(call: Any, tensors: tuple[Tensor, ...], flops: int) -> None:
    class Called(nn.Module):
        def forward(self, *given: Tensor) -> Any:
            return call(*given)

    work = work_of(Called(), *tensors)
    assert work.flops("forward") == flops
    assert not work.unsupported


def in_eight_bits(one: Tensor, other: Tensor) -> Tensor:
    scale = torch.ones((), device=one.device)
    factors = one.contiguous().to(torch.float8_e4m3fn), other.t().contiguous().to(torch.float8_e4m3fn).t()
    return torch._scaled_mm(*factors, scale_a=scale, scale_b=scale, out_dtype=torch.bfloat16)


class EightBits(torch.autograd.Function):
    """A product in float8, both ways, as libraries for training in float8 write it."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        context.save_for_backward(inputs, weight)
        return in_eight_bits(inputs, weight.t())

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        inputs, weight = context.saved_tensors
        return in_eight_bits(gradients[0], weight), in_eight_bits(gradients[0].t(), inputs)


def test_scaled_products_run_in_the_format_of_their_factors_not_of_their_scales() -> None:
    class Layer(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            result: Tensor = EightBits.apply(inputs, self.weight)  # type: ignore[no-untyped-call]
            return result

    work = work_of(Layer(64, 32, bias=False), torch.zeros(16, 64))
    assert formats_of(work, "cuda") == {"float8": 3 * 2 * 16 * 64 * 32}
