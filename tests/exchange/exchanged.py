"""Logs as TensorFlow 2 writes them, made without it, and runs read back from a store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util

from torchglass.store import Batch, Column, Points, RowBlock, Run, Store

START = 1_700_000_000.0


def tensor_event(tag: str, data: Any, step: int, plugin: str, time: float = START, dtype: Any = None) -> Any:
    """A summary in tensor form, as `tf.summary` writes it."""
    metadata = summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin))
    tensor = tensor_util.make_tensor_proto(data, dtype=dtype)
    return event(summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=tensor), step, time)


def event(value: Any, step: int, time: float = START) -> Any:
    """An event with one summary value."""
    return event_pb2.Event(step=step, wall_time=time, summary=summary_pb2.Summary(value=[value]))


def scalar_event(tag: str, number: float, step: int, time: float = START) -> Any:
    """A scalar in its old form."""
    return event(summary_pb2.Summary.Value(tag=tag, simple_value=number), step, time)


def write_log(folder: Path, events: Iterable[Any], suffix: str = "") -> Path:
    """Write events with TensorBoard's own writer, and return the file."""
    before = set(folder.glob("*tfevents*"))
    writer = EventFileWriter(str(folder), filename_suffix=suffix)
    for each in events:
        writer.add_event(each)
    writer.close()
    (made,) = set(folder.glob("*tfevents*")) - before
    return made


def record(store: Store, run: Run, key: str, steps: Sequence[int], values: Sequence[float], **about: Any) -> None:
    """Write points of one series, a second apart."""
    rank = about.pop("rank", 0)
    times = START + np.arange(len(steps), dtype=np.float64)
    block = RowBlock((Column(key, **about),), np.array(steps, np.int64), times, np.array(values, np.float64)[:, None])
    store.write(run.id, rank, Batch(rows=[block]))


def points(store: Store, run: str, key: str, rank: int = 0) -> Points:
    """Points of a series that must exist."""
    series = store.find_series(store.run(run).id, key, rank=rank)
    assert series is not None, f"{key} of {run} was not recorded"
    return store.points(series.id)


def curve(store: Store, run: str, key: str) -> list[tuple[int, float]]:
    """Steps and values of a series."""
    found = points(store, run, key)
    return list(zip(found.steps.tolist(), found.values.tolist(), strict=True))


def bits(values: npt.NDArray[np.float64]) -> list[int]:
    """The very bits: NaN equals NaN, and -0.0 differs from 0.0."""
    return [int(each) for each in np.ascontiguousarray(values).view(np.uint64)]
