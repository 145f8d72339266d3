"""Arrays are kept without pickle, in either direction."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from blocks import change, start

from torchglass.errors import RunNotFoundError, StoreError
from torchglass.store import ArtifactBlock, Batch, Fact, ProfilerRow, ProfilerWindow, Store


class Bomb:
    """Unpickling this would call a function of the attacker's choice."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("exploded"),)  # type: ignore[return-value]


@pytest.fixture
def store(location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.chdir(tmp_path)
    with Store(location) as opened:
        yield opened


def artifact(arrays: dict[str, npt.NDArray[Any]], key: str = "a") -> ArtifactBlock:
    return ArtifactBlock("samples", key, 3, 4.5, {"classes": ["x", "y"], "bad": float("nan")}, arrays)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.uint8).reshape(1, 2, 3),
        np.array(2.5),
        np.empty((0, 4), np.float16),
        np.array([True, False]),
        np.array(["lap", "gläser"]),
        np.array([np.nan, -0.0]),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    ],
)
def test_an_array_comes_back_with_shape_dtype_and_bytes(store: Store, array: npt.NDArray[Any]) -> None:
    stored = store.add_artifact(start(store), artifact({"array": array}))
    read = store.arrays(stored)["array"]
    assert (read.dtype, read.shape, read.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize("name", ["file", "allow_pickle", "args", "conv1.weight", "a/b", "x.npy", "äé"])
def test_an_array_may_have_any_name(store: Store, name: str) -> None:
    stored = store.add_artifact(start(store), artifact({name: np.arange(3), "other": np.arange(4)}))
    read = store.arrays(stored)
    assert {key: array.tolist() for key, array in read.items()} == {name: [0, 1, 2], "other": [0, 1, 2, 3]}


def test_an_array_of_objects_is_refused_and_nothing_is_stored(store: Store) -> None:
    run = start(store)
    with pytest.raises(StoreError, match="'o' has dtype object"):
        store.add_artifact(run, artifact({"fine": np.arange(3), "o": np.array([Bomb()], dtype=object)}))
    with pytest.raises(StoreError, match="'o' has dtype object"):
        store.write(run, 0, Batch(artifacts=[artifact({}), artifact({"o": np.array([{}])})]))
    assert store.artifacts(run) == []


def bomb_in_npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([Bomb()], dtype=object))
    return buffer.getvalue()


@pytest.mark.parametrize("payload", [bomb_in_npz(), pickle.dumps(Bomb()), b"", b"PK\x03\x04 torn", b"no archive"])
def test_a_payload_that_holds_a_pickle_or_rubbish_is_refused_on_reading(store: Store, payload: bytes) -> None:
    stored = store.add_artifact(start(store), artifact({"a": np.arange(3)}))
    change(store, "UPDATE artifacts SET payload = ?", payload)
    with pytest.raises(StoreError, match=f"artifact {stored} "):
        store.arrays(stored)
    assert not Path("exploded").exists()


def test_artifacts_are_found_by_kind_and_key_and_missing_ones_are_named(store: Store) -> None:
    run = start(store)
    first, second = (store.add_artifact(run, artifact({}, key)) for key in ("a", "b"))
    assert [each.id for each in store.artifacts(run)] == [first, second]
    assert [each.id for each in store.artifacts(run, kind="samples", key="b")] == [second]
    assert store.artifacts(run, kind="checkpoint") == []
    kept = store.artifacts(run, key="a")[0]
    assert (kept.step, kept.time, dict(kept.meta)) == (3, 4.5, {"classes": ["x", "y"], "bad": "nan"})
    with pytest.raises(RunNotFoundError, match="no artifact 99"):
        store.arrays(99)


def test_windows_and_facts_come_back_and_a_later_fact_replaces_an_earlier(store: Store) -> None:
    run = start(store)
    rows = (ProfilerRow("operator", "aten::mm", 4, 0.25, 0.5), ProfilerRow("operator", "aten::add", 9, 0.75, 0.75))
    store.write(run, 1, Batch(windows=[ProfilerWindow(8, 2.5, 3, 1.5, {"slowdown": None}, rows)]))
    store.write(run, 0, Batch(facts=[Fact(0, "k", {"a": [1, 2.5, None]}, 1.0), Fact(1, "k", "other rank", 1.0)]))
    store.state_facts(run, [Fact(0, "k", {"b": float("inf"), "path": Path("x")}, 2.0)])
    (window,) = store.windows(run)
    assert (window.step, window.rank, window.step_count, window.wall_seconds) == (8, 1, 3, 1.5)
    assert [row.name for row in window.rows] == ["aten::add", "aten::mm"]
    assert window.rows[1] == rows[0]
    assert [(each.id, each.facts, each.rows) for each in store.windows(run, rows=False)] == [
        (window.id, {"slowdown": None}, ())
    ]
    assert store.windows(run, rank=0) == []
    assert store.facts(run) == [Fact(0, "k", {"b": "inf", "path": "x"}, 2.0), Fact(1, "k", "other rank", 1.0)]


def test_tables_of_a_window_come_back_as_they_were_and_only_those_asked_for(store: Store) -> None:
    run = start(store)
    kernels = {"name": np.array(["gemm", "ReLU ✓"]), "seconds": np.array([2.5e-6, np.nan]), "calls": np.array([3, 1])}
    tables = {"kernels": kernels, "empty": {"name": np.array([], np.str_)}}
    store.write(run, 0, Batch(windows=[ProfilerWindow(8, 2.5, 3, 1.5, {}, (), tables=tables)]))
    (window,) = store.windows(run)
    assert window.tables == {}
    found = store.window_tables(window.id)
    assert found.keys() == tables.keys()
    for column, values in kernels.items():
        np.testing.assert_array_equal(found["kernels"][column], values)
    assert found["empty"]["name"].size == 0
    assert store.window_tables(window.id, ["empty", "absent"]).keys() == {"empty"}
    assert store.window_tables(window.id + 1) == {}
