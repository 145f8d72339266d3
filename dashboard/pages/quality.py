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
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.dashboard.drawing.listing_table import show_listing
from torchglass.dashboard.stepping.cursor import chosen_step
from torchglass.dashboard.stepping.recorded_step import shown_step, step_told
from torchglass.language import mark, tr
from torchglass.store import Artifact, Run, Store

Arrays = dict[str, npt.NDArray[Any]]

SCORES, GENERATED, SAMPLES = "scores", "generated", "samples"
MISTAKES = 20
CLASS_ROWS = 200
CELLS = {"counts": mark("Counts"), "shares": mark("% of the row")}
AT_SCORES, AT_PICTURES = mark("Scores at step"), mark("Pictures at step")
TRAIN = "torchglass train lenet5"
SAVE = """with torchglass.attach(model, optimizer) as run:
    ...  # after each epoch, counts (K, K): rows the truth, columns the answers
    run.save_arrays("scores", "test", {"confusion": counts}, {"class_names": names})"""


def show(store: Store, run: Run) -> None:
    """Draw what the run has: a confusion matrix, calibration, predictions, found boxes, generated pictures."""
    notices.run_heading(tr("Quality"), store, run)
    scores = _by_step(store.artifacts(run.id, kind=SCORES, key="test"))
    generated = _by_step(store.artifacts(run.id, kind=GENERATED))
    if not scores and not generated:
        notices.nothing_recorded(
            tr(
                "This run stored no scores of a test set. Runs of the reference models do so after each epoch, as "
                "{command} does; a loop of your own can, too:",
                command=f"`{TRAIN}`",
            ),
            SAVE,
        )
        return
    notices.offer_refresh(run)
    if scores:
        artifact = _choose(scores, AT_SCORES, "scores_step")
        _scores(store, run, artifact)
    if generated:
        _generated(store, run, _choose(generated, AT_PICTURES, "generated_step"))


def _by_step(artifacts: Sequence[Artifact]) -> dict[int, Artifact]:
    """The newest artifact of each step, in order of step."""
    return dict(sorted({artifact.step: artifact for artifact in artifacts}.items()))


def _choose(found: Mapping[int, Artifact], label: str, key: str) -> Artifact:
    """The artifact nearest to the cursor; without a cursor that of the slider's step, the last one at first."""
    steps = list(found)
    nearest = shown_step(steps)
    if len(steps) == 1 or chosen_step() is not None:
        shown = steps[-1] if nearest is None else nearest
        st.caption(f"{tr(label)} {number(shown)}" if chosen_step() is None else step_told(shown))
        return found[shown]
    step = st.select_slider(tr(label), steps, value=steps[-1], key=key)
    return found.get(step, found[steps[-1]])


def _source(store: Store, run: Run, artifact: Artifact, array: str, imports: str, reading: str, drawing: str) -> Source:
    """One array of an artifact, or with "" all that are columns; the code reads `arrays` and `meta`."""
    found = (
        f"found = next(one for one in store.artifacts(run.id, kind={artifact.kind!r}) if one.id == {artifact.id})\n"
        "arrays, meta = store.arrays(found.id), found.meta\n"
    )
    query: dict[str, str | int] = {"id": artifact.id} | ({"array": array} if array else {})
    code = chart_code(store, run, imports, f"{found}{reading}", drawing)
    return Source("artifact" if array else "artifact_columns", query, code)


def _scores(store: Store, run: Run, artifact: Artifact) -> None:
    arrays = dict(store.arrays(artifact.id))
    names = _names(artifact.meta)
    confusion = confusion_data(arrays["confusion"], names) if "confusion" in arrays else None
    if confusion is not None:
        _confusion(store, run, artifact, confusion, of_boxes="detections" in arrays)
    calibration = calibration_data(arrays["calibration"]) if "calibration" in arrays else None
    if calibration is not None:
        st.subheader(tr("Can its confidence be believed?"), anchor=False)
        definition = tr("Definition: {source}.", source="Guo, Pleiss, Sun & Weinberger, 2017")
        st.caption(f"{calibration_text(calibration)} {definition}")
        source = _source(
            store,
            run,
            artifact,
            "calibration",
            "from torchglass.charts.calibration import calibration_data, calibration_figure",
            'data = calibration_data(arrays["calibration"])',
            "calibration_figure(data).show()",
        )
        alt = tr("Share of right answers in each bin of confidence")
        draw(lambda dark: calibration_figure(calibration, dark=dark), f"calibration-{artifact.id}", alt, source)
    if {"predicted", "true"} <= set(arrays):
        _predictions(store, run, artifact, arrays)
    if "detections" in arrays:
        _detections(store, run, artifact, arrays, names)


