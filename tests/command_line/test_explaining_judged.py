"""Explanations of a run's samples are stored with their scores beside those of maps that know nothing of the model."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from torchglass.charts.trust import trust_text
from torchglass.cli import main
from torchglass.explainers import Explanation, evaluate, explain
from torchglass.explaining import Request, explain_run
from torchglass.judging import QUICK, STEPS, judged
from torchglass.reference_models import get
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.weights import model_from_checkpoint, state_arrays
from torchglass.store import ArtifactBlock, Store
from torchglass.trained_runs import load_trained

FORMS = {
    "lenet5": DataForm("pictures", "classification", (1, 32, 32), tuple("0123456789")),
    "linear": DataForm("table", "regression", (4,), (), tuple("abcd"), target_mean=1.0, target_deviation=2.0),
    "bilstm": DataForm("text", "classification", (8,), ("bad", "good"), vocabulary_size=20),
}
LOCALISATION = {"pointing_game", "relevance_mass", "relevance_rank"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run of a picture whose truth is known, of rows and of texts; the weights are fresh."""
    path = tmp_path_factory.mktemp("judged") / "runs.db"
    draw = np.random.default_rng(0)
    samples: dict[str, dict[str, Any]] = {
        "lenet5": {
            "inputs": draw.integers(0, 256, (2, 1, 32, 32)).astype(np.uint8),
            "background": draw.integers(0, 256, (8, 1, 32, 32)).astype(np.uint8),
            "truth": np.stack([np.zeros((32, 32), bool), np.eye(32, dtype=bool)]),
            "targets": np.array([3, 4]),
        },
        "linear": {
            "inputs": draw.normal(size=(2, 4)).astype(np.float32),
            "background": draw.normal(size=(8, 4)).astype(np.float32),
            "targets": np.array([1.0, 2.0], np.float32),
        },
        "bilstm": {
            "inputs": np.pad(draw.integers(3, 20, (2, 5)), ((0, 0), (0, 3))),
            "background": np.zeros((1, 8), np.int64),
            "truth": np.eye(8, dtype=bool)[:2],
            "targets": np.array([0, 1]),
        },
    }
    with Store(path) as store:
        for name, form in FORMS.items():
            torch.manual_seed(0)
            run = store.start_run(name, {"model": name}, host="here", pid=1)
            notes = {"model": name, "dataset": "drawn", "seed": 0, "form": form.to_json(), "dropout": None}
            weights = state_arrays(get(name).build(form))
            store.add_artifact(run.id, ArtifactBlock("checkpoint", "weights", 8, time.time(), notes, weights))
            store.add_artifact(
                run.id, ArtifactBlock("samples", "test", 8, time.time(), notes | {"scale": None}, samples[name])
            )
    return path


def stored(runs: Path, name: str, sample: int = 1, **asked: Any) -> tuple[list[str], list[dict[str, Any]]]:
    lines = list(explain_run(runs, Request(name, (sample,), **asked)))
    with Store(runs) as store:
        found = store.artifacts(store.run(name).id, kind="explanation")[-len(lines) :]
        return lines, [dict(artifact.meta) for artifact in found]


def test_a_picture_is_judged_beside_a_random_map_and_its_edges(runs: Path) -> None:
    lines, metas = stored(runs, "lenet5", methods=("gradcam", "lime"))
    for meta in metas:
        assert set(meta["scores"]) | set(meta["scores_missing"]) == set(QUICK)
        assert set(meta["scores"]) >= {"deletion", "insertion", "sparseness", *LOCALISATION}
        for known in ("random", "edges"):
            assert set(meta["baselines"][known]) == set(meta["scores"]) - {"agreement", "completeness_error"}
        # The truth is a diagonal: a thirty-second of the picture, and so of a random map's mass.
        assert meta["baselines"]["random"]["relevance_mass"] == pytest.approx(1 / 32, rel=0.3)
        assert "probability on average (random " in trust_text(meta)
        # The scores of two ways through sixteen steps of five maps, and of the check.
        assert meta["scores_evaluations"] == 1 + 2 * (2 + (STEPS - 1) * 5)
    assert metas[0]["baselines"] == metas[1]["baselines"]
    assert "agreement" not in metas[0]["scores"]
    assert -1 <= metas[1]["scores"]["agreement"] <= 1
    assert "against random" in lines[0]


