"""Norms, update ratios and histograms, compared with what numpy makes of the same tensors."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from training import Small, batches, read, recorded, seeded, train_step

import torchglass
from torchglass.instrumentation.histograms import count_values, to_histogram
from torchglass.instrumentation.layers import LayerStatistics, _norms, select_parameters
from torchglass.instrumentation.transfer import Transfer
from torchglass.store import Histogram
from torchglass.store.bins import BIN_COUNT, MAX_FLOAT32, NONFINITE_BIN, SIGN_BIN, bin_edges, number_line_order

MAX = MAX_FLOAT32


def counted(tensor: torch.Tensor) -> Histogram:
    return to_histogram(count_values(tensor).numpy(), 3, 4.5)


def numpy_counts(values: npt.NDArray[np.float64]) -> dict[int, int]:
    """Counts by numpy over the edges on the number line; zeros are taken out by hand."""
    finite = np.array([b for b in range(BIN_COUNT) if b % SIGN_BIN < NONFINITE_BIN])
    ordered = finite[np.argsort(number_line_order(finite))]
    low, high = bin_edges(ordered)
    edges = np.append(low, high[-1])
    chosen = values[np.isfinite(values) & (values != 0)].astype(np.float32).astype(np.float64)
    # Bins of negative numbers are closed at the other end: count those as the mirror image that they are.
    positive, _ = np.histogram(chosen[chosen > 0], edges)
    mirrored, _ = np.histogram(-chosen[chosen < 0], edges)
    mirror = {index: SIGN_BIN + index for index in range(NONFINITE_BIN)}
    found = {int(b): int(n) for b, n in zip(ordered, positive, strict=True) if n}
    found |= {mirror[int(b)]: int(n) for b, n in zip(ordered, mirrored, strict=True) if n}
    return found


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(3, 1000, generator=torch.Generator().manual_seed(0)),
        torch.randn(2000, generator=torch.Generator().manual_seed(1)).double() * 1e-3,
        torch.randn(2000, generator=torch.Generator().manual_seed(2)).bfloat16(),
        torch.randn(2000, generator=torch.Generator().manual_seed(3)).half(),
        torch.tensor([3.14]),
        torch.tensor(-0.5),
        torch.tensor([2.0**-149, -(2.0**-149), 2.0**-126, 1e-40, -1e-41]),
        torch.tensor([1.0, -1.0, 1.25, -1.25, 2.0, -2.0, MAX, -MAX]),
        torch.zeros(5),
        torch.randn(40, 50, generator=torch.Generator().manual_seed(4)).t()[::3],
    ],
    ids=["float32", "float64", "bfloat16", "float16", "one", "scalar", "denormal", "edges", "zeros", "strided"],
)
def test_counts_equal_numpys_over_the_edges_of_the_bins(tensor: torch.Tensor) -> None:
    values = tensor.double().numpy().reshape(-1)
    histogram = counted(tensor)
    assert dict(zip(histogram.bins.tolist(), histogram.counts.tolist(), strict=True)) == numpy_counts(values)
    assert histogram.count == tensor.numel()
    assert histogram.zero_count == int((values == 0).sum())
    assert (histogram.minimum, histogram.maximum) == (values.min(), values.max())
    assert (histogram.step, histogram.time) == (3, 4.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_nan_both_infinities_and_both_zeros_are_counted_apart(dtype: torch.dtype) -> None:
    special = [math.nan] * 2 + [math.inf] * 3 + [-math.inf] * 4 + [0.0] * 5 + [-0.0] * 6 + [1.0, -1.0]
    histogram = counted(torch.tensor(special, dtype=dtype))
    assert (histogram.nan_count, histogram.zero_count) == (2, 11)
    assert (histogram.positive_infinity_count, histogram.negative_infinity_count) == (3, 4)
    assert histogram.counts.tolist() == [1, 1]
    assert (histogram.minimum, histogram.maximum, histogram.count) == (-1.0, 1.0, 22)


def test_nan_of_every_sign_and_payload_is_nan() -> None:
    patterns = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF, 0x7FA00000], np.uint32)
    histogram = counted(torch.from_numpy(patterns.view(np.float32)))
    assert (histogram.nan_count, histogram.count, len(histogram.bins)) == (5, 5, 0)
    assert (histogram.minimum, histogram.maximum) == (None, None)


def test_a_finite_float64_beyond_float32_is_not_taken_for_infinity() -> None:
    histogram = counted(torch.tensor([1e300, -1e300, math.inf], dtype=torch.float64))
    assert (histogram.positive_infinity_count, histogram.negative_infinity_count) == (1, 0)
    assert histogram.bins.tolist() == [NONFINITE_BIN - 1, SIGN_BIN + NONFINITE_BIN - 1]
    assert (histogram.minimum, histogram.maximum) == (-1e300, 1e300)


def test_both_parts_of_a_complex_number_are_counted() -> None:
    histogram = counted(torch.tensor([1 + 2j, 0 - 2j]))
    assert (histogram.count, histogram.zero_count, histogram.minimum, histogram.maximum) == (4, 1, -2.0, 2.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
def test_counting_on_a_gpu_asks_the_device_for_no_value(dtype: torch.dtype) -> None:
    # A fake tensor has no values: item(), a branch on a value or a size that depends on one would raise.
    with FakeTensorMode():
        tensors = [torch.empty(7, 5, device="cuda", dtype=dtype), torch.empty(3, device="cuda", dtype=dtype)]
        assert count_values(tensors[0]).shape == (BIN_COUNT + 6,)
        norms = _norms(tensors)
        assert (norms.shape, norms.device.type) == ((2,), "cuda")


def test_norms_and_the_update_ratio_equal_those_computed_by_hand(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, 4.0]]))
        model.bias.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=1):
        # The loss is 6 w1 + 8 w2 + b: gradients (6, 8) and 1; weights go to (0, 0), the bias to -0.5.
        model(torch.tensor([[6.0, 8.0]])).sum().backward()
        optimizer.step()
    found = {
        name: recorded(tmp_path / "s.db", f"layers/{name}")
        for parameter in ("weight", "bias")
        for name in (f"{parameter}/gradient_norm", f"{parameter}/weight_norm", f"{parameter}/update_ratio")
    }
    assert found == {
        "weight/gradient_norm": {0: 10.0},
        "weight/weight_norm": {0: 0.0},
        "weight/update_ratio": {0: 1.0},  # moved by 5 from a norm of 5
        "bias/gradient_norm": {0: 1.0},
        "bias/weight_norm": {0: 0.5},
        "bias/update_ratio": {},  # it was zero: there is no ratio
    }


def test_norms_of_sixteen_bits_neither_overflow_nor_round_to_sixteen_bits() -> None:
    tensors = [torch.full((4,), 60000.0, dtype=torch.float16), torch.full((3,), 1.0, dtype=torch.bfloat16)]
    assert _norms([*tensors, torch.tensor([3.0, 4.0])]).tolist() == pytest.approx([120000, 3**0.5, 5], rel=1e-7)
    assert _norms([torch.full((2,), 1e100, dtype=torch.float64)]).tolist() == [pytest.approx(2**0.5 * 1e100)]


def test_statistics_come_at_their_cadence_and_not_in_between(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=3, histograms=4):
        for inputs in batches(9):
            train_step(model, optimizer, inputs)
    store, run = read(tmp_path / "s.db")
    for quantity in ("gradient_norm", "weight_norm", "update_ratio"):
        assert list(recorded(tmp_path / "s.db", f"layers/first.weight/{quantity}")) == [0, 3, 6]
    for key in ("weights/second.bias", "gradients/second.bias"):
        assert [each.step for each in store.histograms(run.id, key)] == [0, 4, 8]
    spent = recorded(tmp_path / "s.db", "phase/torchglass")
    assert [step for step, seconds in spent.items() if seconds > 0] == [0, 3, 4, 6, 8]


def test_histograms_hold_the_gradient_before_and_the_weights_after_the_update(tmp_path: Path) -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, histograms=1):
        model(torch.full((1, 1), 8.0)).sum().backward()
        optimizer.step()
    store, run = read(tmp_path / "s.db")
    assert [each.maximum for each in store.histograms(run.id, "gradients/weight")] == [8.0]
    assert [each.maximum for each in store.histograms(run.id, "weights/weight")] == [-3.0]


def test_patterns_choose_parameters_and_wrappers_prefixes_are_left_out() -> None:
    model = Small()
    model.second.bias.requires_grad_(False)
    names = ["first.weight", "first.bias", "second.weight"]
    assert list(select_parameters(model, None, ())) == names
    assert list(select_parameters(model, ["first.*"], ["*.bias"])) == ["first.weight"]
    assert list(select_parameters(nn.Sequential(model), ["0.second*"], ())) == ["0.second.weight"]

    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = model

    assert list(select_parameters(Wrapper(), None, ())) == names


def test_odd_parameters_do_no_harm(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.empty = nn.Parameter(torch.empty(0, 3))
            self.unused = nn.Parameter(torch.ones(2))
            self.complex = nn.Parameter(torch.ones(2, dtype=torch.complex64))
            self.table = nn.Embedding(4, 2, sparse=True)
            self.wide = nn.Parameter(torch.ones(2, dtype=torch.float64))

        def forward(self) -> torch.Tensor:
            total: torch.Tensor = self.complex.abs().sum() + self.table(torch.tensor([1])).sum() + self.empty.sum()
            return total + self.wide.sum()

    model = Odd()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=1, histograms=1):
        for _ in range(2):
            optimizer.zero_grad()
            model().backward()
            optimizer.step()
    store, run = read(tmp_path / "s.db")
    assert "weights/empty" not in store.histogram_keys(run.id)
    assert "gradients/table.weight" not in store.histogram_keys(run.id)
    assert list(recorded(tmp_path / "s.db", "layers/table.weight/weight_norm")) == [0, 1]
    assert recorded(tmp_path / "s.db", "layers/unused/gradient_norm") == {}
    assert recorded(tmp_path / "s.db", "layers/complex/weight_norm")[1] > 0
    assert not [fact for fact in store.facts(run.id) if fact.key.startswith("warnings")]


def test_nan_gradients_are_recorded_as_nan_and_counted(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=1, histograms=1):
        train_step(model, optimizer, torch.full((2, 4), torch.nan))
    store, run = read(tmp_path / "s.db")
    assert math.isnan(recorded(tmp_path / "s.db", "layers/second.bias/gradient_norm")[0])
    (histogram,) = store.histograms(run.id, "gradients/second.bias")
    assert (histogram.nan_count, histogram.count) == (2, 2)


def test_an_optimizer_that_reads_no_gradient_at_all_yields_weights_alone() -> None:
    rows: list[object] = []
    statistics = LayerStatistics(dict(Small().named_parameters()), Transfer(), rows.append)
    statistics.read_gradients(0, 0.0, norms=True, histograms=True)
    assert rows == []
    statistics.read_weights(0, 0.0, norms=True, histograms=False)
    assert len(rows) == 2
