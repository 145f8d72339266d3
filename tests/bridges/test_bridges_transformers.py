"""The callback in a real Hugging Face Trainer: logs, config, phases and layers on the Trainer's own steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from bridged import facts_of, points_of, run_of, run_script
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from torchglass.bridges.transformers import TorchglassCallback
from torchglass.store import Store

STEPS = 4
SENTENCES = [{"input_ids": torch.arange(4) + index, "labels": torch.arange(4) + index} for index in range(8)]


def tiny() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=1, n_embd=4, vocab_size=16, n_positions=4))


def trainer(folder: Path, callback: TorchglassCallback, **options: Any) -> Trainer:
    plain: dict[str, Any] = {
        "output_dir": str(folder / "out"),
        "use_cpu": True,
        "report_to": "none",
        "per_device_train_batch_size": 2,
        "num_train_epochs": 1,
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_nan_inf_filter": False,
        "hub_token": "secret",
    }
    arguments = TrainingArguments(**(plain | options))
    return Trainer(tiny(), arguments, train_dataset=SENTENCES, eval_dataset=SENTENCES, callbacks=[callback])


def series_of(path: Path, key: str) -> list[int]:
    with Store(path) as store:
        series = store.find_series(1, key)
        return [] if series is None else store.points(series.id).steps.tolist()


def test_logs_phases_layers_and_config_are_on_the_trainers_steps(path: Path) -> None:
    callback = TorchglassCallback(every=2, histograms=4, profile=None, devices=False, config={"mine": 1})
    training = trainer(path.parent, callback, run_name="tiny")
    training.train()
    training.evaluate()
    assert callback.run is not None
    callback.run.finish()
    points = points_of(path)
    assert list(points["train/loss"]) == [1, 2, 3, 4]
    assert list(points["eval/loss"]) == [STEPS]
    logged = {entry["step"]: entry["loss"] for entry in training.state.log_history if "loss" in entry}
    assert points["train/loss"] == logged
    assert points["learning_rate"].keys() == logged.keys()
    assert series_of(path, "layers/transformer.wte.weight/gradient_norm") == [2, 4]
    for name in ("step", "data", "forward", "backward", "optimizer"):
        assert series_of(path, f"phase/{name}") == [1, 2, 3, 4], name
    with Store(path) as store:
        assert [each.step for each in store.histograms(1, "gradients/transformer.wte.weight")] == [4]
    run = run_of(path)
    assert (run.name, run.status) == ("tiny", "finished")
    assert (run.config["mine"], run.config["num_train_epochs"]) == (1, 1)
    assert run.config["model_config"]["n_embd"] == 4
    assert "secret" not in str(run.config)
    assert facts_of(path)["model"]["class"] == "GPT2LMHeadModel"
    assert "warnings/nan_filter" not in facts_of(path)


def test_accumulated_gradients_make_one_step_and_a_second_training_another_run(path: Path) -> None:
    callback = TorchglassCallback("acc", profile=None, devices=False)
    training = trainer(path.parent, callback, gradient_accumulation_steps=2, max_steps=3)
    training.train()
    training.train()
    assert callback.run is not None
    callback.run.finish()
    assert series_of(path, "phase/step") == [1, 2, 3]
    with Store(path) as store:
        assert {run.name: run.status for run in store.runs()} == {"acc": "finished", "acc-2": "finished"}


def test_a_loss_that_is_not_a_number_reaches_the_store_and_the_filter_that_hides_it_is_told(path: Path) -> None:
    for filtered in (False, True):
        callback = TorchglassCallback(f"filter-{filtered}", profile=None, devices=False)
        training = trainer(path.parent, callback, logging_nan_inf_filter=filtered, max_steps=1)
        with torch.no_grad():
            training.model.transformer.wte.weight.fill_(float("nan"))
        if filtered:
            with pytest.warns(RuntimeWarning, match="logging_nan_inf_filter is on"):
                training.train()
        else:
            training.train()
        assert callback.run is not None
        callback.run.finish()
    assert str(points_of(path, "filter-False")["train/loss"][1]) == "nan"
    assert "logging_nan_inf_filter=False" in facts_of(path, "filter-True")["warnings/nan_filter"]


def test_a_store_that_cannot_be_opened_stops_no_training(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHGLASS_STORE", str(path.parent / "no" / "store.db"))
    training = trainer(path.parent, TorchglassCallback(devices=False))
    with pytest.warns(RuntimeWarning, match="does not exist"):
        training.train()
    assert training.state.global_step == STEPS


def test_a_training_that_was_broken_off_reads_failed_once_the_next_begins(path: Path) -> None:
    callback = TorchglassCallback("broken", profile=None, devices=False)
    training = trainer(path.parent, callback)
    training.data_collator = None
    with pytest.raises(TypeError):
        training.train()
    trainer(path.parent, callback, max_steps=1).train()
    assert callback.run is not None
    callback.run.finish()
    assert (run_of(path, "broken").status, run_of(path, "broken-2").status) == ("failed", "finished")


SCRIPT = """
import torch
from pathlib import Path
from test_bridges_transformers import SENTENCES, TorchglassCallback, trainer
SENTENCES[5]["labels"] = torch.full((4,), 99)  # beyond the vocabulary
trainer(Path("."), TorchglassCallback("f", devices=False)).train()
"""


def test_an_exception_that_ends_the_program_fails_the_run_with_its_text(tmp_path: Path) -> None:
    code, _, errors = run_script(SCRIPT, tmp_path)
    assert code != 0
    run = run_of(tmp_path / "store.db")
    assert run.status == "failed", errors
    assert "IndexError" in (run.error or "")
