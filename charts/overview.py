"""A stored overview of a model of rows, in the units of its columns: what the charts of an overview are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.charts.explanations_words import class_name
from torchglass.charts.text import plain_text
from torchglass.charts.trust import trust_text
from torchglass.charts.units import number
from torchglass.language import tr
from torchglass.store.records import Artifact, Floats, Integers

ARTIFACT_KIND = "overview"
PARTS = (
    "inputs", "values", "importance", "partners", "dependence_columns", "dependence_grid", "dependence_curves",
    "interaction_columns", "interactions",
)  # fmt: skip


class Overview(NamedTuple):
    """What N rows say of F columns; `score` names what is explained. Names are not escaped.

    `inputs` (N, F) are in the columns' own units, `values` (N, F) their Shapley values. `order` (F,) are the columns,
    the one that counts most first, `partners` (F,) the column that goes with what a column leaves unsaid, -1 for none.
    `importance` (F, R) is how much worse the answers get by `measure`. Of `dependence_columns` (K,) there are curves
    (K, N, G) over a grid (K, G), with NaN where a grid is shorter; of `interaction_columns` (P,), -1 for all others,
    strengths (P, P).
    """

    heading: str
    trust: str
    score: str
    names: tuple[str, ...]
    inputs: Floats
    values: Floats
    order: Integers
    partners: Integers
    importance: Floats
    measure: str
    dependence_columns: Integers
    dependence_grid: Floats
    dependence_curves: Floats
    interaction_columns: Integers
    interactions: Floats

    @property
    def mean_absolute(self) -> Floats:
        """(F,), mean |value| of each column."""
        mean: Floats = np.abs(self.values).mean(axis=0)
        return mean


def overview_of(artifact: Artifact, arrays: Mapping[str, npt.NDArray[Any]]) -> Overview | None:
    """Read a stored overview; None where a part is missing, as in one of another version."""
    if artifact.kind != ARTIFACT_KIND or not set(PARTS) <= arrays.keys() or arrays["values"].ndim != 2:
        return None
    meta = artifact.meta
    values = arrays["values"].astype(np.float64)
    means, deviations = _scale(meta, values.shape[1])
    columns = arrays["dependence_columns"]
    return Overview(
        heading=_heading(artifact, len(values)),
        trust=trust_text(meta),
        score=_score(meta),
        names=_names(meta, values.shape[1]),
        inputs=arrays["inputs"].astype(np.float64) * deviations + means,
        values=values,
        order=np.argsort(-np.abs(values).mean(axis=0), kind="stable"),
        partners=arrays["partners"],
        importance=arrays["importance"],
        measure=plain_text(meta.get("importance_measure", "loss"), 30),
        dependence_columns=columns,
        dependence_grid=arrays["dependence_grid"] * deviations[columns][:, None] + means[columns][:, None],
        dependence_curves=arrays["dependence_curves"].astype(np.float64),
        interaction_columns=arrays["interaction_columns"],
        interactions=arrays["interactions"],
    )


def named(overview: Overview, column: int) -> str:
    """Name of a column; of -1, which stands for the columns that are left."""
    return overview.names[column] if column >= 0 else tr("all others")


def rounded(value: float) -> str:
    """A number to three significant digits."""
    return number(float(f"{value:.3g}"))


def _names(meta: Mapping[str, Any], count: int) -> tuple[str, ...]:
    names = meta.get("feature_names")
    if isinstance(names, list) and len(names) == count:
        return tuple(str(name) for name in names)
    return tuple(tr("column {place}", place=place) for place in range(count))


def _scale(meta: Mapping[str, Any], count: int) -> tuple[Floats, Floats]:
    scale = meta.get("scale")
    if not isinstance(scale, Mapping) or len(scale.get("means", ())) != count:
        return np.zeros(count), np.ones(count)
    return np.asarray(scale["means"], np.float64), np.asarray(scale["deviations"], np.float64)


def _score(meta: Mapping[str, Any]) -> str:
    space = plain_text(meta.get("output_space", "score"), 20)
    if not meta.get("class_names"):
        return tr("predicted value") if space == "value" else space
    return tr("{score} of {name}", score=space, name=class_name(meta, meta.get("target")))


def _heading(artifact: Artifact, rows: int) -> str:
    dataset = artifact.meta.get("dataset")
    told = {"count": rows, "step": artifact.step, "score": _score(artifact.meta)}
    if dataset:
        said = tr("{count} test rows of {dataset}, step {step}; {score}", dataset=dataset, **told)
    else:
        said = tr("{count} test rows, step {step}; {score}", **told)
    return plain_text(said, 200)
