"""`torchglass trace RUN`: the raw traces that a run kept are listed, copied, and can be imported again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import torchglass
from torchglass.cli import main
from torchglass.store import Batch, ProfilerWindow, Store
from torchglass.traces.importing import import_traces


def window(step: int, file: str | None) -> ProfilerWindow:
    facts = {} if file is None else {"trace_file": file}
    return ProfilerWindow(step=step, time=1.0, step_count=3, wall_seconds=1.0, facts=facts, rows=())


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A store with a run of three windows, two of which kept a trace; one of these was lost since."""
    location = tmp_path / "s.db"
    with Store(location) as store:
        run = store.start_run("a", {}, host="h", pid=1)
        windows = [window(10, "ten.json.gz"), window(20, "../../twenty.json.gz"), window(30, None)]
        store.write(run.id, 0, Batch(windows=windows))
        store.end_run(run.id, "finished")
    (tmp_path / "torchglass-traces").mkdir()
    (tmp_path / "torchglass-traces" / "ten.json.gz").write_bytes(b"of ten")
    return location


def test_kept_traces_are_listed_with_their_place(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "a", "--store", str(kept)]) == 0
    folder = kept.parent / "torchglass-traces"
    assert capsys.readouterr().out.splitlines() == [
        f"step 10: {folder / 'ten.json.gz'} (0.0 MB)",
        f"step 20: {folder / 'twenty.json.gz'} (no longer there)",  # not outside the folder, whatever the store says
    ]


def test_a_kept_trace_is_copied(kept: Path, tmp_path: Path) -> None:
    assert main(["trace", "a", "--window", "10", "-o", str(tmp_path / "out.json.gz"), "--store", str(kept)]) == 0
    assert (tmp_path / "out.json.gz").read_bytes() == b"of ten"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "--window", "30", "-o", "x"], "no trace of a window at step 30: it has those at 10, 20"),
        (["a", "-o", "x"], "is not there any more"),
        (["a", "--rank", "1"], "kept no traces of rank 1"),
        (["a", "--window", "10", "-o", "/nowhere/x"], "does not exist"),
        (["b"], "b"),
    ],
)
def test_what_cannot_be_had_is_said_in_a_sentence(
    kept: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["trace", *arguments, "--store", str(kept)]) == 2
    assert said in capsys.readouterr().err


def test_what_a_run_kept_can_be_imported_and_has_the_windows_operators(tmp_path: Path) -> None:
    location = tmp_path / "s.db"
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    profiled = torchglass.every(5, steps=2, keep_traces=True)
    with torchglass.attach(model, optimizer, run="a", store=location, profile=profiled, devices=False):
        for _ in range(20):
            model(torch.ones(3, 4)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    copied = tmp_path / "copy.json.gz"
    assert main(["trace", "a", "-o", str(copied), "--store", str(location)]) == 0
    imported = import_traces([copied], store=location)
    with Store(location, read_only=True) as store:
        recorded = store.windows(store.run("a").id)[-1]
        (again,) = store.windows(imported.run_id)
        tables = [store.window_tables(each.id, ["operators"])["operators"] for each in (recorded, again)]
    calls = [dict(zip(table["name"].tolist(), table["calls"].tolist(), strict=True)) for table in tables]
    assert calls[0]["aten::addmm"] == calls[1]["aten::addmm"] == 2
    assert again.step_count == 2
