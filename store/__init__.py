"""Where a run lives: the one thing that training, page and report share."""

from __future__ import annotations

import os

from torchglass.store.records import (
    Artifact,
    ArtifactBlock,
    Batch,
    Column,
    Fact,
    Histogram,
    HistogramBlock,
    Points,
    ProfilerRow,
    ProfilerWindow,
    RowBlock,
    Run,
    RunStatus,
    Series,
)
from torchglass.store.runs import LOST_AFTER_SECONDS
from torchglass.store.store import Store

__all__ = [
    "LOST_AFTER_SECONDS",
    "Artifact",
    "ArtifactBlock",
    "Batch",
    "Column",
    "Fact",
    "Histogram",
    "HistogramBlock",
    "Points",
    "ProfilerRow",
    "ProfilerWindow",
    "RowBlock",
    "Run",
    "RunStatus",
    "Series",
    "Store",
    "open_store",
]


def open_store(location: str | os.PathLike[str] | None = None, *, read_only: bool = False) -> Store:
    """Open the store at a path (default `TORCHGLASS_STORE`, else `./torchglass.db`), making it if it is absent.

    With `read_only` nothing is made or changed, and a path without a store raises `StoreError`.
    """
    return Store(location, read_only=read_only)
