"""What the documents say about the tree is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNLISTED = {"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml"}


def _tree_in_readme() -> set[str]:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## How it is built")[1]
    return {line.split()[0].rstrip("/") for line in section.split("```")[1].splitlines() if line.strip()}


def _tracked() -> set[str]:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {line.split("/")[0] for line in listing.splitlines()}


def test_the_readme_lists_every_room_and_no_other() -> None:
    visible = {name for name in _tracked() if not name.startswith(".") and not name.startswith("requirements")}
    assert _tree_in_readme() == visible - UNLISTED


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/schema.md", "docs/data.md"]
)
def test_every_file_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)#:]+)\)", text))
    named = set(re.findall(r"`((?:[\w-]+/)+[\w.-]+\.(?:py|md|toml|txt|html))`", text))
    base = ROOT if document.count("/") == 0 else (ROOT / document).parent
    missing = {name for name in linked if not (base / name).exists()} | {n for n in named if not (ROOT / n).exists()}
    assert missing == set()


def test_the_makefile_explains_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z][a-z-]*):", text, flags=re.MULTILINE)
    explained = re.findall(r"^([a-z][a-z-]*):.*## \w", text, flags=re.MULTILINE)
    assert targets == explained
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, flags=re.MULTILINE)
    assert targets == phony.split()


def test_every_make_command_that_a_text_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    listing = subprocess.run(["git", "ls-files", "*.md", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in listing.stdout.splitlines()]
    named = {target for text in texts for target in re.findall(r"`make ([a-z][a-z-]*)", text)}
    assert {"demo", "test", "words"} <= named
    assert named <= set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))


def test_the_documented_reader_needs_only_sqlite3_and_numpy(tmp_path: Path) -> None:
    """Runs the program printed in docs/schema.md against a store with irregular steps and every kind of value."""
    import numpy as np

    from torchglass.store import Batch, RowBlock, open_store

    steps = np.concatenate([np.arange(3000), [0, 1, 5, 3, 3, 100]])
    values = np.concatenate([np.arange(3000) / 4, [0.1, 1 / 3, np.inf, -2.0, 1e300, -0.0]])
    times = 1.7e9 + np.concatenate([np.arange(3000) / 64, 50 + np.array([0.0, 0.25, 1.5, 2.0, 2.0, 1e6])])
    with open_store(tmp_path / "s.db") as store:
        run = store.start_run("r", {}, host="h", pid=1)
        for part in (slice(0, 3002), slice(3002, 3004), slice(3004, None)):
            block = RowBlock.of_series("loss", "scalar", "", steps[part], times[part], values[part])
            store.write(run.id, 0, Batch(rows=[block]))
            if part.start < 3004:
                store.compact(run.id)
    program = (ROOT / "docs/schema.md").read_text(encoding="utf-8").split("```python")[1].split("```")[0]
    scope: dict[str, object] = {}
    exec(program, scope)
    read = scope["read_series"](str(tmp_path / "s.db"), "r", "loss")  # type: ignore[operator]
    assert [point[0] for point in read] == steps.tolist()
    np.testing.assert_allclose([point[1] for point in read], times, atol=1e-6, rtol=0)
    assert [point[2] for point in read] == values.tolist()
    with open_store(tmp_path / "s.db") as store:
        store.end_run(run.id, "finished")
        store.resume_run("r", step=2000, host="h", pid=1)
        store.write(
            run.id, 0, Batch(rows=[RowBlock.of_series("loss", "scalar", "", *map(np.array, ([2001], [2e9], [7.0])))])
        )
        tail = store.tail(store.series_of(run.id)[0].id, 0)
    read = scope["read_series"](str(tmp_path / "s.db"), "r", "loss")  # type: ignore[operator]
    assert [(point[0], point[2]) for point in read] == [*zip(tail.steps.tolist(), tail.values.tolist(), strict=True)]
    assert len(read) == 2000 + 6 + 1
