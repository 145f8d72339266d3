"""Judge an explanation of a run's sample: what its metrics say, as a store keeps it beside the explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torchglass.errors import ExplainError
from torchglass.explainers import Explanation, evaluate
from torchglass.trained_runs import Trained

Checks = Literal["none", "quick", "full"]

QUICK = (
    "agreement",
    "completeness_error",
    "deletion",
    "insertion",
    "pointing_game",
    "relevance_mass",
    "relevance_rank",
    "sparseness",
)
"""What costs a few hundred inputs at most, put forward in large batches; the others explain again."""
STEPS = 16
SECONDS: dict[Checks, float] = {"none": 0.0, "quick": 10.0, "full": 60.0}
"""After which a metric is left out, for each explanation."""


def judged(
    trained: Trained,
    explanation: Explanation,
    sample: int,
    given: Mapping[str, Any],
    *,
    others: Sequence[Explanation] = (),
    checks: Checks = "quick",
) -> dict[str, Any]:
    """Evaluate an explanation of one sample: `scores`, `baselines`, `scores_missing`, `scores_seconds`, JSON-able.

    `given` are the arguments that the explanation was made with. All methods are judged against one background, the
    exhibit's own "nothing there", or the mean training row, whatever they themselves compared with.
    """
    if checks == "none":
        return {}
    try:
        found = evaluate(
            explanation,
            trained.model,
            metrics=QUICK if checks == "quick" else None,
            truth=_truth(trained, explanation, sample),
            others=others,
            background=_background(trained),
            again=given,
            seed=explanation.seed,
            steps=STEPS,
            budget=SECONDS[checks],
        )
    except ExplainError as error:
        return {"scores_missing": {"all": str(error)}}
    return found.summary() | {"scores_seconds": found.seconds, "scores_evaluations": found.model_evaluations}


def _truth(trained: Trained, explanation: Explanation, sample: int) -> Any:
    truth = trained.arrays["truth"][sample] if "truth" in trained.arrays else None
    if truth is None or truth.shape != explanation.relevance(0).shape or not truth.any():
        return None
    return truth[None]


def _background(trained: Trained) -> Any:
    nothing = trained.exhibit.explain.baseline
    if trained.kind == "text":
        return int(nothing) or None
    return nothing if trained.kind == "pictures" else trained.inputs("background", slice(None))
