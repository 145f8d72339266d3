"""Runs that have what only some runs have: probes, a tried change, held-back GPUs, a recorded peak, work done."""

from __future__ import annotations

import numpy as np

from torchglass.store import ArtifactBlock, Batch, Fact, RowBlock, Run, Store

PROBED = (0, 50, 99)  # steps
HELD_FROM, HELD_TO = 40, 60  # steps at which GPU 0 was held back
SLOW = 3.0  # times as long as other steps took


def record_everything_rare(store: Store, run: Run, steps: int = 100) -> None:
    """Add to a run what `recorded.record_example_run` does not write; points are one second apart."""
    at = np.arange(steps)
    times = run.created_at + at.astype(np.float64)
    held = ((at >= HELD_FROM) & (at < HELD_TO)).astype(np.float64)
    rows = [
        RowBlock.of_series("work/samples_per_second", "work", "", at, times, np.full(steps, 640.0)),
        RowBlock.of_series("work/mfu_percent", "work", "%", at, times, np.full(steps, 41.0)),
        RowBlock.of_series("memory/peak_bytes", "memory", "B", at, times, np.full(steps, 3e9)),
        RowBlock.of_series("gpu0/throttle_software_power_cap", "device", "", at, times, held),
        RowBlock.of_series("gpu0/energy_per_step_joules", "device", "J", at, times, np.full(steps, 12.5)),
    ]
    facts = [Fact(0, "missing/memory/reserved_bytes", "the allocator tells no such figure", run.created_at)]
    store.write(run.id, 0, Batch(rows=rows, facts=facts))
    _add_peak(store, run)
    _add_probes(store, run)
    _add_trial(store, run)


def record_throttled(store: Store, name: str) -> Run:
    """A run whose steps took three times as long while its GPU was held back."""
    run = store.start_run(name, {}, host="h", pid=1)
    at = np.arange(100)
    times = run.created_at + at.astype(np.float64)
    held = (at >= HELD_FROM) & (at < HELD_TO)
    seconds = np.where(held, 0.1 * SLOW, 0.1)
    rows = [
        RowBlock.of_series("phase/step", "phase", "s", at, times, seconds),
        RowBlock.of_series("phase/forward", "phase", "s", at, times, seconds),
        RowBlock.of_series("gpu0/throttle_software_power_cap", "device", "", at, times, held.astype(np.float64)),
    ]
    store.write(run.id, 0, Batch(rows=rows))
    return run


def _add_peak(store: Store, run: Run) -> None:
    arrays = {
        "parts": np.array(["activations and other", "gradients"]),
        "stacks": np.array(["/home/x/net.py:7 forward", "/torch/optim.py:1 step"]),
        "bytes": np.array([2_000_000_000, 500_000_000]),
        "counts": np.array([3, 1]),
        "largest_bytes": np.array([900_000_000, 500_000_000]),
    }
    meta = {"peak_bytes": 3_000_000_000, "steps": 3, "first_step": 70, "device": "cuda:0", "rest_bytes": 0}
    store.add_artifact(run.id, ArtifactBlock("memory_peak", "memory_peak", 72, run.created_at, meta, arrays))


def _add_probes(store: Store, run: Run) -> None:
    for place, step in enumerate(PROBED):
        for method in ("gradcam", "shap"):
            arrays = {
                "attributions": np.arange(16.0, dtype=np.float16).reshape(1, 1, 4, 4) * 2**place,
                "inputs": np.full((1, 1, 4, 4), 0.5, np.float16),
                "outputs": np.array([1.0], np.float32),
            }
            meta = {"method": method, "kind": "pictures", "target": 0, "class_names": ["cat"]}
            store.add_artifact(run.id, ArtifactBlock("explanation", "probe/0", step, run.created_at, meta, arrays))


def _add_trial(store: Store, run: Run) -> None:
    meta = {
        "told": "columns 0 to 4 and rows 0 to 4 erased",
        "kind": "pictures",
        "shown_as": "probability",
        "steps": [5, 10],
        "target": 1,
        "class_names": ["cat", "dog"],
    }
    arrays = {
        "shown_before": np.array([[0.6, 0.4], [0.1, 0.9]]),
        "shown_after": np.array([[0.6, 0.4], [0.75, 0.25]]),
        "input": np.full((1, 8, 8), 0.2),
        "changed": np.full((1, 8, 8), 0.8),
    }
    store.add_artifact(run.id, ArtifactBlock("what_if", "test/0", 10, run.created_at, meta, arrays))
