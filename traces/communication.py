"""Collectives: how long they took, how much of it nothing hid, and how much they moved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from torchglass.store import Table
from torchglass.traces.breakdown import Parts, is_communication
from torchglass.traces.calls import Calls
from torchglass.traces.grouping import grouped
from torchglass.traces.kernel_names import HOST_COLLECTIVE
from torchglass.traces.tables import empty, table
from torchglass.traces.trace import Integers, Trace
from torchglass.traces.work import Work

# Kineto's words for the types of a message's elements.
_ELEMENT_BYTES: Mapping[str, int] = {
    "double": 8,
    "long": 8,
    "float": 4,
    "int": 4,
    "half": 2,
    "bfloat16": 2,
    "short": 2,
    "byte": 1,
    "char": 1,
    "bool": 1,
}
_WORDS = {
    "allreduce": "all_reduce",
    "allgather": "all_gather",
    "reducescatter": "reduce_scatter",
    "alltoall": "all_to_all",
    "sendrecv": "send_recv",
}
_OF_KERNEL = re.compile(r"(?:nccl|rccl)\w{0,99}?Kernel_(?P<name>[A-Za-z]+)|(?P<other>all_?reduce)", re.IGNORECASE)


def collective_table(trace: Trace, calls: Calls, work: Work, parts: list[Parts]) -> Table:
    """Sum collectives by name and group, most time first.

    `exposed_seconds` are those in which their device computed nothing; NaN for collectives of the host. `bytes` count
    the larger of what goes in and what comes out of each call on this rank.
    """
    kernels = np.flatnonzero(is_communication(trace, work))
    exposed = np.full(len(kernels), np.nan)
    for part in parts:
        # Work is in order of its device.
        here = slice(*np.searchsorted(work.device[kernels], (part.device, part.device + 1)).tolist())
        start = work.start_ns[kernels[here]]
        end = start + work.clipped_ns[kernels[here]]
        exposed[here] = end - start - part.compute.within(start, end)
    on_host = [index for index, name in enumerate(trace.names) if name.startswith(HOST_COLLECTIVE)]
    host = np.flatnonzero(np.isin(calls.name, on_host))
    rows = np.concatenate((work.rows[kernels], calls.rows[host]))
    if not len(rows):
        return empty("collectives")
    ns = np.concatenate((work.clipped_ns[kernels], calls.duration_ns[host]))
    return _summed(trace, rows, ns, np.concatenate((exposed, np.full(len(host), np.nan))))


def _summed(trace: Trace, rows: Integers, ns: Integers, exposed: np.ndarray[Any, np.dtype[np.float64]]) -> Table:
    told = [trace.texts.get(row, {}) for row in rows.tolist()]
    pairs = [(_name(trace.text(row), text), _group(text)) for row, text in zip(rows.tolist(), told, strict=True)]
    distinct = sorted(set(pairs))
    code = {pair: index for index, pair in enumerate(distinct)}
    groups = grouped(np.array([code[pair] for pair in pairs]))
    moved = np.array([_bytes(text) for text in told])
    seconds = groups.sum(ns) / 1e9
    order = np.argsort(-seconds, kind="stable")
    return table(
        "collectives",
        name=[distinct[index][0] for index in order.tolist()],
        calls=groups.calls()[order],
        seconds=seconds[order],
        exposed_seconds=_known_sum(groups.of, exposed, len(distinct))[order] / 1e9,
        bytes=_known_sum(groups.of, moved, len(distinct))[order],
        group=[distinct[index][1] for index in order.tolist()],
    )


def _known_sum(
    of: Integers, values: np.ndarray[Any, np.dtype[np.float64]], count: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Sum by group; NaN unless every call of the group tells its value, for a part would pass for the whole."""
    summed = np.zeros(count)
    np.add.at(summed, of, values)
    return summed


def _name(event: str, text: Mapping[str, Any]) -> str:
    """all_reduce, all_gather, ...; the trace's own word where it is none of these."""
    word = str(text.get("Collective name") or "")
    if not word and event.startswith(HOST_COLLECTIVE):
        word = event.removeprefix(HOST_COLLECTIVE)
    if not word:
        match = _OF_KERNEL.search(event)
        word = (match["name"] or match["other"]) if match else event.partition("(")[0]
    plain = word.lower().replace("_", "")
    return next((name for start, name in _WORDS.items() if plain.startswith(start)), word.strip("_").lower())


def _group(text: Mapping[str, Any]) -> str:
    return str(text.get("Process Group Description") or text.get("Process Group Name") or "")


def _bytes(text: Mapping[str, Any]) -> float:
    """Bytes of one call, NaN where the trace does not tell."""
    counts = [text.get(key) for key in ("In msg nelems", "Out msg nelems")]
    known = [float(count) for count in counts if isinstance(count, int | float | str) and str(count).strip().isdigit()]
    width = _ELEMENT_BYTES.get(str(text.get("dtype", "")).lower())
    if str(text.get("dtype", "")).lower().startswith("float8"):
        width = 1
    return max(known) * width if known and width else float("nan")
