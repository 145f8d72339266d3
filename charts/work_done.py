"""What a run says of the operations it counted: why there is no count, and what a count lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchglass.charts.text import plain_text
from torchglass.charts.units import number
from torchglass.language import listed, tr

NOT_COUNTED = "missing/work/flops"
MOST_OPERATORS = 8
REASON_CHARACTERS = 300


def work_notes(facts: Mapping[str, Any]) -> list[str]:
    """Sentences from the facts of one rank; none where everything was counted, or nothing was to be."""
    notes = []
    if facts.get(NOT_COUNTED):
        reason = plain_text(facts[NOT_COUNTED], REASON_CHARACTERS).rstrip(".")
        notes.append(tr("The operations of some step were not counted: {reason}.", reason=reason))
    work = facts.get("work")
    unsupported = work.get("unsupported") if isinstance(work, Mapping) else None
    if isinstance(unsupported, Mapping) and unsupported:
        named = [f"{plain_text(name, 80)} ({plain_text(_calls(calls), 40)})" for name, calls in unsupported.items()]
        told = listed(named[:MOST_OPERATORS])
        if len(named) > MOST_OPERATORS:
            told = tr("{names} and {count} more", names=told, count=number(len(named) - MOST_OPERATORS))
        notes.append(tr("Not in the count, for want of a formula: {names}.", names=told))
    return notes


def _calls(count: object) -> str:
    return tr("1 call") if count == 1 else tr("{count} calls", count=count)
