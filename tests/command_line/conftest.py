"""A short, real training run, made once; each test gets a store of its own with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from torchglass.cli import main


@pytest.fixture(scope="session")
def _trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("trained") / "runs.db"
    code = main(
        ["train", "lenet5", "--epochs", "3", "--run", "short", "--quiet", "--device", "cpu", "--store", str(store)]
    )
    assert code == 0
    return store


@pytest.fixture
def trained(_trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which `torchglass train` recorded the run "short"; what a test adds to it no other test sees."""
    folder = tmp_path_factory.mktemp("own") / "copy"
    shutil.copytree(_trained_once.parent, folder)
    return folder / _trained_once.name
