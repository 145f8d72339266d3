"""Max-sensitivity: how far the attributions move when the input hardly does."""

import numpy as np
import torch
from captum.metrics import sensitivity_max
from torch import Tensor

from torchglass.explainers.evaluation.case import EXPLANATION, Case, Measured, UndefinedError

COST = "explanations"
BETTER = "low"

RADIUS = 0.02
"""of the cube that inputs are moved in, in units of the inputs"""
DRAWS = 10
NOTHING = "the attributions are zero everywhere"


def measure(case: Case) -> Measured:
    """Measure the largest ||a(x + d) - a(x)|| / ||a(x)|| over ten d, each of whose numbers is at most 0.02.

    It explains again, by the method and the options of the explanation, for the same class.

    Source: Yeh et al. 2019 (arXiv 1901.09392), through captum's sensitivity_max.
    """
    if case.explanation.kind == "text":
        raise UndefinedError("token ids cannot be moved by a little")
    count = len(case.inputs)
    valued = case.explanation.attributions.reshape(count, -1).any(axis=1)
    if not valued.any():
        raise UndefinedError(NOTHING)

    def explained(given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (inputs,) = given
        targets = case.targets.repeat_interleave(len(inputs) // count)
        return (torch.tensor(case.again(case.model.network, inputs, targets, (DRAWS + 1) * count)),)

    largest = sensitivity_max(explained, case.inputs, perturb_radius=RADIUS, n_perturb_samples=DRAWS)
    # captum leaves the distance itself where there is no norm to divide by.
    shares = np.where(valued, largest.float().cpu().numpy(), np.float32(np.nan))
    return Measured({EXPLANATION: shares}, NOTHING, parameters={"radius": RADIUS, "draws": DRAWS})
