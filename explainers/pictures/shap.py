"""SHAP: share the difference between a picture's score and the background's among the pixels."""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import shap
import torch
from torch import Tensor

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.gradients.deep_shap import Deep, Sums, deep_shap
from torchglass.explainers.gradients.expected_gradients import IMPLEMENTATION, expected_gradients
from torchglass.explainers.perturbation.kernel_shap import segment_shares
from torchglass.explainers.perturbation.superpixels import check_segments, superpixels
from torchglass.explainers.private.scored_model import scores
from torchglass.explainers.problem import Attribution, Problem

PARTITION_BACKGROUND = 8
"""Background pictures that partition averages over, the first ones: each is asked at every mask."""
PARTITION_EVALUATIONS = 500
GRADIENT_DRAWS = 256

Algorithm = Literal["auto", "deep", "gradient", "partition", "kernel"]


def attribute(
    problem: Problem,
    *,
    algorithm: Algorithm = "auto",
    evaluations: int | None = None,
    segments: int = 50,
    segmentation: Literal["slic", "grid"] = "slic",
    stop_early: bool = True,
    backend: Literal["own", "library"] = "own",
) -> Attribution:
    """Give each pixel its share of f(x) - E f(background); the shares add up to it.

    "deep" is DeepSHAP: DeepLIFT's rescale rule averaged over the background, one backward pass per reference. It adds
    up where every non-linearity is a module that shap knows, called once, with poolings that do not overlap, so it runs
    on a rewritten copy (see canonical.py). "gradient" is expected gradients, which adds up on average only. "partition"
    asks the model about masked pictures only and gives Owen values on nested rectangles, against the first eight
    background pictures; it adds up for every model, but a few hundred evaluations see only coarse rectangles, and its
    first call in a process waits seconds for shap to be compiled. "kernel" gives the Shapley values of superpixels,
    each spread evenly over its pixels; it adds up by construction, which therefore proves nothing. "auto" takes deep
    where its sums prove it, and partition otherwise: `implementation` names which, `parameters["fallback_reason"]` says
    why. shap's own check is not asked: its tolerance, 0.01 whatever the scale, lets small models pass that are wrong
    and stops large ones that are right.

    Values (N, C, H, W), of kernel (N, 1, H, W); base value E f(background). Checks: `completeness_error`, the worst
    |sum - difference| in score units, and `completeness_error_relative`, the worst as a share of the difference; of
    kernel also `certainty`, the worst estimated correlation with what endless sampling would give.

    Args:
        algorithm: "auto", "deep" (kept even where it does not add up), "gradient", "partition" or "kernel".
        evaluations: masks to ask per picture at most; None for 500 of partition, each of which costs one picture per
            background picture, 256 of gradient, 2 P + 2048 of kernel with P segments, each of which costs one picture,
            or one per background picture, eight at most, where they reach all 2^P coalitions and values are exact.
        segments: of kernel, about how many.
        segmentation: of kernel: "slic" follows edges, "grid" is even squares.
        stop_early: end kernel's drawing for a picture once `certainty` is 0.98.
        backend: of kernel: "own", or "library" for shap's KernelExplainer without its choice of ten features.

    Raises:
        ExplainError: deep was asked for by name and shap cannot run it on this model.
        OptionError: an option has a value that it cannot take.

    Source: Lundberg and Lee 2017 (arXiv 1705.07874), Shrikumar et al. 2017 (arXiv 1704.02685), through shap.
    """
    if algorithm not in get_args(Algorithm):
        raise OptionError(f"algorithm is {algorithm!r}: choose one of {', '.join(get_args(Algorithm))}")
    if evaluations is not None and evaluations < 2:
        raise OptionError(f"evaluations is {evaluations}: give at least 2, for the picture and the background")
    if backend not in ("own", "library"):
        raise OptionError(f"backend is {backend!r}: choose 'own' or 'library'")
    if algorithm == "gradient":
        return _gradient(problem, GRADIENT_DRAWS if evaluations is None else evaluations)
    if algorithm == "kernel":
        check_segments(segments, segmentation)
        places = {row: superpixels(picture, segments, segmentation) for row, picture in enumerate(problem.inputs)}
        return _kernel(problem, places, segmentation, evaluations, stop_early, backend)
    return _deep_or_partition(problem, algorithm, PARTITION_EVALUATIONS if evaluations is None else evaluations)


