"""`torchglass bench-model`: the same model under several techniques, printed, as JSON, and kept with its run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from torchglass import bench_weights
from torchglass.charts.variants import variants_data
from torchglass.cli import main
from torchglass.reference_models import get
from torchglass.reference_models.data.digits import DIGITS_FORM
from torchglass.reference_models.weights import save_weights
from torchglass.store import open_store

BRIEF = ("--repeats", "2", "--steps", "2", "--no-memory", "--device", "cpu")


def bench(*arguments: str, store: Path, brief: Sequence[str] = BRIEF) -> int:
    return main(["bench-model", "lenet5", "--store", str(store), *brief, *arguments])


def test_trained_weights_are_compared_and_kept_with_their_run(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--variants", "pruned,checkpointed", "--batch-size", "40", store=trained) == 0
    told = capsys.readouterr().out
    assert "lenet5 on digits, batches of 40," in told
    training, inference = told.split("\nINFERENCE")
    assert [line.split()[0] for line in training.splitlines()[3:]] == ["VARIANT", "fp32", "pruned", "checkpointed"]
    assert "checkpointed: cannot run: checkpointing saves what the backward pass needs" in inference
    assert "pruned: 30,735 of 61,470 weights are zero (50.0%)" in inference
    assert "peak memory N/A: memory was not asked for" in inference
    assert told.endswith("kept with the run short\n")
    with open_store(trained, read_only=True) as store:
        run = store.run("short")
        (artifact,) = store.artifacts(run.id, kind="variants")
        arrays = store.arrays(artifact.id)
        checkpoint = store.artifacts(run.id, kind="checkpoint")[-1]
    assert artifact.step == checkpoint.step > 0
    assert {name: len(taken) for name, taken in arrays.items()} == dict.fromkeys(
        ("train/fp32", "train/pruned", "train/checkpointed", "infer/fp32", "infer/pruned"), 2
    )
    data = variants_data([artifact])
    assert data is not None
    assert data.names == ("fp32", "pruned", "checkpointed")
    assert data.ratios[0] == 1
    row = artifact.meta["rows"][0]["inference"]
    assert row["accuracy"] == pytest.approx(checkpoint.meta["scores"]["test/accuracy"], abs=1e-9)


def test_json_is_the_same_and_nothing_is_kept_when_not_wanted(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ("--variants", "channels_last", "--mode", "infer", "--run", "short", "--json", "--no-store")
    assert bench(*chosen, store=trained) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["run"] is None
    assert [row["name"] for row in told["rows"]] == ["fp32", "channels_last"]
    assert [row["training"] for row in told["rows"]] == [None, None]
    assert told["rows"][1]["inference"]["agreement"]["same_answers"] == 1
    with open_store(trained, read_only=True) as store:
        assert store.artifacts(store.run("short").id, kind="variants") == []


def test_a_model_nobody_trained_is_trained_quickly_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_weights, "QUICK_EPOCHS", 1)
    assert bench("--variants", "fp32", "--mode", "infer", store=tmp_path / "new.db") == 0
    told = capsys.readouterr()
    assert "No trained lenet5 is in the store: training it for 1 epochs first" in told.err
    assert told.out.endswith("kept with the run lenet5-digits\n")
    with open_store(tmp_path / "new.db", read_only=True) as store:
        run = store.run("lenet5-digits")
        assert run.status == "finished"
        assert len(store.artifacts(run.id, kind="variants")) == 1


def test_weights_of_a_file_get_a_run_of_their_own(tmp_path: Path) -> None:
    save_weights(get("lenet5").build(DIGITS_FORM), tmp_path / "w.pt")
    chosen = ("--variants", "fp32", "--mode", "infer", "--weights", str(tmp_path / "w.pt"))
    assert bench(*chosen, store=tmp_path / "new.db") == 0
    with open_store(tmp_path / "new.db", read_only=True) as store:
        (run,) = store.runs()
        assert (run.name, run.status) == ("lenet5-variants", "finished")
        assert len(store.artifacts(run.id, kind="variants")) == 1


def test_what_cannot_be_met_is_refused_in_a_sentence_before_anything_runs(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--variants", "fp32,fp64", store=trained) == 2
    assert "unknown variant 'fp64': choose among fp32, amp," in capsys.readouterr().err
    assert bench("--variants", "fp32", "--run", "nobody", store=trained) == 2
    assert "nobody" in capsys.readouterr().err
    assert bench("--variants", "fp32", "--run", "short", "--dataset", "mnist", store=trained) == 2
    assert "'short' has no checkpoint of lenet5 on mnist" in capsys.readouterr().err
    assert bench("--variants", "fp32", "--run", "short", store=tmp_path / "none.db") == 2
    assert main(["bench-model", "lenet6", "--store", str(trained)]) == 2
    assert "lenet6" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        bench("--repeats", "0", store=trained, brief=())
    assert "give a whole number from 1" in capsys.readouterr().err
