"""Every example runs as its reader would run it, learns something, and leaves a run to look at."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from torchglass.store import open_store

EXAMPLES = Path(__file__).parents[2] / "examples"
FEWEST_LINES, MOST_LINES = 20, 70
# File, run, series that are recorded, and the accuracy that it surely reaches.
SCRIPTS = [
    ("plain_loop.py", "plain-loop", ["loss", "test/accuracy", "phase/data", "phase/forward"], 85.0),
    ("custom_function.py", "custom-function", ["loss", "phase/backward"], 90.0),
    pytest.param(
        "lightning_example.py", "lightning-example", ["train/loss", "val/accuracy"], 90.0, marks=pytest.mark.slow
    ),
    pytest.param(
        "hugging_face.py",
        "hugging-face",
        ["train/loss", "eval/accuracy", "phase/forward"],
        40.0,
        marks=pytest.mark.slow,
    ),
    pytest.param("keras_on_torch.py", "keras-on-torch", ["train/loss", "val/accuracy"], 70.0, marks=pytest.mark.slow),
]
NEEDS = {"lightning_example.py": "lightning", "hugging_face.py": "transformers", "keras_on_torch.py": "keras"}


def run_and_check(command: Sequence[str], folder: Path, run: str, keys: Sequence[str], least_accuracy: float) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TORCHGLASS_STORE": str(folder / "runs.db")}
    ended = subprocess.run(command, cwd=folder, env=os.environ | offline, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert f"look at the run '{run}': torchglass ui" in ended.stdout
    accuracies = re.findall(r"accuracy ([\d.]+)%", ended.stdout)
    assert float(accuracies[-1]) >= least_accuracy
    with open_store(folder / "runs.db", read_only=True) as store:
        found = store.run(run)
        assert found.status == "finished"
        assert set(keys) <= {series.key for series in store.series_of(found.id)}


@pytest.mark.parametrize(("file", "run", "keys", "least_accuracy"), SCRIPTS)
def test_an_example_runs_and_its_run_is_in_the_store(
    tmp_path: Path, file: str, run: str, keys: list[str], least_accuracy: float
) -> None:
    if file in NEEDS and importlib.util.find_spec(NEEDS[file]) is None:
        pytest.skip(f"{NEEDS[file]} is not installed")
    run_and_check([sys.executable, str(EXAMPLES / file)], tmp_path, run, keys, least_accuracy)


def test_the_cells_of_the_notebook_run_in_their_order(tmp_path: Path) -> None:
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join("".join(cell["source"]) for cell in code), encoding="utf-8")
    run_and_check([sys.executable, str(script)], tmp_path, "notebook", ["loss", "test/accuracy"], 80.0)


@pytest.mark.slow
def test_a_notebook_kernel_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("TORCHGLASS_STORE", str(tmp_path / "runs.db"))
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    with open_store(tmp_path / "runs.db", read_only=True) as store:
        assert store.run("notebook").status == "finished"


def test_examples_are_short_shadow_no_package_and_are_all_run_here() -> None:
    files = {path.name for path in EXAMPLES.glob("*.py")}
    assert files == {getattr(each, "values", each)[0] for each in SCRIPTS}
    for file in files:
        assert FEWEST_LINES <= len((EXAMPLES / file).read_text(encoding="utf-8").splitlines()) <= MOST_LINES, file
        assert importlib.util.find_spec(file.removesuffix(".py")) is None, file
