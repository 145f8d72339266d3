"""The section "Try your own" of the page Explain: a picture, a text or a row of the visitor's, explained by a job.

What arrives is checked here with the functions that the job uses, lies in a private temporary folder under a name of
ours for as long as the job runs, and is kept with the explanation as the model saw it.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from torchglass.charts.explanations_words import class_name, method_name
from torchglass.charts.generated import enlarged
from torchglass.charts.pictures import rgb
from torchglass.charts.text import markdown_text, plain_text
from torchglass.dashboard.explaining import side_by_side
from torchglass.dashboard.ordering.jobs import BOARD, Job
from torchglass.dashboard.ordering.run_arguments import argument_of
from torchglass.errors import DataError, MissingExtraError, OptionError
from torchglass.language import tr
from torchglass.reference_models.catalogue import get
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.own_input import (
    MAX_CHARACTERS,
    OwnInput,
    column_names,
    picture_input,
    row_input,
    text_input,
    vocabulary_in,
)
from torchglass.store import Run, Store

GROUP = "own/"
UPLOADS = ("png", "jpg", "jpeg", "webp", "npy")
MAX_UPLOAD_MEGABYTES = 8  # as much as the server lets in
MAX_FIELDS = 64  # columns that get a number field each
COLUMNS = 4
PREVIEW_PIXELS = 160
MAX_LISTED = 50
SENTENCE_CHARACTERS = 300

Arrays = Mapping[str, npt.NDArray[Any]]


def show(store: Store, run: Run, sample: int, arrays: Arrays, meta: Mapping[str, Any]) -> None:
    """Take an input, order its explanation, and show what is stored; `arrays` and `meta` are the samples'."""
    form = _form_of(meta)
    if form is None or not store.artifacts(run.id, kind="checkpoint"):
        return
    st.subheader(tr("Try your own"), anchor="own")
    with st.container(border=True):
        given = _take(form, sample, arrays, meta)
        if given is not None:
            _order(run, meta, *given)
    _results(store, run)


def _form_of(meta: Mapping[str, Any]) -> DataForm | None:
    try:
        return DataForm.from_json(meta.get("form"))
    except DataError:
        return None


def _take(form: DataForm, sample: int, arrays: Arrays, meta: Mapping[str, Any]) -> tuple[bytes, list[str]] | None:
    """The file's content and more words of the command; None as long as there is nothing that can be explained."""
    try:
        if form.kind == "pictures":
            return _picture(form, arrays)
        if form.kind == "text":
            return _text(form, arrays, meta)
        return _row(form, sample, arrays, meta)
    except (DataError, MissingExtraError) as error:
        st.warning(tr("This cannot be explained."), icon=":material/warning:")
        st.text(plain_text(error, SENTENCE_CHARACTERS))
        return None


def _picture(form: DataForm, arrays: Arrays) -> tuple[bytes, list[str]] | None:
    left, right = st.columns([3, 1], vertical_alignment="center")
    shape = " × ".join(map(str, form.shape))
    uploaded = left.file_uploader(
        tr("A picture: PNG, JPEG or WebP; or an .npy of shape {shape}", shape=shape),
        type=list(UPLOADS),
        key="own-file",
        max_upload_size=MAX_UPLOAD_MEGABYTES,
    )
    invert = left.toggle(tr("Invert light and dark"), key="own-invert")
    if uploaded is None:
        return None
    content = uploaded.getvalue()
    like = arrays.get("background")
    own = picture_input(content, form, like=like, invert=invert)
    seen = enlarged(rgb(own.values), PREVIEW_PIXELS)
    right.image(seen, caption=tr("as the model sees it"), width=PREVIEW_PIXELS, output_format="PNG")
    _notes(own)
    return content, ["--invert"] if invert else []


def _text(form: DataForm, arrays: Arrays, meta: Mapping[str, Any]) -> tuple[bytes, list[str]] | None:
    text = st.text_area(tr("A text"), max_chars=MAX_CHARACTERS, key="own-text", height=100)
    if not text.strip():
        st.caption(tr("Write a text like those of the data set, then leave the field."))
        return None
    if not _has_tokenizer(meta):
        own = text_input(text, form, vocabulary_in(arrays))
        used = sum(1 for word in own.words if word)
        st.caption(tr("{count} words reach the model.", count=used))
        _notes(own)
    return text.encode("utf-8", "replace"), []


