"""A small model, its data and the loop that trains it: what the tests of instrumentation attach to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from torchglass.store import Run, Store

HERE = Path(__file__).parent


class Small(nn.Module):
    """Two layers with names, so that a series' key can be foretold."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.act = nn.ReLU(inplace=inplace)
        self.second = nn.Linear(8, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, 4) -> (N, 2)."""
        outputs: torch.Tensor = self.second(self.act(self.first(inputs)))
        return outputs


def seeded(model: Callable[[], nn.Module] = Small) -> nn.Module:
    """The same weights on every call."""
    torch.manual_seed(0)
    return model()


def batches(count: int, size: int = 3) -> list[torch.Tensor]:
    """The same inputs (size, 4) on every call."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(size, 4, generator=generator) for _ in range(count)]


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, inputs: torch.Tensor) -> torch.Tensor:
    """One step of training; returns its loss."""
    optimizer.zero_grad()
    loss: torch.Tensor = model(inputs).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss


def read(place: Path | str, name: str | int = 1) -> tuple[Store, Run]:
    """Open a store as the page would, and a run of it."""
    store = Store(place, read_only=True)
    return store, store.run(name)


def recorded(place: Path | str, key: str, rank: int = 0, run: str | int = 1) -> dict[int, float]:
    """Values by step of one series; empty when nothing was recorded."""
    store, found = read(place, run)
    series = store.find_series(found.id, key, rank)
    if series is None:
        return {}
    points = store.points(series.id)
    return dict(zip(points.steps.tolist(), points.values.tolist(), strict=True))


def facts(store_path: Path) -> dict[str, Any]:
    """What was stated about the first run."""
    store, run = read(store_path)
    return {fact.key: fact.value for fact in store.facts(run.id)}


def bits(values: list[torch.Tensor]) -> list[bytes]:
    """The very bits of each tensor."""
    return [np.asarray(value.detach()).tobytes() for value in values]


def array(values: list[float]) -> npt.NDArray[np.float64]:
    """Shorthand."""
    return np.array(values, np.float64)


def child(script: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Run a script in a fresh Python process whose working folder is `folder`; the store is `folder/store.db`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TORCHGLASS_", "RANK"))}
    settings = {"PYTHONPATH": str(HERE), "TORCHGLASS_STORE": str(folder / "store.db"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=folder,
        env=inherited | settings | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end_of(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of a child that is expected to end; one that does not is killed."""
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, out, err


def wait_until(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait for another thread or process to make a condition true."""
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.01)


def endless() -> Iterator[torch.Tensor]:
    """Inputs without end."""
    while True:
        yield from batches(16)
