"""What a report says: groups, bests, bounds, and reasons for what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from profiled import cpu_window, gpu_window, record_profiled_run
from recorded import NO_GPU, PHASE_SECONDS, SPIKE_STEP, record_example_run

from torchglass.report.bounds import Bounds
from torchglass.report.contents import Contents, read_contents
from torchglass.report.figures import drawings
from torchglass.report.html import render
from torchglass.report.tables import listing_table, phase_rows, scalar_rows, setting_rows, tiles
from torchglass.store import ArtifactBlock, Batch, ProfilerWindow, RowBlock, Store

START = 1_800_000_000.0


class Clock:
    """Says what it is told."""

    now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with Store(tmp_path / "store.db", clock=clock) as opened:
        yield opened


@pytest.fixture
def contents(store: Store) -> Contents:
    return read_contents(store, record_example_run(store), written_at=START)


def write_scalars(store: Store, run_id: int, *keys: str, rank: int = 0) -> None:
    steps = np.arange(1, 4)
    blocks = [
        RowBlock.of_series(key, "scalar", "", steps, START + steps.astype(np.float64), np.array([3.0, 1.0, 2.0]))
        for key in keys
    ]
    store.write(run_id, rank, Batch(rows=blocks))


def test_training_and_test_curves_of_one_quantity_share_a_chart(contents: Contents) -> None:
    names = {name: [line.name for line in data.lines] for name, data in contents.curves}
    assert names == {
        "loss": ["loss", "test/loss"],
        "accuracy": ["train/accuracy", "test/accuracy"],
        "learning_rate": ["learning_rate"],
    }


def test_the_loss_is_the_first_chart_whatever_was_logged_before_it(store: Store) -> None:
    run = store.start_run("order", {}, host="h", pid=1)
    write_scalars(store, run.id, "learning_rate", "test/accuracy", "loss", "epoch")
    read = read_contents(store, run, written_at=START)
    assert [name for name, _ in read.curves] == ["loss", "learning_rate", "accuracy", "epoch"]


def test_parts_of_a_quantity_share_its_chart(store: Store) -> None:
    run = store.start_run("parts", {}, host="h", pid=1)
    write_scalars(store, run.id, "loss/ce", "loss/kl", "learning_rate/group0", "learning_rate/group1", "train/loss/ce")
    read = read_contents(store, run, written_at=START)
    assert {name: len(data.lines) for name, data in read.curves} == {"loss": 3, "learning_rate": 2}


def test_best_is_the_smallest_loss_and_the_largest_accuracy(contents: Contents) -> None:
    rows = {row.cells[0]: row for row in scalar_rows(contents)}
    assert rows["test/loss"].cells[2] == rows["test/loss"].cells[3] == "0.07482, 200"
    assert rows["test/accuracy"].cells[2] == rows["test/accuracy"].cells[4] == "0.9839, 200"
    assert rows["learning_rate"].cells[2] == "–"


def test_a_scalar_that_was_not_finite_asks_for_attention(contents: Contents) -> None:
    rows = {row.cells[0]: row for row in scalar_rows(contents)}
    assert (rows["loss"].alarm, rows["loss"].cells[-1]) == (True, "1")
    assert not rows["test/loss"].alarm


def test_the_spike_is_in_the_curves(contents: Contents) -> None:
    loss = contents.curves[0].data.lines[0]
    assert loss.values[loss.x == SPIKE_STEP][0] > 1.5


def test_phase_table_adds_up_to_the_measured_time(contents: Contents) -> None:
    rows = phase_rows(contents.phases)
    assert [row.cells[0] for row in rows] == ["data wait", *list(PHASE_SECONDS)[1:]]
    shares = [float(row.cells[1].removesuffix(" %")) for row in rows]
    assert sum(shares) == pytest.approx(100, abs=0.3)
    assert float(np.sum(contents.phases.totals)) == pytest.approx(float(np.sum(contents.phases.step_seconds)))


def test_steps_of_an_imported_trace_have_their_mean_without_phases(store: Store) -> None:
    run = store.start_run("imported", {}, host="h", pid=1)
    at = np.arange(2)
    for rank in (0, 1):
        row = RowBlock.of_series("phase/step", "phase", "s", at, START + at.astype(np.float64), np.array([0.2, 0.4]))
        store.write(run.id, rank, Batch(rows=[row], windows=[gpu_window(0)]))
    read = read_contents(store, run, written_at=START)
    text = render(read)
    assert ("Mean step", "300 ms") in tiles(read)
    assert "Steps were timed as a whole: nothing recorded of their phases." in text
    assert not [drawing for drawing in drawings(read) if drawing.section in ("phases", "ranks")]


def test_operator_times_are_a_step(contents: Contents) -> None:
    table = listing_table("Operators", contents.profile.listings["Operators"])
    assert table.columns == ("Operator", "Share", "Host, own", "Host, total", "Calls a step")
    assert table.rows[0].cells == ("aten::convolution_backward", "40.2 %", "4.8 ms", "4.9 ms", "1")


def test_duration_runs_to_the_end_or_to_the_last_sign_of_life(store: Store, clock: Clock) -> None:
    ended = store.start_run("ended", {}, host="h", pid=1)
    clock.now = START + 125
    store.end_run(ended.id, "finished")
    assert read_contents(store, store.run("ended"), written_at=START).duration_seconds == 125
    going = store.start_run("going", {}, host="h", pid=1)
    clock.now += 7
    write_scalars(store, going.id, "loss")
    read = read_contents(store, store.run("going"), written_at=START)
    assert read.duration_seconds == 7
    assert ("Duration", "7 s") in tiles(read)


def test_a_missing_gpu_is_said_with_its_reason(contents: Contents) -> None:
    assert contents.missing_devices == (("GPU", NO_GPU),)
    assert f"GPU: {NO_GPU}." in render(contents)


def test_the_newest_explanation_of_each_method_is_shown(store: Store) -> None:
    run = record_example_run(store)
    (old,) = [
        artifact
        for artifact in store.artifacts(run.id, kind="explanation", key="test/3")
        if artifact.meta["method"] == "shap"
    ]
    block = ArtifactBlock("explanation", "test/3", 999, START, dict(old.meta), store.arrays(old.id))
    store.add_artifact(run.id, block)
    read = read_contents(store, run, written_at=START)
    assert [panel.method for panel in read.explanations[0].panels] == ["gradcam", "shap", "lime"]
    assert len(read.explanations) == 2


def test_what_a_bound_keeps_out_is_said(store: Store) -> None:
    bounds = Bounds(curve_charts=2, histograms=3, samples=1)
    read = read_contents(store, record_example_run(store), written_at=START, bounds=bounds)
    assert (len(read.curves), len(read.histograms), len(read.explanations)) == (2, 3, 1)
    text = render(read)
    assert "This report shows 2 of 3 charts of scalars" in text
    assert "This report shows 3 of 10 histograms." in text
    assert "This report shows 1 of 2 explained samples" in text


def test_ranks_beyond_the_first_are_named(store: Store) -> None:
    run = store.start_run("ranks", {}, host="h", pid=1)
    write_scalars(store, run.id, "loss")
    write_scalars(store, run.id, "loss", rank=1)
    read = read_contents(store, run, written_at=START)
    assert [row.cells[0] for row in scalar_rows(read)] == ["loss (rank 0)", "loss (rank 1)"]
    assert "The run had 2 ranks; charts show rank 0." in render(read)


def test_nested_settings_are_named_by_their_path() -> None:
    rows = setting_rows({"optimizer": {"lr": 0.1, "betas": [0.9, 0.99]}, "memory_bytes": 2_500_000, "none": None})
    assert [row.cells for row in rows] == [
        ("optimizer.lr", "0.1"),
        ("optimizer.betas", "[0.9, 0.99]"),
        ("memory_bytes", "2.5 MB"),
        ("none", "null"),
    ]


def test_a_failed_run_shows_its_error(store: Store) -> None:
    run = store.start_run("broken", {}, host="h", pid=1)
    store.end_run(run.id, "failed", "Traceback\n  RuntimeError: shapes <4> and <5>")
    text = render(read_contents(store, store.run("broken"), written_at=START))
    assert "RuntimeError: shapes &lt;4&gt; and &lt;5&gt;" in text


def test_the_slowdown_is_the_median_of_all_windows(store: Store) -> None:
    run = store.start_run("profiled", {}, host="h", pid=1)
    windows = [
        ProfilerWindow(step, START, 2, 1.0, {"slowdown": slowdown, "note": None}, ())
        for step, slowdown in ((1, 9.0), (2, None), (3, 1.5), (4, 1.25))
    ]
    store.write(run.id, 0, Batch(windows=windows))
    read = read_contents(store, run, written_at=START)
    assert [remark.text for remark in read.profile.remarks] == ["steps took 1.50 times as long as unprofiled ones"]


def test_everything_that_a_window_found_is_in_the_report(store: Store) -> None:
    text = render(read_contents(store, record_profiled_run(store), written_at=START))
    for said in (
        "6 steps were profiled in 2 windows.",
        "100 % of 156 launches had their kernel seen.",
        "What the GPU did",
        "GPU time a step by phase, module, operator and kernel",
        "Why streams waited",
        "How near to the device&#39;s peak",
        "Time line of the window at step 500",
        "pageable: the host waits",
        "ncclDevKernel_AllReduce_Sum_bf16_RING_LL",
        "cudaLaunchKernel",
        "The longest gaps of streams",
    ):
        assert said in text


def test_what_a_window_lacks_is_said_once_for_each_reason(store: Store) -> None:
    run = record_profiled_run(store, windows=[cpu_window(5, slowdown=1.8)], gpu=False)
    text = render(read_contents(store, run, written_at=START))
    absent = "kernels, copies, idle, gaps, collectives, launches, breakdown"
    assert text.count("no GPU took part in this window") == 1
    assert f"No {absent}: no GPU took part in this window." in text
    assert '<p class="alarm">Steps took 1.80 times as long as unprofiled ones.</p>' in text
    assert "Host self time a step by phase" in text


def test_only_the_newest_windows_are_read_and_the_rest_counted(store: Store) -> None:
    run = record_profiled_run(store, windows=[cpu_window(step) for step in (1, 2, 3, 4, 5)], steps=9, gpu=False)
    text = render(read_contents(store, run, written_at=START, bounds=Bounds(windows=2)))
    assert "6 steps were profiled in 2 windows." in text
    assert "3 earlier windows are left out." in text


def test_ranks_stand_side_by_side_and_the_slow_one_is_named(store: Store) -> None:
    text = render(read_contents(store, record_profiled_run(store, ranks=3), written_at=START))
    assert "Each rank&#39;s own work over the steps" in text
    assert text.count("The run had 3 ranks; charts show rank 0.") == 3
    alone = render(read_contents(store, record_profiled_run(store, "alone"), written_at=START))
    assert "The run had 1 rank: there is nothing to compare." in alone


def test_the_rows_of_a_long_listing_are_bounded_and_counted(store: Store) -> None:
    read = read_contents(store, record_profiled_run(store), written_at=START, bounds=Bounds(rows=2))
    table = listing_table("GPU kernels", read.profile.listings["GPU kernels"])
    assert (len(table.rows), table.note) == (2, "4 more rows are not listed.")


def test_a_model_under_each_technique_is_a_section_where_it_was_measured(store: Store) -> None:
    run = record_profiled_run(store)
    outcome = {"status": "ok", "seconds": {"median": 0.01, "low": 0.01, "high": 0.01}, "ratio": {"value": 1.0}}
    rows = [{"name": "fp32", "inference": outcome, "training": None}]
    store.add_artifact(run.id, ArtifactBlock("variants", "lenet5", 1, START, {"model": "lenet5", "rows": rows}, {}))
    read = read_contents(store, run, written_at=START)
    assert [data.names for data in read.variants] == [("fp32",)]
    assert "torchglass bench-model" not in render(read)
