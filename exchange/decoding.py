"""One event of a log -> points, histograms and artifacts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from tensorboard.compat.proto import event_pb2

from torchglass.exchange import hparams, pictures
from torchglass.exchange.exact_numbers import read_number
from torchglass.exchange.gathering import Gathered
from torchglass.exchange.plain_scalars import PlainScalars
from torchglass.exchange.tensors import numbers, strings
from torchglass.store import Histogram
from torchglass.store.rebinning import rebin, rebin_limits

_SIZE_STRINGS = 2  # an image summary begins with its width and its height, as text
_CURVE_ROWS = (
    "true_positive_counts",
    "false_positive_counts",
    "true_negative_counts",
    "false_negative_counts",
    "precision",
    "recall",
)
_SILENT = {None, "file_version", "session_log", "log_message"}  # events that hold nothing to keep


class Decoder:
    """Reads events into a `Gathered`; it remembers what a tag is, which a log says in the tag's first event only."""

    def __init__(self, gathered: Gathered) -> None:
        self._gathered = gathered
        self._plain = PlainScalars(gathered)
        self._plugins: dict[str, str] = {}
        self._parse: Callable[[bytes], Any] = event_pb2.Event.FromString
        self._readers: dict[str, Callable[[Any, Any], bool]] = {
            "scalars": self._scalar,
            "histograms": self._histogram,
            "images": self._images,
            "text": self._text,
            "pr_curves": self._curve,
            "": self._scalar,
        }

    def take(self, record: bytes) -> bool:
        """Read one record; false when it is no event."""
        try:
            if self._plain.take(record):
                return True
            event = self._parse(record)
        except DecodeError:
            return False
        if not event.HasField("summary"):
            self._take_other(event)
            return True
        for value in event.summary.value:
            which = value.WhichOneof("value")
            if which == "simple_value":
                self._gathered.add_point(value.tag, event.step, event.wall_time, read_number(value))
                self._plain.learn(event.summary, value)
            else:
                self._take_rich(event, value, which)
        return True

    def _take_other(self, event: Any) -> None:
        self._gathered.see_time(event.wall_time)
        what = event.WhichOneof("what")
        if what not in _SILENT:
            self._gathered.left_out[what] += 1

    def _take_rich(self, event: Any, value: Any, which: str | None) -> None:
        self._gathered.see_time(event.wall_time)
        plugin = value.metadata.plugin_data.plugin_name or self._plugins.get(value.tag, "")
        self._plugins.setdefault(value.tag, plugin)
        if plugin == hparams.PLUGIN:
            kept = self._session(value.metadata.plugin_data.content)
        elif which == "histo":
            kept = self._old_histogram(event, value)
        elif which == "image":
            kept = self._image(event, value.tag, value.image.encoded_image_string)
        elif which == "tensor":
            kept = self._readers.get(plugin, _decline)(event, value)
        else:
            kept = which is None
        if not kept:
            self._gathered.left_out[plugin or which or "summary"] += 1

    def _session(self, content: bytes) -> bool:
        try:
            stated, status = hparams.read_session(content)
        except DecodeError:
            return False
        self._gathered.config |= stated
        self._gathered.status = status or self._gathered.status
        return True

    def _scalar(self, event: Any, value: Any) -> bool:
        array = numbers(value.tensor)
        if array is None or array.size != 1:
            return False
        self._gathered.add_point(value.tag, event.step, event.wall_time, float(array.reshape(())))
        return True

    def _histogram(self, event: Any, value: Any) -> bool:
        buckets = numbers(value.tensor)
        if buckets is None or buckets.ndim != 2 or buckets.shape[1] != 3:
            return False
        return self._keep(value.tag, rebin(*buckets.T, step=event.step, time=event.wall_time))

    def _old_histogram(self, event: Any, value: Any) -> bool:
        told = value.histo
        rights, counts = np.array(told.bucket_limit, np.float64), np.array(told.bucket, np.float64)
        if rights.size != counts.size:
            return False
        histogram = rebin_limits(
            rights, counts, step=event.step, time=event.wall_time, minimum=told.min, maximum=told.max
        )
        return self._keep(value.tag, histogram)

    def _keep(self, tag: str, histogram: Histogram | None) -> bool:
        if histogram is not None:
            self._gathered.add_histogram(tag, histogram)
        return histogram is not None

    def _images(self, event: Any, value: Any) -> bool:
        encoded = (strings(value.tensor) or [])[_SIZE_STRINGS:]
        keys = [value.tag] if len(encoded) == 1 else [f"{value.tag}/{index}" for index in range(len(encoded))]
        kept = [self._image(event, key, data) for key, data in zip(keys, encoded, strict=True)]
        return all(kept)

    def _image(self, event: Any, key: str, data: bytes) -> bool:
        pixels = pictures.decode(data)
        return pixels is not None and self._artifact(event, "image", key, {}, {"images": pixels})

    def _text(self, event: Any, value: Any) -> bool:
        lines = strings(value.tensor)
        if lines is None:
            return False
        text = "\n".join(line.decode("utf-8", "replace") for line in lines)
        return self._artifact(event, "text", value.tag, {"text": text}, {})

    def _curve(self, event: Any, value: Any) -> bool:
        rows = numbers(value.tensor)
        if rows is None or rows.ndim != 2 or len(rows) != len(_CURVE_ROWS):
            return False
        meta = {"num_thresholds": rows.shape[1]}
        return self._artifact(event, "pr_curve", value.tag, meta, dict(zip(_CURVE_ROWS, rows, strict=True)))

    def _artifact(
        self, event: Any, kind: str, key: str, meta: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]
    ) -> bool:
        self._gathered.add_artifact(kind, key, event.step, event.wall_time, meta, arrays)
        return True


def _decline(event: Any, value: Any) -> bool:
    return False
