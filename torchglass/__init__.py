"""torchglass: a looking glass on PyTorch training. This file is a table of contents; nothing loads until it is used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchglass.bridges.summary_writer import SummaryWriter
    from torchglass.explainers import (
        Erase,
        Explanation,
        Paste,
        Probes,
        Replace,
        Scores,
        SetColumn,
        SetColumns,
        evaluate,
        explain,
        find_shortcuts,
        what_if,
    )
    from torchglass.instrumentation import Run, attach, every, start
    from torchglass.report import export_report
    from torchglass.store import open_store

__version__ = "0.1.0"

_HOME = {
    "attach": "torchglass.instrumentation",
    "every": "torchglass.instrumentation",
    "start": "torchglass.instrumentation",
    "Run": "torchglass.instrumentation",
    "SummaryWriter": "torchglass.bridges.summary_writer",
    "open_store": "torchglass.store",
    "explain": "torchglass.explainers",
    "evaluate": "torchglass.explainers",
    "Scores": "torchglass.explainers",
    "Probes": "torchglass.explainers",
    "find_shortcuts": "torchglass.explainers",
    "what_if": "torchglass.explainers",
    "Erase": "torchglass.explainers",
    "Paste": "torchglass.explainers",
    "Replace": "torchglass.explainers",
    "SetColumn": "torchglass.explainers",
    "SetColumns": "torchglass.explainers",
    "Explanation": "torchglass.explainers",
    "export_report": "torchglass.report",
}

__all__ = [
    "Erase",
    "Explanation",
    "Paste",
    "Probes",
    "Replace",
    "Run",
    "Scores",
    "SetColumn",
    "SetColumns",
    "SummaryWriter",
    "__version__",
    "attach",
    "evaluate",
    "every",
    "explain",
    "export_report",
    "find_shortcuts",
    "open_store",
    "start",
    "what_if",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'torchglass' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
