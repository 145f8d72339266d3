"""Hold what the metrics say of one explanation, beside what they say of maps that know nothing of the model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from torchglass.explainers.explanation import FloatArray


@dataclass(frozen=True, eq=False)
class Scores:
    """Figures of trust for an explanation of N inputs; arrays are read-only."""

    values: Mapping[str, FloatArray]
    """Metric -> (N,); NaN for an input of which it says nothing, and `missing` says why."""
    baselines: Mapping[str, Mapping[str, FloatArray]]
    """"random" and, of pictures, "edges" -> metric -> (N,): the same code on a map that never saw the model."""
    curves: Mapping[str, FloatArray]
    """Metric -> (N, S): what was hidden or randomised step by step, where the metric is the area or the end of that."""
    missing: Mapping[str, str]
    """Metric -> why it could not be computed, for all or some of the inputs."""
    better: Mapping[str, str]
    """Metric -> "high" or "low", whichever speaks for the explanation; metrics that only describe have no key."""
    seed: int
    seconds: float
    model_evaluations: int
    """Inputs put forward through the model, those of explanations made again among them."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able settings that the metrics ran with."""

    def __post_init__(self) -> None:
        arrays = [*self.values.values(), *self.curves.values()]
        for array in (*arrays, *(one for known in self.baselines.values() for one in known.values())):
            array.setflags(write=False)

    def mean(self, metric: str, of: str = "explanation") -> float | None:
        """Average a metric over the inputs that it is defined for; None where there are none."""
        values = self.values if of == "explanation" else self.baselines.get(of, {})
        defined = values[metric][np.isfinite(values[metric])] if metric in values else np.array([])
        return float(defined.mean()) if len(defined) else None

    def summary(self) -> dict[str, Any]:
        """Give the means as JSON holds them: `scores`, `baselines` (map -> metric -> mean) and `scores_missing`."""
        return {
            "scores": _means(self, "explanation", self.values),
            "baselines": {name: _means(self, name, known) for name, known in self.baselines.items()},
            "scores_missing": dict(self.missing),
        }


def _means(scores: Scores, of: str, values: Mapping[str, FloatArray]) -> dict[str, float]:
    means = {metric: scores.mean(metric, of) for metric in values}
    return {metric: mean for metric, mean in means.items() if mean is not None}
