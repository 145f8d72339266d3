"""What a tracker's `log` takes besides numbers: histograms, images, tables, and kinds that are not kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from torchglass.bridges.pictures import Pixels, as_array, figure_pixels, to_pixels
from torchglass.errors import OptionError

MAX_TABLE_ROWS = 10_000  # a table is kept as one JSON text


class Histogram:
    """Values to be counted, or counts (n,) with their edges (n + 1,) as `numpy.histogram` returns them."""

    def __init__(
        self,
        sequence: Any = None,
        np_histogram: tuple[Any, Any] | None = None,
        num_bins: int = 64,
    ) -> None:
        if (sequence is None) == (np_histogram is None):
            raise OptionError("Histogram needs values, or np_histogram=(counts, edges)")
        self.values = None if sequence is None else sequence
        self.histogram, self.bins = [], []
        if np_histogram is not None:
            self.histogram, self.bins = as_array(np_histogram[0]).tolist(), as_array(np_histogram[1]).tolist()
            if len(self.bins) != len(self.histogram) + 1:
                raise OptionError(f"np_histogram has {len(self.histogram)} counts and {len(self.bins)} edges")


class Image:
    """A picture: a tensor (C, H, W) or (H, W), an array (H, W) or (H, W, C), a PIL image, a figure or a file's path.

    Numbers from 0 to 1 and bytes are taken as they are; others are stretched to their own range if `normalize`, else
    taken as 0 to 255.
    """

    def __init__(
        self,
        data_or_path: Any,
        mode: str | None = None,
        caption: str | None = None,
        grouping: int | None = None,
        classes: Any = None,
        boxes: Any = None,
        masks: Any = None,
        file_type: str | None = None,
        normalize: bool = True,
    ) -> None:
        self.caption = caption
        self.pixels: Pixels = _pixels(data_or_path, normalize)


class Table:
    """Rows under named columns; cells become text unless JSON knows them."""

    def __init__(
        self,
        columns: Sequence[str] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        dtype: Any = None,
        optional: Any = True,
        allow_mixed_types: bool = False,
        **ignored: Any,
    ) -> None:
        given = dataframe if dataframe is not None else (data if data is not None else rows)
        if hasattr(given, "columns") and hasattr(given, "itertuples"):
            columns, given = list(given.columns), [list(row) for row in given.itertuples(index=False, name=None)]
        self.data: list[list[Any]] = [list(row) for row in (given if given is not None else [])]
        width = len(self.data[0]) if self.data else 3
        default = ["Input", "Output", "Expected"] if width == 3 else [str(index) for index in range(width)]
        self.columns: list[str] = [str(name) for name in columns] if columns is not None else default

    def add_data(self, *data: Any) -> None:
        """Add a row.

        Raises:
            OptionError: it is not as wide as the table.
        """
        if len(data) != len(self.columns):
            raise OptionError(f"add_data got {len(data)} cells for the columns {self.columns}")
        self.data.append(list(data))

    def add_column(self, name: str, data: Sequence[Any]) -> None:
        """Add a column; to a table without rows, as its only one.

        Raises:
            OptionError: it is not as long as the table.
        """
        if not self.data:
            self.columns, self.data = [name], [[cell] for cell in data]
            return
        if len(data) != len(self.data):
            raise OptionError(f"add_column({name!r}) got {len(data)} cells for {len(self.data)} rows")
        self.columns.append(name)
        for row, cell in zip(self.data, data, strict=True):
            row.append(cell)

    def get_column(self, name: str) -> list[Any]:
        """Return the cells of a column."""
        index = self.columns.index(name)
        return [row[index] for row in self.data]


class Declined:
    """A kind that is accepted and not kept: audio, video, HTML, 3-D objects, plots."""

    kind = "media"

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        """Take whatever the real one takes."""

    def __getattr__(self, name: str) -> Any:
        """Take every call that the real one takes: `artifact.add_file(...)`."""
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_arguments, **_options: self


def declined_class(kind: str) -> type[Declined]:
    """Return a class of that name which takes anything and keeps nothing."""
    return type(kind, (Declined,), {"kind": kind})


class DeclinedPlots:
    """A module of functions that make plots: each is accepted, and its plot not kept."""

    def __getattr__(self, name: str) -> type[Declined]:
        if name.startswith("__"):
            raise AttributeError(name)
        return declined_class("plot")


def _pixels(data: Any, normalize: bool) -> Pixels:
    if isinstance(data, str) or hasattr(data, "__fspath__"):
        from PIL import Image as Pictures

        data = Pictures.open(data)
    if hasattr(data, "savefig"):
        return figure_pixels(data.gcf() if hasattr(data, "gcf") else data, close=False)
    if hasattr(data, "convert") and hasattr(data, "mode"):  # a PIL image
        data = np.asarray(data.convert("RGBA" if data.mode in ("RGBA", "LA", "PA") else "RGB"))
    array = as_array(data)
    layout = {2: "HW", 3: "CHW" if isinstance(data, torch.Tensor) else "HWC"}.get(array.ndim)
    if layout is None or array.dtype.kind not in "biuf":
        raise OptionError(
            f"Image got a {type(data).__name__} of shape {array.shape}: give (H, W), or that with colours"
        )
    return to_pixels(array if array.dtype == np.uint8 else _in_range(array.astype(np.float64), normalize), layout)


def _in_range(values: Any, normalize: bool) -> Any:
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        return values
    return (values - low) / max(high - low, 1e-12) if normalize else values / 255
