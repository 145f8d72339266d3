"""SHAP: share the difference between a picture's score and the background's among the pixels."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import shap
import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers.canonical import canonical
from torchglass.explainers.checks import first_line
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.problem import Attribution, Problem
from torchglass.explainers.scored_model import ScoredModel, scores

TOLERANCE = 1e-3
"""Largest miss of a sum of values at which they count as exact: of the difference to share, and in score units."""
ROUNDING = 1e-5
"""What float32 may lose, relative to the scores themselves: the tolerance never asks for less."""

PARTITION_BACKGROUND = 8
"""Background pictures that partition averages over, the first ones: each is asked at every mask."""

_STRANGER = "unrecognized nn.Module: "

Algorithm = Literal["auto", "deep", "partition"]


def attribute(problem: Problem, *, algorithm: Algorithm = "auto", evaluations: int = 500) -> Attribution:
    """Give each pixel and channel its share of f(x) - E f(background); the shares add up to it.

    "deep" is DeepSHAP: DeepLIFT's rescale rule averaged over the background, one backward pass per reference. It adds
    up where every non-linearity is a module that shap knows, called once, with poolings that do not overlap, so it runs
    on a rewritten copy (see canonical.py). "partition" asks the model about masked pictures only and gives Owen values
    on nested rectangles, against the first eight background pictures; it adds up for every model, but a few hundred
    evaluations see only coarse rectangles, and its first call in a process waits seconds for shap to be compiled.
    "auto" takes deep where its sums prove it, and partition otherwise: `implementation` names which,
    `parameters["fallback_reason"]` says why. shap's own check is not asked: its tolerance, 0.01 whatever the scale,
    lets small models pass that are wrong and stops large ones that are right.

    Values (N, C, H, W), base value E f(background). Checks: `completeness_error`, the worst |sum - difference| in score
    units, and `completeness_error_relative`, the worst as a share of the difference.

    Args:
        algorithm: "auto", "deep" (kept even where it does not add up) or "partition".
        evaluations: masks that partition may ask about per picture; each costs one picture per background picture.

    Raises:
        ExplainError: deep was asked for by name and shap cannot run it on this model.
        OptionError: an option has a value that it cannot take.

    Source: Lundberg and Lee 2017 (arXiv 1705.07874), Shrikumar et al. 2017 (arXiv 1704.02685), through shap.
    """
    if algorithm not in ("auto", "deep", "partition"):
        raise OptionError(f"algorithm is {algorithm!r}: choose 'auto', 'deep' or 'partition'")
    if evaluations < 2:
        raise OptionError(f"evaluations is {evaluations}: give at least 2, for the picture and the background")
    sums = _Sums.wanted(problem, problem.background)
    deep = _Deep(None, None) if algorithm == "partition" else _deep(problem, sums)
    if algorithm == "deep" and deep.values is None:
        raise ExplainError(f"{deep.doubt}: use algorithm 'partition'")
    parameters: dict[str, Any] = {"algorithm": algorithm, "background": problem.background_name}
    if deep.values is not None and (deep.doubt is None or algorithm == "deep"):
        kind, values = "DeepExplainer", deep.values
    else:
        few = problem.background[:PARTITION_BACKGROUND]
        kind, values = "PartitionExplainer", _partition(problem, few, evaluations)
        sums = _Sums.wanted(problem, few)
        parameters |= {"evaluations": evaluations, "references": len(few)}
    if deep.doubt is not None:
        parameters["doubt" if algorithm == "deep" else "fallback_reason"] = deep.doubt
    miss = sums.miss(values)
    return Attribution(
        values=values,
        implementation=f"shap {shap.__version__} {kind}",
        parameters=parameters,
        checks={
            "completeness_error": float(miss.max()),
            "completeness_error_relative": float((miss / np.maximum(np.abs(sums.difference), 1e-12)).max()),
        },
        base_values=sums.base.astype(np.float32),
    )


@dataclass(frozen=True, eq=False)
class _Sums:
    """What the values of each picture must add up to, (N,) float64."""

    base: npt.NDArray[np.float64]
    difference: npt.NDArray[np.float64]
    allowed: npt.NDArray[np.float64]

    @classmethod
    def wanted(cls, problem: Problem, background: Tensor) -> "_Sums":
        base = _numpy(scores(problem.model, background).mean(0)[problem.targets]).astype(np.float64)
        outputs = _numpy(problem.outputs).astype(np.float64)
        difference = outputs - base
        allowed = np.minimum(TOLERANCE, TOLERANCE * np.abs(difference))
        return cls(base, difference, np.maximum(allowed, ROUNDING * (np.abs(outputs) + np.abs(base))))

    def miss(self, values: FloatArray) -> npt.NDArray[np.float64]:
        missed: npt.NDArray[np.float64] = np.abs(values.sum(axis=(1, 2, 3), dtype=np.float64) - self.difference)
        return missed


@dataclass(frozen=True, eq=False)
class _Deep:
    """DeepSHAP's values, None where it cannot run, and why they are not to be trusted, None where they add up."""

    values: FloatArray | None
    doubt: str | None


