"""Rows become columns without losing a value, and of several writes to one name and step the last one counts."""

from __future__ import annotations

import gc
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training import recorded

import torchglass
from torchglass.errors import OptionError
from torchglass.instrumentation import rows as rows_module
from torchglass.instrumentation.rows import Layouts, Row, to_row_blocks
from torchglass.store import Batch, Column, RowBlock, Store

NAMES = ("a", "b", "c", "d")


def row(layouts: Layouts, step: int, time: float, values: dict[str, float]) -> Row:
    layout = layouts.of(tuple(values))
    return layout.text, layout.pack(step, time, *values.values())


def read_back(blocks: list[RowBlock]) -> dict[str, dict[int, float]]:
    """What a reader finds: the last write of each step."""
    found: dict[str, dict[int, float]] = {}
    for block in blocks:
        assert block.values.shape == (len(block.steps), len(block.columns))
        assert len(block.times) == len(block.steps)
        for index, column in enumerate(block.columns):
            points = zip(block.steps.tolist(), block.values[:, index].tolist(), strict=True)
            found.setdefault(column.key, {}).update(points)
    return found


@settings(max_examples=200, deadline=None)
@given(
    logged=st.lists(
        st.tuples(st.integers(0, 3), st.dictionaries(st.sampled_from(NAMES), st.floats(allow_nan=False), min_size=1)),
        max_size=40,
    ),
    kept=st.integers(1, 8),
)
def test_any_order_of_any_rows_reads_back_as_a_dictionary_would(
    logged: list[tuple[int, dict[str, float]]], kept: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "MAX_COLUMNS_KEPT", kept)  # the same names under several layouts
        layouts = Layouts()
        rows = [row(layouts, step, 0.0, values) for step, values in logged]
    expected: dict[str, dict[int, float]] = {}
    for step, values in logged:
        for name, value in values.items():
            expected.setdefault(name, {})[step] = value
    blocks = to_row_blocks(rows)
    assert read_back(blocks) == expected
    keys = [column.key for block in blocks for column in block.columns]
    assert len(keys) == len(set(keys))
    assert sum(block.values.size for block in blocks) == sum(len(values) for _, values in logged)


def test_steps_times_and_values_keep_their_bits() -> None:
    steps = [-(2**63), 2**63 - 1, 0, -1]
    values = [float("nan"), -0.0, 5e-324, 0.1]
    layouts = Layouts()
    others = [row(layouts, 0, 0.0, {"b": 1.0, "a": 2.0}) for _ in range(2)]
    rows = [row(layouts, step, 1e9 + step % 7, {"a": value}) for step, value in zip(steps, values, strict=True)]
    for block in (to_row_blocks(rows)[0], to_row_blocks([*rows, *others])[0]):
        assert block.steps.tolist()[:4] == steps
        assert block.times.tolist()[:4] == [1e9 + step % 7 for step in steps]
        assert block.values[:4, 0].tobytes() == struct.pack("=4d", *values)
        assert block.values.flags.c_contiguous


def test_a_layout_keeps_kinds_and_units_and_is_the_same_object_for_the_same_names() -> None:
    layouts = Layouts()
    assert layouts.of(("a", "b")) is layouts.of(("a", "b"))
    assert layouts.of(("a", "b")) is not layouts.of(("b", "a"))
    phase = layouts.of(("a",), "phase", {"a": "s"})
    assert phase is layouts.of(("a",), "phase", {"a": "s"})
    assert phase is not layouts.of(("a",), "phase")
    assert phase.columns == (Column("a", "phase", "s"),)
    assert layouts.of(("a",)).columns == (Column("a", "scalar", ""),)


def test_a_name_of_its_own_at_every_step_keeps_the_memory_of_layouts_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_COLUMNS_KEPT", 50)
    layouts = Layouts()
    for step in range(1000):
        layouts.of(("loss", f"at{step}"))
        layouts.of((f"other{step}",), "phase")
        assert sum(map(len, layouts._scalars)) + len(layouts._others) <= 50


def test_rows_that_wait_are_none_of_the_garbage_collectors_business(tmp_path: Path) -> None:
    with torchglass.start(store=tmp_path / "s.db", devices=False) as run:
        run._writer.stop(10.0)
        for step in range(100):
            run.log(a=1.0, b=2.0, step=step)
        gc.collect()
        assert [record for record in run._buffer.take() if gc.is_tracked(record)] == []


class Half:
    """A number that only says so when asked, as a tensor does."""

    def __float__(self) -> float:
        raise AssertionError("read on the caller's thread")


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_every_call_after_the_first_records_and_refuses_what_the_first_would(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    path = tmp_path / "s.db"
    with torchglass.start(store=path, devices=False) as run:
        for step, values in enumerate([(0.5, 1.5), (1, 2.5), (True, np.float32(3.5)), (0.25, 4.5)]):
            run.log(dict(zip(names, values, strict=True)), step=step)
        run.log(step=np.int64(4), **dict.fromkeys(names, 5.5))
        too_large = r"got a int \(.* too large"
        for wrong, words in (
            (Half(), "got a Half"),
            ("x", "got a str"),
            (None, "got a NoneType"),
            (10**400, too_large),
        ):
            with pytest.raises(OptionError, match=words):
                run.log(dict.fromkeys(names, wrong))
        bad_steps: list[Any] = ["7", 2.0, 2**63]
        for bad in bad_steps:
            with pytest.raises(OptionError, match="step="):
                run.log(dict.fromkeys(names, 1.0), step=bad)
    assert recorded(path, names[0]) == {0: 0.5, 1: 1.0, 2: 1.0, 3: 0.25, 4: 5.5}
    assert recorded(path, names[1]) == {0: 1.5, 1: 2.5, 2: 3.5, 3: 4.5, 4: 5.5}


def test_the_last_of_several_values_counts_though_they_came_in_calls_of_several_shapes(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with torchglass.start(store=path, devices=False) as run:
        for step in range(20):
            run.log(loss=1.0, step=step)
            run.log(accuracy=0.25, step=step)
            run.log(loss=2.0, accuracy=0.5, step=step)
            run.log({"accuracy": 0.75}, step=step, loss=3.0 if step % 2 else 4.0)
            if step % 3 == 0:
                run.log(loss=5.0, step=step)
    expected = {step: 5.0 if step % 3 == 0 else 3.0 if step % 2 else 4.0 for step in range(20)}
    assert recorded(path, "loss") == expected
    assert recorded(path, "accuracy") == dict.fromkeys(range(20), 0.75)


def test_a_store_takes_what_the_writer_makes_of_mixed_rows(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    run = store.start_run("r", {}, host="h", pid=1)
    layouts = Layouts()
    rows = [row(layouts, step, 1.0, {"a": step / 4, **({"b": -step} if step % 2 else {})}) for step in range(50)]
    store.write(run.id, 0, Batch(rows=to_row_blocks(rows)))
    assert recorded(tmp_path / "s.db", "a") == {step: step / 4 for step in range(50)}
    assert recorded(tmp_path / "s.db", "b") == {step: -step for step in range(1, 50, 2)}