def _has_tokenizer(meta: Mapping[str, Any]) -> bool:
    """Whether the model came with a tokenizer of its own, which only the job can load."""
    try:
        return get(str(meta.get("model"))).needs_path
    except OptionError:
        return False


def _row(form: DataForm, sample: int, arrays: Arrays, meta: Mapping[str, Any]) -> tuple[bytes, list[str]] | None:
    names = column_names(form)
    if len(names) > MAX_FIELDS:
        st.info(tr("A row of {count} columns is given as a file, by the command line:", count=len(names)))
        st.code("torchglass explain RUN --input row.json", language="bash")
        return None
    scale = meta.get("scale")
    row = arrays["inputs"][sample].astype(np.float64)
    if scale is not None:
        row = row * np.array(scale["deviations"]) + np.array(scale["means"])
    st.caption(tr("The values of the chosen sample, in the columns' own units: change any of them."))
    given: dict[str, float | None] = {}
    for place, (name, value) in enumerate(zip(names, row.tolist(), strict=True)):
        if place % COLUMNS == 0:  # a row of its own, so that fields of unequal height stand level
            columns = st.columns(COLUMNS, vertical_alignment="bottom")
        given[name] = columns[place % COLUMNS].number_input(
            markdown_text(name, 40), value=float(f"{value:.6g}"), format="%g", key=f"own-{sample}-{place}"
        )
    row_input(given, form, scale)
    return json.dumps(given).encode(), []


def _notes(own: OwnInput) -> None:
    for note in own.notes:
        told = {name: plain_text(value, SENTENCE_CHARACTERS) for name, value in note.values.items()}
        st.text(tr(note.sentence, **told))


def _order(run: Run, meta: Mapping[str, Any], content: bytes, more: list[str]) -> None:
    offered = side_by_side.methods_for(meta.get("model"))
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    methods = left.multiselect(tr("Methods"), offered, default=offered, format_func=method_name, key="own-methods")
    if not right.button(tr("Explain it"), type="primary", width="stretch", key="own-explain"):
        return
    if not methods:
        st.warning(tr("Choose at least one method."), icon=":material/warning:")
        return
    if start(run, content, ["--methods", ",".join(methods), *more]):
        st.rerun()


def start(run: Run, content: bytes, more: list[str]) -> bool:
    """Write the input into a folder of its own and start the job; the folder goes when the job has ended."""
    folder = tempfile.TemporaryDirectory(prefix="torchglass-")  # of mode 0700, and gone at exit whatever happens
    path = Path(folder.name) / "input"
    path.write_bytes(content)
    try:
        job = BOARD.start(tr("Explain an input of your own"), ["explain", argument_of(run), f"--input={path}", *more])
    except OptionError as error:
        folder.cleanup()
        st.warning(tr("The job was not started."), icon=":material/warning:")
        st.text(str(error))
        return False
    threading.Thread(target=_forget, args=(job, folder), name="own-input", daemon=True).start()
    return True


def _forget(job: Job, folder: tempfile.TemporaryDirectory[str]) -> None:
    try:
        job.wait()
    finally:
        folder.cleanup()


def _results(store: Store, run: Run) -> None:
    found = [one for one in store.artifacts(run.id, kind="explanation") if one.key.startswith(GROUP)]
    keys = list(dict.fromkeys(one.key for one in found))[::-1][:MAX_LISTED]
    if not keys:
        st.caption(tr("What you explain is kept with the run and drawn here."))
        return
    last = {one.key: one for one in found}

    def named(key: str) -> str:
        predicted = last[key].meta.get("predicted")
        number = key.removeprefix(GROUP)
        if predicted is None or not last[key].meta.get("class_names"):
            return f"#{number}"
        return f"#{number} · {plain_text(class_name(last[key].meta, predicted), 40)}"

    # The newest comes first, and is the one that was asked for last.
    chosen = st.selectbox(tr("Your inputs"), keys, format_func=named, key=f"own-{run.id}-{len(keys)}")
    side_by_side.show_one(store, run, chosen if chosen in keys else keys[0])
