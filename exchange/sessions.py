"""Hyper-parameters that torch's `add_hparams` put into a folder below the run that they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from torchglass.exchange.decoding import Decoder
from torchglass.exchange.folders import LoggedRun
from torchglass.exchange.framing import RecordFile
from torchglass.exchange.gathering import Gathered

FIRST_RECORDS = 8  # a session is stated at the start: after the version and the experiment


def session_below(run: LoggedRun, runs: Sequence[LoggedRun]) -> Mapping[str, Any]:
    """Return the hyper-parameters of the one session directly below a run; none where there are several: a sweep."""
    folder = run.files[0].parent
    below = [other for other in runs if other.files[0].parent.parent == folder]
    stated = [config for config in map(_session, below) if config]
    return stated[0] if len(stated) == 1 else {}


def _session(run: LoggedRun) -> Mapping[str, Any]:
    gathered = Gathered()
    decoder = Decoder(gathered)
    for record in islice(RecordFile(run.files[0]), FIRST_RECORDS):
        decoder.take(record)
    return gathered.config
