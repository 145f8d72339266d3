"""Explanations over training by command: probes of `torchglass train`, and checkpoints explained afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import torchglass
from torchglass.cli import main
from torchglass.probing import SAMPLES, reference_probes
from torchglass.reference_models import TrainingOptions, get
from torchglass.reference_models.front_door import prepare_lesson
from torchglass.reference_models.learning.precision import choose_precision
from torchglass.store import Artifact


def explanations(path: Path, run: str, group: str) -> list[Artifact]:
    with torchglass.open_store(path, read_only=True) as store:
        kept = store.artifacts(store.run(run).id, kind="explanation")
    return [each for each in kept if each.key.startswith(f"{group}/")]


def test_train_explains_probes_on_the_way_and_learns_the_same_weights_without(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    train = ["train", "lenet5", "--epochs", "2", "--limit", "400", "--quiet", "--device", "cpu", "--store", str(store)]
    assert main([*train, "--run", "seen"]) == 0
    assert main([*train, "--run", "unseen", "--no-probes"]) == 0
    weights = [
        torch.load(tmp_path / "torchglass-weights" / f"{name}.pt", weights_only=True) for name in ("seen", "unseen")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    frames = explanations(store, "seen", "probe")
    assert {each.key for each in frames} == {f"probe/{i}" for i in range(SAMPLES)}
    assert {each.step for each in frames} == {0, 13}
    assert frames[0].meta["class_names"] == [str(digit) for digit in range(10)]
    assert explanations(store, "unseen", "probe") == []
    with torchglass.open_store(store, read_only=True) as opened:
        keys = {series.key for series in opened.series_of(opened.run("seen").id)}
    assert {"explanation/gradcam/drift", "explanation/gradcam/size", "explanation/gradcam/entropy"} <= keys


def test_saved_checkpoints_are_explained_by_one_class_and_only_the_last_is_judged(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ["explain", "short", "--samples", "11", "--methods", "gradcam", "--store", str(trained)]
    assert main([*ask, "--checkpoints", "all"]) == 0
    said = capsys.readouterr().out.splitlines()
    found = [each for each in explanations(trained, "short", "test") if each.key == "test/11"]
    assert [each.step for each in found] == [22, 45, 68]
    assert [line.partition(":")[0] for line in said] == ["step 22", "step 45", "step 68"]
    assert len({each.meta["target"] for each in found}) == 1
    assert ["scores" in each.meta for each in found] == [False, False, True]
    assert main([*ask, "--checkpoints", "2"]) == 0
    assert [each.step for each in explanations(trained, "short", "test") if each.key == "test/11"][3:] == [22, 68]


def test_what_cannot_be_asked_of_checkpoints_is_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask = ["explain", "short", "--store", str(trained)]
    weights = trained.parent / "torchglass-weights" / "short.pt"
    assert main([*ask, "--checkpoints", "all", "--weights", str(weights)]) == 2
    assert "choose one of them" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*ask, "--checkpoints", "0"])
    assert "give all, or a whole number from 1 on" in capsys.readouterr().err


def test_as_many_checkpoints_are_kept_as_were_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "s.db"
    train = ["train", "perceptron", "--limit", "64", "--quiet", "--no-probes", "--device", "cpu", "--store", str(store)]
    assert main([*train, "--epochs", "6", "--keep-checkpoints", "2", "--run", "two"]) == 0
    with torchglass.open_store(store, read_only=True) as opened:
        kept = opened.artifacts(opened.run("two").id, kind="checkpoint")
    assert [each.meta["epoch"] for each in kept] == [3, 6]
    assert main([*train, "--keep-checkpoints", "0"]) == 2
    assert "keep_checkpoints is 0: give a whole number from 1 to 100" in capsys.readouterr().err


def chosen(name: str, **changes: Any) -> torchglass.Probes | None:
    options = TrainingOptions(model=name, limit=40, progress=False, changes=changes)
    lesson = prepare_lesson(options, choose_precision(torch.device("cpu"), None))
    return reference_probes(get(name), lesson, options.recipe)


def test_texts_and_rows_are_probed_by_the_names_of_their_parts() -> None:
    words, rows = chosen("bilstm"), chosen("mlp")
    assert words is not None
    assert rows is not None
    assert words.truth is not None
    first = words.inputs[0] != 0
    assert [bool(word) for word in words.names[0]] == first.tolist()
    assert "mean radius" in rows.names
    assert set(words.methods) == set(rows.methods) == {"integrated_gradients"}


@pytest.mark.parametrize("name", ["dcgan", "detector"])
def test_what_is_no_classifier_has_no_probes(name: str) -> None:
    assert chosen(name) is None


def test_a_model_whose_forward_is_replaced_has_no_probes() -> None:
    assert chosen("lenet5") is not None
    assert chosen("lenet5", checkpointing=True) is None


def test_a_row_of_too_many_columns_is_no_reason_not_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchglass.explainers.probes.MOST_PARTS", 3)
    with pytest.warns(RuntimeWarning, match="no probes are explained while this trains: .*3"):
        assert chosen("mlp") is None
