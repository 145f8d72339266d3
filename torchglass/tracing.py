"""What `import trace` says in a terminal: a line for the run and one for each file, faults on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torchglass.exchange.progress import bar
from torchglass.terminal import complain, say, terminal_text
from torchglass.traces.importing import import_traces


def print_trace_import(files: Sequence[Path], location: str | None, run: str | None) -> None:
    """Import trace files as one run, and say what came of it."""
    size = sum(path.stat().st_size for path in files if path.is_file())
    with bar("importing", size, "B", show=True) as advance:
        imported = import_traces(files, store=location, run=run, advance=advance)
    for fault in imported.faults:
        _warn(fault)
    say(f"{terminal_text(imported.name)}: {len(imported.traces)} {_counted('trace', len(imported.traces))}")
    for each in imported.traces:
        device = f"{each.device_event_count:,} on devices" if each.device_event_count else "none of a device"
        say(
            f"  rank {each.rank}: {each.event_count:,} events, {device}; {each.step_count} "
            f"{_counted('step', each.step_count)} in {each.wall_seconds:.3g} s ({terminal_text(each.file)})"
        )
        if not each.event_count:
            _warn(f"{each.file}: it holds no events that say when they began and how long they took")
    if imported.left_out:
        _warn(f"left out {', '.join(f'{count:,} {what}' for what, count in imported.left_out.items())}")


def _counted(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def _warn(text: str) -> None:
    complain(f"torchglass: {terminal_text(text)}")
