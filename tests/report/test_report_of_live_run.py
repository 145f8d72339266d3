"""`run.report()` while a run records, and reports of stores that cannot be read."""

from __future__ import annotations

import sqlite3
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import torchglass
from torchglass.cli import main
from torchglass.errors import OptionError


def attached(path: Path, **options: object) -> torchglass.Run:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return torchglass.attach(model, optimizer, store=path, run="live", devices=False, **options)  # type: ignore[arg-type]


def test_a_run_reports_what_it_has_recorded_so_far_and_goes_on(tmp_path: Path) -> None:
    with attached(tmp_path / "s.db") as run:
        for step in range(5):
            run.log(loss=float(step))
        first = run.report()
        run.log(loss=-2.0)
        second = run.report(tmp_path / "again.html", sections=["curves"], language="zh")
        with pytest.raises(OptionError, match="no section 'magic'"):
            run.report(sections=["magic"])
        with pytest.raises(TypeError, match="colour"):
            run.report(colour="red")
    assert first == tmp_path / "live.html"
    text = first.read_text("utf-8")
    assert "The run was still going on when this was written" in text
    assert "<dt>Last loss</dt><dd>4</dd>" in text
    assert second is not None
    assert "<dd>-2</dd>" in second.read_text("utf-8")
    assert torchglass.open_store(tmp_path / "s.db").run("live").status == "finished"


def test_a_report_that_cannot_be_written_is_a_warning_and_training_goes_on(tmp_path: Path) -> None:
    with attached(tmp_path / "s.db") as run, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run.log(loss=1.0)
        assert run.report(tmp_path / f"{'x' * 300}.html") is None
        run.log(loss=2.0)
    assert any("could not write a report of 'live'" in str(one.message) for one in caught)
    with attached(tmp_path / "s.db", mode="disabled") as run:
        assert run.report(tmp_path / "none.html") is None
    assert not (tmp_path / "none.html").exists()


def test_a_store_that_is_damaged_or_away_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database at all" * 100)
    target = str(tmp_path / "a.html")
    assert main(["report", "run", "--store", str(broken), "-o", target]) == 2
    assert main(["report", "run", "--store", str(tmp_path / "none.db"), "-o", target]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all(line.startswith("torchglass: ") for line in said)
    assert not Path(target).exists()


def test_a_store_that_somebody_writes_to_is_reported_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with torchglass.open_store(path) as store:
        store.start_run("waiting", {}, host="h", pid=1)
    writer = sqlite3.connect(path)
    writer.execute("BEGIN IMMEDIATE")
    try:
        assert main(["report", "waiting", "--store", str(path), "-o", str(tmp_path / "a.html")]) == 0
    finally:
        writer.rollback()
        writer.close()
    assert (tmp_path / "a.html").exists()


def test_the_command_compares_fits_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, target = tmp_path / "s.db", tmp_path / "a.html"
    with torchglass.open_store(path) as store:
        for name in ("one", "two"):
            store.start_run(name, {"lr": 0.1}, host="h", pid=1)
    common = ["--store", str(path), "-o", str(target)]
    assert main(["report", "one", "two", *common, "--sections", "curves", "--max-mb", "4"]) == 0
    assert "All runs together" in target.read_text("utf-8")
    target.unlink()
    assert main(["report", "one", *common, "--max-mb", "0.5"]) == 2
    assert "max_mb=0.5: even the barest report of this run takes 0.7 MB" in capsys.readouterr().err
    assert not target.exists()
