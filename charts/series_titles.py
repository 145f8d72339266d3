"""What the chart of a series is called: what we record has a name for people, what a user logs keeps its own."""

from __future__ import annotations

from torchglass.charts.devices import figure_name
from torchglass.charts.memory import WORDS
from torchglass.language import mark, tr
from torchglass.store.records import SeriesKind

NAMED_KINDS: frozenset[SeriesKind] = frozenset({"work", "memory", "device", "self"})
_TITLES = {
    "work/flops_per_step": mark("FLOPs a step"),
    "work/host_bound_percent": mark("Host-bound"),
    "work/mfu_percent": mark("MFU"),
    "work/micro_steps": mark("Micro-steps a step"),
    "work/samples_per_second": mark("Samples a second"),
    "torchglass/hook_seconds": mark("Time in torchglass a step"),
}


def series_title(kind: SeriesKind, key: str) -> str:
    """The title that stands beside a unit, such as "Memory used"; the key where the series is not one of ours."""
    if kind not in NAMED_KINDS:
        return key
    if key in _TITLES:
        return tr(_TITLES[key])
    name = figure_name(key.partition("/")[2])
    name = tr(WORDS[name]) if kind == "memory" and name in WORDS else name
    return f"{name[:1].upper()}{name[1:]}" or key
