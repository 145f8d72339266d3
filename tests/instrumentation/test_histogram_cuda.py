"""The GPU's kernel, run value by value by Triton's interpreter on the host, and compiled for a GPU that is not here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from training import child, end_of

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed: it comes with torch for CUDA"
)

INTERPRETED = """
import math, torch
from torchglass.instrumentation.histograms.cuda import count_fused
from torchglass.instrumentation.histograms.rows import to_histograms
from torchglass.instrumentation.histograms.sample import count_by_torch, to_histogram
torch.manual_seed(0)
special = torch.tensor([math.nan, math.inf, math.inf, -math.inf, 0.0, -0.0, 1e-41, -1e-42, 3.4e38, -3.4e38])
tensors = [
    torch.randn(300), torch.randn(70_000) * 1e-3, torch.tensor(-2.5), torch.zeros(5000), torch.full((5,), -0.0),
    special, torch.cat([torch.randn(65_530), special, torch.randn(9).relu()]), torch.full((3,), math.nan),
    torch.tensor([0xFFFFFFFF, 0x7F800001], dtype=torch.uint32).view(torch.float32), torch.randn(40, 50).t(),
    torch.randn(70_000).bfloat16(), special.bfloat16(), torch.randn(37).half(), special.half(),
]
for number, (found, tensor) in enumerate(zip(to_histograms(count_fused(tensors).numpy(), 3, 4.5), tensors)):
    expected = to_histogram(count_by_torch(tensor).numpy(), 3, 4.5)
    assert found.bins.tolist() == expected.bins.tolist(), number
    assert found.counts.tolist() == expected.counts.tolist(), number
    assert (found.zero_count, found.nan_count) == (expected.zero_count, expected.nan_count), number
    assert found.positive_infinity_count == expected.positive_infinity_count, number
    assert found.negative_infinity_count == expected.negative_infinity_count, number
    assert (found.minimum, found.maximum, found.count) == (expected.minimum, expected.maximum, tensor.numel()), number
"""

COMPILED = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from torchglass.instrumentation.histograms import cuda as kernel
names = dict.fromkeys(("addresses", "sizes", "rows_of", "firsts"), "*i64")
constants = dict.fromkeys(("KIND", "BLOCK", "PROGRAM"), "constexpr")
for kind in kernel.KINDS.values():
    source = ASTSource(
        fn=kernel.count,
        signature=names | {"rows": "*i32"} | constants,
        constexprs={"KIND": kind, "BLOCK": kernel.BLOCK_VALUES, "PROGRAM": kernel.PROGRAM_VALUES},
    )
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": kernel.WARPS})
    assert made.metadata.shared <= 48 * 1024  # bytes that every GPU has for a program
"""


def test_the_kernel_counts_what_the_plain_way_counts(tmp_path: Path) -> None:
    code, _, errors = end_of(child(INTERPRETED, tmp_path, TRITON_INTERPRET="1"))
    assert code == 0, errors


def test_the_kernel_compiles_for_a_gpu(tmp_path: Path) -> None:
    code, _, errors = end_of(child(COMPILED, tmp_path, TRITON_CACHE_DIR=str(tmp_path)))
    assert code == 0, errors
