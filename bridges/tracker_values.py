"""What becomes of a value that a tracker's `log` is given, whatever it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from torchglass.bridges.notices import Notices
from torchglass.bridges.tracker_media import MAX_TABLE_ROWS, Declined, Histogram, Image, Table
from torchglass.bridges.tracker_summary import Summary
from torchglass.errors import OptionError
from torchglass.instrumentation import Run as Recording
from torchglass.instrumentation.watching import put_histogram
from torchglass.store.rebinning import rebin

_PLAIN = frozenset([float, int])  # what needs no second look


class Values:
    """Records numbers, histograms, images, tables and texts of one run; tells once of each kind that it cannot keep."""

    def __init__(self, recording: Recording, notices: Notices, summary: Summary) -> None:
        self._recording = recording
        self._notices = notices
        self._summary = summary

    def log(self, data: Mapping[str, Any], step: int) -> None:
        """Record values by name; mappings within make names with slashes.

        Raises:
            OptionError: a name is no text.
        """
        if _PLAIN.issuperset(map(type, data.values())):
            self._recording.log(data, step=step)
            self._summary.note_numbers(data)
            return
        numbers: dict[str, Any] = {}
        for path, value in _leaves(data, ()):
            if _is_number(value):
                numbers["/".join(path)] = value
                self._summary.note(path, value)
            elif value is not None:
                self._keep("/".join(path), path, value, step)
        if numbers:
            self._recording.log(numbers, step=step)

    def _keep(self, key: str, path: tuple[str, ...], value: Any, step: int) -> None:
        if isinstance(value, str):
            self._recording.save_arrays("text", key, {}, {"text": value}, step)
            self._summary.note(path, value)
        elif isinstance(value, Histogram):
            self._keep_histogram(key, value, step)
        elif isinstance(value, Image) or _all_are(value, Image):
            images = [value] if isinstance(value, Image) else list(value)
            self._keep_images(key, images, step)
        elif isinstance(value, Table):
            self._keep_table(key, value, step)
        elif (values := _several_numbers(value)) is not None:
            self._recording.log_histogram(key, values, step)
        else:
            kind = value.kind if isinstance(value, Declined) else type(value).__name__
            self._notices.say(f"not_kept/{kind}", f"values of the kind {kind} are accepted and not kept")

    def _keep_histogram(self, key: str, histogram: Histogram, step: int) -> None:
        if histogram.values is not None:
            self._recording.log_histogram(key, histogram.values, step)
            return
        counts, edges = np.array(histogram.histogram, np.float64), np.array(histogram.bins, np.float64)
        counted = rebin(edges[:-1], edges[1:], counts, step=step, time=time.time())
        if counted is not None:
            put_histogram(self._recording, key, counted)
        else:
            self._notices.say("raw_histograms", f"{key!r} is not kept: its bins must ascend, its counts be 0 or more")

    def _keep_images(self, key: str, images: Sequence[Image], step: int) -> None:
        alike = len({image.pixels.shape for image in images}) == 1
        for index, group in enumerate([images] if alike else [[image] for image in images]):
            pixels = np.concatenate([image.pixels for image in group])
            meta = {"captions": [image.caption for image in group]}
            self._recording.save_arrays("image", key if alike else f"{key}/{index}", {"images": pixels}, meta, step)

    def _keep_table(self, key: str, table: Table, step: int) -> None:
        if len(table.data) > MAX_TABLE_ROWS:
            self._notices.say("tables", f"of {len(table.data)} rows of a table the first {MAX_TABLE_ROWS} are kept")
        rows = [list(row) for row in table.data[:MAX_TABLE_ROWS]]
        self._recording.save_arrays("table", key, {}, {"columns": list(table.columns), "rows": rows}, step)


def _leaves(data: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in data.items():
        if not isinstance(name, str):
            raise OptionError(f"log got {name!r} as a name: give text")
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _is_number(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.numel() == 1 and not value.is_complex() and not value.is_meta
    if isinstance(value, np.ndarray):
        return value.size == 1 and value.dtype.kind in "biuf"
    return isinstance(value, int | float | np.bool_ | np.integer | np.floating)


def _several_numbers(value: Any) -> Any:
    """The value, if it is a tensor, an array or a list of numbers; else None."""
    if isinstance(value, torch.Tensor):
        return value if not value.is_complex() and not value.is_meta else None
    if isinstance(value, list | tuple) and not all(isinstance(each, int | float) for each in value):
        return None
    array = np.asarray(value)
    return array if array.dtype.kind in "biuf" else None


def _all_are(value: Any, kind: type) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, kind) for each in value)
