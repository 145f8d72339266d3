"""What came of asking the devices once: values, and for each that is missing the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

Said = TypeVar("Said")


@dataclass(frozen=True)
class Reading:
    """Values by key (`gpu0/power_watts`), reasons by key for what is missing, and what a key's numbers mean in words.

    A key without a quantity (`gpu0`) is missing altogether. A rate has no value and no reason until its second reading.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)

    def of(self, device: str) -> Reading:
        """The same reading with its keys below a device's name."""
        return Reading(_below(device, self.values), _below(device, self.missing), _below(device, self.words))


def merged(readings: Iterable[Reading]) -> Reading:
    """Several readings as one; what came later counts, and what has a value is not missing."""
    values: dict[str, float] = {}
    missing: dict[str, str] = {}
    words: dict[str, str] = {}
    for reading in readings:
        values.update(reading.values)
        missing.update(reading.missing)
        words.update(reading.words)
    return Reading(values, {key: reason for key, reason in missing.items() if key not in values}, words)


def _below(device: str, part: Mapping[str, Said]) -> dict[str, Said]:
    return {f"{device}/{key}": said for key, said in part.items()}
