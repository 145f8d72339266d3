"""What an import or an export did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ImportedRun:
    """One imported run. `run_id` is None where the log held nothing to record, and then there is no run.

    `late_count` points came at a step not above all before it in their series: all are in the store, and where a step
    repeats, the last one counts. `left_out` counts what has no place in a store, by plugin or field of the format;
    `faults` are sentences on files that could not be read whole.
    """

    name: str
    run_id: int | None
    point_count: int
    series_count: int
    histogram_count: int
    artifact_count: int
    late_count: int
    left_out: Mapping[str, int]
    faults: tuple[str, ...]


@dataclass(frozen=True)
class ExportedRun:
    """One exported run: where it went, and how much of it.

    `path` is a file, or for event files their folder. `left_out` counts what the format has no place for, by kind.
    """

    path: Path
    size_bytes: int
    point_count: int
    series_count: int
    left_out: Mapping[str, int]
