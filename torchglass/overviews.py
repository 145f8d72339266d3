"""Look at a run's model over many rows: Shapley values, importance, dependence, interactions; from the store alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchglass.errors import OptionError
from torchglass.explainers import Explanation, explain
from torchglass.explainers.overview.interactions import MOST_PLAYERS, interactions
from torchglass.explainers.overview.partial_dependence import partial_dependence
from torchglass.explainers.overview.permutation_importance import permutation_importance
from torchglass.explainers.overview.summary import summarize
from torchglass.store import ArtifactBlock, open_store
from torchglass.trained_runs import Trained, load_trained

ARTIFACT_KIND = "overview"
MOST_ROWS = 100
"""Rows that are explained: enough for a picture of the whole, a few seconds of SHAP."""
MOST_REFERENCES = 32
MOST_COLUMNS = 6
"""Columns whose dependence is drawn: those that count most."""
MOST_INTERACTING = 8
MOST_INTERACTION_ROWS = 25
"""Each costs every coalition of the columns with every reference: up to 512 * 32 rows."""


Part = tuple[dict[str, npt.NDArray[Any]], dict[str, Any], str]
"""Arrays, facts and a line about them"""


@dataclass(frozen=True)
class OverviewRequest:
    """Which run, and which class's score (None: the one that most rows are given)."""

    run: str
    target: int | None = None
    rows: int = MOST_ROWS
    seed: int = 0


def overview_run(location: str | os.PathLike[str] | None, request: OverviewRequest) -> Iterator[str]:
    """Compute an overview, store it as one artifact, and yield a line about each of its parts.

    Raises:
        OptionError: the run's samples are no rows, or a number is out of range.
        NoStoreError: there is no store.
        RunNotFoundError: no such run, or it kept no checkpoint of a reference model, or no samples.
    """
    if not 1 <= request.rows <= MOST_ROWS:
        raise OptionError(f"rows is {request.rows}: give 1 to {MOST_ROWS}")
    with open_store(location, read_only=True):
        pass  # of a mistyped address no store is made
    with open_store(location) as store:
        trained = load_trained(store, request.run)
        if trained.kind != "table":
            raise OptionError(
                f"{trained.run.name!r} is a run of {trained.kind}: an overview is of rows, as of mlp, linear or ppo"
            )
        started = time.perf_counter()
        rows = trained.inputs("inputs", slice(0, request.rows))
        references = trained.inputs("background", slice(0, MOST_REFERENCES))
        target = _target(trained, request, rows)
        explanation = explain(
            trained.model, rows, target, "shap", kind="table", background=references, seed=request.seed
        )
        arrays: dict[str, npt.NDArray[Any]] = {"inputs": explanation.inputs, "values": explanation.attributions}
        meta = _told(trained, explanation, target)
        yield _about_shap(meta, explanation)
        for part in (_importance, _dependence, _interactions):
            found, facts, line = part(trained, explanation, references, request)
            arrays |= found
            meta |= facts
            yield line
        meta["seconds"] = time.perf_counter() - started
        key = f"class {target}" if trained.form.class_names else "value"
        block = ArtifactBlock(ARTIFACT_KIND, key, trained.checkpoint.step, time.time(), meta, arrays)
        store.add_artifact(trained.run.id, block)


def _target(trained: Trained, request: OverviewRequest, rows: Tensor) -> int:
    classes = len(trained.form.class_names)
    if request.target is not None and not 0 <= request.target < max(1, classes):
        raise OptionError(f"target {request.target} is out of range: give a number from 0 to {max(1, classes) - 1}")
    if request.target is not None or not classes:
        return request.target or 0
    return int(_answers(trained, rows).mode().values)


@torch.no_grad()
def _answers(trained: Trained, rows: Tensor) -> Tensor:
    answers: Tensor = trained.model(rows).argmax(dim=1)
    return answers


def _told(trained: Trained, explanation: Explanation, target: int) -> dict[str, Any]:
    names = trained.form.feature_names or tuple(f"column {i}" for i in range(explanation.attributions.shape[1]))
    return {
        "model": trained.exhibit.name,
        "dataset": trained.meta.get("dataset"),
        "task": trained.form.task,
        "target": target,
        "class_names": list(trained.form.class_names),
        "feature_names": list(names),
        "scale": trained.meta.get("scale"),
        "output_space": explanation.output_space,
        "implementation": explanation.implementation,
        "checks": dict(explanation.checks),
        "seed": explanation.seed,
        "model_evaluations": explanation.model_evaluations,
    }


def _about_shap(meta: dict[str, Any], explanation: Explanation) -> str:
    order = _order(explanation)[:3]
    first = ", ".join(meta["feature_names"][column] for column in order)
    names = meta["class_names"]
    of = f"class {names[meta['target']]}" if names else "the value"
    return (
        f"SHAP of {len(explanation.attributions)} rows, {of}, by {explanation.implementation} in "
        f"{explanation.seconds:.2f} s: {first} count most"
    )


def _order(explanation: Explanation) -> npt.NDArray[np.int64]:
    return summarize(explanation).order


def _importance(trained: Trained, explanation: Explanation, references: Tensor, request: OverviewRequest) -> Part:
    count = len(explanation.attributions)
    rows, answers, whose = trained.inputs("inputs", slice(0, count)), trained.arrays["targets"][:count], ""
    if trained.form.task == "control":
        # The kept actions are those of play at random, and nobody knows the right ones: an agent is held to its own.
        answers, whose = _answers(trained, rows).numpy(), " of its own actions"
    found = permutation_importance(trained.model, rows, answers, seed=request.seed)
    facts = {"importance_measure": found.measure, "importance_before": found.before}
    said = (
        f"permutation importance of {len(found.mean)} columns: {found.measure}{whose} is {found.before:.4g} to begin "
        "with"
    )
    return {"importance": found.worsening}, facts, said


def _dependence(trained: Trained, explanation: Explanation, references: Tensor, request: OverviewRequest) -> Part:
    summary = summarize(explanation)
    found = partial_dependence(
        trained.model,
        trained.inputs("inputs", slice(0, len(explanation.attributions))),
        explanation.targets[0].item(),
        columns=summary.order[:MOST_COLUMNS],
        seed=request.seed,
    )
    arrays: dict[str, npt.NDArray[Any]] = {
        "dependence_columns": found.columns,
        "dependence_grid": found.grid,
        "dependence_curves": found.curves.astype(np.float32),
        "partners": summary.partners,
    }
    return arrays, {}, f"partial dependence of {len(found.columns)} columns, {found.grid.shape[1]} values each"


def _interactions(trained: Trained, explanation: Explanation, references: Tensor, request: OverviewRequest) -> Part:
    columns = None if explanation.attributions.shape[1] <= MOST_PLAYERS else _order(explanation)[:MOST_INTERACTING]
    found = interactions(
        trained.model,
        trained.inputs("inputs", slice(0, min(MOST_INTERACTION_ROWS, len(explanation.attributions)))),
        explanation.targets[0].item(),
        background=references,
        columns=columns,
        seed=request.seed,
    )
    arrays = {"interaction_columns": found.columns, "interactions": found.strength}
    said = f"interactions of {len(found.columns)} columns over {len(found.values)} rows"
    return arrays, {"interaction_rows": len(found.values)}, said
