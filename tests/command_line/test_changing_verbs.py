"""`torchglass what-if` and `torchglass shortcuts`: every checkpoint is asked, in the sample's own words and units."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from torchglass.changing import Trial, try_in_run
from torchglass.cli import main
from torchglass.errors import OptionError, RunNotFoundError, TorchglassError
from torchglass.reference_models import get
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.weights import state_arrays
from torchglass.report.contents import read_contents
from torchglass.report.html import render
from torchglass.shortcuts import Hunt, find_in_run
from torchglass.store import ArtifactBlock, Store

STEPS = (5, 10)
FORMS = {
    "linear": DataForm("table", "classification", (3,), ("no", "yes"), ("age", "size", "3")),
    "bilstm": DataForm("text", "classification", (6,), ("bad", "good"), vocabulary_size=20),
    "simple_cnn": DataForm("pictures", "classification", (3, 16, 16), ("ring", "star", "cross")),
    "mlp": DataForm("table", "regression", (2,), (), ("x", "y"), target_mean=150.0, target_deviation=70.0),
}
WORDS = np.array([f"w{token}" for token in range(20)])


def samples_of(form: DataForm) -> dict[str, np.ndarray[Any, Any]]:
    """Samples as a run's gallery keeps them, drawn at random."""
    draw = np.random.default_rng(0)
    count, background = 30, 20
    targets = draw.integers(0, 2, count)
    if form.kind == "text":
        inputs = draw.integers(3, 20, (count + background, *form.shape))
        inputs[:, 4:] = 0
        return {
            "inputs": inputs[:count],
            "background": inputs[count:],
            "targets": targets,
            "words": WORDS[inputs[:count]],
        }
    if form.kind == "pictures":
        inputs = draw.integers(0, 256, (count + background, *form.shape)).astype(np.uint8)
    else:
        inputs = draw.normal(size=(count + background, *form.shape)).astype(np.float32)
    return {"inputs": inputs[:count], "background": inputs[count:], "targets": targets}


