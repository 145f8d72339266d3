"""One rank of a run as an event file that TensorBoard reads.

Scalars are `simple_value`, which every reader knows, with the digits that a float32 lacks beside it (see
`exact_numbers`). A histogram's bins become the buckets of a HistogramProto; its NaN and infinities have no place there.
Texts and images are written as such, the configuration and the run's end as a session of the hparams plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto import event_pb2, histogram_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2

from torchglass.exchange import hparams, pictures
from torchglass.exchange.exact_numbers import texts_beside
from torchglass.exchange.framing import frame
from torchglass.exchange.progress import Advance
from torchglass.exchange.reading import pieces
from torchglass.store import Artifact, Histogram, Run, Series, Store
from torchglass.store.rebinning import buckets_of

FILE_VERSION = "brain.Event:2"


def write_events(path: Path, store: Store, run: Run, rank: int, advance: Advance) -> int:
    """Write what event files have a place for and return the number of points."""
    series = store.series_of(run.id, rank=rank)
    with path.open("xb") as file:

        def put(event: Any) -> None:
            file.write(frame(event.SerializeToString()))

        put(event_pb2.Event(wall_time=run.created_at, file_version=FILE_VERSION))
        if run.config:
            put(_event(0, run.created_at, hparams.session_start(run.config, run.created_at)))
        for event in _rich_events(store, run, rank):
            put(event)
        count = sum(_put_series(put, store, each, advance) for each in series)
        if run.config and run.ended_at is not None:
            put(_event(0, run.ended_at, hparams.session_end(run.status, run.ended_at)))
    return count


def _event(step: int, time: float, value: Any) -> Any:
    return event_pb2.Event(step=step, wall_time=time, summary=summary_pb2.Summary(value=[value]))


def _put_series(put: Callable[[Any], None], store: Store, series: Series, advance: Advance) -> int:
    event = _event(0, 0.0, summary_pb2.Summary.Value(tag=series.key))
    value = event.summary.value[0]
    count = 0
    for piece in pieces(store, series):
        columns = (piece.steps.tolist(), piece.times.tolist(), piece.values.tolist(), texts_beside(piece.values))
        for step, time, number, text in zip(*columns, strict=True):
            event.step, event.wall_time = step, time
            value.simple_value, value.node_name = number, text
            put(event)
        count += len(piece.steps)
        advance(len(piece.steps))
    return count


def _rich_events(store: Store, run: Run, rank: int) -> Iterator[Any]:
    for key in store.histogram_keys(run.id, rank):
        for histogram in store.histograms(run.id, key, rank):
            value = summary_pb2.Summary.Value(tag=key, histo=_histogram(histogram))
            yield _event(histogram.step, histogram.time, value)
    for artifact in exported_artifacts(store, run, rank):
        for value in _text(artifact) if artifact.kind == "text" else _images(store, artifact):
            yield _event(artifact.step, artifact.time, value)


def exported_artifacts(store: Store, run: Run, rank: int) -> list[Artifact]:
    """Return the artifacts that event files have a place for."""
    return [each for each in store.artifacts(run.id) if each.rank == rank and each.kind in ("text", "image")]


def _histogram(histogram: Histogram) -> Any:
    limits, counts = buckets_of(histogram)
    return histogram_pb2.HistogramProto(
        min=histogram.minimum or 0.0,
        max=histogram.maximum or 0.0,
        num=float(counts.sum()),
        bucket_limit=limits.tolist(),
        bucket=counts.tolist(),
    )


def _text(artifact: Artifact) -> Iterator[Any]:
    text = str(artifact.meta.get("text", ""))
    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(),
        string_val=[text.encode()],
    )
    yield summary_pb2.Summary.Value(tag=artifact.key, metadata=_metadata("text"), tensor=tensor)


def _images(store: Store, artifact: Artifact) -> Iterator[Any]:
    pixels = store.arrays(artifact.id).get("images")
    if pixels is None or pixels.ndim != 4 or pixels.dtype != np.uint8:
        return
    count, height, width, channels = pixels.shape
    for index, data in enumerate(pictures.encode(pixels)):
        tag = artifact.key if count == 1 else f"{artifact.key}/{index}"
        picture = summary_pb2.Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=data)
        yield summary_pb2.Summary.Value(tag=tag, image=picture)


def _metadata(plugin: str) -> Any:
    return summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin))
