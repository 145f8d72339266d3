"""What cannot be resumed says so in one sentence: another run's state, a damaged one, and a training that is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from torchglass.errors import DataError, NoStoreError, OptionError, RunNotFoundError
from torchglass.reference_models.front_door import train
from torchglass.reference_models.lesson import Epoch, StopTraining
from torchglass.reference_models.options import TrainingOptions
from torchglass.store import open_store

SHORT: dict[str, Any] = {"epochs": 4}
HASTY: dict[str, Any] = {"epochs": 20, "early_stopping": 1, "validation": 0.3, "learning_rate": 0.1}


def options(folder: Path, **asked: Any) -> TrainingOptions:
    plain = TrainingOptions(
        model="linear", changes=SHORT, store=folder / "runs.db", run="one", device="cpu", limit=60, progress=False
    )
    return replace(plain, **asked)


def stop_after_two(epoch: Epoch) -> None:
    if epoch.number == 2:
        raise StopTraining


def state_file(folder: Path) -> Path:
    (found,) = (folder / "torchglass-weights").glob("*.resume")
    return found


def test_a_run_that_completed_no_epoch_does_not_take_the_state_of_an_older_one_of_its_name(tmp_path: Path) -> None:
    train(options(tmp_path), watching=stop_after_two)
    for file in tmp_path.glob("runs.db*"):
        file.unlink()
    with open_store(tmp_path / "runs.db") as store:
        store.start_run("one", {}, host="here", pid=1)
    with pytest.raises(DataError, match="nothing to resume"):
        train(options(tmp_path, resume=True))


def test_two_stores_in_one_folder_do_not_mix_runs_of_one_name(tmp_path: Path) -> None:
    ours, theirs = (options(tmp_path, store=tmp_path / name) for name in ("ours.db", "theirs.db"))
    train(ours, watching=stop_after_two)
    train(theirs)
    assert [epoch.number for epoch in train(replace(ours, resume=True)).epochs] == [3, 4]


def test_a_renamed_run_goes_on_under_its_new_name(tmp_path: Path) -> None:
    train(options(tmp_path), watching=stop_after_two)
    with open_store(tmp_path / "runs.db") as store:
        store.rename("one", "two")
    with pytest.raises(RunNotFoundError, match="'one'"):
        train(options(tmp_path, resume=True))
    assert [epoch.number for epoch in train(options(tmp_path, run="two", resume=True)).epochs] == [3, 4]


def test_a_deleted_run_is_not_resumed(tmp_path: Path) -> None:
    train(options(tmp_path), watching=stop_after_two)
    with open_store(tmp_path / "runs.db") as store:
        store.delete("one")
    with pytest.raises(RunNotFoundError, match="'one'"):
        train(options(tmp_path, resume=True))


def test_a_store_that_is_not_there_is_not_made_to_resume(tmp_path: Path) -> None:
    with pytest.raises(NoStoreError):
        train(options(tmp_path, resume=True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("changes", [SHORT, HASTY], ids=["all epochs", "stopped early"])
def test_a_training_that_is_over_is_not_resumed(tmp_path: Path, changes: dict[str, Any]) -> None:
    done = train(options(tmp_path, changes=changes))
    assert (len(done.epochs) < changes["epochs"]) is (changes is HASTY)
    assert not list((tmp_path / "torchglass-weights").glob("*.resume"))
    with pytest.raises(OptionError, match="nothing to resume"):
        train(options(tmp_path, changes=changes, resume=True))


DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "a list": lambda found: [1],
    "no configuration": lambda found: found | {"config": [1]},
    "an epoch that is a text": lambda found: found | {"epoch": "two"},
    "an epoch below zero": lambda found: found | {"epoch": -3},
    "no step": lambda found: {name: value for name, value in found.items() if name != "step"},
    "no state": lambda found: found | {"state": {"model": {}}},
    "an optimizer of two groups": lambda found: (
        found | {"state": found["state"] | {"optimizer": {"state": {}, "param_groups": [{"params": []}] * 2}}}
    ),
    "a state that is a list": lambda found: found | {"state": [1]},
    "another network": lambda found: found | {"state": found["state"] | {"model": {"a": torch.zeros(1)}}},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_state_gives_one_sentence_and_leaves_the_run_as_it_was(
    tmp_path: Path, damage: Callable[[dict[str, Any]], object]
) -> None:
    train(options(tmp_path), watching=stop_after_two)
    file = state_file(tmp_path)
    torch.save(damage(torch.load(file, weights_only=True)), file)
    with pytest.raises(DataError, match="train again without --resume"):
        train(options(tmp_path, resume=True))
    with open_store(tmp_path / "runs.db", read_only=True) as store:
        assert store.run("one").status == "finished"


def test_a_state_that_is_cut_off_gives_one_sentence(tmp_path: Path) -> None:
    train(options(tmp_path), watching=stop_after_two)
    file = state_file(tmp_path)
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DataError, match="cannot be read"):
        train(options(tmp_path, resume=True))
