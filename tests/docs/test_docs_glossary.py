"""docs/metrics.md names everything that can be recorded, and nothing else."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import torchglass
from torchglass.instrumentation.identity import LAUNCH_KEY
from torchglass.store import Store, open_store
from torchglass.traces.tables import COLUMNS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
SERIES_KINDS = {"phase", "work", "layer", "memory", "self", "device"}
STATING = ("Fact", "_state", "state", "_changed", "_tell_once", "_miss")  # calls that state a fact
# Sections whose first column names series, and what stands before the names there.
NAMED = {
    "Phases of a step": "",
    "Work and what is recorded by itself": "",
    "Layers": "",
    "Memory": "",
    "torchglass itself": "",
    "Probes": "",
    "GPUs": "gpu*/",
    "The host": "host/",
}


def section(title: str) -> str:
    """The text of a section of the glossary."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def keys(text: str) -> set[str]:
    """What the first columns of a text's tables name."""
    cells = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", text, flags=re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`([^`]+)`", cell)}


def defined_series() -> set[str]:
    return {f"{before}{key}" for title, before in NAMED.items() for key in keys(section(title))}


def literals(*rooms: str) -> Iterator[tuple[Path, ast.AST]]:
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                yield path, node


def pattern(node: ast.AST) -> str | None:
    """A text as it stands in the code, `*` for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
        return "".join(parts)
    return None


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A run with everything that a CPU lets us record."""
    path = tmp_path_factory.mktemp("glossary") / "runs.db"
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    optimizer = torch.optim.AdamW([{"params": model[0].parameters()}, {"params": model[4].parameters(), "lr": 0.1}])
    pictures = torch.randn(4, 1, 8, 8)
    probes = torchglass.Probes(
        pictures[:2], [0, 1], ["gradcam", "integrated_gradients"], every=2, truth=pictures[:2, 0] > 0, budget=1.0
    )
    with torchglass.attach(
        model, optimizer, run="all", store=path, every=2, histograms=2, probes=probes, activations=2
    ) as run:
        run.profile_now(steps=2)
        for _ in run.batches(range(8)):
            nn.functional.cross_entropy(model(pictures), torch.tensor([0, 1, 2, 0])).backward()
            optimizer.step()
            optimizer.zero_grad()
    with open_store(path, read_only=True) as store:
        yield store


def test_every_series_of_a_run_is_defined_with_its_unit(recorded: Store) -> None:
    defined = defined_series()
    found = recorded.series_of(recorded.run("all").id)
    assert {series.kind for series in found} >= SERIES_KINDS
    undefined = {series.key for series in found if not any(fnmatchcase(series.key, each) for each in defined)}
    assert undefined == set()
    rows = {row[0].strip("`"): [cell.strip() for cell in row] for row in table_rows(section("Memory"))}
    assert "B" in rows["memory/process_bytes"]


def test_every_table_and_column_of_a_window_is_defined_and_no_other() -> None:
    text = section("Profiler windows")
    defined = {part.split("`", 1)[0]: keys(part) for part in text.split("### `")[1:]}
    assert defined == {name: set(columns) for name, columns in COLUMNS.items()}


def test_what_the_code_can_record_is_defined() -> None:
    """Every key that is written out in the room that records, whether a machine has it or not."""
    defined = defined_series()
    begun = re.compile(
        r"(phase|work|layers|torchglass|memory|explanation|learning_rate)/[\w*/]+|learning_rate|skipped_step"
    )
    written = {text for _, node in literals("instrumentation") if (text := pattern(node)) and begun.fullmatch(text)}
    said = written - keys(section("Facts")) - {LAUNCH_KEY}
    assert {"phase/*", "learning_rate", "skipped_step", "torchglass/hook_seconds", "memory/allocator_retries"} <= said
    undefined = {key for key in said if not any(fnmatchcase(key, each) or fnmatchcase(each, key) for each in defined)}
    assert undefined == set()


