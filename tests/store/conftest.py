"""The contract of the store: a test that asks for `store` or `location` runs on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from torchglass.store import Store

if TYPE_CHECKING:
    from postgresql import Server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store may be made: a path, and a URL of a schema that nobody used yet."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    server: Server = request.getfixturevalue("postgresql")
    return server.url()


@pytest.fixture
def store(location: str) -> Iterator[Store]:
    """A new store."""
    with Store(location) as opened:
        yield opened
