"""DeepSHAP through shap: DeepLIFT's rescale rule averaged over the background, trusted where its sums prove it."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shap
from torch import Tensor, nn

from torchglass.explainers.checking.checks import first_line
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.private.canonical import canonical
from torchglass.explainers.private.scored_model import ScoredModel, scores
from torchglass.explainers.problem import Problem

TOLERANCE = 1e-3
"""Largest miss of a sum of values at which they count as exact: of the difference to share, and in score units."""
ROUNDING = 1e-5
"""What float32 may lose, relative to the scores themselves: the tolerance never asks for less."""

_STRANGER = "unrecognized nn.Module: "


@dataclass(frozen=True, eq=False)
class Sums:
    """What the values of each input must add up to, (N,) float64."""

    base: npt.NDArray[np.float64]
    difference: npt.NDArray[np.float64]
    allowed: npt.NDArray[np.float64]

    @classmethod
    def wanted(cls, problem: Problem, background: Tensor) -> "Sums":
        """Ask the model about the background: the sums are f(x) - E f(background)."""
        base = _numpy(scores(problem.model, background).mean(0)[problem.targets]).astype(np.float64)
        outputs = _numpy(problem.outputs).astype(np.float64)
        difference = outputs - base
        allowed = np.minimum(TOLERANCE, TOLERANCE * np.abs(difference))
        return cls(base, difference, np.maximum(allowed, ROUNDING * (np.abs(outputs) + np.abs(base))))

    def miss(self, values: FloatArray) -> npt.NDArray[np.float64]:
        """Say by how much the sum of each input's values (N, ...) is off, (N,)."""
        missed: npt.NDArray[np.float64] = np.abs(
            values.reshape(len(values), -1).sum(axis=1, dtype=np.float64) - self.difference
        )
        return missed

    def checks(self, values: FloatArray) -> dict[str, float]:
        """Give the completeness errors: the worst in score units, and the worst as a share of the difference."""
        miss = self.miss(values)
        return {
            "completeness_error": float(miss.max()),
            "completeness_error_relative": float((miss / np.maximum(np.abs(self.difference), 1e-12)).max()),
        }


@dataclass(frozen=True, eq=False)
class Deep:
    """DeepSHAP's values, None where it cannot run, and why they are not to be trusted, None where they add up."""

    values: FloatArray | None
    doubt: str | None


class TargetScore(nn.Module):
    """One class of a scored model, (N, 1): shap spends a backward pass per output, so it sees only the asked one."""

    def __init__(self, model: ScoredModel, target: int) -> None:
        super().__init__()
        self.model = model
        self.target = target

    def forward(self, inputs: Tensor) -> Tensor:
        column: Tensor = self.model(inputs)[:, self.target : self.target + 1]
        return column


def deep_shap(problem: Problem, sums: Sums) -> Deep:
    """Run shap's DeepExplainer on a rewritten twin of the model, and judge it by the sums that it must give.

    shap's own check is not asked: its tolerance, 0.01 whatever the scale, lets small models pass that are wrong and
    stops large ones that are right.
    """
    # A twin of its own: shap leaves its hooks behind when it fails half-way.
    twin, untraced = canonical(problem.model, problem.inputs[:1])
    values = np.empty(tuple(problem.inputs.shape), dtype=np.float32)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            for target in sorted(set(problem.targets.tolist())):
                rows = (problem.targets == target).nonzero()[:, 0]
                explainer = shap.DeepExplainer(TargetScore(twin, target), problem.background)
                found = explainer.shap_values(problem.inputs[rows], check_additivity=False)
                values[_numpy(rows)] = np.asarray(found).reshape(len(rows), *values.shape[1:])
        except Exception as error:
            return Deep(None, f"shap's DeepExplainer failed ({first_line(error)})")
        finally:
            problem.model.inputs_seen += twin.inputs_seen
    miss = sums.miss(values)
    if bool((miss <= sums.allowed).all()):
        return Deep(values, None)
    worst = int((miss / sums.allowed).argmax())
    messages = {str(warning.message) for warning in warned}
    strangers = sorted(m.removeprefix(_STRANGER) for m in messages if m.startswith(_STRANGER))
    causes = [untraced] if untraced else []
    causes += [f"it does not know {', '.join(strangers)}"] if strangers else []
    why = f" ({'; '.join(causes)})" if causes else ""
    return Deep(values, f"DeepExplainer's sum misses {sums.difference[worst]:.4g} by {miss[worst]:.2g}{why}")


def _numpy(tensor: Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    return array
