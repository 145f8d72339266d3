"""Every kind of run is explained from its store alone: a text, a row, a number, a wrapped model, and its mistakes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from torchglass.cli import main
from torchglass.errors import NoStoreError, OptionError, RunNotFoundError, TorchglassError
from torchglass.explaining import Request, explain_run
from torchglass.reference_models import get
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.weights import state_arrays
from torchglass.store import Artifact, ArtifactBlock, Store

FORMS = {
    "linear": DataForm("table", "classification", (5,), ("no", "yes"), tuple("abcde")),
    "mlp": DataForm("table", "regression", (3,), (), tuple("xyz"), target_mean=150.0, target_deviation=70.0),
    "bilstm": DataForm("text", "classification", (9,), ("bad", "good"), vocabulary_size=30),
    "ppo": DataForm("observations", "control", (4,), ("left", "right")),
    "detector": DataForm("pictures", "detection", (3, 64, 64), ("ring", "star")),
}


def samples_of(form: DataForm) -> dict[str, np.ndarray[Any, Any]]:
    """Samples as a run's gallery keeps them, drawn at random."""
    draw = np.random.default_rng(0)
    count, background = 4, 12
    if form.kind == "text":
        inputs = draw.integers(3, 30, (count + background, *form.shape))
        inputs[:, 6:] = 0
        truth = np.zeros((count, *form.shape), bool)
        truth[:, 1] = True
        words = np.array([f"w{token}" for token in range(30)])[inputs[:count]]
        extra = {"truth": truth, "words": words}
    elif form.kind == "pictures":
        inputs, extra = draw.integers(0, 256, (count + background, *form.shape)).astype(np.uint8), {}
    else:
        inputs, extra = draw.normal(size=(count + background, *form.shape)).astype(np.float32), {}
    targets = draw.integers(0, max(1, len(form.class_names)), count)
    if form.task == "regression":
        targets = np.array([140.0] * count, np.float32)
    if form.task == "detection":
        targets = np.array([[[1, 0, 0, 9, 9], [-1, 0, 0, 0, 0]]] * count, np.float32)
    return {"inputs": inputs[:count], "targets": targets, "background": inputs[count:], **extra}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one run of each kind; the weights are fresh, and no data set is anywhere."""
    path = tmp_path_factory.mktemp("kinds") / "runs.db"
    with Store(path) as store:
        for name, form in FORMS.items():
            torch.manual_seed(0)
            model = get(name).build(form)
            run = store.start_run(name, {"model": name}, host="here", pid=1)
            notes = {"model": name, "dataset": "drawn", "seed": 0, "form": form.to_json(), "dropout": None}
            scale = {"means": [10.0] * form.shape[0], "deviations": [2.0] * form.shape[0]}
            meta = notes | {"scale": scale if form.kind == "table" else None}
            now = time.time()
            store.add_artifact(run.id, ArtifactBlock("checkpoint", "weights", 8, now, notes, state_arrays(model)))
            store.add_artifact(run.id, ArtifactBlock("samples", "test", 8, now, meta, samples_of(form)))
    return path


def explanations(runs: Path, name: str, **asked: Any) -> list[tuple[Artifact, dict[str, np.ndarray[Any, Any]]]]:
    lines = list(explain_run(runs, Request(name, (1,), **asked)))
    with Store(runs) as store:
        found = store.artifacts(store.run(name).id, kind="explanation")[-len(lines) :]
        return [(artifact, dict(store.arrays(artifact.id))) for artifact in found]


@pytest.mark.parametrize("name", ["linear", "mlp", "bilstm", "ppo"])
def test_a_run_is_explained_by_its_own_methods(runs: Path, name: str) -> None:
    found = explanations(runs, name)
    form = FORMS[name]
    assert tuple(artifact.meta["method"] for artifact, _ in found) == get(name).explain.methods
    assert len(found) >= 3
    for artifact, arrays in found:
        assert arrays["attributions"].shape == arrays["inputs"].shape == (1, *form.shape)
        assert artifact.meta["kind"] == ("text" if form.kind == "text" else "table")
        assert len(artifact.meta["names"]) == form.shape[0]
        assert artifact.key == "test/1"
        assert artifact.meta["task"] == form.task


def test_a_row_carries_its_values_in_their_own_units(runs: Path) -> None:
    artifact, arrays = explanations(runs, "linear", methods=("occlusion",))[0]
    assert artifact.meta["names"] == list("abcde")
    assert artifact.meta["values"] == pytest.approx(list(arrays["inputs"][0] * 2.0 + 10.0), rel=1e-6)


def test_a_regression_carries_what_was_predicted_and_what_is_true(runs: Path) -> None:
    artifact, arrays = explanations(runs, "mlp", methods=("shap",))[0]
    assert artifact.meta["label"] == 140.0
    assert artifact.meta["predicted"] == pytest.approx(float(arrays["outputs"][0]), rel=1e-5)
    assert artifact.meta["output_space"] == "value"


def test_a_text_carries_its_words_and_how_well_the_truth_was_met(runs: Path) -> None:
    artifact, arrays = explanations(runs, "bilstm", methods=("occlusion",))[0]
    assert artifact.meta["names"] == [f"w{token}" for token in arrays["inputs"][0, :6]] + [""] * 3
    positive = np.clip(arrays["attributions"][0], 0, None)
    assert artifact.meta["checks"]["truth_share"] == pytest.approx(positive[1] / positive.sum(), rel=1e-5)
    assert artifact.meta["checks"]["truth_area"] == pytest.approx(1 / 6)


def test_a_wrapped_model_is_explained_through_its_scorer_with_its_own_layer(runs: Path) -> None:
    artifact, arrays = explanations(runs, "detector", methods=("gradcam",), target=0)[0]
    assert str(artifact.meta["layer"]).endswith(str(get("detector").explain.layer))
    assert artifact.meta["label"] == [1]
    assert arrays["inputs"].max() <= 1
    assert artifact.meta["target"] == 0


def own(runs: Path, name: str, path: Path, **asked: Any) -> tuple[Artifact, dict[str, np.ndarray[Any, Any]]]:
    """The last explanation of a file of one's own."""
    list(explain_run(runs, Request(name, (), input=path, **asked)))
    with Store(runs) as store:
        found = store.artifacts(store.run(name).id, kind="explanation")[-1]
        return found, dict(store.arrays(found.id))


