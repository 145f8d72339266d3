"""Quality: what a trained model gets right and wrong, epoch by epoch; curves of the same scores are on Training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import streamlit as st

from torchglass.charts.calibration import calibration_data, calibration_figure, calibration_text
from torchglass.charts.confusion import (
    ConfusionData,
    classes_listing,
    confusion_data,
    confusion_figure,
    confusion_text,
    mistakes_listing,
)
from torchglass.charts.detections import (
    LEAST_SCORE,
    detections_data,
    detections_figure,
    precision_listing,
)
from torchglass.charts.generated import sheet_data, sheet_figure
from torchglass.charts.listings import Listing
from torchglass.charts.predictions import predictions_data, predictions_figure, predictions_text
from torchglass.charts.units import number
from torchglass.dashboard import notices
from torchglass.dashboard.figures import draw
from torchglass.dashboard.listing_table import show_listing
from torchglass.store import Artifact, Run, Store

Arrays = dict[str, npt.NDArray[Any]]

SCORES, GENERATED, SAMPLES = "scores", "generated", "samples"
MISTAKES = 20
CLASS_ROWS = 200
CELLS = {"counts": "Counts", "shares": "% of the row"}
TRAIN = "torchglass train lenet5"
SAVE = """with torchglass.attach(model, optimizer) as run:
    ...  # after each epoch, counts (K, K): rows the truth, columns the answers
    run.save_arrays("scores", "test", {"confusion": counts}, {"class_names": names})"""


def show(store: Store, run: Run) -> None:
    """Draw what the run has: a confusion matrix, calibration, predictions, found boxes, generated pictures."""
    notices.run_heading("Quality", store, run)
    scores = _by_step(store.artifacts(run.id, kind=SCORES, key="test"))
    generated = _by_step(store.artifacts(run.id, kind=GENERATED))
    if not scores and not generated:
        notices.nothing_recorded(
            f"This run stored no scores of a test set. Runs of the reference models do so after each epoch, as "
            f"`{TRAIN}` does; a loop of your own can, too:",
            SAVE,
        )
        return
    notices.offer_refresh(run)
    if scores:
        artifact = _choose(scores, "Scores at step", "scores_step")
        _scores(store, run, artifact)
    if generated:
        _generated(store, _choose(generated, "Pictures at step", "generated_step"))


def _by_step(artifacts: Sequence[Artifact]) -> dict[int, Artifact]:
    """The newest artifact of each step, in order of step."""
    return dict(sorted({artifact.step: artifact for artifact in artifacts}.items()))


def _choose(found: Mapping[int, Artifact], label: str, key: str) -> Artifact:
    """The artifact of the step that the slider shows: the last one at first."""
    steps = list(found)
    if len(steps) == 1:
        st.caption(f"{label} {number(steps[0])}")
        return found[steps[0]]
    step = st.select_slider(label, steps, value=steps[-1], key=key)
    return found.get(step, found[steps[-1]])


def _scores(store: Store, run: Run, artifact: Artifact) -> None:
    arrays = dict(store.arrays(artifact.id))
    names = _names(artifact.meta)
    confusion = confusion_data(arrays["confusion"], names) if "confusion" in arrays else None
    if confusion is not None:
        _confusion(confusion, artifact.step, of_boxes="detections" in arrays)
    calibration = calibration_data(arrays["calibration"]) if "calibration" in arrays else None
    if calibration is not None:
        st.subheader("Can its confidence be believed?", anchor=False)
        st.caption(f"{calibration_text(calibration)} Definition: Guo, Pleiss, Sun and Weinberger, 2017.")
        alt = "Share of right answers in each bin of confidence"
        draw(lambda dark: calibration_figure(calibration, dark=dark), f"calibration-{artifact.step}", alt)
    if {"predicted", "true"} <= set(arrays):
        _predictions(arrays, artifact.step)
    if "detections" in arrays:
        _detections(store, run, arrays, names, artifact.step)


def _confusion(data: ConfusionData, step: int, *, of_boxes: bool) -> None:
    st.subheader("What is taken for what", anchor=False)
    st.caption(confusion_text(data, of_boxes=of_boxes))
    cells = st.segmented_control("Cells", list(CELLS), default="counts", required=True, format_func=CELLS.__getitem__)
    left, right = st.columns(2)
    with left:
        alt = "Confusion matrix: rows the truth, columns the answers"
        draw(
            lambda dark: confusion_figure(data, by_share=cells == "shares", dark=dark), f"confusion-{step}-{cells}", alt
        )
    with right:
        listing = classes_listing(data)
        show_listing(_first_rows(listing, CLASS_ROWS), f"classes-{step}")
    mistakes = mistakes_listing(data, most=MISTAKES)
    if len(mistakes):
        with st.expander("What is confused most", expanded=len(data.names) > MISTAKES):
            show_listing(mistakes, f"mistakes-{step}")


def _predictions(arrays: Arrays, step: int) -> None:
    st.subheader("Predicted and true", anchor=False)
    data = predictions_data(arrays["true"], arrays["predicted"])
    if data is not None:
        st.caption(predictions_text(data))
    draw(lambda dark: predictions_figure(data, dark=dark), f"predictions-{step}", "Predicted over true values")


def _detections(store: Store, run: Run, arrays: Arrays, names: Sequence[object], step: int) -> None:
    st.subheader("What is found where", anchor=False)
    if "average_precision" in arrays:
        show_listing(precision_listing(arrays["average_precision"], names), f"precision-{step}")
    gallery = store.artifacts(run.id, kind=SAMPLES)
    if not gallery:
        st.info("The pictures are stored at the end of the training.", icon=":material/hourglass_empty:")
        return
    pictures = store.arrays(gallery[-1].id)
    least = st.slider("Least score of a box", 0.0, 1.0, LEAST_SCORE, 0.05)
    data = detections_data(pictures["inputs"], arrays["detections"], pictures.get("targets"), names, least_score=least)
    draw(lambda dark: detections_figure(data, dark=dark), f"detections-{step}-{least}", "Boxes found in pictures")
    if data is not None and data.left_out:
        st.caption(f"{number(data.left_out)} more pictures are not drawn.")


def _generated(store: Store, artifact: Artifact) -> None:
    st.subheader("Generated pictures", anchor=False)
    pictures = next((array for array in store.arrays(artifact.id).values() if array.ndim == 4), None)
    data = None if pictures is None else sheet_data(pictures)
    draw(lambda dark: sheet_figure(data, dark=dark), f"generated-{artifact.step}", "Pictures that the model made")
    if data is not None and data.left_out:
        st.caption(f"{number(data.left_out)} more pictures are not shown.")


def _names(meta: Mapping[str, Any]) -> Sequence[object]:
    names = meta.get("class_names")
    return names if isinstance(names, list | tuple) else ()


def _first_rows(listing: Listing, most: int) -> Listing:
    fields = tuple(field._replace(values=field.values[:most]) for field in listing.fields)
    return Listing(fields, left_out=max(0, len(listing) - most))
