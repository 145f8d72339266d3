"""The verbs `import` and `export`: what they print, and one sentence for each thing that cannot be done."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from exchanged import scalar_event, tensor_event, write_log

from torchglass.cli import main
from torchglass.store import Store


def test_logs_go_in_and_tables_come_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "s.db")
    write_log(tmp_path / "logs" / "a", [scalar_event("loss", 0.5, 0), scalar_event("loss", 0.25, 1)])
    assert main(["import", "tensorboard", str(tmp_path / "logs"), "--store", store]) == 0
    assert main(["import", "tensorboard", str(tmp_path / "logs"), "--run", "mine", "--store", store]) == 0
    assert capsys.readouterr() == ("a: 2 points of 1 series\nmine: 2 points of 1 series\n", "")
    target = tmp_path / "a.csv"
    assert main(["export", "a", "--format", "csv", "-o", str(target), "--store", store]) == 0
    said = capsys.readouterr()
    assert said.out == f"{target} (0.0 MB): 2 points of 1 series\n"
    assert target.read_text().count("\n") == 3


def test_what_was_not_taken_along_is_said_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = [scalar_event("loss", 0.5, 5), scalar_event("loss", 0.25, 1), tensor_event("m", [1.0, 2.0], 0, "mesh")]
    path = write_log(tmp_path / "log", log)
    path.write_bytes(path.read_bytes() + b"torn")
    assert main(["import", "tensorboard", str(tmp_path / "log"), "--store", str(tmp_path / "s.db")]) == 0
    said = capsys.readouterr()
    assert said.out == "log: 2 points of 1 series\n"
    torn, late, left_out = said.err.splitlines()
    assert "ends within a record" in torn
    assert "1 points do not come after all before them" in late
    assert left_out == "torchglass: log: left out 1 mesh"


def test_an_empty_log_says_that_no_run_was_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(tmp_path / "log", [])
    assert main(["import", "tensorboard", str(tmp_path / "log"), "--store", str(tmp_path / "s.db")]) == 0
    assert capsys.readouterr() == ("", "torchglass: log: nothing was logged; no run was made\n")


BAD_REQUESTS = {
    "a missing folder of logs": (["import", "tensorboard", "{tmp}/none"], "none does not exist"),
    "a folder without logs": (["import", "tensorboard", "{tmp}"], "no event files"),
    "a run that is not there": (["export", "nobody", "--format", "csv"], "no run 'nobody'"),
    "a table into a missing folder": (["export", "r", "--format", "csv", "-o", "{tmp}/no/x.csv"], "does not exist"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_gets_one_sentence(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(tmp_path / "s.db") as store:
        store.start_run("r", {}, host="here", pid=1)
    before = sorted(tmp_path.rglob("*"))
    arguments, said = BAD_REQUESTS[name]
    assert main([*(each.format(tmp=tmp_path) for each in arguments), "--store", str(tmp_path / "s.db")]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("torchglass: ")
    assert told.err.count("\n") == 1
    assert said in told.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    absent = {"tensorboard", "pyarrow"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else found(name))
    monkeypatch.setitem(sys.modules, "tqdm", None)  # without it there is no bar, and that is all
    with Store(tmp_path / "s.db") as store:
        store.start_run("r", {}, host="here", pid=1)
    location = ["--store", str(tmp_path / "s.db")]
    assert main(["import", "tensorboard", str(tmp_path), *location]) == 2
    assert main(["export", "r", "--format", "parquet", *location]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.split(": ", 1)[1] for line in said] == [
        "tensorboard is not installed: pip install 'torchglass[exchange]'",
        "pyarrow is not installed: pip install 'torchglass[exchange]'",
    ]
    assert main(["export", "r", "--format", "csv", "-o", str(tmp_path / "x.csv"), *location]) == 0