def _confusion(store: Store, run: Run, artifact: Artifact, data: ConfusionData, *, of_boxes: bool) -> None:
    st.subheader(tr("What is taken for what"), anchor=False)
    st.caption(confusion_text(data, of_boxes=of_boxes))
    cells = st.segmented_control(
        tr("Cells"), list(CELLS), default="counts", required=True, format_func=lambda name: tr(CELLS[name])
    )
    by_share = cells == "shares"
    left, right = st.columns(2)
    with left:
        source = _source(
            store,
            run,
            artifact,
            "confusion",
            "from torchglass.charts.confusion import confusion_data, confusion_figure",
            'data = confusion_data(arrays["confusion"], meta.get("class_names") or ())',
            f"confusion_figure(data, by_share={by_share}).show()",
        )
        alt = tr("Confusion matrix: rows the truth, columns the answers")
        key = f"confusion-{artifact.id}-{cells}"
        draw(lambda dark: confusion_figure(data, by_share=by_share, dark=dark), key, alt, source)
    with right:
        listing = classes_listing(data)
        show_listing(_first_rows(listing, CLASS_ROWS), f"classes-{artifact.id}")
    mistakes = mistakes_listing(data, most=MISTAKES)
    if len(mistakes):
        with st.expander(tr("What is confused most"), expanded=len(data.names) > MISTAKES):
            show_listing(mistakes, f"mistakes-{artifact.id}")


def _predictions(store: Store, run: Run, artifact: Artifact, arrays: Arrays) -> None:
    st.subheader(tr("Predicted and true"), anchor=False)
    data = predictions_data(arrays["true"], arrays["predicted"])
    if data is not None:
        st.caption(predictions_text(data))
    source = _source(
        store,
        run,
        artifact,
        "",
        "from torchglass.charts.predictions import predictions_data, predictions_figure",
        'data = predictions_data(arrays["true"], arrays["predicted"])',
        "predictions_figure(data).show()",
    )
    alt = tr("Predicted over true values")
    draw(lambda dark: predictions_figure(data, dark=dark), f"predictions-{artifact.id}", alt, source)


def _detections(store: Store, run: Run, artifact: Artifact, arrays: Arrays, names: Sequence[object]) -> None:
    st.subheader(tr("What is found where"), anchor=False)
    if "average_precision" in arrays:
        show_listing(precision_listing(arrays["average_precision"], names), f"precision-{artifact.id}")
    gallery = store.artifacts(run.id, kind=SAMPLES)
    if not gallery:
        st.info(tr("The pictures are stored at the end of the training."), icon=":material/hourglass_empty:")
        return
    pictures = store.arrays(gallery[-1].id)
    least = st.slider(tr("Least score of a box"), 0.0, 1.0, LEAST_SCORE, 0.05)
    data = detections_data(pictures["inputs"], arrays["detections"], pictures.get("targets"), names, least_score=least)
    source = _source(
        store,
        run,
        artifact,
        "detections",
        "from torchglass.charts.detections import detections_data, detections_figure",
        f'kept = store.arrays(store.artifacts(run.id, kind="{SAMPLES}")[-1].id)\n'
        'names = meta.get("class_names") or ()\n'
        'boxes, truth = arrays["detections"], kept.get("targets")\n'
        f'data = detections_data(kept["inputs"], boxes, truth, names, least_score={least})',
        "detections_figure(data).show()",
    )
    alt = tr("Boxes found in pictures")
    draw(lambda dark: detections_figure(data, dark=dark), f"detections-{artifact.id}-{least}", alt, source)
    if data is not None and data.left_out:
        st.caption(tr("{count} more pictures are not drawn.", count=number(data.left_out)))


def _generated(store: Store, run: Run, artifact: Artifact) -> None:
    st.subheader(tr("Generated pictures"), anchor=False)
    found = [(name, array) for name, array in store.arrays(artifact.id).items() if array.ndim == 4]
    name, pictures = found[0] if found else ("", None)
    data = None if pictures is None else sheet_data(pictures)
    source = _source(
        store,
        run,
        artifact,
        name,
        "from torchglass.charts.generated import sheet_data, sheet_figure",
        f"data = sheet_data(arrays[{name!r}])",
        "sheet_figure(data).show()",
    )
    alt = tr("Pictures that the model made")
    draw(lambda dark: sheet_figure(data, dark=dark), f"generated-{artifact.id}", alt, source if found else None)
    if data is not None and data.left_out:
        st.caption(tr("{count} more pictures are not shown.", count=number(data.left_out)))


def _names(meta: Mapping[str, Any]) -> Sequence[object]:
    names = meta.get("class_names")
    return names if isinstance(names, list | tuple) else ()


def _first_rows(listing: Listing, most: int) -> Listing:
    fields = tuple(field._replace(values=field.values[:most]) for field in listing.fields)
    return Listing(fields, left_out=max(0, len(listing) - most))
