"""A run without a model: what is logged lands on the step that was named last, and can be waited for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training import Small, facts, read, recorded

import torchglass
from torchglass.errors import OptionError, StoreError
from torchglass.instrumentation import writer as writer_module
from torchglass.instrumentation.histograms.sample import count_values, to_histogram


def test_a_run_without_a_model_records_where_the_step_was_named_last(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with torchglass.start("script", store=path, config={"rate": 0.5}, devices=False) as run:
        run.log(a=1.0)
        run.log(a=2.0, step=7)
        run.log(b=3.0)
        assert run.current_step == 7
        run.log(a=4.0, step=3)
        run.log({"c": {"d": 5}})
    assert recorded(path, "a") == {0: 1.0, 3: 4.0, 7: 2.0}
    assert recorded(path, "b") == {7: 3.0}
    assert recorded(path, "c/d") == {3: 5.0}
    found = read(path, "script")[1]
    assert (found.status, found.config) == ("finished", {"rate": 0.5})
    assert "model" not in facts(path)
    assert facts(path)["environment"]["torch"] == torch.__version__


def test_a_run_that_watches_a_loop_counts_its_own_steps_whatever_step_a_value_names(tmp_path: Path) -> None:
    with torchglass.attach(Small(), store=tmp_path / "s.db", devices=False) as run:
        run.log(a=1.0, step=7)
        run.log(a=2.0)
        assert run.current_step == 0
    assert recorded(tmp_path / "s.db", "a") == {0: 2.0, 7: 1.0}


def test_a_run_without_a_model_counts_named_steps_and_their_times(tmp_path: Path) -> None:
    with torchglass.start(store=tmp_path / "s.db", devices=False) as run:
        for index in range(3):
            with run.step() as step:
                assert step == index
                run.log(a=index / 2)
        assert run.name == "run"
    assert recorded(tmp_path / "s.db", "a") == {0: 0.0, 1: 0.5, 2: 1.0}
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1, 2]


def test_start_without_a_run_name_takes_the_next_free_one_and_disabled_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    names = []
    for _ in range(2):
        with torchglass.start(store=path, devices=False) as run:
            names.append(run.name)
    assert names == ["run", "run-2"]
    with torchglass.start(store=tmp_path / "none.db", mode="disabled") as run:
        run.log(a=1.0, step=3, time=5.0)
        run.log_histogram("h", [1.0])
        assert run.flush()
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [({"run": 5}, "run=5: give a name"), ({"config": 3}, "config is a int"), ({"mode": "off"}, "mode='off'")],
)
def test_what_start_cannot_use_is_refused(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        torchglass.start(store=tmp_path / "s.db", **options)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match="does not exist"):
        torchglass.start(store=tmp_path / "no" / "s.db")


def test_a_value_may_say_when_it_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with torchglass.start(store=path, devices=False) as run:
        run.log(a=1.0, step=0, time=1_500_000_000.25)
        run.log({"time": 9.0}, step=1)
        for wrong in ("now", float("nan"), None.__class__):
            with pytest.raises(OptionError, match="time="):
                run.log(a=1.0, time=wrong)  # type: ignore[arg-type]
    store, found = read(path)
    series = store.find_series(found.id, "a")
    assert series is not None
    assert store.points(series.id).times.tolist() == [1_500_000_000.25]
    assert recorded(path, "time") == {1: 9.0}


@pytest.mark.parametrize(
    "values",
    [
        np.array([1.5, np.nan, -np.inf, 0.0, 3e300]),
        np.arange(6, dtype=np.uint16).reshape(2, 3),
        np.array([True, False]),
        np.array([0.1, -0.1], np.float32)[::-1],
        np.float64(2.0),
        [1, 2.5],
        torch.tensor([1.5, torch.nan], dtype=torch.bfloat16, requires_grad=True),
        torch.arange(4),
    ],
    ids=["float64", "uint16", "bool", "float32 backwards", "scalar", "list", "bfloat16", "int64"],
)
def test_a_histogram_is_counted_whatever_holds_the_values(tmp_path: Path, values: Any) -> None:
    path = tmp_path / "s.db"
    with torchglass.start(store=path, devices=False) as run:
        run.log_histogram("weights/x", values, step=5)
    plain = torch.as_tensor(np.array(values) if not isinstance(values, torch.Tensor) else values)
    plain = plain if plain.dtype is torch.float32 else plain.double()
    expected = to_histogram(count_values(plain).numpy(), 5, 0.0)
    store, found = read(path)
    (histogram,) = store.histograms(found.id, "weights/x")
    assert histogram.step == 5
    assert histogram.bins.tolist() == expected.bins.tolist()
    assert histogram.counts.tolist() == expected.counts.tolist()
    assert (histogram.nan_count, histogram.count) == (expected.nan_count, plain.numel())


@pytest.mark.parametrize(
    ("values", "smallest", "largest"),
    [
        (torch.tensor([2**24 + 1, -(2**24) - 1]), -16777217.0, 16777217.0),
        (torch.tensor([2**24 + 3], dtype=torch.int32), 16777219.0, 16777219.0),
        (torch.tensor([1.5, -3.0]).to(torch.float8_e4m3fn), -3.0, 1.5),
        (torch.tensor([1 + 2j, 3 - 4j]).conj().imag, -2.0, 4.0),
    ],
    ids=["int64", "int32", "float8", "a negative view"],
)
def test_extremes_are_exact_in_types_that_few_use_and_recording_goes_on(
    tmp_path: Path, values: torch.Tensor, smallest: float, largest: float
) -> None:
    path = tmp_path / "s.db"
    with torchglass.start(store=path, devices=False) as run:
        run.log_histogram("h", values)
        run.log_histogram("after", [1.0])
    store, found = read(path)
    (histogram,) = store.histograms(found.id, "h")
    assert (histogram.minimum, histogram.maximum, histogram.count) == (smallest, largest, values.numel())
    assert len(store.histograms(found.id, "after")) == 1


def not_dense() -> list[torch.Tensor]:
    """Tensors that hold their values in ways of their own."""
    return [
        torch.eye(3).to_sparse(),
        torch.eye(3).to_sparse_csr(),
        torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8),
    ]


def test_a_histogram_of_nothing_is_not_recorded_and_one_of_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with torchglass.start(store=path, devices=False) as run:
        run.log_histogram("h", [])
        run.log_histogram("h", torch.empty(0, 3))
        for wrong in ("abc", [None], ["a"], torch.empty(3, device="meta"), np.array([{}]), *not_dense()):
            with pytest.raises(OptionError, match=r"log_histogram\('h'\) got a .*: give an array or a tensor"):
                run.log_histogram("h", wrong)
        with pytest.raises(OptionError, match="as a name"):
            run.log_histogram(3, [1.0])  # type: ignore[arg-type]
    store, found = read(path)
    assert store.histograms(found.id, "h") == []


def test_flush_returns_once_all_that_was_recorded_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "FLUSH_SECONDS", 3600.0)
    path = tmp_path / "s.db"
    run = torchglass.start(store=path, devices=False)
    for step in range(3):
        run.log(a=float(step), step=step)
        run.save_arrays("k", str(step), {"x": np.ones(2)}, {})
        assert run.flush()
        assert list(recorded(path, "a")) == list(range(step + 1))
    store, found = read(path)
    assert len(store.artifacts(found.id)) == 3
    run.finish()
    assert run.flush()


def test_flush_from_several_threads_serves_each(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    missing = []
    with torchglass.start(store=path, devices=False) as run:

        def log(thread: int) -> None:
            for step in range(10):
                run.log({f"t{thread}": 1.0}, step=step)
                if not run.flush() or len(recorded(path, f"t{thread}")) != step + 1:
                    missing.append((thread, step))

        threads = [threading.Thread(target=log, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert missing == []


def test_what_is_configured_later_joins_the_run_s_configuration(tmp_path: Path) -> None:
    with torchglass.start("late", store=tmp_path / "store.db", config={"lr": 0.1, "seed": 1}, devices=False) as run:
        run.configure({"lr": 0.2, "layers": [1, 2]})
        run.configure({"seed": 1})
        assert run.config == {"lr": 0.2, "seed": 1, "layers": [1, 2]}
        run.flush()
        with torchglass.open_store(tmp_path / "store.db") as store:
            assert store.run("late").config == {"lr": 0.2, "seed": 1, "layers": [1, 2]}
