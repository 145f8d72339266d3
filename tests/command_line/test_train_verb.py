"""What `torchglass train` says at its end, and with which exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchglass.cli import main

LINEAR = ["train", "linear", "--epochs", "1", "--limit", "60", "--device", "cpu", "--quiet"]


def test_a_run_ends_with_its_score_and_where_its_weights_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*LINEAR, "--store", str(tmp_path / "runs.db")]) == 0
    score, weights = capsys.readouterr().out.splitlines()
    assert score.startswith("linear-breast-cancer: test accuracy ")
    assert Path(weights.removeprefix("weights: ")).is_file()


def test_where_nothing_is_recorded_no_weights_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHGLASS_MODE", "disabled")
    assert main(LINEAR) == 0
    (score,) = capsys.readouterr().out.splitlines()
    assert score.startswith("linear-breast-cancer: test accuracy ")


def test_an_impossible_switch_is_one_sentence_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*LINEAR, "--amp", "fp16", "--store", str(tmp_path / "runs.db")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "torchglass: amp is 'fp16' and the device is the CPU, which trains in bf16 only: give --amp bf16"
    ]
    assert list(tmp_path.iterdir()) == []
