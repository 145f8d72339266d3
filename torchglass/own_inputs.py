"""An input of the user's own in the place of a run's samples: then it is explained as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.errors import DataError
from torchglass.reference_models.data.own_input import (
    MAX_FILE_BYTES,
    OwnInput,
    check_length,
    notes_on_words,
    read_own_input,
    text_of,
    vocabulary_in,
)
from torchglass.store import Store
from torchglass.trained_runs import Trained

GROUP = "own"  # of an artifact's key: "own/1", "own/2", ...


def with_own_input(trained: Trained, path: Path, *, invert: bool = False) -> tuple[Trained, tuple[Any, ...]]:
    """Return the run with one sample, that of the file, whose answer nobody knows; and what is to be known of it.

    Raises:
        DataError: the file is not such an input.
        MissingExtraError: what reads it is not installed.
    """
    if trained.kind == "text" and trained.exhibit.needs_path:
        own = _tokenized(trained, path)
    else:
        own = read_own_input(
            path,
            trained.form,
            vocabulary=vocabulary_in(trained.arrays) if trained.kind == "text" else None,
            scale=trained.meta.get("scale"),
            like=trained.arrays["background"] if trained.kind == "pictures" else None,
            invert=invert,
        )
    arrays: dict[str, npt.NDArray[Any]] = {"background": trained.arrays["background"], "inputs": own.values[None]}
    if own.words:
        arrays["words"] = np.array([own.words])
    return replace(trained, arrays=arrays), tuple((note.sentence, dict(note.values)) for note in own.notes)


def next_key(store: Store, run_id: int) -> str:
    """The key of the next own input: "own/3" after "own/2"."""
    found = (one.key.partition("/") for one in store.artifacts(run_id, kind="explanation"))
    taken = [int(number) for group, _, number in found if group == GROUP and number.isdecimal()]
    return f"{GROUP}/{max(taken, default=0) + 1}"


def _tokenized(trained: Trained, path: Path) -> OwnInput:
    """A text by the tokenizer of the user's own model, from the folder that the training named."""
    from torchglass.reference_models.data.csv_text_tokenized import encode_text

    meta: Mapping[str, Any] = trained.checkpoint.meta
    if path.stat().st_size > MAX_FILE_BYTES:
        raise DataError(f"the file has {path.stat().st_size:,} bytes: give one of at most {MAX_FILE_BYTES:,}")
    text = text_of(path.read_bytes())
    check_length(text)
    ids, words = encode_text(text, Path(str(meta.get("model_path"))))
    (length,) = trained.form.shape
    if not ids:
        raise DataError("the text holds no word: write one")
    rest = max(0, length - len(ids))
    return OwnInput(
        np.array([*ids[:length], *[0] * rest], np.int64),
        (*words[:length], *[""] * rest),
        tuple(notes_on_words(len(ids), length, ())),
    )
