"""Who may import whom: the rooms and the floors between them, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = (
    "store",
    "instrumentation",
    "bridges",
    "explainers",
    "reference_models",
    "charts",
    "report",
    "exchange",
    "traces",
    "analysis",
    "dashboard",
)

MAY_IMPORT: dict[str, set[str]] = {
    "store": {"errors"},
    "instrumentation": {"store", "traces", "errors"},
    "bridges": {"store", "instrumentation", "errors"},
    "explainers": {"errors"},
    "reference_models": {"errors", "instrumentation", "store"},
    "charts": {"store", "analysis", "errors"},
    "report": {"store", "charts", "analysis", "errors"},
    "exchange": {"store", "errors"},
    "traces": {"store", "errors"},
    "analysis": {"store", "errors"},
    "dashboard": {"store", "charts", "report", "analysis", "exchange", "reference_models", "errors"},
}
HEAVY_ALLOWED: dict[str, set[str]] = {
    "store": {"optuna", "sqlalchemy"},
    "instrumentation": {"torch"},
    "bridges": {"torch", "matplotlib", "lightning", "pytorch_lightning", "transformers", "keras", "optuna"},
    "explainers": {"torch", "captum", "shap", "lime", "skimage", "sklearn"},
    "reference_models": {"torch", "sklearn", "tqdm", "gymnasium", "transformers", "safetensors", "optuna"},
    "charts": {"plotly"},
    "report": {"plotly", "jinja2"},
    "exchange": {"tensorboard", "pyarrow", "tqdm"},
    "traces": set(),
    "analysis": {"optuna"},
    "dashboard": {"streamlit", "starlette", "plotly", "pandas", "pyarrow"},
}
HEAVY = set().union(*HEAVY_ALLOWED.values())
FLOORS = (
    {"words", "links", "fragments"},
    {"answering"},
    {"drawing"},
    {"stepping"},
    {"choosing", "notices"},
    {"ordering"},
    {"comparing", "explaining"},
    {"pages"},
    {"navigation"},
    {"serving"},
    {"entry", "__init__"},
)
"""The page's folders and files from the ground up: each imports from floors below its own."""


def sources(room: str) -> list[Path]:
    return sorted(path for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts)


def imports(path: Path) -> Iterator[tuple[int, int, str]]:
    """Line, level and dotted name of each import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            # `from torchglass import store` names a room as well as `from torchglass.store import ...`.
            names = [f"torchglass.{alias.name}" for alias in node.names] if module == "torchglass" else [module]
            for name in names:
                yield node.lineno, node.level, name


def complaints(room: str) -> list[str]:
    found = []
    for path in sources(room):
        for line, level, name in imports(path):
            where = f"{path.relative_to(ROOT)}:{line}"
            top, _, rest = name.partition(".")
            if level:
                found.append(f"{where}: relative import")
            elif top in ROOMS:
                found.append(f"{where}: says {top}, not torchglass.{top}")
            elif top == "torchglass" and rest.split(".")[0] in ROOMS:
                other = rest.split(".")[0]
                if other != room and other not in MAY_IMPORT[room]:
                    found.append(f"{where}: {room} may not import {other}")
            elif top in HEAVY and top not in HEAVY_ALLOWED[room]:
                found.append(f"{where}: {room} may not import {top}")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_the_plan_of_the_house_allows(room: str) -> None:
    assert sources(room), f"{room}/ has no files"
    assert complaints(room) == []


def test_only_the_training_entry_of_the_reference_models_knows_instrumentation() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in sources("reference_models")
        for _, _, name in imports(path)
        if name.startswith("torchglass.instrumentation")
    }
    assert users == {"reference_models/front_door.py"}


def test_a_floor_of_the_page_stands_on_those_below_it() -> None:
    floor = {name: height for height, names in enumerate(FLOORS) for name in names}
    assert set(floor) == {
        path.relative_to(ROOT / "dashboard").parts[0].removesuffix(".py") for path in sources("dashboard")
    }
    found = []
    for path in sources("dashboard"):
        own = path.relative_to(ROOT / "dashboard").parts[0].removesuffix(".py")
        for other in parts_of_the_page(path):
            if other != own and floor[other] >= floor[own]:
                found.append(f"{path.relative_to(ROOT)}: {own} may not import {other}")
    assert found == []


def parts_of_the_page(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "torchglass.dashboard":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torchglass.dashboard."):
            yield str(node.module).split(".")[2]


def test_the_walk_sees_what_it_should(tmp_path: Path) -> None:
    odd = tmp_path / "odd.py"
    odd.write_text("from . import a\nimport store\nfrom torchglass import dashboard\n\ndef f():\n    import torch.nn\n")
    assert list(imports(odd)) == [(1, 1, ""), (2, 0, "store"), (3, 0, "torchglass.dashboard"), (6, 0, "torch.nn")]