def _deep_or_partition(problem: Problem, algorithm: str, evaluations: int) -> Attribution:
    sums = Sums.wanted(problem, problem.background)
    deep = Deep(None, None) if algorithm == "partition" else deep_shap(problem, sums)
    if algorithm == "deep" and deep.values is None:
        raise ExplainError(f"{deep.doubt}: use algorithm 'partition'")
    parameters: dict[str, Any] = {"algorithm": algorithm, "background": problem.background_name}
    if deep.values is not None and (deep.doubt is None or algorithm == "deep"):
        kind, values = "DeepExplainer", deep.values
    else:
        few = problem.background[:PARTITION_BACKGROUND]
        kind, values = "PartitionExplainer", _partition(problem, few, evaluations)
        sums = Sums.wanted(problem, few)
        parameters |= {"evaluations": evaluations, "references": len(few)}
    if deep.doubt is not None:
        parameters["doubt" if algorithm == "deep" else "fallback_reason"] = deep.doubt
    return Attribution(
        values=values,
        implementation=f"shap {shap.__version__} {kind}",
        parameters=parameters,
        checks=sums.checks(values),
        base_values=sums.base.astype(np.float32),
    )


def _gradient(problem: Problem, draws: int) -> Attribution:
    sums = Sums.wanted(problem, problem.background)
    found = expected_gradients(problem, draws)
    return Attribution(
        values=found.values,
        implementation=IMPLEMENTATION,
        parameters={"algorithm": "gradient", "evaluations": draws, "background": problem.background_name},
        checks=sums.checks(found.values),
        base_values=sums.base.astype(np.float32),
        standard_errors=found.errors,
    )


def _kernel(
    problem: Problem,
    places: dict[int, Tensor],
    segmentation: str,
    evaluations: int | None,
    stop_early: bool,
    backend: str,
) -> Attribution:
    shares = segment_shares(problem, places, evaluations, stop_early, backend)
    painted = [place.cpu().numpy() for place in places.values()]
    values = np.stack([_spread(one, place) for one, place in zip(shares.values, painted, strict=True)])
    missed = np.abs(values.sum(axis=(1, 2, 3), dtype=np.float64) - (_numpy(problem.outputs) - shares.base))
    difference = np.maximum(np.abs(_numpy(problem.outputs) - shares.base), 1e-12)
    errors = None
    if shares.errors is not None and any(one.any() for one in shares.errors):
        errors = np.stack([_spread(one, place) for one, place in zip(shares.errors, painted, strict=True)])
    return Attribution(
        values=values,
        implementation=shares.implementation,
        parameters={
            "algorithm": "kernel",
            "segments": [len(one) for one in shares.values],
            "segmentation": segmentation,
            "background": problem.background_name,
            **shares.parameters,
        },
        checks={
            "completeness_error": float(missed.max()),
            "completeness_error_relative": float((missed / difference).max()),
            **({} if shares.certainty is None else {"certainty": shares.certainty}),
        },
        base_values=shares.base.astype(np.float32),
        standard_errors=errors,
    )


def _spread(shares: npt.NDArray[np.float64], place: npt.NDArray[np.int64]) -> FloatArray:
    """Spread each segment's share evenly over its pixels: (1, H, W), which adds up to the sum of the shares."""
    spread: FloatArray = (shares / np.bincount(place.ravel()))[place].astype(np.float32)
    return spread


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
