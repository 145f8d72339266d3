"""Why a GPU's clocks are lower than they could be, by name.

The bits are NVML's `nvmlClocksEventReason...` (before driver 535 `nvmlClocksThrottleReason...`), which
`nvidia-smi -q -d PERFORMANCE` prints as "Clocks Event Reasons".
"""

from __future__ import annotations

from typing import NamedTuple

PREFIX = "throttle_"


class EventReason(NamedTuple):
    """One bit: its key, what to call it, and whether it slows the GPU against what was asked of it."""

    bit: int
    key: str
    words: str
    slows: bool


REASONS = (
    EventReason(0x4, "software_power_cap", "power limit", True),
    EventReason(0x8, "hardware_slowdown", "hardware slowdown", True),
    EventReason(0x20, "software_thermal_slowdown", "software thermal slowdown", True),
    EventReason(0x40, "hardware_thermal_slowdown", "hardware thermal slowdown", True),
    EventReason(0x80, "hardware_power_brake", "hardware power brake", True),
    EventReason(0x10, "sync_boost", "sync boost", True),
    EventReason(0x2, "applications_clocks", "applications clocks setting", False),
    EventReason(0x100, "display_clocks", "display clocks setting", False),
    EventReason(0x1, "idle", "idle", False),
)


def reason_values(bits: int) -> dict[str, float]:
    """One value for each reason that is known: 1 where its bit is set, else 0."""
    return {PREFIX + reason.key: float(bool(bits & reason.bit)) for reason in REASONS}


def reason_words(bits: int) -> str:
    """The reasons of the moment, those that slow first; "none" where no bit is set."""
    found = [reason.words for reason in REASONS if bits & reason.bit]
    unknown = bits & ~sum(reason.bit for reason in REASONS)
    if unknown:
        found.append(f"a reason that this version does not know ({unknown:#x})")
    return ", ".join(found) or "none"
