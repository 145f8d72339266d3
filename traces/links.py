"""phase > module > operator > kernel: where time goes, from the training step down to what the device ran."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from torchglass.store import Table
from torchglass.traces.blame import BUCKETS, NO_MODULE, Blame
from torchglass.traces.calls import NOBODY, Calls
from torchglass.traces.grouping import grouped
from torchglass.traces.phases import Phases
from torchglass.traces.tables import empty, short_name, table
from torchglass.traces.trace import MODULE_PREFIX, Integers, Trace
from torchglass.traces.work import Work

MAX_LINKS = 5_000  # paths; the rest is summed by phase, and says that it is a rest
# Codes beside the indices of names, and those of `BUCKETS`.
_HOST, _PYTHON, _REST = -10, -11, -12
_WORDS = {**BUCKETS, NOBODY: NO_MODULE, _HOST: "", _PYTHON: "(python)", _REST: "(rest)"}


class _Paths(NamedTuple):
    """Time and calls by path (n,): `phase` indexes the phases' names, the others those of the trace, or are codes."""

    phase: Integers
    module: Integers
    operator: Integers
    kernel: Integers
    calls: Integers
    ns: Integers


def link_table(trace: Trace, calls: Calls, work: Work, blame: Blame, phases: Phases) -> Table:
    """Sum device time by path, and the host's own time by path where `kernel` is ""; most time first.

    An operator's time on the host includes the runtime calls that it makes; "(python)" is time of a module or of a
    step outside of all operators. Host time is of all threads.
    """
    both = zip(_of_work(calls, work, blame, phases), _of_host(calls, blame, phases), strict=True)
    paths = _summed(_Paths(*(np.concatenate(parts).astype(np.int64) for parts in both)))
    if len(paths.ns) > MAX_LINKS:
        paths = _summed(_lumped(paths))
    if not len(paths.ns):
        return empty("links")
    words = {index: short_name(trace.names[index]) for index in _names_used(paths)} | _WORDS
    return table(
        "links",
        phase=[phases.names[index] for index in paths.phase.tolist()],
        module=[words[index].removeprefix(MODULE_PREFIX) for index in paths.module.tolist()],
        operator=[words[index] for index in paths.operator.tolist()],
        kernel=[words[index] for index in paths.kernel.tolist()],
        calls=paths.calls,
        seconds=paths.ns / 1e9,
    )


def _of_work(calls: Calls, work: Work, blame: Blame, phases: Phases) -> _Paths:
    launched = work.launch != NOBODY
    phase = np.where(launched, phases.at(work.launched_ns), 0)
    linked = blame.operator >= 0
    module, operator = np.full(len(work), NOBODY, np.int64), blame.operator.copy()
    module[linked] = blame.module[blame.operator[linked]]
    operator[linked] = calls.name[blame.operator[linked]]
    return _Paths(phase, module, operator, work.name, np.ones(len(work), np.int64), work.clipped_ns)


def _of_host(calls: Calls, blame: Blame, phases: Phases) -> _Paths:
    part_of = blame.operator_of_call
    itself = np.arange(len(calls))
    whole = np.where(part_of == NOBODY, itself, part_of)
    operator = np.where(calls.marker, _PYTHON, calls.name[whole])
    counted = calls.marker | (whole == itself)
    kernel = np.full(len(calls), _HOST, np.int64)
    return _Paths(phases.at(calls.start_ns), blame.module, operator, kernel, counted, calls.self_ns())


def _summed(paths: _Paths) -> _Paths:
    """Make one row of all that share a path, most time first; paths that took no time are left out."""
    if not len(paths.ns):
        return paths
    groups = grouped(*paths[:4])
    count, ns = groups.sum(paths.calls).astype(np.int64), groups.sum(paths.ns).astype(np.int64)
    order = np.argsort(-ns, kind="stable")
    order = order[ns[order] > 0]
    phase, module, operator, kernel = (column[groups.first[order]] for column in paths[:4])
    return _Paths(phase, module, operator, kernel, count[order], ns[order])


def _lumped(paths: _Paths) -> _Paths:
    """Take the smaller paths' module, operator and kernel away, but not whether they are the host's."""
    module, operator, kernel = paths.module.copy(), paths.operator.copy(), paths.kernel.copy()
    rest = np.arange(len(paths.ns)) >= MAX_LINKS
    module[rest] = operator[rest] = _REST
    kernel[rest & (kernel != _HOST)] = _REST
    return paths._replace(module=module, operator=operator, kernel=kernel)


def _names_used(paths: _Paths) -> list[int]:
    used = np.unique(np.concatenate((paths.module, paths.operator, paths.kernel)))
    found: list[int] = used[used >= 0].tolist()
    return found
