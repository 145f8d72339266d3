"""What step time, kernels and time line say of a run: at a step, of a window, and where things are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from profiled import cpu_window, gpu_window, record_profiled_run
from shown import cursor, drawn, figures, settled, show, texts, tiles

from torchglass.charts.listings import Field, Listing
from torchglass.dashboard.drawing.listing_table import csv_of, rows_with
from torchglass.dashboard.stepping.window_choice import nearest
from torchglass.store import Batch, Fact, ProfilerRow, ProfilerWindow, RowBlock, Store, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def record_steps(store: Store, name: str, ranks: int = 1) -> None:
    """1,000 steps of 10 ms, forward and data alike; step 700 waits 50 ms for data, and step 300 a profiler 30 ms."""
    run = store.start_run(name, {}, host="here", pid=1)
    at, forward, data = np.arange(1000), np.full(1000, 0.006), np.full(1000, 0.004)
    data[700], forward[300] = 0.05, 0.03
    parts = {"phase/forward": forward, "phase/data": data, "phase/step": forward + data}
    for rank in range(ranks):
        rows = [
            RowBlock.of_series(key, "phase", "s", at, run.created_at + at, values * (1 + rank))
            for key, values in parts.items()
        ]
        store.write(run.id, rank, Batch(rows=rows, windows=[cpu_window(300)] if rank == 0 else []))
    store.end_run(run.id, "finished")


def test_the_chosen_step_stands_beside_the_mean_and_is_marked_on_the_shares(path: Path) -> None:
    with open_store(path) as store:
        record_steps(store, "run")
    app = show(path, "step_time", "run", 700)
    assert "Step 700 took 56 ms, 5.56 times the mean: it is among the slowest 1 % of 1,000 steps." in texts(app)
    table = app.dataframe[0].value.set_index("Phase")
    assert table.loc["data wait", "This step, ms"] == pytest.approx(50)
    assert table.loc["data wait", "Difference, ms"] == pytest.approx(50 - (999 * 4 + 50) / 1000)
    assert table.loc["data wait", "Above, % of steps"] == pytest.approx(99.9)
    assert table.loc["forward", "Above, % of steps"] == 0
    _, marks = drawn(app, "phase_shares")["data"]
    assert marks["marker"]["symbol"] == "diamond"
    app = show(path, "step_time", "run", 5_000)
    assert "The timed step nearest to 5,000." in texts(app)
    assert "Step 999 took 10 ms, 0.99 times the mean: longer than 0 % of 1,000 steps." in texts(app)
    app = show(path, "step_time", "run")
    assert len(drawn(app, "phase_shares")["data"]) == 1


def test_the_slowest_steps_say_why_and_take_the_cursor_there(path: Path) -> None:
    with open_store(path) as store:
        record_steps(store, "run", ranks=2)
    app = show(path, "step_time", "run")
    listed = app.dataframe[0].value
    assert listed["Step"].tolist()[:2] == [700, 300]
    assert listed["Mostly in"].tolist()[:2] == ["data wait", "forward"]
    assert listed["Note"].tolist()[:2] == ["", "under the profiler"]
    assert listed["Times the median"].tolist()[0] == pytest.approx(5.6)
    assert figures(app)["torchglass.live"]["rank"] == 0
    app.button_group[0].set_value(1).run()
    settled(app)
    assert figures(app)["torchglass.live"]["rank"] == 1
    assert app.dataframe[0].value["Took, ms"].tolist()[0] == pytest.approx(112)


def test_a_page_shows_the_window_nearest_to_the_cursor_unless_another_was_picked(path: Path) -> None:
    with open_store(path) as store:
        record_profiled_run(store, windows=[gpu_window(250), gpu_window(500)])
    for page in ("kernels", "timeline"):
        app = show(path, page, "profiled", 360)
        assert "Window of steps 250 to 252, the nearest to 360." in texts(app)
        app.selectbox[0].select("step 500").run()
        settled(app)
        assert "Window of steps 500 to 502; the cursor is at 360." in texts(app)
        app.session_state["cursor_step"] = 252
        app.run()
        assert "Window of steps 500 to 502; the cursor is at 252." in texts(app), "what was picked stays"
        app.button(key="to-window").click().run()
        assert cursor(app) == 500
        assert "Window of steps 500 to 502." in texts(app)
        assert "Newest: step 500" in show(path, page, "profiled").selectbox[0].options


def test_the_nearest_window_holds_the_step_or_is_the_earlier_of_two_as_near() -> None:
    windows = [cpu_window(100), cpu_window(110)]
    assert [nearest(windows, step).step for step in (0, 102, 106, 107, 112, 999)] == [100, 100, 100, 110, 110, 110]


def test_windows_can_be_added_up(path: Path) -> None:
    with open_store(path) as store:
        record_profiled_run(store, windows=[gpu_window(5), gpu_window(50)])
    app = show(path, "kernels", "profiled")
    assert "3 profiled steps" in texts(app)
    app.selectbox[0].select("all").run()
    assert "6 profiled steps" in texts(settled(app))


def test_a_window_says_how_far_to_trust_it(path: Path) -> None:
    poor = gpu_window(10, slowdown=1.7, quality={"launches": 1000, "launches_with_kernel": 950, "clipped": 4})
    with open_store(path) as store:
        record_profiled_run(store, windows=[poor])
    said = texts(show(path, "kernels", "profiled"))
    assert "steps took 1.70 times as long as unprofiled ones" in said
    assert "95 % of 1,000 launches had their kernel seen" in said
    assert "4 overlapping slices were clipped" in said


@pytest.mark.parametrize("gpu", [True, False])
def test_tables_that_a_window_lacks_are_said_to_be_missing(path: Path, gpu: bool) -> None:
    with open_store(path) as store:
        record_profiled_run(store, windows=[gpu_window(5)] if gpu else [cpu_window(5)], gpu=gpu)
    app = show(path, "kernels", "profiled")
    assert ("No GPU took part in this window" in texts(app)) != gpu
    headings = [each.value for each in app.subheader]
    for section in ("What the GPU did", "Why streams waited", "Copies", "Collectives", "Launches"):
        assert (section in headings) == gpu
    assert len(drawn(app, "icicle")["data"][0]["labels"]) > 3


def test_a_window_of_an_old_store_has_rows_alone_and_is_shown_all_the_same(path: Path) -> None:
    window = ProfilerWindow(5, 0.0, 2, 1.0, {}, (ProfilerRow("operator", "aten::mm", 2, 0.1, 0.1),))
    with open_store(path) as store:
        record_profiled_run(store, windows=[window])
    assert "kernels" in figures(show(path, "kernels", "profiled"))
    assert "This window kept no slices" in texts(show(path, "timeline", "profiled"))


def test_a_run_without_a_window_says_how_to_get_one(path: Path) -> None:
    with open_store(path) as store:
        run = store.start_run("bare", {}, host="here", pid=1)
        store.end_run(run.id, "finished")
    for page in ("kernels", "timeline"):
        app = show(path, page, "bare")
        assert "This run has no profiler window" in texts(app)
        assert "profile=torchglass.every(500, steps=3)" in app.code[0].value
        assert not [button for button in app.button if "Profile" in button.label]


def test_lanes_are_told_in_a_table_beside_the_time_line(path: Path) -> None:
    with open_store(path) as store:
        record_profiled_run(store, windows=[gpu_window(5)], steps=3)
    app = show(path, "timeline", "profiled")
    table = app.dataframe[0].value.set_index("Lane")
    assert table.loc["stream 20 (NCCL)", "Busy"] == pytest.approx(100 * 3 * 1.4 / 36, rel=1e-3)
    assert table.loc["stream 20 (NCCL)", "Slices"] == 3
    assert table.loc["stream 20 (NCCL)", "Mostly with"] == "ncclDevKernel_AllReduce_Sum_bf16_RING_LL"
    assert figures(app)["torchglass.timeline"]["steps"] == [[5, 0, 12e6], [6, 12e6, 24e6], [7, 24e6, 36e6]]


def test_energy_has_tiles_where_a_gpu_told_it(path: Path) -> None:
    at, times = np.arange(20), 1.7e9 + np.arange(20.0)
    series = {"phase/forward": 0.5, "phase/step": 0.5, "work/samples_per_second": 64.0}
    units = {"phase": "s", "work": "1/s"}
    with open_store(path) as store:
        for name, joules in (("thirsty", 16.0), ("untold", None)):
            run = store.start_run(name, {}, host="here", pid=1)
            rows: list[RowBlock] = []
            for key, value in series.items():
                kind: Any = key.partition("/")[0]
                rows.append(RowBlock.of_series(key, kind, units[kind], at, times, np.full(20, value)))
            if joules:
                key = "gpu0/energy_per_step_joules"
                rows.append(RowBlock.of_series(key, "device", "J", at, times, np.full(20, joules)))
            store.write(run.id, 0, Batch(rows=rows))
            store.end_run(run.id, "finished")
    told = tiles(show(path, "step_time", "thirsty"))
    assert (told["Energy a step"], told["Energy a sample"]) == ("16 J", "500 mJ")
    assert not [title for title in tiles(show(path, "step_time", "untold")) if "Energy" in title]


def test_a_trace_that_names_steps_and_no_phases_has_their_mean_and_no_empty_figures(path: Path) -> None:
    at, times = np.arange(10, 13), 1.7e9 + np.arange(3.0)
    with open_store(path) as store:
        run = store.start_run("imported", {}, host="here", pid=1)
        for rank in (0, 1):
            row = RowBlock.of_series("phase/step", "phase", "s", at, times, np.full(3, 0.25 * (rank + 1)))
            store.write(run.id, rank, Batch(rows=[row], windows=[gpu_window(10)]))
        store.end_run(run.id, "finished")
    app = show(path, "step_time", "imported", 11)
    assert tiles(app)["Mean step"] == "250 ms"
    assert "2 ranks with 3 steps in common: too few to compare them." in texts(app)
    assert set(figures(app)) == {"torchglass.live"}


def test_a_count_of_operations_that_failed_says_why(path: Path) -> None:
    with open_store(path) as store:
        run = record_profiled_run(store, "uncounted", windows=[cpu_window(10)])
        store.write(run.id, 0, Batch(facts=[Fact(0, "missing/work/flops", "odd", 0.0)]))
    for page in ("kernels", "step_time"):
        assert "The operations of some step were not counted: odd" in texts(show(path, page, "uncounted"))


LISTING = Listing(
    (
        Field("Kernel", "text", ("gemm_BF16", "softmax", "=gemm_fp32")),
        Field("Time a step", "s", (0.002, None, 0.001)),
        Field("Share", "share", (60.0, 10.0, 30.0)),
    )
)


def test_a_search_keeps_rows_with_each_word_whatever_its_case() -> None:
    assert rows_with(LISTING, ["GEMM"]).fields[1].values == (0.002, 0.001)
    assert rows_with(LISTING, ["gemm", "32"]).fields[0].values == ("=gemm_fp32",)
    assert rows_with(LISTING, []) is LISTING
    assert len(rows_with(LISTING, ["nothing"])) == 0


def test_the_csv_of_a_table_is_in_the_units_of_the_store_and_no_formula() -> None:
    lines = csv_of(LISTING).decode().splitlines()
    assert lines[0] == "Kernel,Time a step (s),Share (%)"
    assert lines[1] == "gemm_BF16,0.002,60.0"
    assert lines[2].startswith("softmax,,")
    assert not lines[3].startswith("=")
    assert csv_of(lambda: LISTING) == csv_of(LISTING)