def test_what_is_defined_can_be_recorded() -> None:
    from torchglass.instrumentation.activations import UNITS
    from torchglass.instrumentation.devices.quantities import GPU, HOST
    from torchglass.instrumentation.phases import PHASES

    source = "\n".join(
        path.read_text(encoding="utf-8")
        for room in ("instrumentation", "explainers/probing")
        for path in (ROOT / room).rglob("*.py")
    )
    for key in defined_series():
        room, _, name = key.partition("/")
        match room:
            case "phase":
                assert name in ("step", *PHASES)
            case "gpu*":
                assert name in GPU
            case "host":
                assert name in HOST
            case _:
                assert re.search(rf"\b{re.escape(key.rpartition('/')[2].rstrip('*'))}", source), key
    assert {f"gpu*/{name}" for name in GPU} | {f"host/{name}" for name in HOST} <= defined_series()
    assert {f"layers/*/{name}" for name in UNITS} <= defined_series()
    assert {f"phase/{name}" for name in PHASES} <= defined_series()


def test_every_metric_of_an_explanation_is_defined_with_its_source() -> None:
    text = section("Explanations: scores")
    files = {path.stem for path in (ROOT / "explainers/evaluation/metrics").glob("*.py")} - {"__init__"}
    assert keys(text) == files
    rows = {row[0].strip("`"): row for row in table_rows(text)}
    assert "area under the class's probability" in rows["deletion"][1]
    assert rows["insertion"][2] == "high"
    assert "1806.07421" in rows["deletion"][4]


def test_every_check_of_an_explanation_is_defined() -> None:
    names = re.compile(r"[a-z]+(_[a-z0-9]+)+|certainty")
    found = set()
    for _, node in literals("explainers", "torchglass"):
        if isinstance(node, ast.keyword) and node.arg == "checks":
            found |= {
                key.value
                for each in ast.walk(node.value)
                if isinstance(each, ast.Dict)
                for key in each.keys
                if isinstance(key, ast.Constant)
            }
        if isinstance(node, ast.FunctionDef) and node.name in ("checks", "_localisation"):
            found |= {
                key.value
                for each in ast.walk(node)
                if isinstance(each, ast.Dict)
                for key in each.keys
                if isinstance(key, ast.Constant)
            }
    found = {name for name in found if isinstance(name, str) and names.fullmatch(name)}
    assert {"surrogate_r2", "completeness_error_relative", "truth_area"} <= found
    assert found <= keys(section("Explanations: checks"))


def test_what_reference_models_log_is_defined() -> None:
    from torchglass.reference_models.tasks.classification import class_scores
    from torchglass.reference_models.tasks.detection import detection_scores
    from torchglass.reference_models.tasks.regression import number_scores

    defined = keys(section("What reference models log"))
    boxes = np.array([[[0, 0, 0, 4, 4]]], np.float32), np.array([[[0, 0.9, 0, 0, 4, 4]]], np.float32)
    of_tasks = {
        *class_scores(np.eye(2, dtype=np.int64)),
        *number_scores(np.array([1.0, 2.0]), np.array([1.0, 4.0])),
        *detection_scores(boxes[1], boxes[0], 2).values,
    }
    assert {f"*/{name}" for name in of_tasks} <= defined
    logged = {
        key
        for _, node in literals("reference_models")
        if isinstance(node, ast.Call) and _called(node) in ("log", "Scores")
        for given in node.args[:1]
        for each in ast.walk(given)
        if isinstance(each, ast.Dict)
        for each_key in each.keys
        if each_key is not None and (key := pattern(each_key)) is not None
    }
    assert {"loss", "loss/policy", "test/covered"} <= logged
    assert {key for key in logged if key not in defined and f"*/{key}" not in defined} == set()


def test_every_fact_is_defined() -> None:
    said = set()
    for _, node in literals("instrumentation", "exchange", "traces"):
        if isinstance(node, ast.Call) and _called(node) in STATING:
            place = 1 if _called(node) == "Fact" else 0
            key = pattern(node.args[place]) if len(node.args) > place else None
            if key is not None:
                said.add(f"missing/{key}" if _called(node) == "_miss" else key)
    assert {"environment", "devices/gpu", "warnings/devices", "memory"} <= said
    defined = keys(section("Facts"))
    assert {key for key in said if not any(fnmatchcase(key, each) for each in defined)} == set()


def test_the_page_is_what_the_code_says() -> None:
    """The tables that the code has are taken from it, so that nobody writes them a second time."""
    done = subprocess.run(
        [sys.executable, "scripts/docs/metrics.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def table_rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in text.splitlines()
        if line.startswith("| ")
    ]


def _called(node: ast.Call) -> str:
    function = node.func
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
