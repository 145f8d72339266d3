"""How good the compared runs are by class, and whether their confidence can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import streamlit as st

from torchglass.analysis.at_step import nearest
from torchglass.charts.calibration import CalibrationData, calibration_data
from torchglass.charts.confusion import ConfusionData, confusion_data
from torchglass.charts.text import plain_text
from torchglass.charts.units import MISSING
from torchglass.dashboard.comparing.runs import LETTERS, label
from torchglass.dashboard.stepping.cursor import chosen_step
from torchglass.language import tr
from torchglass.store import Artifact, Run, Store

SCORES, TEST = "scores", "test"


class Scored(NamedTuple):
    """What a run scored on its test set at a step; None for what it did not store."""

    step: int
    confusion: ConfusionData | None
    calibration: CalibrationData | None


def show(store: Store, runs: Sequence[Run]) -> None:
    """Draw the recall of each class in each run, where two runs have confusion matrices."""
    scored = [_read(store, run) for run in runs]
    known = [each for each in scored if each is not None and each.confusion is not None]
    if len(known) < 2:
        return
    st.subheader(tr("Quality"), anchor=False)
    rows = recalls(scored)
    columns = {
        tr("Class"): [*(plain_text(name) for name in rows), tr("Accuracy"), tr("Calibration error")],
        **{
            plain_text(label(place, run)): [
                *(_against(row, place) for row in rows.values()),
                _against([_accuracy(each) for each in scored], place),
                _against([_calibration_error(each) for each in scored], place),
            ]
            for place, run in enumerate(runs)
        },
    }
    st.dataframe(columns, hide_index=True, width="stretch", key="compared_quality", alt=tr("Recall of each class"))
    steps = ", ".join(f"{letter} {each.step:,}" for letter, each in zip(LETTERS, scored, strict=False) if each)
    st.caption(
        tr(
            "Percent of each class that is answered so, and the points by which that differs from A. Steps: {steps}.",
            steps=steps,
        )
    )


def recalls(scored: Sequence[Scored | None]) -> dict[str, list[float | None]]:
    """Percent of each class that is answered so, in each run; None where a run has no sample of the class."""
    found: dict[str, list[float | None]] = {}
    for place, each in enumerate(scored):
        if each is None or each.confusion is None:
            continue
        for name, share in zip(each.confusion.names, np.diag(each.confusion.shares).tolist(), strict=True):
            row = found.setdefault(name, [None] * len(scored))
            row[place] = None if np.isnan(share) else 100 * share
    return found


def _against(row: Sequence[float | None], place: int) -> str:
    value, base = row[place], row[0]
    if value is None:
        return MISSING
    return f"{value:.1f}" if place == 0 or base is None else f"{value:.1f} ({value - base:+.1f})"


def _accuracy(scored: Scored | None) -> float | None:
    accuracy = scored.confusion.accuracy if scored is not None and scored.confusion is not None else None
    return None if accuracy is None else 100 * accuracy


def _calibration_error(scored: Scored | None) -> float | None:
    error = scored.calibration.error if scored is not None and scored.calibration is not None else None
    return None if error is None else 100 * error


def _read(store: Store, run: Run) -> Scored | None:
    artifact = _chosen(store.artifacts(run.id, kind=SCORES, key=TEST))
    if artifact is None:
        return None
    arrays: Mapping[str, npt.NDArray[Any]] = store.arrays(artifact.id)
    names = artifact.meta.get("class_names")
    return Scored(
        artifact.step,
        confusion_data(arrays["confusion"], names if isinstance(names, list) else ())
        if "confusion" in arrays
        else None,
        calibration_data(arrays["calibration"]) if "calibration" in arrays else None,
    )


def _chosen(artifacts: Sequence[Artifact]) -> Artifact | None:
    """The newest scores, or those of the step nearest to the chosen one."""
    step = chosen_step()
    if not artifacts or step is None:
        return artifacts[-1] if artifacts else None
    near = nearest((each.step for each in artifacts), step)
    return next(each for each in reversed(artifacts) if each.step == near)
