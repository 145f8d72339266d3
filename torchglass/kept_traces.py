"""The verb `trace`: which raw traces a run kept of its profiler windows, and a copy of one for Perfetto."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from torchglass.errors import OptionError
from torchglass.terminal import say, terminal_text

if TYPE_CHECKING:
    from torchglass.store import ProfilerWindow

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]

FOLDER = "torchglass-traces"  # beside the store; `instrumentation` keeps them there


def add_trace(verb: Verb) -> None:
    """Add the verb to a command line whose `verb(name, command, text)` adds one."""
    trace = verb("trace", _trace, "List the raw traces kept of a run's profiler windows, or copy one.")
    trace.add_argument("run", help="name, or beginning of the uid")
    trace.add_argument("--window", type=int, metavar="STEP", help="the window that begins there (default: the last)")
    trace.add_argument("--rank", type=int, default=0, help="the process that it is of (0)")
    trace.add_argument("-o", "--output", type=Path, metavar="FILE", help="copy it there")
    trace.epilog = (
        "Runs keep traces if attached with profile=every(500, steps=3, keep_traces=True). Open one in Perfetto."
    )


def _trace(options: argparse.Namespace) -> int:
    from torchglass.store import open_store

    with open_store(options.store, read_only=True) as store:
        run = store.run(options.run)
        kept = [
            each
            for each in store.windows(run.id, options.rank, rows=False)
            if isinstance(each.facts.get("trace_file"), str)
        ]
        folder = store.location.folder / FOLDER
    if not kept:
        remedy = "attach with profile=every(500, steps=3, keep_traces=True)"
        raise OptionError(f"{run.name} kept no traces of rank {options.rank}: {remedy}")
    if options.output is None:
        for window in kept:
            path = _path(folder, window)
            size = f"{path.stat().st_size / 1e6:.1f} MB" if path.is_file() else "no longer there"
            say(f"step {window.step}: {terminal_text(str(path))} ({size})")
        return 0
    chosen = _chosen(kept, options.window, run.name)
    _copy(_path(folder, chosen), options.output)
    say(f"{options.output}: steps {chosen.step} to {chosen.step + chosen.step_count - 1}")
    return 0


def _chosen(kept: list[ProfilerWindow], step: int | None, run: str) -> ProfilerWindow:
    if step is None:
        return kept[-1]
    for window in kept:
        if window.step == step:
            return window
    steps = ", ".join(str(window.step) for window in kept)
    raise OptionError(f"{run} kept no trace of a window at step {step}: it has those at {steps}")


def _path(folder: Path, window: ProfilerWindow) -> Path:
    # A store may be somebody else's: its names lead nowhere but into the folder.
    return folder / PurePosixPath(window.facts["trace_file"].replace("\\", "/")).name


def _copy(source: Path, target: Path) -> None:
    from torchglass.exchange.whole_file import check_target, whole_file

    if not source.is_file():
        raise OptionError(f"{source} is not there any more: it was moved, or the run was recorded on another machine")
    check_target(target, overwrite=True)
    with whole_file(target) as part:
        shutil.copyfile(source, part)
