"""The process that `memory.py` starts: a question on stdin, an answer on stdout."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from torchglass.reference_models.catalogue import get
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.variants.learning import optimizer_of, train_step
from torchglass.reference_models.variants.memory import BATCH, WEIGHTS, MemoryQuestion, missing
from torchglass.reference_models.variants.registry import ORIGINAL, get_variants
from torchglass.reference_models.variants.results import Memory
from torchglass.reference_models.variants.technique import Subject

FEW_IMAGES = 2
WARM_UP_CALLS = 3
COUNTED_CALLS = 5


class Gauge(NamedTuple):
    """How memory is counted: bytes held now, a way to forget the peak so far, and the peak since."""

    source: str
    held: Callable[[], int]
    forget_peak: Callable[[], None]
    peak: Callable[[], int]


def answer(question: MemoryQuestion) -> Memory:
    """Apply the technique, warm it up, and count while it works.

    Before counting begins the original works on a few images: what torch's libraries take at their first use, a
    hundred times as much as a small model, is nobody's.
    """
    device = torch.device(question.device)
    torch.set_num_threads(question.threads)
    gauge = _gauge(device)
    if isinstance(gauge, Memory):
        return gauge
    folder = Path(question.folder)
    images, labels, calibration = torch.load(folder / BATCH, weights_only=True)
    few = slice(FEW_IMAGES)
    _work(ORIGINAL, question, images[few].to(device), labels[few].to(device), calibration)()
    gc.collect()
    before = gauge.held()
    work = _work(question.variant, question, images.to(device), labels.to(device), calibration)
    for _ in range(WARM_UP_CALLS):
        work()
    gc.collect()
    held = gauge.held()
    gauge.forget_peak()
    for _ in range(COUNTED_CALLS):
        work()
    # Linux counts what is resident a few pages late, and writes the peak down later still: what is held was reached.
    peak = max(gauge.peak(), held)
    return Memory(max(0, peak - before), max(0, held - before), gauge.source)


def _work(
    name: str, question: MemoryQuestion, images: Tensor, labels: Tensor, calibration: Tensor
) -> Callable[[], object]:
    """Load the model, apply a technique, and return one call of what was asked for."""
    variant = get_variants((name,))[-1]
    model = get(question.model).build(DataForm.from_json(question.form))
    model.load_state_dict(torch.load(Path(question.folder) / WEIGHTS, weights_only=True))
    model = model.to(images.device).train(question.mode == "train")
    subject = Subject(model, images.device, images, calibration)
    if question.mode == "train":
        assert variant.learner is not None
        learner = variant.learner(subject)
        optimizer = optimizer_of(learner, learning_rate=question.learning_rate, weight_decay=question.weight_decay)
        return lambda: train_step(learner, optimizer, (images, labels))
    assert variant.predictor is not None
    forward = variant.predictor(subject).forward

    def predict() -> None:
        with torch.no_grad():
            forward(images)

    return predict


def _gauge(device: torch.device) -> Gauge | Memory:
    if device.type == "cuda":
        return Gauge(
            "CUDA allocator",
            lambda: torch.cuda.memory_allocated(device),
            lambda: torch.cuda.reset_peak_memory_stats(device),
            lambda: torch.cuda.max_memory_allocated(device),
        )
    if device.type != "cpu":
        return missing(f"torch counts no peak on {device}")
    try:
        _forget_resident_peak()
        _status_bytes("VmHWM")
    except (OSError, KeyError):
        return missing("the peak of resident memory is read from /proc, which this system lacks or locks")
    return Gauge(
        "resident memory", lambda: _status_bytes("VmRSS"), _forget_resident_peak, lambda: _status_bytes("VmHWM")
    )


def _forget_resident_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM to what is resident now


def _status_bytes(field: str) -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields[field].split()[0]) * 1024


if __name__ == "__main__":
    print(json.dumps(asdict(answer(MemoryQuestion(**json.load(sys.stdin))))))
