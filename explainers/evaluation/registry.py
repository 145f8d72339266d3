"""Know the metrics: a metric is a file in the folder `metrics`, and there is no other list."""

import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from torchglass.errors import OptionError
from torchglass.explainers.evaluation import metrics

if TYPE_CHECKING:
    from torchglass.explainers.evaluation.case import Case, Measured

Cost = Literal["nothing", "forwards", "explanations"]
_ORDER: tuple[Cost, ...] = ("nothing", "forwards", "explanations")


@dataclass(frozen=True)
class Metric:
    """One file: `measure(case) -> Measured`, what it costs and which end of its scale is good."""

    name: str
    measure: "Callable[[Case], Measured]"
    cost: Cost
    better: Literal["high", "low"] | None


@cache
def metric_names() -> tuple[str, ...]:
    """Name the metrics without loading them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(metrics.__path__)))


def load_metrics(names: Sequence[str] | None) -> tuple[Metric, ...]:
    """Load metrics by name, None all of them, the cheapest first.

    Raises:
        OptionError: no metric has that name.
    """
    if isinstance(names, str):
        raise OptionError(f"metrics is {names!r}: give a sequence of names, such as ({names!r},)")
    for name in names or ():
        if name not in metric_names():
            raise OptionError(f"unknown metric {name!r}: choose among {', '.join(metric_names())}")
    found = (_load(name) for name in dict.fromkeys(metric_names() if names is None else names))
    return tuple(sorted(found, key=lambda metric: _ORDER.index(metric.cost)))


def _load(name: str) -> Metric:
    file = import_module(f"{metrics.__name__}.{name}")
    return Metric(name, file.measure, file.COST, file.BETTER)
