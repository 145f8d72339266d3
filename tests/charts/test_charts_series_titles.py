"""Titles of live charts: words for what we record, keys for what a user logs."""

from __future__ import annotations

import pytest

from torchglass.charts.series_titles import series_title
from torchglass.store.records import SeriesKind


@pytest.mark.parametrize(
    ("kind", "key", "title"),
    [
        ("work", "work/samples_per_second", "Samples a second"),
        ("work", "work/something_new_percent", "Something new"),
        ("memory", "memory/process_bytes", "This process"),
        ("memory", "memory/activations_bytes", "Activations and other"),
        ("memory", "memory/allocator_retries", "Allocator retries"),
        ("device", "host/io_wait_percent", "I/O wait"),
        ("device", "gpu0/memory_used_bytes", "Memory used"),
        ("self", "torchglass/hook_seconds", "Time in torchglass a step"),
        ("device", "odd", "odd"),
    ],
)
def test_what_we_record_has_a_name_for_people(kind: SeriesKind, key: str, title: str) -> None:
    assert series_title(kind, key) == title


def test_what_a_user_logs_keeps_its_key_even_if_it_looks_like_ours() -> None:
    assert series_title("scalar", "memory/process_bytes") == "memory/process_bytes"
    assert series_title("layer", "layers.0.weight/norm") == "layers.0.weight/norm"
