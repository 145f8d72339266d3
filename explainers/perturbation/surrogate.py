"""Gather LIME's linear models of N inputs, whichever of lime's explainers fitted them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from torch import Tensor

from torchglass.errors import OptionError
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.problem import Attribution


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A linear model of the score around one input: its weights at their places, and how well it fits."""

    values: FloatArray
    intercept: float
    r2: float
    prediction: float
    """of the linear model for the input itself"""


def as_attribution(
    found: Sequence[Surrogate], outputs: Tensor, explainer: str, parameters: Mapping[str, Any]
) -> Attribution:
    """Gather surrogates of inputs with these scores (N,).

    Checks: `surrogate_r2`, the mean over the inputs, and `surrogate_r2_worst` are the weighted share of the score's
    variance that the linear model catches in the samples that it was fitted on; `surrogate_error` is the worst
    |surrogate - score| at the input itself.
    """
    misses = [abs(one.prediction - float(score)) for one, score in zip(found, outputs, strict=True)]
    return Attribution(
        values=np.stack([one.values for one in found]),
        implementation=f"lime {version('lime')} {explainer}",
        parameters=parameters,
        checks={
            "surrogate_r2": float(np.mean([one.r2 for one in found])),
            "surrogate_r2_worst": min(one.r2 for one in found),
            "surrogate_error": max(misses),
        },
        base_values=np.array([one.intercept for one in found], dtype=np.float32),
    )


def check_samples(samples: int, parts: int) -> None:
    """Refuse fewer samples than two for each weight.

    Raises:
        OptionError: samples are too few.
    """
    if samples < 2 * (parts + 1):
        raise OptionError(f"samples is {samples}: give at least {2 * (parts + 1)} for {parts} parts")
