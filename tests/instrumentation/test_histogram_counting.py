"""Exact counts in the store's bins, of one tensor and of many at a time, compared with numpy's over the bins' edges."""

from __future__ import annotations

import importlib.util
import math
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from torchglass.instrumentation.buffer import Deferred, Record
from torchglass.instrumentation.histograms import counting as histogram_counting
from torchglass.instrumentation.histograms.compiled import FETCH_SECONDS, Compiled
from torchglass.instrumentation.histograms.rows import from_keys, to_keys
from torchglass.instrumentation.histograms.sample import Histograms, count_by_torch, count_values, to_histogram
from torchglass.instrumentation.layers import copies
from torchglass.instrumentation.transfer import Transfer
from torchglass.store import Batch, Histogram
from torchglass.store.bins import BIN_COUNT, MAX_FLOAT32, NONFINITE_BIN, SIGN_BIN, bin_edges, number_line_order

MAX = MAX_FLOAT32


def counted(tensor: torch.Tensor) -> Histogram:
    """One tensor's histogram, which on the host and by plain torch calls, a GPU's way without Triton, is the same."""
    histogram = to_histogram(count_values(tensor).numpy(), 3, 4.5)
    other = to_histogram(count_by_torch(tensor).numpy(), 3, 4.5)
    assert (histogram.bins.tolist(), histogram.counts.tolist()) == (other.bins.tolist(), other.counts.tolist())
    assert replace(histogram, bins=other.bins, counts=other.counts) == other
    return histogram


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
        assert count_by_torch(torch.empty(7, 5, device="cuda", dtype=dtype)).shape == (BIN_COUNT + 6,)


def counted_together(tensors: Mapping[str, torch.Tensor]) -> dict[str, Histogram]:
    """What `Histograms` makes of tensors, by key; written twice, as after a failure of the store."""
    records: list[Record] = []
    Histograms(Transfer(), records.append).send(tensors, 3, 4.5)
    first, second = Batch(), Batch()
    for record in records:
        assert isinstance(record, Deferred)
        record.add_to(first)
        record.add_to(second)
    assert [block.key for block in first.histograms] == [block.key for block in second.histograms]
    return {block.key: block.histogram for block in second.histograms}


def assert_same(found: Histogram, tensor: torch.Tensor) -> None:
    """Compare with the slow, readable way: each value by itself."""
    values = tensor.detach().double().reshape(-1).numpy()
    finite = values[np.isfinite(values)]
    assert dict(zip(found.bins.tolist(), found.counts.tolist(), strict=True)) == numpy_counts(values)
    assert found.zero_count == int((values == 0).sum())
    assert found.nan_count == int(np.isnan(values).sum())
    assert found.positive_infinity_count == int((values == np.inf).sum())
    assert found.negative_infinity_count == int((values == -np.inf).sum())
    assert found.minimum == (finite.min() if finite.size else None)
    assert found.maximum == (finite.max() if finite.size else None)
    assert (found.step, found.time, found.count) == (3, 4.5, tensor.numel())


