"""Explain samples on every machine of a Ray cluster at once: one task a sample, results into the one store."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from torchglass.errors import MissingExtraError, OptionError, TorchglassError
from torchglass.explaining import Request, explain_run
from torchglass.store.location import FileLocation, locate


@dataclass(frozen=True)
class _Told:
    """What came of a sample: the lines about it, and the sentence of the error that ended it."""

    lines: tuple[str, ...]
    refusal: str | None = None


def explain_over_ray(location: str | os.PathLike[str] | None, request: Request) -> Iterator[str]:
    """Explain as `explain_run` does, each sample in a task of its own, and yield the lines as the samples are done.

    The cluster is the one that Ray finds by itself (`RAY_ADDRESS`, or one started on this machine); where there is none
    the cores of this machine become one, for as long as it takes. Its machines need torchglass[explain,models] and a
    store that all of them reach: a database, or a file where the cluster is this machine alone. Whoever may read the
    cluster's memory may read the address of the store, its password included.

    Raises:
        MissingExtraError: Ray is not installed.
        OptionError: the store is a file, and the cluster has other machines.
        TorchglassError: what `explain_run` raises; samples that were done by then are stored.
    """
    try:
        import ray
    except ModuleNotFoundError as missing:
        raise MissingExtraError("ray", "ray") from missing
    where = locate(location)
    began = not ray.is_initialized()
    if began:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        machines = sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
        if isinstance(where, FileLocation) and machines > 1:
            raise OptionError(
                f"{where.shown} is a file of this machine, the Ray cluster has {machines}: give a postgresql:// store"
            )
        task = ray.remote(_explained)
        waiting = [task.remote(where.address, replace(request, samples=(sample,))) for sample in request.samples]
        while waiting:
            done, waiting = ray.wait(waiting)
            told: _Told = ray.get(done[0])
            yield from told.lines
            if told.refusal is not None:
                raise TorchglassError(told.refusal)
    finally:
        if began:
            ray.shutdown()


def _explained(address: str, request: Request) -> _Told:
    lines: list[str] = []
    try:
        lines.extend(explain_run(address, request))
    except TorchglassError as error:
        # Ray would wrap it together with a traceback of the other machine.
        return _Told(tuple(lines), str(error))
    return _Told(tuple(lines))
