"""One trace -> everything that is known of it: rows of operators and kernels, tables, and facts on their quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torchglass.store import ProfilerRow, Table
from torchglass.traces.tables import COLUMNS, empty
from torchglass.traces.trace import Trace


@dataclass(frozen=True)
class Profile:
    """What one trace tells: `rows` and `tables` as a `ProfilerWindow` keeps them; `facts` are JSON-able."""

    rows: tuple[ProfilerRow, ...]
    tables: Mapping[str, Table]
    facts: Mapping[str, Any]


def profile_of(trace: Trace, *, source: Literal["window", "trace"] = "window") -> Profile:
    """Analyse a trace; whatever it lacks is an empty table and a reason in `facts["missing"]`, never an error."""
    return Profile((), {name: empty(name) for name in COLUMNS}, {"source": source, "missing": {}})
