"""What the guide says exists: pages, pictures, links, commands with their options, and Python that runs."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchglass.cli import _parser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GUIDE = DOCS / "guide"
IMAGES = DOCS / "images"
DOCUMENTS = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
MAX_PICTURE_BYTES = 160_000
ALONE = ("runs", "sweep", "train")  # pages that are about no single run
RUNS = "python run"  # what stands behind the ticks of a block that is run as it stands
FENCE = re.compile(r"^```([\w ]*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def fences(document: Path, language: str) -> Iterator[str]:
    return (body for said, body in FENCE.findall(text_of(document)) if said.partition(" ")[0] == language)


def named(document: Path) -> str:
    return str(document.relative_to(ROOT))


def navigated() -> set[str]:
    from torchglass.dashboard.navigation import RUN_PAGES

    return {entry.address.replace("_", "-") for entry in RUN_PAGES} | set(ALONE)


def test_every_page_of_the_dashboard_has_a_page_of_the_guide_with_its_picture() -> None:
    missing = {page for page in navigated() if not (GUIDE / f"{page}.md").exists()}
    assert missing == set()
    for page in navigated():
        text = text_of(GUIDE / f"{page}.md")
        assert f"(../images/{page}.png)" in text, page
        assert (IMAGES / f"{page}-dark.png").exists(), page
        for part in ("## What it shows", "## How to read it", "## What it cannot tell", "## When it is empty"):
            assert (part in text) or (page == "runs" and part == "## How to read it"), (page, part)
    indexed = set(re.findall(r"\(guide/([\w-]+)\.md\)", text_of(DOCS / "README.md")))
    assert indexed == {path.stem for path in GUIDE.glob("*.md")}


def test_every_picture_is_shown_somewhere_small_and_has_a_text() -> None:
    shown = set()
    for document in DOCUMENTS:
        for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text_of(document)):
            assert len(alt) >= 8, (named(document), target)
            shown.add((document.parent / target).resolve())
    kept = set(IMAGES.glob("*.png"))
    assert shown <= kept
    unused = {
        path.name for path in kept if path not in shown and path.with_stem(path.stem.removesuffix("-dark")) == path
    }
    assert unused == set()
    assert [path.name for path in kept if path.stat().st_size > MAX_PICTURE_BYTES] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text_of(document))):
        if re.match(r"[a-z]+://", target):
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def anchors(document: Path) -> set[str]:
    """What headings can be linked by: lower case, dashes for spaces, a number behind those that were there before."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(document)), flags=re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        again = next(name for n in range(100) if (name := f"{slug}-{n}" if n else slug) not in found)
        found.add(again)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_command_and_option_is_one_of_the_command_line(document: Path) -> None:
    unknown = [command for command in commands(document) if not is_known(command.split())]
    assert unknown == []


def commands(document: Path) -> Iterator[str]:
    """What stands behind `torchglass` in shell blocks, and in quotes of code."""
    text = text_of(document)
    blocks = [*fences(document, "bash"), *fences(document, "")]
    quoted = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", FENCE.sub("", text))
    for line in [line for block in blocks for line in block.splitlines()] + quoted:
        found = re.match(r"(?:torchrun .* -m )?(?:python -m )?torchglass ([a-z-].*)", line.strip())
        if found:
            yield re.split(r" {2,}|  #", found[1])[0]


def is_known(words: list[str]) -> bool:
    parser: argparse.ArgumentParser = _parser()
    verbs = next(action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    if words[0].startswith("-"):
        return words[0] in parser._option_string_actions
    if words[0] not in verbs:
        return False
    verb = verbs[words[0]]
    kinds = next((each.choices for each in verb._actions if not each.option_strings and each.choices), None)
    if kinds is not None and words[1] not in kinds:
        return False
    options = {word.partition("=")[0].rstrip(",") for word in words if re.match(r"--?[a-z]", word)}
    return options <= set(verb._option_string_actions)


def test_a_wrong_option_would_be_found() -> None:
    assert is_known(["report", "RUN", "-o", "report.html"])
    assert is_known(["import", "trace", "FILE"])
    assert not is_known(["report", "RUN", "--frobnicate"])
    assert not is_known(["reports", "RUN"])
    assert not is_known(["import", "nothing"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_python_in_documents_compiles(document: Path) -> None:
    for block in fences(document, "python"):
        compile(block, named(document), "exec")


def test_python_that_is_said_to_run_runs(tmp_path: Path) -> None:
    """Blocks of ```python run, those of start.md first, in one folder: others read what these recorded."""
    first_steps = sorted(DOCUMENTS, key=lambda document: document.stem != "start")
    blocks = [body for document in first_steps for said, body in FENCE.findall(text_of(document)) if said == RUNS]
    assert len(blocks) >= 2
    environment = {key: value for key, value in os.environ.items() if key != "TORCHGLASS_STORE"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=tmp_path,
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "torchglass.db").exists()


def test_make_docs_remakes_every_picture() -> None:
    listed = subprocess.run(
        [sys.executable, "scripts/docs/screenshots.py", "--list"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    kept = {path.stem for path in IMAGES.glob("*.png")}
    assert set(listed) == kept
    assert "scripts/docs/screenshots.py" in text_of(ROOT / "Makefile")