@torch.no_grad()
def _answer_differently(model: torch.nn.Module) -> None:
    """Take the mean answer off a fresh network's, which else gives the same class to all pictures."""
    pictures = torch.from_numpy(samples_of(FORMS["simple_cnn"])["inputs"] / np.float32(255))
    bias = model.get_parameter("fc.bias")
    bias -= model(pictures).mean(dim=0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one run of each kind, with two checkpoints of different weights each; no data set is anywhere."""
    path = tmp_path_factory.mktemp("changing") / "runs.db"
    with Store(path) as store:
        for name, form in FORMS.items():
            run = store.start_run(name, {"model": name}, host="here", pid=1)
            notes = {"model": name, "dataset": "drawn", "seed": 0, "form": form.to_json(), "dropout": None}
            for step in STEPS:
                torch.manual_seed(step)
                model = get(name).build(form).eval()
                if name == "simple_cnn":
                    _answer_differently(model)
                store.add_artifact(
                    run.id, ArtifactBlock("checkpoint", "weights", step, 0.0, notes, state_arrays(model))
                )
            scale = {"means": [10.0] * form.shape[0], "deviations": [2.0] * form.shape[0]}
            meta = notes | {"scale": scale if form.kind == "table" else None}
            store.add_artifact(run.id, ArtifactBlock("samples", "test", 10, 0.0, meta, samples_of(form)))
    return path


def weights(runs: Path, name: str, key: str) -> list[np.ndarray[Any, Any]]:
    with Store(runs) as store:
        found = store.artifacts(store.run(name).id, kind="checkpoint")
        return [store.arrays(one.id)[key] for one in found]


def test_a_column_is_set_in_its_own_units_at_each_checkpoint(runs: Path) -> None:
    block = try_in_run(runs, Trial("linear", 2, "set", "size=14"))
    row = samples_of(FORMS["linear"])["inputs"][2]
    key = next(key for key in ("weight", "linear.weight", "fc.weight") if key in _keys(runs, "linear"))
    moved = (14 - 10) / 2 - row[1]
    expected = [moved * table[:, 1] for table in weights(runs, "linear", key)]
    np.testing.assert_allclose(block.arrays["after"] - block.arrays["before"], expected, atol=1e-5)
    assert block.meta["told"] == "size becomes 14"
    assert block.meta["steps"] == list(STEPS)
    np.testing.assert_allclose(block.arrays["shown_before"].sum(axis=1), 1, rtol=1e-6)
    assert block.meta["target"] == int(block.arrays["before"][-1].argmax())


def test_several_columns_are_set_at_once(runs: Path) -> None:
    block = try_in_run(runs, Trial("linear", 2, "set", "size=14", more=("#0=3",)))
    assert block.meta["told"] == "size becomes 14, age becomes 3"
    alone = [try_in_run(runs, Trial("linear", 2, "set", told)).arrays for told in ("size=14", "age=3")]
    moved = [float((one["after"] - one["before"])[-1, 0]) for one in (block.arrays, *alone)]
    assert moved[0] == pytest.approx(moved[1] + moved[2], rel=1e-4)
    with pytest.raises(OptionError, match="--set names a column twice"):
        try_in_run(runs, Trial("linear", 2, "set", "size=14", more=("#1=3",)))


def _keys(runs: Path, name: str) -> set[str]:
    with Store(runs) as store:
        return set(store.arrays(store.artifacts(store.run(name).id, kind="checkpoint")[-1].id))


def test_a_column_s_name_wins_over_its_number(runs: Path) -> None:
    assert try_in_run(runs, Trial("linear", 0, "set", "3=10")).meta["column"] == 2
    assert try_in_run(runs, Trial("linear", 0, "set", "0=10")).meta["told"] == "age becomes 10"


def test_a_number_is_meant_as_one_where_it_says_so(runs: Path) -> None:
    assert try_in_run(runs, Trial("linear", 0, "set", "#1=10")).meta["told"] == "size becomes 10"
    with pytest.raises(OptionError, match="'#3=10' names no column"):
        try_in_run(runs, Trial("linear", 0, "set", "#3=10"))


class FirstPixel(torch.nn.Module):
    """Sure of class 0 where the first pixel is bright, and sure that it is not where it is dark."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, 2)."""
        bright = 1e5 * (pictures[:, 0, 0, 0] - 0.5)
        return torch.stack((bright, torch.zeros_like(bright)), dim=1)


def test_the_probability_after_several_fills_is_the_mean_of_theirs_and_not_that_of_the_mean_logits(
    monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    monkeypatch.setattr("torchglass.changing._model", lambda *_asked: FirstPixel())
    shown = try_in_run(runs, Trial("simple_cnn", 5, "erase", "0,0,1,1")).arrays["shown_after"]
    bright = 16 * shown[:, 0]
    np.testing.assert_allclose(bright, bright.round(), atol=1e-6)
    assert (bright > 0).all()
    assert (bright < 16).all()


def test_a_number_that_is_predicted_stays_in_its_own_units(runs: Path) -> None:
    block = try_in_run(runs, Trial("mlp", 1, "set", "x=11"))
    assert block.meta["shown_as"] == "score"
    assert block.arrays["shown_before"].shape == (2, 1)
    assert np.array_equal(block.arrays["shown_before"], block.arrays["before"].astype(np.float64))


def test_a_word_is_hidden_or_becomes_another_one(runs: Path) -> None:
    ids = samples_of(FORMS["bilstm"])["inputs"][1]
    hidden = try_in_run(runs, Trial("bilstm", 1, "replace", "2"))
    assert hidden.arrays["changed"].tolist() == [*ids[:2], get("bilstm").explain.baseline, *ids[3:]]
    assert hidden.meta["told"] == f"word 2, 'w{ids[2]}', is hidden"
    other = try_in_run(runs, Trial("bilstm", 1, "replace", "2=w7"))
    assert other.arrays["changed"].tolist() == [*ids[:2], 7, *ids[3:]]


def test_a_region_is_erased_or_pasted_from_another_sample(runs: Path) -> None:
    pictures = samples_of(FORMS["simple_cnn"])["inputs"] / np.float32(255)
    erased = try_in_run(runs, Trial("simple_cnn", 4, "erase", "2,3,8,9", fill=0.25))
    assert (erased.arrays["changed"][:, 3:9, 2:8] == 0.25).all()
    pasted = try_in_run(runs, Trial("simple_cnn", 4, "paste", "2,3,8,9", source=7))
    np.testing.assert_allclose(pasted.arrays["changed"][:, 3:9, 2:8], pictures[7][:, 3:9, 2:8], atol=1e-6)
    np.testing.assert_allclose(pasted.arrays["changed"][:, :3], pictures[4][:, :3], atol=1e-6)
    drawn = try_in_run(runs, Trial("simple_cnn", 4, "erase", "2,3,8,9"))
    assert drawn.meta["ways"] == 16


def test_the_command_prints_a_line_for_each_checkpoint_or_json(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["what-if", "simple_cnn", "--sample", "4", "--erase", "2,3,8,9", "--store", str(runs)]
    assert main(words) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "test/4: columns 2 to 7, rows 3 to 8 erased with patches of training pictures"
    assert [line.split(":")[0].strip() for line in lines] == ["step      5", "step     10"]
    assert all(" % -> " in line and ", predicted " in line for line in lines)
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == list(STEPS)
    assert np.array(found["after"]).shape == (2, 3)
    with Store(runs) as store:
        stored = store.artifacts(store.run("simple_cnn").id, kind="what_if", key="test/4")
        assert len(stored) >= 2
        np.testing.assert_allclose(store.arrays(stored[-1].id)["after"], found["after"])


MISTAKES: dict[str, tuple[Trial, type[TorchglassError], str]] = {
    "sample": (
        Trial("linear", 30, "set", "age=1"),
        OptionError,
        "sample 30 is out of range: give a number from 0 to 29",
    ),
    "kind": (Trial("linear", 0, "erase", "0,0,1,1"), OptionError, "--erase does not change a row: use --set"),
    "column": (
        Trial("linear", 0, "set", "height=1"),
        OptionError,
        "'height=1' names no column: give COLUMN=VALUE with",
    ),
    "number": (Trial("linear", 0, "set", "age=old"), OptionError, "'old' is no number: give COLUMN=VALUE"),
    "no value": (Trial("linear", 0, "set", "age"), OptionError, "'age' names no column"),
    "place": (Trial("bilstm", 0, "replace", "4"), OptionError, "'4' is no place of a word in test sample 0"),
    "word": (Trial("bilstm", 0, "replace", "1=zebra"), OptionError, "the word 'zebra' is in none of the texts"),
    "box": (Trial("simple_cnn", 0, "erase", "1,2,3"), OptionError, "'1,2,3' is no box: give left,top,right,bottom"),
    "outside": (
        Trial("simple_cnn", 0, "erase", "0,0,17,4"),
        OptionError,
        "is not within the picture of 16 x 16 pixels",
    ),
    "source": (Trial("simple_cnn", 0, "paste", "0,0,4,4"), OptionError, "--paste needs --source"),
    "run": (Trial("nobody", 0, "set", "age=1"), RunNotFoundError, "nobody"),
}


@pytest.mark.parametrize(("trial", "kind", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_each_mistake_gives_one_sentence(runs: Path, trial: Trial, kind: type[TorchglassError], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        try_in_run(runs, trial)


def test_shortcuts_of_a_run_are_searched_told_stored_and_reported(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shortcuts", "simple_cnn", "--method", "gradcam", "--store", str(runs)]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith(f"simple_cnn: {len(lines)} suspected spot")
    assert "tested in 50 pictures, none confirmed" in first
    assert all(line.startswith("Not confirmed: columns ") and "points of probability" in line for line in lines)
    with Store(runs) as store:
        run = store.run("simple_cnn")
        stored = store.artifacts(run.id, kind="shortcuts")[-1]
        assert (stored.meta["pictures"], stored.meta["training_pictures"]) == (50, 20)
        assert len(stored.meta["suspects"]) == len(lines) > 0
        arrays = store.arrays(stored.id)
        assert arrays["mean_picture"].shape == (3, 16, 16)
        assert arrays["examples_0"].shape[1:] == (3, 16, 16)
        kept = samples_of(FORMS["simple_cnn"])
        pool = {f"training {i}": one for i, one in enumerate(kept["background"])}
        pool |= {f"test {i}": one for i, one in enumerate(kept["inputs"])}
        for name, picture in zip(stored.meta["suspects"][0]["examples"], arrays["examples_0"], strict=True):
            assert np.array_equal(picture, pool[name])
        text = render(read_contents(store, run, written_at=0.0))
    assert "none confirmed. Pasted into other pictures, none of them decides." in text
    assert "Spot 1: what changing it moved" in text


def test_only_classifiers_of_pictures_are_searched(runs: Path) -> None:
    with pytest.raises(OptionError, match="'mlp' is a run of regression of table: shortcuts are looked for in classif"):
        find_in_run(runs, Hunt("mlp"))


def test_a_report_of_a_run_that_nobody_searched_says_how(runs: Path) -> None:
    with Store(runs) as store:
        text = render(read_contents(store, store.run("linear"), written_at=0.0))
    assert "look for spots that a picture classifier decides by with torchglass shortcuts" in text
