"""A whole profile: its tables as agreed, traces that lack this or that, and recordings of real GPUs where at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_making import Making, lines

from torchglass.store import Batch, ProfilerWindow, Store, Table
from torchglass.traces.profile import Profile, profile_of
from torchglass.traces.reading import read_trace
from torchglass.traces.tables import COLUMNS, REAL, TEXT, TRUTH, WHOLE, empty, table
from torchglass.traces.trace import Kind, Trace

RECORDINGS = Path(os.environ.get("TORCHGLASS_TRACES") or Path(__file__).parents[3] / "shared" / "traces")
KINDS = {TEXT: "U", TRUTH: "b", WHOLE: "i", REAL: "f"}


def whole() -> Making:
    """A bit of everything."""
    return (
        Making()
        .note("ProfilerStep#1", 0, 900)
        .note("nn.Module: net", 10, 400)
        .op("aten::addmm", 20, 100, operator_id=4, sequence=2)
        .call(30, 10, correlation=1, external=4)
        .kernel("sgemm", 200, 60, correlation=1, external=4, blocks_per_sm=2.0, occupancy_percent=50.0)
        .kernel("ncclDevKernel_AllReduce_Sum_f32_RING_LL(x)", 210, 100, stream=20)
        .copy("Memcpy HtoD (Pageable -> Device)", 400, 20, bytes_moved=64.0)
        .op("autograd::engine::evaluate_function: AddmmBackward0", 500, 80, sequence=2, forward_lane=1)
        .add(Kind.OVERHEAD, "Buffer Flush", 600, 5)
        .add(Kind.SYNC, "Stream Sync", 610, 5, lane=7, device=0)
        .add(Kind.DEVICE_ANNOTATION, "ProfilerStep#1", 199, 300, lane=7, device=0)
        .note("torchglass.phase#forward", 450)
        .note("torchglass.phase#backward", 590)
    )


def complete(tables: dict[str, Table]) -> None:
    assert tables.keys() == COLUMNS.keys()
    for name, columns in COLUMNS.items():
        assert tables[name].keys() == columns.keys(), name
        assert len({len(column) for column in tables[name].values()}) == 1, name
        for column, kind in columns.items():
            assert tables[name][column].dtype.kind == KINDS[kind], f"{name}.{column}"


def test_every_table_has_the_columns_agreed_on_and_none_is_missing_from_a_full_trace() -> None:
    profile = profile_of(whole().trace())
    complete(dict(profile.tables))
    assert profile.facts["missing"] == {}


def kept(trace: Trace, which: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Trace:
    columns: dict[str, Any] = {
        name: value[which] for name, value in vars(trace).items() if isinstance(value, np.ndarray)
    }
    return Trace(names=trace.names, **columns)


LACKING: dict[str, Callable[[Trace], Trace]] = {
    "events": lambda trace: kept(trace, np.zeros(len(trace), np.bool_)),
    "a device": lambda trace: kept(trace, trace.kind <= Kind.ANNOTATION),
    "a host": lambda trace: kept(trace, trace.on_device),
    "all but overhead": lambda trace: kept(trace, trace.kind == Kind.OVERHEAD),
    "all but device annotations": lambda trace: kept(trace, trace.kind == Kind.DEVICE_ANNOTATION),
    "annotations": lambda trace: kept(trace, trace.kind != Kind.ANNOTATION),
    "operators": lambda trace: kept(trace, trace.kind != Kind.OPERATOR),
    "runtime calls": lambda trace: kept(trace, trace.kind != Kind.RUNTIME),
}


@pytest.mark.parametrize("lack", LACKING)
def test_a_trace_that_lacks_something_has_all_tables_and_a_reason_for_each_empty_one(lack: str) -> None:
    profile = profile_of(LACKING[lack](whole().trace()), source="trace")
    complete(dict(profile.tables))
    without_rows = {name for name, found in profile.tables.items() if not len(next(iter(found.values())))}
    assert without_rows <= profile.facts["missing"].keys()
    assert all(reason and not reason.endswith(".") for reason in profile.facts["missing"].values())
    assert profile.facts["source"] == "trace"


def test_reasons_tell_a_cpu_from_a_device_and_from_nothing() -> None:
    assert set(profile_of(Making().trace()).facts["missing"].values()) == {"the trace has no events"}
    on_cpu = profile_of(Making().op("aten::add", 0, 5).trace()).facts["missing"]
    assert on_cpu["kernels"] == on_cpu["breakdown"] == on_cpu["gaps"] == on_cpu["collectives"]
    assert on_cpu["kernels"].startswith("no device work was recorded")
    on_device = profile_of(Making().kernel("k", 0, 5).trace()).facts["missing"]
    assert on_device["operators"] == "no host calls were recorded: only devices were traced"
    assert on_device["correlation"].startswith("no device work names the call")


def test_facts_are_json_and_a_window_keeps_rows_and_tables(tmp_path: Path) -> None:
    profile = profile_of(whole().trace({"deviceProperties": [{"id": 0, "numSms": 108}]}))
    assert profile.facts["device_properties"] == [{"id": 0, "numSms": 108}]
    assert json.loads(json.dumps(profile.facts, allow_nan=False)) == profile.facts
    with Store(tmp_path / "store.db") as store:
        run = store.start_run("one", {}, host="here", pid=1).id
        window = ProfilerWindow(3, 1.0, 2, 0.5, profile.facts, profile.rows, tables=profile.tables)
        store.write(run, 0, Batch(windows=[window]))
        (found,) = store.windows(run)
        tables = store.window_tables(found.id)
    assert sorted(found.rows) == sorted(profile.rows)
    complete(tables)
    for name, columns in profile.tables.items():
        for column, values in columns.items():
            np.testing.assert_array_equal(tables[name][column], values)


def test_a_table_must_have_all_its_columns() -> None:
    with pytest.raises(AssertionError, match="overheads has columns"):
        table("overheads", name=["a"], calls=[1])
    assert lines(empty("overheads"), "name", "calls", "seconds") == []


events = st.lists(
    st.tuples(
        st.sampled_from(list(Kind)),
        st.sampled_from(
            [
                "aten::mm",
                "nn.Module: a",
                "torchglass.phase#data",
                "ProfilerStep#1",
                "Optimizer.step#SGD.step",
                "MulBackward0",
                "cudaLaunchKernel",
                "ncclKernel_AllReduce(x)",
                "Memcpy",
                "",
            ]
        ),
        st.integers(0, 40),
        st.integers(0, 20),
        st.integers(1, 3),  # lane
        st.integers(0, 3),  # each of the ids
        st.integers(-1, 2),  # sequence
    ),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(events)
def test_no_trace_however_odd_raises_and_its_totals_agree(
    rows: list[tuple[Kind, str, int, int, int, int, int]],
) -> None:
    made = Making()
    for kind, name, start, duration, lane, number, sequence in rows:
        ids = dict.fromkeys(("operator_id", "external", "correlation", "forward_lane"), number)
        device = 0 if kind >= Kind.KERNEL else -1
        made.add(kind, name, start, duration, lane, sequence=sequence, device=device, **ids)
    profile = profile_of(made.trace())
    complete(dict(profile.tables))
    agree(profile)


def agree(profile: Profile) -> None:
    """What holds in every trace."""
    tables = profile.tables
    breakdown = tables["breakdown"]
    parts = ("compute_ns", "exposed_communication_ns", "exposed_copies_ns", "idle_ns")
    assert np.sum([breakdown[part] for part in parts], axis=0).tolist() == breakdown["total_ns"].tolist()
    work = sum(row.self_seconds for row in profile.rows if row.kind == "kernel")
    by_kind = tables["kernels"]["seconds"].sum() + tables["copies"]["seconds"].sum()
    assert by_kind == pytest.approx(work, abs=1e-12)
    links = tables["links"]
    assert links["seconds"][links["kernel"] != ""].sum() <= work + 1e-12
    if profile.facts["phases_from"] == "marks" or len(tables["phases"]["phase"]):
        assert tables["phases"]["device_seconds"].sum() == pytest.approx(work, abs=1e-12) or not work
    operators = tables["operators"]
    assert (operators["self_seconds"] <= operators["total_seconds"] + 1e-12).all()
    quality = profile.facts["quality"]
    assert quality["launches_with_kernel"] <= quality["launches"]


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the folder of recorded GPU traces is absent (TORCHGLASS_TRACES)")
def test_recordings_of_real_gpus_agree_with_themselves_and_link_every_kernel() -> None:
    files = sorted(RECORDINGS.glob("*.json.gz"))
    assert files
    for file in files:
        profile = profile_of(read_trace(file).trace, source="trace")
        agree(profile)
        quality = profile.facts["quality"]
        assert quality["unlinked_kernels"] == 0, file.name
        assert quality["launches_with_kernel"] >= 0.98 * quality["launches"], file.name
        assert profile.tables["idle"]["seconds"].sum() > 0, file.name
