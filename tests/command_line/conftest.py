"""A store with one short, real training run, made once for all tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchglass.cli import main


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which `torchglass train` recorded the run "short"."""
    store = tmp_path_factory.mktemp("trained") / "runs.db"
    code = main(
        ["train", "lenet5", "--epochs", "3", "--run", "short", "--quiet", "--device", "cpu", "--store", str(store)]
    )
    assert code == 0
    return store
