"""Where a run lives: the one thing that training, page and report share."""

from __future__ import annotations

import os

from torchglass.store.location import Location
from torchglass.store.records import (
    Artifact,
    ArtifactBlock,
    Batch,
    Column,
    Fact,
    Histogram,
    HistogramBlock,
    Points,
    ProfileRequest,
    ProfilerRow,
    ProfilerWindow,
    Purged,
    Resumption,
    RowBlock,
    Run,
    RunStatus,
    Series,
    Table,
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
    "Location",
    "Points",
    "ProfileRequest",
    "ProfilerRow",
    "ProfilerWindow",
    "Purged",
    "Resumption",
    "RowBlock",
    "Run",
    "RunStatus",
    "Series",
    "Store",
    "Table",
    "open_store",
]


def open_store(location: str | os.PathLike[str] | Location | None = None, *, read_only: bool = False) -> Store:
    """Open the store at a path or postgresql:// URL (default `TORCHGLASS_STORE`, else `./torchglass.db`).

    It is made if it is absent; with `read_only` nothing is made or changed, and its absence raises `NoStoreError`.
    """
    return Store(location, read_only=read_only)
