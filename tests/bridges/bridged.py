"""Reading back what a bridge recorded, and scripts in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from torchglass.store import Run, Store

HERE = Path(__file__).parent


def run_of(path: Path, name: str | int = 1) -> Run:
    """A run as stored."""
    with Store(path, read_only=True) as store:
        return store.run(name)


def points_of(path: Path, name: str | int = 1) -> dict[str, dict[int, float]]:
    """Every scalar series of a run: values by step."""
    with Store(path, read_only=True) as store:
        run = store.run(name)
        found = {}
        for series in store.series_of(run.id, kind="scalar"):
            points = store.points(series.id)
            found[series.key] = dict(zip(points.steps.tolist(), points.values.tolist(), strict=True))
        return found


def facts_of(path: Path, name: str | int = 1) -> dict[str, Any]:
    """What was stated about a run."""
    with Store(path, read_only=True) as store:
        return {fact.key: fact.value for fact in store.facts(store.run(name).id)}


def artifacts_of(path: Path, kind: str, name: str | int = 1) -> dict[tuple[str, int], tuple[dict[str, Any], Any]]:
    """Artifacts of a kind: arrays and meta by key and step."""
    with Store(path, read_only=True) as store:
        found = store.artifacts(store.run(name).id, kind=kind)
        return {(each.key, each.step): (store.arrays(each.id), each.meta) for each in found}


def run_script(script: str, folder: Path, **environment: str) -> tuple[int, str, str]:
    """Run a script in a fresh process in `folder`, whose store is `folder/store.db`: exit code, output, errors."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TORCHGLASS_", "WANDB_"))}
    settings = {"PYTHONPATH": str(HERE), "TORCHGLASS_STORE": str(folder / "store.db"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=inherited | settings | environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    return done.returncode, done.stdout, done.stderr
