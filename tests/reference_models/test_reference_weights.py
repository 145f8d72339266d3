"""Weights: saved whole, read as tensors only, refused unless they fit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchglass.errors import DataError, OptionError
from torchglass.reference_models import get, load_weights, model_from_checkpoint
from torchglass.reference_models.data.digits import DIGITS_FORM
from torchglass.reference_models.weights import save_weights, state_arrays, weights_path


class Trap:
    """An object whose unpickling would run a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def model() -> nn.Module:
    return get("lenet5").build(DIGITS_FORM)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "torchglass-weights" / "a.pt"


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_weights_come_back_bit_for_bit(model: nn.Module, path: Path) -> None:
    save_weights(model, path)
    other = get("lenet5").build(DIGITS_FORM)
    assert not same(state_of(other), state_of(model))
    load_weights(path, other)
    assert same(state_of(other), state_of(model))
    assert [file.name for file in path.parent.iterdir()] == ["a.pt"]


def test_saving_again_replaces_the_file(model: nn.Module, path: Path) -> None:
    save_weights(get("lenet5").build(DIGITS_FORM), path)
    save_weights(model, path)
    other = get("lenet5").build(DIGITS_FORM)
    load_weights(path, other)
    assert same(state_of(other), state_of(model))


def test_a_folder_that_cannot_be_made_is_a_data_error(model: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match="could not be written"):
        save_weights(model, tmp_path / "taken" / "a.pt")


@pytest.mark.parametrize("keep", [0, 10, 1000, -1], ids=["empty", "10 bytes", "1000 bytes", "all but one byte"])
def test_a_damaged_file_is_refused_and_leaves_the_model_as_it_was(model: nn.Module, path: Path, keep: int) -> None:
    save_weights(get("lenet5").build(DIGITS_FORM), path)
    path.write_bytes(path.read_bytes()[:keep])
    before = state_of(model)
    with pytest.raises(DataError, match="cannot be read as weights"):
        load_weights(path, model)
    assert same(state_of(model), before)


def test_a_file_that_would_run_code_is_refused_and_runs_nothing(model: nn.Module, path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    torch.save({"conv1.weight": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(DataError):
        load_weights(path, model)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {"conv1.weight": 3},
        {"conv9.weight": torch.zeros(2)},
        {1: torch.zeros(2)},
        nn.Conv2d(1, 6, 5).state_dict(),
    ],
    ids=["a list", "a number", "another name", "a number as name", "another architecture"],
)
def test_what_is_not_this_architecture_is_refused(model: nn.Module, path: Path, content: object) -> None:
    path.parent.mkdir()
    torch.save(content, path)
    with pytest.raises(DataError):
        load_weights(path, model)


def test_a_wrong_shape_is_named_and_nothing_is_loaded(model: nn.Module, path: Path) -> None:
    state = state_of(get("lenet5").build(DIGITS_FORM))
    state["fc3.weight"] = torch.zeros(9, 84)
    path.parent.mkdir()
    torch.save(state, path)
    before = state_of(model)
    with pytest.raises(DataError, match=r"fc3\.weight do not fit"):
        load_weights(path, model)
    assert same(state_of(model), before)


def test_a_missing_file_says_to_train_first(model: nn.Module, path: Path) -> None:
    with pytest.raises(DataError, match="train the model first"):
        load_weights(path, model)


def test_a_checkpoint_rebuilds_the_model_in_eval_mode_and_leaves_the_generator_alone(model: nn.Module) -> None:
    before = torch.get_rng_state()
    rebuilt = model_from_checkpoint(state_arrays(model), {"form": DIGITS_FORM.to_json(), "model": "lenet5", "seed": 0})
    assert torch.equal(torch.get_rng_state(), before)
    assert same(state_of(rebuilt), state_of(model))
    assert not rebuilt.training


def test_checkpoint_arrays_are_copies(model: nn.Module) -> None:
    arrays = state_arrays(model)
    rebuilt = model_from_checkpoint(arrays, {"form": DIGITS_FORM.to_json(), "model": "lenet5"})
    arrays["conv1.bias"] += 1
    assert same(state_of(rebuilt), state_of(model))


def test_a_checkpoint_that_does_not_fit_or_names_no_model_is_refused(model: nn.Module) -> None:
    arrays = state_arrays(model)
    with pytest.raises(DataError, match="does not name its model"):
        model_from_checkpoint(arrays, {"dataset": "digits"})
    with pytest.raises(OptionError, match="'gone'"):
        model_from_checkpoint(arrays, {"model": "gone"})
    arrays["fc1.bias"] = np.zeros(3, dtype=np.float32)
    with pytest.raises(DataError, match=r"fc1\.bias"):
        model_from_checkpoint(arrays, {"form": DIGITS_FORM.to_json(), "model": "lenet5"})


FORM = DIGITS_FORM.to_json()


@pytest.mark.parametrize(
    "notes",
    [
        {"model": "simple_cnn", "dropout": 5},
        {"model": "simple_cnn", "dropout": "half"},
        {"form": {**FORM, "class_names": 5}},
        {"form": {**FORM, "class_names": {}, "shape": None}, "model": "simple_cnn"},
        {"form": {**FORM, "kind": "table", "shape": [-3]}, "model": "mlp"},
        {"form": {**FORM, "kind": "table", "shape": [10**15]}, "model": "mlp"},
    ],
    ids=[
        "dropout of 5",
        "dropout that is a text",
        "a number of names",
        "no shape",
        "a shape below zero",
        "a huge shape",
    ],
)
def test_notes_that_build_no_model_are_a_data_error(model: nn.Module, notes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="train the model again"):
        model_from_checkpoint(state_arrays(model), {"form": FORM, "model": "lenet5", **notes})


@pytest.mark.parametrize("kind", [object, str, ">f4", "datetime64[s]"])
def test_arrays_that_torch_cannot_hold_are_a_data_error(model: nn.Module, kind: Any) -> None:
    arrays = {name: np.zeros(array.shape).astype(kind) for name, array in state_arrays(model).items()}
    with pytest.raises(DataError, match="numbers"):
        model_from_checkpoint(arrays, {"form": FORM, "model": "lenet5"})


@pytest.mark.parametrize(
    ("run_name", "expected"),
    [
        ("lenet5-digits-2", "/data/torchglass-weights/lenet5-digits-2.pt"),
        ("../../etc/passwd", "/data/torchglass-weights/_.._etc_passwd.pt"),
        ("..", "/data/torchglass-weights/_.pt"),
        ("über run\n", "/data/torchglass-weights/über_run_.pt"),
    ],
)
def test_weights_lie_beside_the_store_under_a_safe_name(run_name: str, expected: str) -> None:
    assert weights_path(Path("/data"), run_name) == Path(expected)
