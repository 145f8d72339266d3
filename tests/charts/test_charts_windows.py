"""Tables of windows: added up without losing a second, ranked, and with what is not known left out and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from profiled import KERNELS, STEPS, cpu_window, gpu_window

from torchglass.charts.breakdown import PARTS, breakdown_data, breakdown_figure
from torchglass.charts.honesty import honesty_data, remarks
from torchglass.charts.icicle import IcicleData, icicle_data, icicle_figure, sides_of
from torchglass.charts.idle import idle_data, idle_figure
from torchglass.charts.listings import (
    Listing,
    collectives_listing,
    copies_listing,
    gaps_listing,
    kernels_listing,
    launches_listing,
    operators_listing,
    tensor_core_percent,
)
from torchglass.charts.windows import added_tables, missing_reasons
from torchglass.store.records import Table

ONE = gpu_window(250)
OTHER = gpu_window(500, scale=2.0, slowdown=1.4)
BOTH = added_tables([ONE.tables, OTHER.tables])


def values(listing: Listing, title: str) -> tuple[object, ...]:
    return next(field.values for field in listing.fields if field.title == title)


def links(*rows: tuple[str, str, str, str, int, float]) -> Table:
    names = ("phase", "module", "operator", "kernel", "calls", "seconds")
    return {name: np.array([row[place] for row in rows]) for place, name in enumerate(names)}


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("kernels", "seconds"),
        ("kernels", "calls"),
        ("operators", "total_seconds"),
        ("links", "seconds"),
        ("copies", "bytes"),
        ("idle", "seconds"),
        ("breakdown", "idle_seconds"),
        ("phases", "seconds"),
        ("collectives", "exposed_seconds"),
        ("launches", "host_seconds"),
    ],
)
def test_adding_windows_up_loses_nothing(table: str, column: str) -> None:
    whole = ONE.tables[table][column].sum() + OTHER.tables[table][column].sum()
    assert BOTH[table][column].sum() == pytest.approx(whole)
    assert len(BOTH[table][column]) == len(ONE.tables[table][column])


def test_extremes_stay_extremes_and_means_are_weighted() -> None:
    first = {
        "name": np.array(["k", "k"]),
        "device": np.array([0, 1]),
        "calls": np.array([1, 1]),
        "seconds": np.array([3.0, 1.0]),
        "shortest_seconds": np.array([0.5, 0.1]),
        "longest_seconds": np.array([2.0, 0.9]),
        "occupancy_percent": np.array([40.0, np.nan]),
    }
    second = first | {
        "seconds": np.array([1.0, 1.0]),
        "longest_seconds": np.array([0.7, 4.0]),
        "occupancy_percent": np.array([80.0, np.nan]),
    }
    added = added_tables([{"kernels": first}, {"kernels": second}])["kernels"]
    assert added["device"].tolist() == [0, 1]
    assert added["shortest_seconds"].tolist() == [0.5, 0.1]
    assert added["longest_seconds"].tolist() == [2.0, 4.0]
    assert added["occupancy_percent"][0] == pytest.approx((40 * 3 + 80) / 4)
    assert np.isnan(added["occupancy_percent"][1])


def test_gaps_of_several_windows_are_the_longest_of_all() -> None:
    assert BOTH["gaps"]["seconds"].tolist() == sorted(BOTH["gaps"]["seconds"].tolist(), reverse=True)
    assert len(BOTH["gaps"]["seconds"]) == 4


def test_the_parts_of_a_breakdown_add_up_to_the_window() -> None:
    data = breakdown_data(BOTH["breakdown"])
    assert data.devices == ("GPU 0",)
    assert data.seconds.sum() == pytest.approx(data.total)
    assert data.total == pytest.approx(ONE.wall_seconds + OTHER.wall_seconds, rel=1e-4)
    figure = breakdown_figure(data)
    assert len(figure.data) == len(PARTS)
    assert sum(float(bar.x[0]) for bar in figure.data) == pytest.approx(1e3 * data.total)


def test_nothing_measured_is_no_breakdown() -> None:
    assert breakdown_data(None).devices == ()
    assert "Nothing recorded" in breakdown_figure(breakdown_data(None)).layout.annotations[0].text


def test_an_icicle_conserves_time_at_every_level() -> None:
    data = icicle_data(ONE.tables["links"])
    kernels = ONE.tables["kernels"]["seconds"].sum()
    for level in range(5):
        assert sum(node.seconds for node in data.nodes if node.level == level) == pytest.approx(kernels)
    assert data.hidden == 0


def test_a_pruned_icicle_says_how_many_it_hides_and_loses_no_time() -> None:
    rows = [("forward", f"m{place}", "aten::mm", f"k{place}", 1, 1.0 + place) for place in range(100)]
    data = icicle_data(links(*rows), most_nodes=32)
    # Root, phase and then the longest ten modules with their operator and kernel.
    assert [node.name for node in data.nodes if node.level == 2 and not node.hidden] == [
        f"m{99 - n}" for n in range(10)
    ]
    (rest,) = [node for node in data.nodes if node.hidden]
    assert (rest.hidden, rest.level, rest.calls) == (90, 2, 90)
    assert rest.seconds == pytest.approx(sum(1.0 + place for place in range(90)))
    assert sum(node.seconds for node in data.nodes if node.level == 2) == pytest.approx(data.nodes[0].seconds)
    assert data.hidden == 270
    assert "90 more" in icicle_figure(data).data[0].labels


def test_no_parent_is_drawn_smaller_than_its_children() -> None:
    generator = np.random.default_rng(0)
    rows = [
        ("backward", "m", f"op{place}", f"k{place}", 1, float(value))
        for place, value in enumerate(generator.random(500))
    ]
    drawn = icicle_figure(icicle_data(links(*rows)), steps=7).data[0]
    sums = np.zeros(len(drawn.ids))
    for parent, value in zip(drawn.parents, drawn.values, strict=True):
        if parent:
            sums[int(parent)] += value
    assert (np.asarray(drawn.values) >= sums).all()


def test_host_time_has_a_tree_of_its_own() -> None:
    both = links(("forward", "m", "mm", "k", 1, 2.0), ("forward", "m", "mm", "", 1, 0.5))
    assert sides_of(both) == ("device", "host")
    assert icicle_data(both, "host").nodes[0].seconds == 0.5
    assert max(node.level for node in icicle_data(both, "host").nodes) == 3
    assert sides_of(cpu_window().tables["links"]) == ("host",)
    assert sides_of(None) == ()
    assert icicle_data(None) == IcicleData((), "device", 0)


def test_idle_time_is_sorted_by_stream_with_its_causes() -> None:
    data = idle_data(BOTH["idle"], most=1)
    assert (data.streams, data.left_out) == (("GPU 0, stream 20",), 1)
    assert data.seconds.sum() == pytest.approx(0.036)
    figure = idle_figure(idle_data(ONE.tables["idle"]), steps=STEPS)
    assert [trace.name for trace in figure.data] == ["host wait", "launch latency", "other"]
    assert float(figure.data[0].x[1]) == pytest.approx(6.1 / 3)


def test_kernels_are_listed_by_time_with_their_tensor_cores() -> None:
    table = ONE.tables["kernels"]
    listing = kernels_listing(table, steps=STEPS, most=3)
    assert values(listing, "Kernel")[0] == KERNELS["aten::addmm"][0]
    assert values(listing, "Tensor cores")[:2] == ("yes", "")
    assert listing.left_out == len(table["name"]) - 3
    assert values(listing, "Time a step")[1] == pytest.approx(1.4e-3)
    core, missed = tensor_core_percent(table)
    on_cores = [
        float(seconds)
        for name, seconds in zip(table["name"], table["seconds"], strict=True)
        if dict(KERNELS.values()).get(str(name))
    ]
    assert core == pytest.approx(100 * sum(on_cores) / table["seconds"].sum())
    assert missed == 0
    assert tensor_core_percent(None) == (None, None)


def test_a_column_that_nobody_knows_is_named_and_not_shown_as_zero() -> None:
    table = dict(ONE.tables["kernels"]) | {"occupancy_percent": np.full(6, np.nan)}
    listing = kernels_listing(table, steps=1, most=9)
    assert "Occupancy" not in [field.title for field in listing.fields]
    assert listing.unknown == ("Occupancy",)
    half = table | {"occupancy_percent": np.array([np.nan, 50, 50, 50, 50, 50])}
    assert None in values(kernels_listing(half, steps=1, most=9), "Occupancy")


def test_operators_without_a_gpu_are_listed_by_their_own_time() -> None:
    listing = operators_listing(cpu_window().tables["operators"], steps=STEPS, most=9)
    assert [field.title for field in listing.fields] == [
        "Operator",
        "Share",
        "Host, own",
        "Host, total",
        "Calls a step",
    ]
    own = values(listing, "Host, own")
    assert list(own) == sorted(own, reverse=True)  # type: ignore[type-var]


def test_pageable_copies_are_flagged() -> None:
    listing = copies_listing(ONE.tables["copies"], steps=STEPS, most=9)
    assert values(listing, "Note") == ("pageable: the host waits", "")
    assert values(listing, "Rate")[0] == pytest.approx(38_535_168 / 6e-4)


def test_hidden_communication_is_what_is_not_exposed() -> None:
    listing = collectives_listing(ONE.tables["collectives"], steps=STEPS, most=9)
    assert values(listing, "Hidden")[0] == pytest.approx(100 * (1 - 11 / 42))


def test_absent_tables_are_empty_listings() -> None:
    for listing in (kernels_listing, operators_listing, copies_listing, collectives_listing, launches_listing):
        assert len(listing(None, steps=1, most=9)) == 0
    assert len(gaps_listing(None, most=9)) == 0
    assert missing_reasons([cpu_window()])["copies"] == "no GPU took part in this window"


def alarms(**facts: Any) -> list[str]:
    window = gpu_window(1, **facts)
    return [remark.text for remark in remarks(honesty_data([window], window.tables)) if remark.is_alarm]


@pytest.mark.parametrize(("seen", "is_alarm"), [(990, False), (989, True), (1000, False)])
def test_less_than_99_percent_of_the_launches_is_an_alarm(seen: int, is_alarm: bool) -> None:
    said = alarms(quality={"launches": 1000, "launches_with_kernel": seen})
    assert bool(said) is is_alarm


@pytest.mark.parametrize(("slowdown", "is_alarm"), [(1.5, False), (1.51, True), (None, False)])
def test_a_window_that_slowed_training_by_half_is_an_alarm(slowdown: float | None, is_alarm: bool) -> None:
    assert bool(alarms(slowdown=slowdown)) is is_alarm


def test_99_96_percent_does_not_read_as_all() -> None:
    window = gpu_window(1, quality={"launches": 10_000, "launches_with_kernel": 9_996})
    assert remarks(honesty_data([window], {}))[0].text.startswith("99.9 % of 10,000 launches")


def test_several_windows_are_judged_together() -> None:
    data = honesty_data([ONE, OTHER], BOTH)
    assert data.launches == 156
    assert data.slowdown == pytest.approx((1.18 + 1.4) / 2)
    assert data.cost_seconds == pytest.approx(2 * 0.059)
    assert data.overhead_seconds == pytest.approx(0.0008)


def test_a_window_that_says_nothing_of_itself_is_not_called_good() -> None:
    window = gpu_window(1, quality=None, cost="much", slowdown="fast")
    data = honesty_data([window], {})
    assert (data.launches, data.seen_percent, data.slowdown, data.cost_seconds, data.overhead_seconds) == (None,) * 5
    assert [remark.text for remark in remarks(data)] == ["how much slower the window was than other steps is not known"]


def test_without_a_known_module_the_tree_has_no_level_of_them() -> None:
    nameless = links(("forward", "(no module)", "mm", "k", 1, 2.0), ("backward", "(no module)", "mm", "k", 1, 1.0))
    assert icicle_data(nameless).levels == ("phase", "operator", "kernel")
    assert icicle_data(ONE.tables["links"], "host").levels == ("phase", "module", "operator")


def test_arguments_are_cut_from_kernels_and_from_nothing_else() -> None:
    called = links(("data", "m", "enumerate(DataLoader)#next", "void fill<float>(int, float*)", 1, 2.0))
    drawn = icicle_figure(icicle_data(called)).data[0].labels
    assert list(drawn)[1:] == ["data wait", "m", "enumerate(DataLoader)#next", "fill&lt;float&gt;"]
