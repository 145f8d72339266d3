"""Explain what a model looks at: any model of pictures, text or rows in, a frozen Explanation out.

This file loads neither torch nor captum, shap, lime: the first call of `explain` does, and only what its method needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torchglass.explainers.explanation import Explanation
from torchglass.explainers.registry import method_names

if TYPE_CHECKING:
    from torchglass.explainers.evaluation.front_door import evaluate
    from torchglass.explainers.evaluation.registry import metric_names
    from torchglass.explainers.evaluation.scores import Scores
    from torchglass.explainers.front_door import explain
    from torchglass.explainers.probes import Probes

_HOME = {
    "evaluate": "evaluation.front_door",
    "metric_names": "evaluation.registry",
    "Scores": "evaluation.scores",
    "explain": "front_door",
    "Probes": "probes",
}

__all__ = ["Explanation", "Probes", "Scores", "evaluate", "explain", "method_names", "metric_names"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'torchglass.explainers' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