def test_rows_of_one_s_own_are_explained_in_the_columns_units_and_counted(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    path.write_text('{"a": 12, "b": 10, "c": 8, "d": 10, "e": 10}')
    first, arrays = own(runs, "linear", path, methods=("occlusion",), target=1)
    assert arrays["inputs"].tolist() == [[1.0, 0.0, -1.0, 0.0, 0.0]]
    assert (first.key, first.meta["values"], first.meta["names"]) == (
        "own/1",
        [12.0, 10.0, 8.0, 10.0, 10.0],
        list("abcde"),
    )
    assert first.meta["target"] == 1
    assert not {"label", "sample"} & set(first.meta)
    assert {"deletion", "insertion"} <= set(first.meta["scores"])
    second, _ = own(runs, "mlp", save_row(tmp_path), methods=("shap",))
    assert (second.key, "label" in second.meta) == ("own/1", False)
    third, _ = own(runs, "linear", path, methods=("occlusion",))
    assert third.key == "own/2"


def save_row(folder: Path) -> Path:
    path = folder / "row.npy"
    np.save(path, np.array([10.0, 12.0, 14.0]))
    return path


def test_a_text_of_one_s_own_is_explained_by_the_words_that_it_has(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "text"
    with Store(runs) as store:
        samples = store.artifacts(store.run("bilstm").id, kind="samples")[-1]
        known = str(store.arrays(samples.id)["words"][0, 0])
    path.write_text(f"{known.upper()} nobody-knows {known}!")
    artifact, arrays = own(runs, "bilstm", path, methods=("occlusion",))
    assert artifact.meta["names"] == [known, "nobody", "knows", known, "!", "", "", "", ""]
    assert arrays["inputs"][0].tolist() == [int(known[1:]), 1, 1, int(known[1:]), 1, 0, 0, 0, 0]
    (sentence, values), *_ = artifact.meta["own"]
    assert sentence.format(**values).startswith("Words that the model does not know: 3 (nobody, knows, !).")


def test_a_picture_of_one_s_own_is_explained_at_every_checkpoint_in_the_size_of_the_model(
    trained: Path, tmp_path: Path
) -> None:
    from PIL import Image

    path = tmp_path / "photo"
    Image.fromarray(np.full((60, 90), 255, np.uint8)).save(path, "PNG")
    asked = Request("short", (), ("gradcam",), input=path, checkpoints=None)
    lines = list(explain_run(trained, asked))
    with Store(trained) as store:
        found = [one for one in store.artifacts(store.run("short").id, kind="explanation") if one.key == "own/1"]
        arrays = store.arrays(found[-1].id)
    assert len(lines) == len(found) >= 2
    assert len({artifact.step for artifact in found}) == len(found)
    assert len({artifact.meta["target"] for artifact in found}) == 1
    assert arrays["inputs"].shape[1:] == (1, *arrays["inputs"].shape[2:])
    np.testing.assert_array_equal(arrays["inputs"], np.ones_like(arrays["inputs"]))
    assert "own image 1" in lines[-1]
    inverted = Request("short", (), ("gradcam",), input=path, invert=True, checks="none")
    list(explain_run(trained, inverted))
    with Store(trained) as store:
        newest = store.artifacts(store.run("short").id, kind="explanation")[-1]
        assert float(store.arrays(newest.id)["inputs"].max()) == 0.0


def test_a_file_that_is_no_input_is_refused_in_one_sentence_and_nothing_is_stored(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "photo.png"
    path.write_text("hello")
    said = {"linear": "the file is no row", "detector": "the file is no PNG", "bilstm": "knows none of the 1 words"}
    for name, sentence in said.items():
        with Store(runs) as store:
            before = len(store.artifacts(store.run(name).id))
        assert main(["explain", name, "--input", str(path), "--store", str(runs)]) == 2
        told = capsys.readouterr().err
        assert sentence in told
        assert told.count("\n") == 1
        with Store(runs) as store:
            assert len(store.artifacts(store.run(name).id)) == before
    assert main(["explain", "linear", "--input", str(path), "--engine", "ray", "--store", str(runs)]) == 2
    assert "leave --engine ray out" in capsys.readouterr().err


MISTAKES: dict[str, tuple[Request, type[TorchglassError], str]] = {
    "sample": (Request("linear", (4,)), OptionError, "sample 4 is out of range: give a number from 0 to 3"),
    "method of another kind": (Request("linear", (0,), ("gradcam",)), OptionError, "'gradcam' does not explain rows"),
    "unknown method": (Request("bilstm", (0,), ("tarot",)), OptionError, "'tarot' is unknown: choose among integrated"),
    "class": (Request("linear", (0,), target=2), OptionError, "target 2 is out of range: give a number from 0 to 1"),
    "class of a number": (Request("mlp", (0,), target=1), OptionError, "target 1 is out of range: give a number from"),
    "run": (Request("nobody", (0,)), RunNotFoundError, "nobody"),
}


@pytest.mark.parametrize(("request_", "kind", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_each_mistake_gives_one_sentence(
    runs: Path, request_: Request, kind: type[TorchglassError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        list(explain_run(runs, request_))


def test_a_run_without_samples_says_what_to_do(runs: Path, tmp_path: Path) -> None:
    with Store(runs) as full, Store(tmp_path / "bare.db") as bare:
        run = bare.start_run("linear", {"model": "linear"}, host="here", pid=1)
        kept = full.artifacts(full.run("linear").id, kind="checkpoint")[0]
        block = ArtifactBlock("checkpoint", "weights", 1, 0.0, dict(kept.meta), full.arrays(kept.id))
        bare.add_artifact(run.id, block)
    with pytest.raises(RunNotFoundError, match="'linear' kept no samples that can be explained: train its model again"):
        list(explain_run(tmp_path / "bare.db", Request("linear", (0,))))


def test_a_checkpoint_of_a_model_of_one_s_own_says_what_to_do(tmp_path: Path) -> None:
    with Store(tmp_path / "own.db") as store:
        run = store.start_run("own", {}, host="here", pid=1)
        store.add_artifact(run.id, ArtifactBlock("checkpoint", "weights", 1, 0.0, {}, {"weight": np.zeros(3)}))
    with pytest.raises(RunNotFoundError, match="'own' has no checkpoint of a reference model"):
        list(explain_run(tmp_path / "own.db", Request("own", (0,))))


def test_no_store_is_made_to_find_nothing_in(tmp_path: Path) -> None:
    with pytest.raises(NoStoreError):
        list(explain_run(tmp_path / "mistyped.db", Request("linear", (0,))))
    assert list(tmp_path.iterdir()) == []
