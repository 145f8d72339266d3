"""Models that are copied, saved, sent and attached again: the copy is free of us, and nothing is kept alive."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import threading
import warnings
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training import Small, batches, child, end_of, read, recorded, seeded, train_step, wait_until

import torchglass
from torchglass.store import Store

QUIET: dict[str, Any] = {"devices": False, "profile": None}
SGD = torch.optim.SGD


def test_the_state_dicts_of_an_attached_model_and_optimizer_are_those_without_us(tmp_path: Path) -> None:
    states = []
    for store in (tmp_path / "s.db", None):
        model = seeded()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        run = store and torchglass.attach(model, optimizer, store=store, **QUIET)
        for inputs in batches(2):
            train_step(model, optimizer, inputs)
        buffer = io.BytesIO()
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, buffer)
        states.append(buffer.getvalue())
        if run:
            run.finish()
    assert states[0] == states[1]


@pytest.mark.parametrize("how", ["torch.save", "pickle", "deepcopy and pickle"])
def test_a_saved_model_loads_and_trains_where_torchglass_is_not_installed(tmp_path: Path, how: str) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 2))
    optimizer = SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        train_step(model, optimizer, batches(1)[0])
        pair = copy.deepcopy((model, optimizer)) if how.startswith("deepcopy") else (model, optimizer)
        if how == "torch.save":
            torch.save(pair, tmp_path / "pair")
        else:
            (tmp_path / "pair").write_bytes(pickle.dumps(pair))
    load = "torch.load('pair', weights_only=False)" if how == "torch.save" else "pickle.load(open('pair', 'rb'))"
    script = f"""
import sys, pickle, torch
sys.modules["torchglass"] = None
model, optimizer = {load}
for _ in range(2):
    optimizer.zero_grad()
    model(torch.ones(3, 4)).square().mean().backward()
    optimizer.step()
"""
    code, _, errors = end_of(child(script, tmp_path))
    assert code == 0, errors


def test_an_optimizer_restored_from_its_state_goes_on_being_recorded(tmp_path: Path) -> None:
    model, path = seeded(), tmp_path / "s.db"
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=path, **QUIET, every=1):
        train_step(model, optimizer, batches(1)[0])
        state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
        train_step(model, optimizer, batches(1)[0])
        model.load_state_dict(state[0])
        optimizer.load_state_dict(state[1])
        train_step(model, optimizer, batches(1)[0])
    moved = recorded(path, "layers/first.weight/weight_norm")
    assert list(moved) == [0, 1, 2]
    assert moved[1] == moved[2]


# Notebooks


def told_about(action: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        action()
    return [str(each.message) for each in told]


@pytest.mark.parametrize("fresh_optimizer", [False, True])
def test_a_model_that_is_attached_again_finishes_the_earlier_run_with_a_notice(
    tmp_path: Path, fresh_optimizer: bool
) -> None:
    model, path = seeded(), tmp_path / "s.db"
    optimizer = SGD(model.parameters(), lr=0.1)
    first = torchglass.attach(model, optimizer, store=path, **QUIET)
    for inputs in batches(3):
        train_step(model, optimizer, inputs)
    if fresh_optimizer:
        optimizer = SGD(model.parameters(), lr=0.2)
    runs: list[torchglass.Run] = []
    notices = told_about(lambda: runs.append(torchglass.attach(model, optimizer, store=path, **QUIET)))
    assert len(notices) == 1
    assert "'Small'" in notices[0]
    assert "'Small-2'" in notices[0]
    assert Store(path).run("Small").status == "finished"
    for inputs in batches(2):
        train_step(model, optimizer, inputs)
    assert told_about(lambda: first.log(loss=1.0)) != []
    runs[0].finish()
    assert list(recorded(path, "phase/step", run="Small")) == [0, 1, 2]
    assert list(recorded(path, "phase/step", run="Small-2")) == [0, 1]
    assert not model._forward_hooks
    assert not optimizer._optimizer_step_pre_hooks


def test_a_run_into_another_store_lets_the_earlier_one_go_on(tmp_path: Path) -> None:
    model = seeded()
    optimizer = SGD(model.parameters(), lr=0.1)
    first = torchglass.attach(model, optimizer, store=tmp_path / "a.db", **QUIET)
    runs: list[torchglass.Run] = []
    assert told_about(lambda: runs.append(torchglass.attach(model, optimizer, store=tmp_path / "b.db", **QUIET))) == []
    train_step(model, optimizer, batches(1)[0])
    first.finish()
    train_step(model, optimizer, batches(1)[0])
    runs[0].finish()
    assert list(recorded(tmp_path / "a.db", "phase/step")) == [0]
    assert list(recorded(tmp_path / "b.db", "phase/step")) == [0, 1]


def test_an_open_run_keeps_neither_model_nor_optimizer_alive_and_the_next_attach_finishes_it(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    model: Any = Small()
    optimizer: Any = SGD(model.parameters(), lr=0.1)
    torchglass.attach(model, optimizer, store=path, **QUIET, every=1)
    for inputs in batches(2):
        train_step(model, optimizer, inputs)
    gone = [weakref.ref(model), weakref.ref(optimizer), weakref.ref(model.first.weight)]
    del model, optimizer
    gc.collect()
    wait_until(lambda: [each() for each in gone] == [None, None, None], "the writer let go of its last sample")
    other = Small()
    torchglass.attach(other, store=path, **QUIET).finish()
    assert read(path, "Small")[1].status == "finished"


def test_a_cell_that_is_run_again_and_again_leaves_one_set_of_hooks_and_threads(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    for _cell in range(4):
        model = Small()
        optimizer = SGD(model.parameters(), lr=0.1)
        run = torchglass.attach(model, optimizer, store=path, **QUIET)
        train_step(model, optimizer, batches(1)[0])
    gc.collect()
    assert [thread.name for thread in threading.enumerate()].count("torchglass-writer") == 1
    run.finish()
    assert {each.status for each in Store(path).runs()} == {"finished"}


def test_a_model_that_outlives_many_runs_keeps_nothing_of_them(tmp_path: Path) -> None:
    model = Small()
    optimizer = SGD(model.parameters(), lr=0.1)
    watched = []
    for _time in range(3):
        with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET) as run:
            train_step(model, optimizer, batches(1)[0])
            watched.append(weakref.ref(run._watcher.watched))
    del run
    gc.collect()
    assert [each() for each in watched] == [None, None, None]
