"""Expected gradients: the score's gradient at random points between an input and random references."""

from dataclasses import dataclass

import captum
import numpy as np
import torch
from captum.attr import GradientShap

from torchglass.errors import OptionError
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.problem import Problem

ROUNDS = 8
"""Independent draws of an eighth of the points each: their spread is the standard error."""
IMPLEMENTATION = f"captum {captum.__version__} GradientShap"


@dataclass(frozen=True, eq=False)
class Expected:
    """Values like the inputs, which add up in expectation only, and one sigma of sampling."""

    values: FloatArray
    errors: FloatArray


def expected_gradients(problem: Problem, draws: int) -> Expected:
    """Average (x - b) * gradient over references b of the background and points between b and x, both at random.

    Raises:
        OptionError: draws are too few.

    Source: Erion et al. 2021 (arXiv 1906.10670), through captum's GradientShap.
    """
    if draws < 2 * ROUNDS:
        raise OptionError(f"evaluations is {draws}: give at least {2 * ROUNDS} for gradients")
    method = GradientShap(problem.model)
    found = []
    for i in range(len(problem.inputs)):
        # captum draws from the global generators, which the front door gives back: one seed an input keeps its
        # explanation from depending on its neighbours in the batch.
        np.random.seed(problem.seed % 2**32)
        rounds = [
            method.attribute(
                problem.inputs[i : i + 1],
                baselines=problem.background,
                target=problem.targets[i : i + 1],
                n_samples=draws // ROUNDS,
                stdevs=0.0,
            ).detach()
            for _ in range(ROUNDS)
        ]
        found.append(torch.cat(rounds))
    drawn = torch.stack(found).double().cpu().numpy()  # (N, rounds, ...)
    errors = drawn.std(axis=1, ddof=1) / ROUNDS**0.5
    return Expected(drawn.mean(axis=1).astype(np.float32), errors.astype(np.float32))
