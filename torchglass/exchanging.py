"""What `import` and `export` say in a terminal: one line a run on stdout, what was not taken along on stderr."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torchglass.exchange import ExportedRun, ImportedRun, export_run, import_tensorboard
from torchglass.store import open_store
from torchglass.terminal import complain, say, terminal_text

if TYPE_CHECKING:
    from torchglass.exchange.exporting import Format


def print_import(logdir: Path, location: str | None, run: str | None) -> None:
    """Import the runs below a folder of TensorBoard logs, and say what came of each."""
    imported: list[ImportedRun] = []
    try:
        import_tensorboard(logdir, store=location, run=run, progress=True, tell=imported.append)
    finally:
        # Not while the bar is drawn; after Ctrl-C too, for what is already in the store.
        for each in imported:
            _print_imported(each)


def print_export(location: str | None, run: str, format: Format, output: Path | None) -> None:
    """Export a run, and say where it is."""
    with open_store(location, read_only=True) as store:
        _print_exported(export_run(store, run, output, format=format, progress=True))


def _print_imported(imported: ImportedRun) -> None:
    name = terminal_text(imported.name)
    for fault in imported.faults:
        _warn(fault)
    if imported.run_id is None:
        _warn(f"{name}: nothing was logged; no run was made")
        return
    counted = [
        f"{imported.point_count:,} points of {imported.series_count} series",
        *([f"{imported.histogram_count:,} histograms"] if imported.histogram_count else []),
        *([f"{imported.artifact_count:,} images, texts and curves"] if imported.artifact_count else []),
    ]
    say(f"{name}: {', '.join(counted)}")
    if imported.late_count:
        _warn(
            f"{name}: {imported.late_count:,} points do not come after all before them, as after a restart; "
            "of several at one step the last counts"
        )
    _warn_left_out(name, imported.left_out)


def _print_exported(exported: ExportedRun) -> None:
    size = f"{exported.size_bytes / 1e6:.1f} MB"
    say(f"{exported.path} ({size}): {exported.point_count:,} points of {exported.series_count} series")
    _warn_left_out(str(exported.path), exported.left_out)


def _warn_left_out(name: str, left_out: Mapping[str, int]) -> None:
    if left_out:
        _warn(f"{name}: left out {', '.join(f'{count:,} {what}' for what, count in left_out.items())}")


def _warn(text: str) -> None:
    complain(f"torchglass: {terminal_text(text)}")
