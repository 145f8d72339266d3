"""The time line: each bin's share against a slow twin, slices exactly where they are, and nothing lost in between."""

from __future__ import annotations

import numpy as np
import pytest
from profiled import cpu_window, gpu_window, long_window

from torchglass.charts.timeline import TimelineData, busy_data, slices_between, timeline_data, timeline_figure

GPU = timeline_data(gpu_window().tables)


def slowly(data: TimelineData, first: float, last: float, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Share of each bin and the name that took most of it, slice by slice and bin by bin."""
    edges = np.linspace(first, last, bins + 1)
    share = np.zeros((len(data.rows), bins))
    name = np.full(share.shape, -1)
    for number, row in enumerate(data.rows):
        for bin_number in range(bins):
            most = 0.0
            for place in range(row.first, row.last):
                low, high = max(edges[bin_number], data.start_ns[place]), min(edges[bin_number + 1], data.end_ns[place])
                if high > low:
                    share[number, bin_number] += (high - low) / (edges[1] - edges[0])
                    if high - low > most:
                        most, name[number, bin_number] = high - low, data.name[place]
    return share, name


@pytest.mark.parametrize(("first", "last", "bins"), [(0, 36e6, 60), (2.1e6, 9.7e6, 37), (30e6, 31e6, 1)])
def test_bins_are_as_busy_as_their_slices(first: float, last: float, bins: int) -> None:
    busy = busy_data(GPU, first, last, bins)
    share, name = slowly(GPU, first, last, bins)
    np.testing.assert_allclose(busy.share, share, atol=1e-9)
    clear = share > 0
    assert ((busy.name >= 0) == clear).all()
    assert (busy.name == name).mean() > 0.97  # the rest are ties


def test_time_is_conserved_in_a_map_of_a_hundred_thousand_slices() -> None:
    data = timeline_data(long_window(100_000).tables)
    busy = busy_data(data, 0, data.span_ns, 777)
    width = busy.edges_ns[1] - busy.edges_ns[0]
    for number, row in enumerate(data.rows):
        covered = float((data.end_ns - data.start_ns)[row.first : row.last].sum())
        assert float(busy.share[number].sum()) * width == pytest.approx(covered, rel=1e-6)


def test_rows_hold_slices_of_one_lane_and_depth_that_do_not_overlap() -> None:
    for row in GPU.rows:
        assert (GPU.start_ns[row.first + 1 : row.last] >= GPU.end_ns[row.first : row.last - 1]).all()
    assert [title for title, _ in GPU.lanes] == [
        "thread 4242 (training)",
        "thread 4301 (autograd)",
        "stream 7",
        "stream 20 (NCCL)",
        "stream 22",
    ]
    assert sum(row.last - row.first for row in GPU.rows) == len(GPU.start_ns)


def test_a_stretch_has_each_slice_that_reaches_into_it() -> None:
    first, last = 2.05e6, 2.95e6
    found = {place for _, low, high in slices_between(GPU, first, last) for place in range(low, high)}
    inside = np.flatnonzero((GPU.end_ns > first) & (GPU.start_ns < last))
    assert found == set(inside.tolist())


def test_a_window_without_slices_is_an_empty_time_line() -> None:
    empty = timeline_data({})
    assert (empty.rows, empty.span_ns) == ((), 0)
    assert "Nothing recorded" in timeline_figure(empty).layout.annotations[0].text
    assert busy_data(empty, 0, 1, 10).share.shape == (0, 10)


def test_the_figure_has_a_row_for_each_lane() -> None:
    figure = timeline_figure(timeline_data(cpu_window().tables))
    assert figure.data[0].z.shape[0] == 1
    assert "training" in figure.layout.yaxis.ticktext[0]
    assert int(figure.data[0].z.max()) == 100
