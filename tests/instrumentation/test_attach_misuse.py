"""Misuse by the caller raises at the call, in one clear sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from training import Small, recorded

import torchglass
from torchglass.errors import OptionError, StoreError
from torchglass.instrumentation import Cadence, every


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "resnet"}, "attach got str as the model"),
        ({"model": Small}, "attach got type as the model"),
        ({"optimizer": 0.1}, "attach got float as the optimizer"),
        ({"every": 0}, "1 <= steps <= interval"),
        ({"every": -5}, "1 <= steps <= interval"),
        ({"every": 2.5}, "every=2.5: give a number of steps"),
        ({"histograms": True}, "histograms=True: give a number of steps"),
        ({"profile": "often"}, "profile='often': give a number of steps"),
        ({"mode": "off"}, "mode='off': choose 'on' or 'disabled'"),
        ({"run": 5}, "run=5: give a name"),
        ({"config": [1, 2]}, "config is a list: give a mapping"),
        ({"include": "conv*"}, r"include='conv\*': give a list of patterns"),
        ({"exclude": [3]}, r"exclude=\[3\]: give a list of patterns"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    model = Small()
    arguments: dict[str, Any] = {"model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=0.1)} | options
    with pytest.raises(OptionError, match=words) as refusal:
        torchglass.attach(**arguments)
    assert "\n" not in str(refusal.value)
    assert not model._forward_hooks
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("interval", "steps"), [(3, 4), (3, 0), (0, 1), (2.5, 1), (True, 1), (4, True), (4, 1.5)])
def test_a_cadence_that_makes_no_sense_is_refused(interval: Any, steps: Any) -> None:
    with pytest.raises(OptionError, match=r"every\("):
        every(interval, steps)


def test_a_cadence_is_due_at_step_zero_and_every_interval_from_there() -> None:
    assert [step for step in range(10) if every(4).is_due(step)] == [0, 4, 8]
    assert not any(Cadence(None).is_due(step) for step in range(10))


def test_an_unusable_mode_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHGLASS_MODE", "sometimes")
    with pytest.raises(OptionError, match="mode='sometimes'"):
        torchglass.attach(Small())


def test_a_store_that_cannot_be_opened_is_an_error_at_the_call(tmp_path: Path) -> None:
    model = Small()
    with pytest.raises(StoreError, match="does not exist"):
        torchglass.attach(model, store=tmp_path / "no" / "s.db")
    assert not model._forward_hooks


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0.5", "got a str"),
        (None, "got a NoneType"),
        (object(), "got a object"),
        ([0.5], "got a list"),
        (torch.tensor([1.0, 2.0]), r"got a Tensor of shape \(2,\)"),
        (torch.empty(0), r"got a Tensor of shape \(0,\)"),
        (torch.tensor(1j), "got a Tensor"),
        (torch.empty((), device="meta"), "got a Tensor"),
        (np.array([1.0, 2.0]), r"got a ndarray of shape \(2,\)"),
        (np.array(["a"]), "got a ndarray"),
        (np.array(1j), "got a ndarray"),
        (np.complex128(1j), "got a complex128"),
        (10**400, "got a int"),
    ],
)
def test_a_value_that_is_no_number_is_refused_by_log_and_nothing_of_the_call_is_kept(
    tmp_path: Path, value: Any, words: str
) -> None:
    with torchglass.attach(Small(), store=tmp_path / "s.db", devices=False) as run:
        with pytest.raises(OptionError, match=rf"log\('x/y'\) {words}.*: give a number or a tensor of one element"):
            run.log({"fine": 1.0, "x": {"y": value}})
        run.log(loss=0.25)
    assert recorded(tmp_path / "s.db", "loss") == {0: 0.25}
    assert recorded(tmp_path / "s.db", "fine") == {}


@pytest.mark.parametrize("step", ["7", 2.0, None.__class__, 2**63, -(2**63) - 1])
def test_a_step_that_is_no_whole_number_is_refused(tmp_path: Path, step: Any) -> None:
    with (
        torchglass.attach(Small(), store=tmp_path / "s.db", devices=False) as run,
        pytest.raises(OptionError, match="step="),
    ):
        run.log(loss=1.0, step=step)


@pytest.mark.parametrize("values", [{1: 2.0}, {None: 2.0}, {"\udcff": 1.0}, {"a": {3: 1.0}}])
def test_a_name_that_is_no_text_is_refused(tmp_path: Path, values: Any) -> None:
    with (
        torchglass.attach(Small(), store=tmp_path / "s.db", devices=False) as run,
        pytest.raises(OptionError, match="name"),
    ):
        run.log(values)


def test_log_of_something_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    with (
        torchglass.attach(Small(), store=tmp_path / "s.db", devices=False) as run,
        pytest.raises(OptionError, match="log got a float: give names and numbers"),
    ):
        run.log(0.5)  # type: ignore[arg-type]


def test_arrays_of_objects_are_refused_at_the_call(tmp_path: Path) -> None:
    with (
        torchglass.attach(Small(), store=tmp_path / "s.db", devices=False) as run,
        pytest.raises(OptionError, match="'bad' holds Python objects"),
    ):
        run.save_arrays("samples", "a", {"bad": np.array([{}], dtype=object)}, {})


def test_a_model_whose_shapes_are_not_known_yet_may_be_attached(tmp_path: Path) -> None:
    model = nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 1))
    with torchglass.attach(model, store=tmp_path / "s.db", devices=False, every=1) as run:
        for _ in range(2):
            with run.step():
                model(torch.ones(2, 5)).sum().backward()
    assert list(recorded(tmp_path / "s.db", "phase/backward")) == [0, 1]
