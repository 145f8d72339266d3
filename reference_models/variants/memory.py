"""What a variant takes of memory, counted in a fresh process that does nothing else.

In this process the variants would share allocators, libraries and caches, and the first would pay for all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torchglass.reference_models.variants.registry import variant_names
from torchglass.reference_models.variants.results import Memory
from torchglass.reference_models.variants.technique import Mode

PATIENCE_SECONDS = 300.0
WEIGHTS, BATCH = "weights.pt", "batch.pt"


@dataclass(frozen=True)
class MemoryQuestion:
    """What the fresh process does; `folder` holds the weights and a batch of images, labels and calibration images."""

    model: str
    form: dict[str, Any]
    variant: str
    mode: Mode
    device: str
    folder: str
    threads: int
    learning_rate: float
    weight_decay: float


def ask_memory(question: MemoryQuestion) -> Memory:
    """Start a process, let it apply the technique and work, and return what it counted, or why it could not."""
    if question.variant not in variant_names():
        return missing("a technique outside the catalogue cannot be found by a process of its own")
    command = [sys.executable, "-m", "torchglass.reference_models.variants.memory_process"]
    try:
        done = subprocess.run(
            command, input=json.dumps(asdict(question)), capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return missing(f"its own process was not done within {PATIENCE_SECONDS:.0f} s")
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return missing(f"its own process ended with {done.returncode}: {said[-1] if said else 'it said nothing'}")
    return Memory(**json.loads(done.stdout.splitlines()[-1]))


def missing(reason: str) -> Memory:
    """Return that memory is not known, and why."""
    return Memory(None, None, missing=reason)


def write_question(folder: Path, weights: object, batch: object) -> None:
    """Write what every variant's process reads."""
    import torch

    torch.save(weights, folder / WEIGHTS)
    torch.save(batch, folder / BATCH)