class _TargetScore(nn.Module):
    """One class of a scored model, (N, 1): shap spends a backward pass per output, so it sees only the asked one."""

    def __init__(self, model: ScoredModel, target: int) -> None:
        super().__init__()
        self.model = model
        self.target = target

    def forward(self, pictures: Tensor) -> Tensor:
        column: Tensor = self.model(pictures)[:, self.target : self.target + 1]
        return column


def _deep(problem: Problem, sums: _Sums) -> _Deep:
    # A twin of its own: shap leaves its hooks behind when it fails half-way.
    twin, untraced = canonical(problem.model, problem.inputs[:1])
    values = np.empty(tuple(problem.inputs.shape), dtype=np.float32)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            for target in sorted(set(problem.targets.tolist())):
                rows = (problem.targets == target).nonzero()[:, 0]
                explainer = shap.DeepExplainer(_TargetScore(twin, target), problem.background)
                found = explainer.shap_values(problem.inputs[rows], check_additivity=False)
                values[_numpy(rows)] = np.asarray(found).reshape(len(rows), *values.shape[1:])
        except Exception as error:
            return _Deep(None, f"shap's DeepExplainer failed ({first_line(error)})")
        finally:
            problem.model.inputs_seen += twin.inputs_seen
    miss = sums.miss(values)
    if bool((miss <= sums.allowed).all()):
        return _Deep(values, None)
    worst = int((miss / sums.allowed).argmax())
    messages = {str(warning.message) for warning in warned}
    strangers = sorted(m.removeprefix(_STRANGER) for m in messages if m.startswith(_STRANGER))
    causes = [untraced] if untraced else []
    causes += [f"it does not know {', '.join(strangers)}"] if strangers else []
    why = f" ({'; '.join(causes)})" if causes else ""
    return _Deep(values, f"DeepExplainer's sum misses {sums.difference[worst]:.4g} by {miss[worst]:.2g}{why}")


class _BackgroundMasker:
    """Show the background where a mask is off, once per background picture: shap averages the model over them."""

    def __init__(self, background: npt.NDArray[np.float32]) -> None:
        self.background = background
        self.clustering = shap.maskers.Image(background[0]).clustering
        self.shape = (len(background), background[0].size)
        self.fixed_background = True
        self.immutable_outputs = True

    def __call__(self, mask: npt.NDArray[np.bool_], picture: npt.NDArray[np.float32]) -> tuple[FloatArray]:
        return (np.where(mask.reshape(picture.shape), picture, self.background),)


def _partition(problem: Problem, references: Tensor, evaluations: int) -> FloatArray:
    background = _rows_last(references)
    values = np.empty(tuple(problem.inputs.shape), dtype=np.float32)
    for target in sorted(set(problem.targets.tolist())):

        def score(pictures: npt.NDArray[np.float32], target: int = target) -> npt.NDArray[np.float64]:
            batch = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(problem.inputs.device)
            column: npt.NDArray[np.float64] = _numpy(scores(problem.model, batch)[:, target]).astype(np.float64)
            return column

        rows = _numpy((problem.targets == target).nonzero()[:, 0])
        explainer = shap.PartitionExplainer(score, _BackgroundMasker(background))
        found = explainer(_rows_last(problem.inputs)[rows], max_evals=evaluations, silent=True).values
        values[rows] = np.moveaxis(found.reshape(len(rows), *background.shape[1:]), -1, 1)
    return values


def _rows_last(pictures: Tensor) -> npt.NDArray[np.float32]:
    """Bring (N, C, H, W) to shap's (N, H, W, C)."""
    return np.ascontiguousarray(np.moveaxis(_numpy(pictures), 1, -1))


def _numpy(tensor: Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    return array
