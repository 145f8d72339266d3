"""A run in the store -> a file, or a folder of event files, that is either whole or as it was before."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, get_args

from torchglass.errors import OptionError, TorchglassError
from torchglass.exchange.csv_file import write_csv
from torchglass.exchange.folders import MARK
from torchglass.exchange.progress import Advance, bar
from torchglass.exchange.results import ExportedRun
from torchglass.exchange.whole_file import check_target, whole_file
from torchglass.store import Run, Series, Store

Format = Literal["csv", "parquet", "tensorboard"]
FORMATS: tuple[Format, ...] = get_args(Format)

_ENDINGS = {"csv": ".csv", "parquet": ".parquet", "tensorboard": "-tensorboard"}
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # no file can be called so on Windows
MOST_OF_A_NAME = 100  # characters


def export(
    store: Store, run: Run, path: Path | None, format: Format, *, overwrite: bool, progress: bool
) -> ExportedRun:
    """Write a run; see `torchglass.exchange.export_run`."""
    if format not in FORMATS:
        raise OptionError(f"format {format!r} is none of {', '.join(FORMATS)}")
    series = store.series_of(run.id)
    with bar("exporting", sum(each.count for each in series), "point", show=progress) as advance:
        if format == "tensorboard":
            return _export_events(store, run, series, path or Path(_default_name(run, format)), overwrite, advance)
        return _export_table(store, run, series, _table_path(path, run, format), format, overwrite, advance)


def _default_name(run: Run, format: Format) -> str:
    """The run's name as every file system takes it, which leads into no other folder."""
    kept = _NOT_IN_A_NAME.sub("-", run.name[: 4 * MOST_OF_A_NAME]).strip(".-")[:MOST_OF_A_NAME].rstrip(".-") or "run"
    return ("_" if _DEVICE.match(kept) else "") + kept + _ENDINGS[format]


def _table_path(path: Path | None, run: Run, format: Format) -> Path:
    name = _default_name(run, format)
    if path is None:
        return Path(name)
    return path / name if path.is_dir() else path


def _export_table(
    store: Store,
    run: Run,
    series: list[Series],
    target: Path,
    format: Format,
    overwrite: bool,
    advance: Advance,
) -> ExportedRun:
    check_target(target, overwrite=overwrite)
    with whole_file(target) as part:
        if format == "csv":
            count = write_csv(part, store, series, advance)
        else:
            from torchglass.exchange.parquet_file import write_parquet

            count = write_parquet(part, store, run, series, advance)
    left_out = {
        "histogram series": sum(len(store.histogram_keys(run.id, rank)) for rank in _ranks(series)),
        "artifacts": len(store.artifacts(run.id)),
        "profiler windows": len(store.windows(run.id, rows=False)),
    }
    return ExportedRun(target, target.stat().st_size, count, len(series), _some(left_out))


def _export_events(
    store: Store, run: Run, series: list[Series], folder: Path, overwrite: bool, advance: Advance
) -> ExportedRun:
    from torchglass.exchange.event_file import exported_artifacts, write_events

    ranks = sorted({*_ranks(series), *(each.rank for each in store.artifacts(run.id))})
    targets = {rank: (folder if ranks == [0] else folder / f"rank{rank}") / _event_name(run) for rank in ranks}
    _check_folder(folder, set(targets.values()), overwrite=overwrite)
    count = 0
    with _folders(folder, {target.parent for target in targets.values()}), ExitStack() as files:
        # All are written before the first is put in its place.
        for rank, target in targets.items():
            count += write_events(files.enter_context(whole_file(target)), store, run, rank, advance)
    kept = sum(len(exported_artifacts(store, run, rank)) for rank in ranks)
    left_out = {
        "artifacts": len(store.artifacts(run.id)) - kept,
        "profiler windows": len(store.windows(run.id, rows=False)),
    }
    size = sum(target.stat().st_size for target in targets.values())
    return ExportedRun(folder, size, count, len(series), _some(left_out))


@contextmanager
def _folders(folder: Path, parts: set[Path]) -> Iterator[None]:
    """Make the folder and its parts; what was not there before is gone again if the block fails."""
    made = not folder.exists()
    try:
        for part in parts:
            part.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise TorchglassError(f"cannot write to {folder}: {error.strerror}; give another path") from error
        raise


def _ranks(series: list[Series]) -> list[int]:
    return sorted({0} | {each.rank for each in series})


def _event_name(run: Run) -> str:
    """As TensorBoard's own writer names its files; the end tells runs apart, and is the same for the next export."""
    host = _NOT_IN_A_NAME.sub("-", run.host[:MOST_OF_A_NAME]) or "unknown"
    return f"events.out.{MARK}.{int(run.created_at):010d}.{host}.{run.pid}.{run.uid[:8]}"


def _check_folder(folder: Path, targets: set[Path], *, overwrite: bool) -> None:
    if not folder.parent.is_dir():
        raise OptionError(f"the folder {folder.parent} does not exist: create it, or give another path")
    if folder.is_file():
        raise OptionError(f"{folder} is a file: event files go into a folder")
    # TensorBoard would draw two runs of one folder as one.
    others = [path for path in folder.rglob(f"*{MARK}*") if path not in targets]
    if others:
        raise OptionError(f"{folder} holds event files of another run, such as {others[0].name}: give another folder")
    if not overwrite and any(target.exists() for target in targets):
        raise OptionError(f"{folder} holds this run already: give another folder, or allow it to be overwritten")


def _some(counts: dict[str, int]) -> dict[str, int]:
    return {what: count for what, count in counts.items() if count}
