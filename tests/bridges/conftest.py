"""Each test of a bridge has a folder and a store of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store that `TORCHGLASS_STORE` names; the working folder is its folder."""
    for name in ("TORCHGLASS_MODE", "WANDB_MODE", "WANDB_PROJECT", "WANDB_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCHGLASS_STORE", str(tmp_path / "store.db"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "store.db"
