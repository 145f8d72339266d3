"""The command line: what each verb leaves behind, and one sentence for each thing that cannot be done."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import torchglass
from torchglass.cli import main


def test_train_records_a_finished_run_with_weights_that_load_as_tensors_only(trained: Path) -> None:
    import torch

    with torchglass.open_store(trained, read_only=True) as store:
        run = store.run("short")
        loss = store.find_series(run.id, "loss")
        accuracy = store.find_series(run.id, "test/accuracy")
    assert run.status == "finished"
    assert loss is not None
    assert accuracy is not None
    assert loss.count == 3 * 23  # 1437 pictures in batches of 64, three times over
    assert accuracy.count == 3
    state = torch.load(trained.parent / "torchglass-weights" / "short.pt", weights_only=True)
    assert sum(tensor.numel() for tensor in state.values()) == 61_706


@pytest.mark.parametrize("verb", ["ui", "demo"])
@pytest.mark.parametrize("port", ["99999", "0", "-1", "http"])
def test_what_is_no_port_is_refused_before_anything_starts(
    verb: str, port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--store", str(tmp_path / "s.db"), f"--port={port}"])
    assert caught.value.code == 2
    assert f"{port!r} is no port: give a number from 1 to 65535" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_runs_and_show_speak_json(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--json", "--store", str(trained)]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [run["name"] for run in listed] == ["short"]
    assert main(["show", "short", "--json", "--store", str(trained)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["run"]["config"]["model"] == "lenet5"
    assert {series["key"] for series in shown["series"]} >= {"loss", "phase/step", "host/cpu_utilization_percent"}


def test_runs_and_show_read_well_in_a_terminal(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--store", str(trained)]) == 0
    assert main(["show", "short", "--store", str(trained)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["RUN", "STATUS", "STARTED", "LASTED", "STEPS"]
    assert lines[1].split()[:2] == ["short", "finished"]
    assert lines[1].split()[-1] == "69"
    assert any(line.split()[:2] == ["loss", "69"] for line in lines)


def test_explain_stores_one_explanation_per_sample_and_method(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "short", "--samples", "4,5", "--target", "3", "--store", str(trained)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6
    with torchglass.open_store(trained, read_only=True) as store:
        run = store.run("short")
        kept = [each for each in store.artifacts(run.id, kind="explanation") if each.key.startswith("test/")]
        arrays = store.arrays(kept[-1].id)
    assert [(each.key, each.meta["method"]) for each in kept] == [
        (f"test/{sample}", method) for sample in (4, 5) for method in ("gradcam", "shap", "lime")
    ]
    assert {each.meta["target"] for each in kept} == {3}
    assert arrays["inputs"].shape == (1, 1, 32, 32)
    assert torchglass.Explanation.from_arrays(arrays, _own_fields(kept[-1].meta)).method == "lime"


def _own_fields(meta: object) -> dict[str, object]:
    from dataclasses import fields

    assert isinstance(meta, dict)
    return {field.name: meta[field.name] for field in fields(torchglass.Explanation) if field.name in meta}


def test_explain_takes_the_weights_file_and_the_models_name(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = trained.parent / "torchglass-weights" / "short.pt"
    arguments = ["explain", "lenet5", "--samples", "7", "--methods", "gradcam", "--store", str(trained)]
    assert main([*arguments, "--weights", str(weights)]) == 0
    assert "test image 7" in capsys.readouterr().out


def test_report_is_written_where_asked(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "r.html"
    assert main(["report", "short", "-o", str(target), "--store", str(trained)]) == 0
    assert str(target) in capsys.readouterr().out
    assert target.read_text(encoding="utf-8").lower().startswith("<!doctype html>")


BAD_REQUESTS = {
    "a missing run": (["show", "nobody"], "no run 'nobody'"),
    "a missing run in explain": (["explain", "nobody"], "no run 'nobody'"),
    "a missing run in report": (["report", "nobody", "-o", "{tmp}/x.html"], "no run 'nobody'"),
    "an unknown method": (["explain", "short", "--methods", "tarot"], "tarot"),
    "a sample out of range": (["explain", "short", "--samples", "360"], "sample 360"),
    "a class out of range": (["explain", "short", "--target", "10"], "target 10"),
    "an unknown layer": (["explain", "short", "--methods", "gradcam", "--layer", "conv9"], "conv9"),
    "a missing weights file": (["explain", "short", "--weights", "{tmp}/none.pt"], "none.pt"),
    "an unknown model": (["train", "lenet6"], "lenet6"),
    "an unknown data set": (["train", "lenet5", "--dataset", "cats"], "cats"),
    "a data set that is not there": (
        ["train", "lenet5", "--dataset", "mnist", "--cache", "{tmp}/none"],
        "train-images",
    ),
    "a device that is not there": (["train", "lenet5", "--device", "cuda:7"], "cuda:7"),
    "no epochs": (["train", "lenet5", "--epochs", "0"], "epochs"),
    "a report into a missing folder": (["report", "short", "-o", "{tmp}/no/such/x.html"], "no/such"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_gets_one_sentence_and_leaves_nothing(
    name: str, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchglass.reference_models.data.mnist.MIRRORS", ("http://127.0.0.1:9/",))
    arguments, named = BAD_REQUESTS[name]
    with torchglass.open_store(trained, read_only=True) as store:
        before = (len(store.runs()), len(store.artifacts(store.run("short").id)))
    assert main([each.format(tmp=tmp_path) for each in arguments] + ["--store", str(trained)]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("torchglass: ")
    assert said.err.count("\n") == 1
    assert named in said.err
    assert "Traceback" not in said.err
    assert list(tmp_path.rglob("*.html")) == []
    with torchglass.open_store(trained, read_only=True) as store:
        assert (len(store.runs()), len(store.artifacts(store.run("short").id))) == before


def _text_file(path: Path) -> None:
    path.write_text("I am no store, but long enough to look like a file of some importance.\n" * 50)


def _newer_store(path: Path) -> None:
    torchglass.open_store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")


def _foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


BROKEN_STORES = {
    "a text file": (_text_file, "not a torchglass store"),
    "a newer schema": (_newer_store, "schema 99"),
    "another program's database": (_foreign_database, "not a torchglass store"),
    "no file": (lambda path: None, "no store at"),
    "a folder": (Path.mkdir, "is a folder"),
}


@pytest.mark.parametrize("verb", [["runs"], ["show", "x"], ["report", "x", "-o", "x.html"]], ids=lambda verb: verb[0])
@pytest.mark.parametrize("name", BROKEN_STORES)
def test_a_store_that_cannot_be_read_is_refused_unchanged(
    name: str, verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, said = BROKEN_STORES[name]
    path = tmp_path / "broken.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    assert main([*verb, "--store", str(path)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert (path.read_bytes() if path.is_file() else None) == before
    assert list(tmp_path.glob("*.html")) == []


def test_a_hostile_run_name_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.db"
    with torchglass.open_store(path) as store:
        store.start_run("\x1b[2Jgone\u202e", {"a\x07": "\x1b]0;title\x07"}, host="h", pid=1)
    assert main(["runs", "--store", str(path)]) == 0
    assert main(["show", "\x1b[2Jgone\u202e", "--store", str(path)]) == 0
    printed = capsys.readouterr().out
    assert not set(printed) & {"\x1b", "\x07", "\u202e"}
    assert "gone" in printed
    assert main(["show", "nobody", "--store", str(path)]) == 2  # names those there are
    refused = capsys.readouterr().err
    assert not set(refused) & {"\x1b", "\u202e"}
    assert "gone" in refused


def test_a_name_that_the_terminal_cannot_show_is_listed_all_the_same(tmp_path: Path) -> None:
    with torchglass.open_store(tmp_path / "s.db") as store:
        store.start_run("größe\u2192", {}, host="h", pid=1)
    command = [sys.executable, "-m", "torchglass", "runs", "--store", "s.db"]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "größe?".encode("latin-1") in done.stdout


@pytest.mark.parametrize(
    ("verb", "absent", "extra"), [(["ui"], "streamlit", "dashboard"), (["report", "r"], "plotly", "report")]
)
def test_a_missing_extra_is_named(verb: list[str], absent: str, extra: str, tmp_path: Path) -> None:
    with torchglass.open_store(tmp_path / "s.db") as store:
        store.start_run("r", {}, host="h", pid=1)
    without = (
        f"import sys; sys.modules[{absent!r}] = None; from torchglass.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", without, *verb, "--store", "s.db"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    said = f"torchglass: {absent} is not installed: pip install 'torchglass[{extra}]'\n"
    assert (done.returncode, done.stderr) == (2, said)


def test_ctrl_c_ends_training_cleanly_and_the_run_reads_as_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    command = [sys.executable, "-m", "torchglass", "train", "lenet5", "--epochs", "100000", "--quiet", "--run", "long"]
    process = subprocess.Popen(
        [*command, "--store", str(path)], stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        _wait_for_points(path, process)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()  # were it still training, it would do so for days
    assert process.returncode == 130
    assert "interrupted" in error
    assert "Traceback" not in error
    with torchglass.open_store(path, read_only=True) as store:
        run = store.run("long")
        loss = store.find_series(run.id, "loss")
    assert run.status == "interrupted"
    assert loss is not None
    assert loss.count > 0


def _wait_for_points(path: Path, process: subprocess.Popen[str]) -> None:
    import time

    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists():
            with torchglass.open_store(path) as store:
                runs = store.runs()
                if runs and store.find_series(runs[0].id, "loss") is not None:
                    return
        time.sleep(0.05)
    raise AssertionError(f"no training within 90 s: exit code {process.poll()}")


def test_a_nan_is_kept_and_counted_not_hidden(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from torch import nn

    path = tmp_path / "s.db"
    with torchglass.attach(nn.Linear(1, 1), run="nan", store=path, devices=False) as run:
        for step, value in enumerate((1.0, float("nan"), float("-inf"), 3.0)):
            run.log({"loss": value}, step=step)
    assert main(["show", "nan", "--store", str(path)]) == 0
    row = next(line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("loss"))
    assert row == ["loss", "4", "2", "3", "1", "0", "3", "3"]
    with torchglass.open_store(path, read_only=True) as store:
        loss = store.find_series(store.run("nan").id, "loss")
        assert loss is not None
        np.testing.assert_array_equal(store.points(loss.id).values, [1.0, np.nan, -np.inf, 3.0])
