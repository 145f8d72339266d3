"""Norms and update ratios of many parameters at once, compared with one norm at a time in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from torchglass.instrumentation.layers.norms import CopiedSample, FusedSample, Norms, fused_norms, row_of, segment_norms


def moving(dtype: torch.dtype) -> tuple[list[nn.Parameter], list[torch.Tensor], list[torch.Tensor]]:
    """Parameters, by how much a step will move them, and their gradients, which not all have."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    shapes = [(3, 4), (5,), (2, 3, 2), (1,), (40, 30)]
    parameters = [nn.Parameter(normal(*shape)) for shape in shapes]
    parameters[2] = nn.Parameter(normal(4, 6).t())
    moves = [normal(*parameter.shape) * 0.01 for parameter in parameters]
    gradients = [normal(*parameter.shape) for parameter in parameters]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    parameters[1].grad = None
    parameters[3].grad = torch.ones(1, dtype=dtype).to_sparse()
    return parameters, moves, gradients


def expected(tensor: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor.detach().to(torch.complex128)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64])
@pytest.mark.parametrize("way", ["copied", "fused"])
@torch.no_grad()
def test_norms_of_all_parameters_are_those_of_each(dtype: torch.dtype, way: str) -> None:
    parameters, moves, gradients = moving(dtype)
    before = [parameter.clone() for parameter in parameters]
    names = tuple("abcde")
    scale = torch.tensor(4.0)
    if way == "copied":
        copied = CopiedSample(names, parameters, scale)
        for parameter, move in zip(parameters, moves, strict=True):
            parameter.add_(move)
        copied.end()
        for parameter in parameters:
            parameter.zero_()  # the loop goes on before anybody computes
        found = copied.norms()
    else:
        fused = FusedSample(names, parameters, scale)
        for parameter, move in zip(parameters, moves, strict=True):
            parameter.add_(move)
        arrived = fused.end().numpy()
        assert arrived.shape == (fused.size,)
        found = fused.norms(arrived)
    after = [was + move for was, move in zip(before, moves, strict=True)]
    assert found.with_gradient.tolist() == [0, 2, 4]
    assert found.gradient.tolist() == pytest.approx([expected(gradients[i]) / 4 for i in (0, 2, 4)], rel=1e-6)
    assert found.before.tolist() == pytest.approx([expected(each) for each in before], rel=1e-6)
    assert found.after.tolist() == pytest.approx([expected(each) for each in after], rel=1e-6)
    differences = [now - was for now, was in zip(after, before, strict=True)]
    assert found.moved.tolist() == pytest.approx([expected(each) for each in differences], rel=1e-2)


def test_a_norm_whose_squares_leave_the_range_of_float32_is_right_all_the_same() -> None:
    values = np.array([3e30, 4e30, 3e-30, 4e-30, 0, 0, 3, 4, np.nan, 1, np.inf, 1], np.float32)
    norms = segment_norms(values, np.full(6, 2))
    assert norms[:4].tolist() == pytest.approx([5e30, 5e-30, 0.0, 5.0], rel=1e-6)
    assert np.isnan(norms[4])
    assert norms[5] == np.inf


def test_norms_of_sixteen_bits_neither_overflow_nor_round_to_sixteen_bits() -> None:
    assert fused_norms([torch.full((4,), 60000.0, dtype=torch.float16)]).tolist() == [120000]
    assert fused_norms([torch.full((3,), 1.0, dtype=torch.bfloat16)]).tolist() == pytest.approx([3**0.5], rel=1e-7)
    assert fused_norms([torch.full((2,), 1e100, dtype=torch.float64)]).tolist() == [pytest.approx(2**0.5 * 1e100)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
def test_norms_on_a_gpu_ask_the_device_for_no_value(dtype: torch.dtype) -> None:
    # A fake tensor has no values: item(), a branch on a value or a size that depends on one would raise.
    with FakeTensorMode(), torch.no_grad():
        parameters = [nn.Parameter(torch.empty(shape, device="cuda", dtype=dtype)) for shape in ((7, 5), (3,))]
        parameters[0].grad = torch.empty_like(parameters[0])
        sample = FusedSample(("a", "b"), parameters, torch.empty((), device="cuda"))
        there = sample.end()
    assert (there.shape, there.device.type) == ((sample.size,), "cuda")


def test_one_row_holds_everything_and_leaves_out_what_does_not_exist() -> None:
    first = Norms(("a", "b"), np.array([1]), np.array([7.0]), np.array([0.0, 2.0]), np.array([1.0, 3.0]), np.ones(2))
    second = Norms(("c",), np.array([0]), np.array([9.0]), np.array([4.0]), np.array([5.0]), np.array([0.5]))
    row = row_of([first, second], step=3, time=4.5)
    found = {column.key: value for column, value in zip(row.columns, row.values[0].tolist(), strict=True)}
    assert found == {
        "layers/b/gradient_norm": 7.0,
        "layers/c/gradient_norm": 9.0,
        "layers/a/weight_norm": 1.0,
        "layers/b/weight_norm": 3.0,
        "layers/c/weight_norm": 5.0,
        "layers/b/update_ratio": 0.5,  # a was zero before: there is no ratio
        "layers/c/update_ratio": 0.125,
    }
    assert {column.kind for column in row.columns} == {"layer"}
    assert (row.steps.tolist(), row.times.tolist()) == ([3], [4.5])
    assert row_of([first, second], step=4, time=5.0).columns is row.columns
