"""Explain what a model looks at: any model of pictures, text or rows in, a frozen Explanation out.

This file loads neither torch nor captum, shap, lime: the first call of `explain` does, and only what its method needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torchglass.explainers.explanation import Explanation
from torchglass.explainers.registry import method_names

if TYPE_CHECKING:
    from torchglass.explainers.changing.changes import Erase, Paste, Replace, SetColumn, SetColumns
    from torchglass.explainers.changing.outcomes import Outcome, what_if
    from torchglass.explainers.evaluation.front_door import evaluate
    from torchglass.explainers.evaluation.registry import metric_names
    from torchglass.explainers.evaluation.scores import Scores
    from torchglass.explainers.front_door import explain
    from torchglass.explainers.probes import Probes
    from torchglass.explainers.shortcuts.search import find_shortcuts
    from torchglass.explainers.shortcuts.suspect import Suspect

_HOME = {
    "evaluate": "evaluation.front_door",
    "metric_names": "evaluation.registry",
    "Scores": "evaluation.scores",
    "explain": "front_door",
    "Probes": "probes",
    "find_shortcuts": "shortcuts.search",
    "Suspect": "shortcuts.suspect",
    "what_if": "changing.outcomes",
    "Outcome": "changing.outcomes",
    "Erase": "changing.changes",
    "Paste": "changing.changes",
    "Replace": "changing.changes",
    "SetColumn": "changing.changes",
    "SetColumns": "changing.changes",
}

__all__ = [
    "Erase",
    "Explanation",
    "Outcome",
    "Paste",
    "Probes",
    "Replace",
    "Scores",
    "SetColumn",
    "SetColumns",
    "Suspect",
    "evaluate",
    "explain",
    "find_shortcuts",
    "method_names",
    "metric_names",
    "what_if",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'torchglass.explainers' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
