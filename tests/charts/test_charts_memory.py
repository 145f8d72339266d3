"""Memory over steps and at a peak: parts hold until measured again, add up, and no stack is obeyed as markup."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from torchglass.charts.memory import apart, memory_data, memory_figure, memory_split_figure, read_memory
from torchglass.charts.memory_peak import own_frame, peak_data, peak_figure
from torchglass.charts.theme import ALARM
from torchglass.store import Batch, RowBlock, Store

MB = 1e6
TOTAL = 1000 * MB


def block(key: str, steps: list[int], megabytes: list[float]) -> RowBlock:
    at = np.array(steps)
    return RowBlock.of_series(f"memory/{key}_bytes", "memory", "B", at, at / 10, np.array(megabytes) * MB)


def store_with(tmp_path: Path, *blocks: RowBlock) -> tuple[Store, int]:
    store = Store(tmp_path / "a.db")
    run = store.start_run("memory", {}, host="here", pid=1)
    store.write(run.id, 0, Batch(rows=list(blocks)))
    return store, run.id


def on_cuda(tmp_path: Path) -> tuple[Store, int]:
    steps = list(range(250))
    return store_with(
        tmp_path,
        block("allocated", steps, [300.0] * 250),
        block("reserved", steps, [700.0] * 250),
        block("peak", steps, [500.0] * 100 + [650.0] * 150),
        block("fragmentation", steps, [400.0] * 250),
        block("parameters", [0, 1, 100, 200], [100, 100, 100, 100]),
        block("gradients", [0, 1, 100, 200], [90, 90, 90, 90]),
        block("optimizer", [1, 100, 200], [180, 180, 180]),
        block("buffers", [0, 1, 100, 200], [10, 10, 10, 10]),
        block("activations", [0, 1, 100, 200], [300, 120, 270, 270]),
    )


def test_parts_stand_in_the_order_in_which_they_are_stacked_and_hold_until_measured_again(tmp_path: Path) -> None:
    store, run_id = on_cuda(tmp_path)
    with store:
        data = memory_data(read_memory(store, run_id), limit_bytes=TOTAL)
    assert data.parts == ("parameters", "gradients", "optimizer", "buffers", "activations")
    assert data.steps.tolist() == [0, 1, 100, 200]
    assert (data.sizes[2] / MB).tolist() == [0, 180, 180, 180], "what was not measured yet takes no room in the stack"
    assert (data.sizes.sum(axis=0) / MB).tolist() == [500, 500, 650, 650]
    assert (data.last_bytes / MB).tolist() == [100, 90, 180, 10, 270]
    assert [line.name for line in data.lines] == ["allocated", "reserved", "peak"]


def test_the_stack_goes_on_to_the_last_step_and_reaches_the_line_of_the_peak(tmp_path: Path) -> None:
    store, run_id = on_cuda(tmp_path)
    with store:
        figure = memory_figure(memory_data(read_memory(store, run_id), limit_bytes=TOTAL))
    stacked = [trace for trace in figure.data if trace.stackgroup]
    assert [trace.name for trace in stacked][2:] == ["optimizer state", "buffers", "activations and other"]
    assert {trace.x[-1] for trace in stacked} == {249}
    assert sum(float(trace.y[-1]) for trace in stacked) == pytest.approx(650, rel=1e-3)
    assert {trace.line.shape for trace in stacked} == {"hv"}
    (peak,) = (trace for trace in figure.data if trace.name == "peak")
    assert float(peak.y[-1]) == pytest.approx(650, rel=1e-3)
    assert figure.layout.yaxis.title.text == "MB"


def test_the_limit_is_drawn_where_it_is_near_and_left_out_where_it_would_squash_the_rest(tmp_path: Path) -> None:
    store, run_id = on_cuda(tmp_path)
    with store:
        records = read_memory(store, run_id)
    near = memory_figure(memory_data(records, limit_bytes=TOTAL))
    assert [(shape.y0, shape.line.color) for shape in near.layout.shapes] == [(1000, ALARM)]
    assert not memory_figure(memory_data(records, limit_bytes=80 * TOTAL)).layout.shapes
    assert not memory_figure(memory_data(records)).layout.shapes


def test_on_the_cpu_the_process_is_the_line_and_what_was_not_measured_has_no_layer(tmp_path: Path) -> None:
    store, run_id = store_with(
        tmp_path, block("process", [0, 1, 2], [400, 410, 420]), block("parameters", [0, 1], [100, 100])
    )
    with store:
        data = memory_data(read_memory(store, run_id))
    assert data.parts == ("parameters",)
    assert [trace.name for trace in memory_figure(data).data] == ["parameters", "this process"]


def test_a_process_that_would_squash_a_small_models_parts_is_drawn_apart(tmp_path: Path) -> None:
    sizes = {"parameters": 0.5, "optimizer": 0.5}
    for process, is_apart in ((20.0, False), (21.0, True)):
        blocks = [block(name, [0, 1], [size] * 2) for name, size in sizes.items()]
        (tmp_path / str(process)).mkdir()
        store, run = store_with(tmp_path / str(process), *blocks, block("process", [0, 1], [process] * 2))
        with store:
            together, alone = apart(memory_data(read_memory(store, run)))
        assert [line.name for line in together.lines] == ([] if is_apart else ["process"])
        assert together.parts == tuple(sizes)
        assert [line.name for line in (alone.lines if alone else ())] == (["process"] if is_apart else [])


def test_a_gap_in_a_parts_measurements_holds_what_was_measured_before(tmp_path: Path) -> None:
    store, run_id = store_with(
        tmp_path, block("parameters", [0, 10, 20], [1, 2, 3]), block("gradients", [0, 20], [5, 7])
    )
    with store:
        assert (memory_data(read_memory(store, run_id)).sizes[1] / MB).tolist() == [5, 5, 7]


def test_the_split_is_one_bar_with_each_size_beside_its_name(tmp_path: Path) -> None:
    store, run_id = on_cuda(tmp_path)
    with store:
        figure = memory_split_figure(memory_data(read_memory(store, run_id)))
    assert [trace.name for trace in figure.data][:3] == [
        "parameters 100 MB",
        "gradients 90 MB",
        "optimizer state 180 MB",
    ]
    assert sum(trace.x[0] for trace in figure.data) == pytest.approx(650)


def test_without_a_measurement_the_figures_say_so() -> None:
    empty = memory_data([])
    for figure in (memory_figure(empty), memory_split_figure(empty)):
        assert "Nothing recorded" in figure.layout.annotations[0].text
        assert "attach with the model" in figure.layout.annotations[0].text.replace("<br>", " ")


STACK = "/site-packages/torch/nn/modules/linear.py:125 forward\n/home/me/net.py:31 <lambda>\n/home/me/train.py:7 main"
OTHER = "activations and other"


def a_peak() -> tuple[dict[str, object], dict[str, np.ndarray]]:
    arrays = {
        "parts": np.array([OTHER, "parameters", OTHER]),
        "stacks": np.array([STACK, "(allocated before the recording)", "a.py:1 f"]),
        "bytes": np.array([600, 300, 50]) * 10**6,
        "counts": np.array([2, 161, 1]),
        "largest_bytes": np.array([400, 20, 50]) * 10**6,
    }
    return {"peak_bytes": 1000 * MB, "rest_bytes": 50 * MB, "rest_count": 9}, arrays


def test_a_bar_is_named_after_the_innermost_frame_that_is_not_torchs() -> None:
    data = peak_data(*a_peak())
    assert data.labels == ("<lambda> (net.py:31)", "(allocated before the recording)", "f (a.py:1)")
    assert own_frame("/x/torch/a.py:3 g\n/x/torch/b.py:4 h") == "g (a.py:3)"
    assert own_frame("C:\\me\\torch\\a.py:3 g\nC:\\me\\net.py:4 h") == "h (net.py:4)"
    assert own_frame("") == ""


def test_bars_and_rest_are_the_whole_peak() -> None:
    figure = peak_figure(peak_data(*a_peak(), top=2))
    assert [trace.name for trace in figure.data] == [OTHER, "parameters", "the rest"]
    assert sum(float(np.sum(trace.x)) for trace in figure.data) == pytest.approx(1000)
    assert figure.layout.yaxis.ticktext[-1] == "10 more allocations"
    assert figure.data[2].y.tolist() == [2]


def test_a_stack_shows_on_hover_and_is_text() -> None:
    meta, arrays = a_peak()
    arrays["stacks"] = np.array(["/me/%{y}.py:3 <img src=x onerror=alert(1)>", *arrays["stacks"][1:]])
    figure = peak_figure(peak_data(meta, arrays))
    hover = figure.data[0].hovertext[0]
    assert "&lt;img src=x onerror=alert(1)&gt;" in hover
    assert "2 allocations, the largest of 400 MB" in hover
    assert "%{y}" not in figure.data[0].hovertemplate
    assert "<img" not in "".join(figure.layout.yaxis.ticktext)


def test_a_deep_stack_is_cut_on_hover_and_says_so() -> None:
    meta, arrays = a_peak()
    arrays["stacks"] = np.array(["\n".join(f"/me/a.py:{line} f" for line in range(30)), *arrays["stacks"][1:]])
    assert peak_figure(peak_data(meta, arrays)).data[0].hovertext[0].endswith("a.py:11 f<br>and 18 frames above")


def test_a_peak_without_allocations_says_how_to_record_one() -> None:
    arrays = {name: values[:0] for name, values in a_peak()[1].items()}
    text = peak_figure(peak_data({}, arrays)).layout.annotations[0].text
    assert "run.record_memory(steps=3)" in text
