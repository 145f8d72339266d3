"""Whatever is logged, flushed, compacted and killed in between: the store is what a dictionary would be."""

from __future__ import annotations

import mmap
import os
import signal
import struct
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import torchglass
import torchglass.instrumentation  # loaded here, so that no fork has to load torch

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

KEYS = ("loss", "accuracy", "rate")


class Log(NamedTuple):
    """One call of `run.log`."""

    values: dict[str, float]
    step: int


Operation = Log | Literal["flush", "compact"]
logs = st.builds(
    Log,
    st.dictionaries(st.sampled_from(KEYS), st.floats(allow_nan=True), min_size=1),
    st.integers(-3, 12),
)
lives = st.lists(st.one_of(logs, logs, logs, st.sampled_from(["flush", "compact"])), min_size=1, max_size=30)


def live(store: Path, name: str, operations: list[Operation], told: mmap.mmap, *, is_killed: bool) -> None:
    """Do them in a process of its own; `told` counts what was done, and what a flush made safe."""
    child = os.fork()
    if child == 0:
        try:
            run = torchglass.start(name, store=store, devices=False)
            for done, operation in enumerate(operations, start=1):
                safe = struct.unpack("<qq", told[:16])[1]
                if isinstance(operation, Log):
                    run.log(operation.values, step=operation.step)
                elif run.flush(30.0):
                    safe = done
                    if operation == "compact":
                        with torchglass.open_store(store) as other:
                            other.compact(run.id)
                told[:16] = struct.pack("<qq", done, safe)
            if is_killed:
                os.kill(os.getpid(), signal.SIGKILL)
            run.finish()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def model_of(operations: list[Operation]) -> dict[str, dict[int, float]]:
    """Last value of each step of each key."""
    model: dict[str, dict[int, float]] = {}
    for operation in operations:
        if isinstance(operation, Log):
            for key, value in operation.values.items():
                model.setdefault(key, {})[operation.step] = value
    return model


def read(store: Path, name: str) -> dict[str, dict[int, float]]:
    with torchglass.open_store(store, read_only=True) as opened:
        run = opened.run(name)
        points = {each.key: opened.points(each.id) for each in opened.series_of(run.id, kind="scalar")}
    return {
        key: dict(zip(each.steps.tolist(), each.values.tolist(), strict=True))
        for key, each in points.items()
        if len(each.steps)
    }


def same(one: dict[str, dict[int, float]], other: dict[str, dict[int, float]]) -> bool:
    """Equal, where NaN equals NaN."""
    return {key: sorted(points) for key, points in one.items()} == {
        key: sorted(points) for key, points in other.items()
    } and all(
        np.array_equal(points[step], other[key][step], equal_nan=True) for key, points in one.items() for step in points
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(all_lives=st.lists(st.tuples(lives, st.booleans()), min_size=1, max_size=3))
def test_any_interleaving_of_log_flush_compact_and_crash_reads_back_as_a_dictionary(
    all_lives: list[tuple[list[Operation], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store.db"
        for number, (operations, is_killed) in enumerate(all_lives):
            told = mmap.mmap(-1, mmap.PAGESIZE)
            live(store, f"life{number}", operations, told, is_killed=is_killed)
            done, safe = struct.unpack("<qq", told[:16])
            assert done == len(operations)
            kept = read(store, f"life{number}")
            # What was flushed survives a kill; what came after it may be there, as far as some moment.
            possible = range(safe, done + 1) if is_killed else [done]
            assert any(same(kept, model_of(operations[:moment])) for moment in possible)
        for number, (operations, is_killed) in enumerate(all_lives):
            if not is_killed:
                assert same(read(store, f"life{number}"), model_of(operations)), "a later life changed an earlier one"