@pytest.fixture(params=["numpy", "compiled"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way of counting in turn; both are judged by the same tests."""
    compiled = Compiled()
    if request.param == "compiled":
        pytest.importorskip("numba", reason="numba is not installed: it comes with the extra for explanations")
        compiled.fetch()
        assert compiled.loop is not None, compiled.why_not
    else:
        compiled.why_not = "left out by the test"
    monkeypatch.setattr(histogram_counting, "COMPILED", compiled)
    return str(request.param)


def awkward() -> dict[str, torch.Tensor]:
    """Tensors of every kind and size, in an order in which small and large, narrow and wide ones take turns."""
    generator = torch.Generator().manual_seed(7)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    special = torch.tensor([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-41, -1e-42, MAX, -MAX, 1.0])
    return {
        "scalar": torch.tensor(-2.5),
        "special": special,
        "large": normal(300, 400) * 1e-3,
        "zeros": torch.zeros(33),
        "negative zeros": torch.full((5,), -0.0),
        "special in large": torch.cat([normal(70_000), special, normal(70_000).relu()]),
        "bfloat16": normal(50, 3).bfloat16(),
        "large bfloat16": normal(40_000).bfloat16(),
        "float16": torch.tensor([65504.0, -6e-8, math.inf]).half(),
        "float64": normal(9).double() * 1e-30,
        "transposed": normal(64, 32).t(),
        "large transposed": normal(200, 300).t(),
        "large, channels last": normal(4, 64, 16, 16).contiguous(memory_format=torch.channels_last),
        "nothing finite": torch.tensor([math.nan, -math.inf]),
        "parameter": torch.nn.Parameter(normal(4, 4)),
        "empty": torch.empty(0, 3),
        "after the empty one": normal(17),
    }


@pytest.mark.usefixtures("way")
def test_of_many_tensors_each_is_counted_as_if_alone() -> None:
    tensors = awkward()
    found = counted_together(tensors)
    assert set(found) == set(tensors) - {"empty"}
    for key, histogram in found.items():
        assert_same(histogram, tensors[key])


@pytest.mark.usefixtures("way")
def test_packs_and_pieces_end_anywhere_without_a_value_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (copies, "SMALL_VALUES", 40),
        (histogram_counting, "PACK_VALUES", 50),
        (histogram_counting, "PACK_ROWS", 3),
        (histogram_counting, "PIECE_VALUES", 64),
    ):
        monkeypatch.setattr(module, name, value)
    generator = torch.Generator().manual_seed(8)
    sizes = [1, 2, 3, 4, 40, 10, 41, 63, 64, 65, 128, 129, 1000, 39, 12, 50, 1, 1, 1, 1]
    tensors = {f"{index}": torch.randn(size, generator=generator) for index, size in enumerate(sizes)}
    for key, histogram in counted_together(tensors).items():
        assert_same(histogram, tensors[key])


def test_beyond_what_may_be_copied_small_tensors_are_counted_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "MAX_COPIED_BYTES", 100)
    tensors = {f"{index}": torch.arange(20.0) - index for index in range(5)}
    for key, histogram in counted_together(tensors).items():
        assert_same(histogram, tensors[key])


@pytest.mark.usefixtures("way")
def test_a_second_thread_takes_turns_at_large_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histogram_counting, "SHARED_VALUES", 1)
    monkeypatch.setattr(histogram_counting, "PIECE_VALUES", 1000)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    tensors = {f"{seed}": torch.randn(50_000 + seed, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)}
    for key, histogram in counted_together(tensors).items():
        assert_same(histogram, tensors[key])


def test_what_happens_to_a_small_tensor_after_it_was_sent_changes_nothing() -> None:
    records: list[Record] = []
    tensor = torch.ones(5)
    Histograms(Transfer(), records.append).send({"weights": tensor}, 0, 0.0)
    tensor.fill_(7.0)
    batch = Batch()
    for record in records:
        assert isinstance(record, Deferred)
        assert record.held_bytes >= 20
        record.add_to(batch)
    assert [block.histogram.maximum for block in batch.histograms] == [1.0]


def test_keys_of_floats_are_ordered_as_the_floats_are() -> None:
    values = np.array([-np.inf, -MAX, -1.0, -1e-45, -0.0, 0.0, 1e-45, 2.0**-126, 1.0, MAX, np.inf], np.float32)
    keys = to_keys(values)
    assert (np.diff(keys.astype(np.int64)) > 0).all()
    assert from_keys(keys).tobytes() == values.tobytes()


def test_the_compiled_loop_is_fetched_once_numpy_has_cost_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(Compiled, "fetch", lambda self: fetched.append(threading.current_thread().name))
    compiled = Compiled()
    compiled.why_not = ""
    for _ in range(3):
        compiled.earn(0.4 * FETCH_SECONDS)
        compiled.settle()
    assert fetched == ["torchglass-compiling"]
    compiled.earn(FETCH_SECONDS)
    compiled.settle()
    assert len(fetched) == 1


def test_without_numba_nothing_is_fetched_and_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    compiled = Compiled()
    compiled.earn(10 * FETCH_SECONDS)
    compiled.settle()
    monkeypatch.setattr(histogram_counting, "COMPILED", compiled)
    assert histogram_counting.way() == "numpy.bincount (numba is not installed)"


def test_a_numba_that_fails_leaves_numpy_at_work_and_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    compiled = Compiled()
    compiled.fetch()
    assert compiled.loop is None
    monkeypatch.setattr(histogram_counting, "COMPILED", compiled)
    assert histogram_counting.way().startswith("numpy.bincount (numba failed: ModuleNotFoundError")
    assert_same(counted_together({"a": torch.tensor([1.0, -2.0])})["a"], torch.tensor([1.0, -2.0]))
