"""DataLoader workers beside an attached model, forked, spawned and from a fork server: they record nothing."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from training import child, end_of, facts, read, recorded

SCRIPT = """
import os, sys, threading, warnings, torch, torchglass
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info
from training import Small, train_step

warnings.simplefilter("error", RuntimeWarning)

class Rows(Dataset):
    def __init__(self, model, run):
        self.model, self.run = model, run  # as a dataset that augments with the model's features holds it
    def __len__(self):
        return 12
    def __getitem__(self, index):
        assert get_worker_info() is not None
        self.run.log(from_worker=index)
        self.model(torch.ones(1, 4)).sum().backward()
        with self.run.step():
            pass
        return torch.full((4,), float(index))

class Stream(IterableDataset):
    def __iter__(self):
        for index in range(6):
            yield torch.full((4,), float(index))

def main(context):
    torch.set_num_threads(1)
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, profile=None) as run:
        workers = 2 if context == "fork" else 1  # each of the others imports torch
        rows = DataLoader(Rows(model, run), batch_size=2, num_workers=workers, multiprocessing_context=context,
                          persistent_workers=True)
        for epoch in range(2):
            for inputs in run.batches(rows):
                run.log(loss=train_step(model, optimizer, inputs))
        if context == "fork":
            stream = DataLoader(Stream(), batch_size=3, num_workers=2, multiprocessing_context=context)
            for inputs in run.batches(stream):
                run.log(loss=train_step(model, optimizer, inputs))

if __name__ == "__main__":
    main(sys.argv[1])
"""


@pytest.mark.parametrize(
    "context",
    [
        pytest.param(each, marks=[pytest.mark.slow] * (each == "forkserver"))
        for each in multiprocessing.get_all_start_methods()
    ],
)
def test_workers_hold_the_model_and_its_run_and_only_the_parent_records(tmp_path: Path, context: str) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    run_it = f"import runpy, sys; sys.argv = ['train.py', {context!r}]; runpy.run_path('train.py', run_name='__main__')"
    if context != "fork":
        # Spawned workers import the main module, which must be a file.
        run_it = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, 'train.py', {context!r}]))"
    code, _, errors = end_of(child(run_it, tmp_path))
    assert code == 0, errors
    path = tmp_path / "store.db"
    store, run = read(path)
    assert run.status == "finished"
    assert len(store.runs()) == 1
    steps = list(range(12 + 4 * (context == "fork")))
    assert list(recorded(path, "loss")) == list(recorded(path, "phase/step")) == steps
    assert recorded(path, "from_worker") == {}
    assert not [key for key in facts(path) if key.startswith("warnings")]