def test_the_stored_scores_are_those_of_evaluate(runs: Path) -> None:
    _, metas = stored(runs, "lenet5", methods=("gradcam",), seed=3)
    with Store(runs) as store:
        run = store.run("lenet5")
        kept = store.artifacts(run.id, kind="checkpoint")[0]
        model = model_from_checkpoint(store.arrays(kept.id), kept.meta)
        newest = store.artifacts(run.id, kind="explanation")[-1]
        arrays = store.arrays(newest.id)
    known = {name: array for name, array in arrays.items() if name != "truth"}
    fields = Explanation.__dataclass_fields__
    explanation = Explanation.from_arrays(known, {key: metas[0][key] for key in metas[0] if key in fields})
    again = evaluate(explanation, model, truth=arrays["truth"], metrics=QUICK, seed=3, steps=STEPS)
    assert again.summary()["scores"] == pytest.approx(metas[0]["scores"], rel=1e-5)


@pytest.mark.parametrize("name", ["linear", "bilstm"])
def test_rows_and_texts_are_judged_beside_a_random_order(runs: Path, name: str) -> None:
    _, metas = stored(runs, name)
    for meta in metas:
        assert meta["scores"].keys() >= {"deletion", "insertion"}
        assert set(meta["baselines"]) == {"random"}
        assert (set(meta["scores"]) >= LOCALISATION) == (name == "bilstm")
        assert "first leaves" in trust_text(meta)


def test_a_truth_that_marks_nothing_is_no_truth(runs: Path) -> None:
    _, metas = stored(runs, "lenet5", sample=0, methods=("gradcam",))
    assert not LOCALISATION & set(metas[0]["scores"])
    assert metas[0]["scores_missing"]["pointing_game"] == "what decides is not known: give truth"


def test_an_explanation_that_cannot_be_judged_is_kept_with_the_reason(runs: Path) -> None:
    with Store(runs) as store:
        trained = load_trained(store, "linear")
    own = explain(trained.model, trained.inputs("inputs", slice(1, 2)), method="occlusion", kind="table")
    found = judged(trained, replace(own, outputs=own.outputs + 5), 1, {})
    assert found["scores_missing"]["all"].startswith("the model scores input 0 with")
    assert "Not judged: the model scores input 0" in trust_text(found)


def test_all_methods_are_judged_against_one_background_and_explained_again_with_their_own(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def noted(*given: Any, **named: Any) -> Any:
        asked.append(named)
        return evaluate(*given, **named)

    monkeypatch.setattr("torchglass.judging.evaluate", noted)
    stored(runs, "bilstm", methods=("occlusion",))
    stored(runs, "linear", methods=("occlusion",))
    text, rows = asked
    assert text["background"] == text["again"]["background"] == get("bilstm").explain.baseline > 1
    with Store(runs) as store:
        known = load_trained(store, "linear").inputs("background", slice(None))
    assert torch.equal(rows["background"], known)
    assert torch.equal(rows["again"]["background"], known)


def test_full_checks_explain_again_and_none_ask_nothing(runs: Path) -> None:
    _, full = stored(runs, "lenet5", methods=("gradcam",), checks="full")
    assert set(full[0]["scores"]) >= {"infidelity", "randomisation", "sensitivity"}
    _, none = stored(runs, "lenet5", methods=("gradcam",), checks="none")
    assert not {"scores", "baselines", "scores_missing"} & set(none[0])


def test_the_command_line_says_how_thoroughly(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["explain", "lenet5", "--store", str(runs), "--samples", "1", "--methods", "gradcam"]
    assert main([*asked, "--checks", "none"]) == 0
    assert "against random" not in capsys.readouterr().out
    assert main(asked) == 0
    assert "deletion" in capsys.readouterr().out
