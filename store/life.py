"""What becomes of a run once it is made: its name, tags and note; put away, deleted, had back, and at last destroyed.

Each function runs inside a transaction that its caller opened alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from torchglass.errors import OptionError, StoreError
from torchglass.store.engine import Connection
from torchglass.store.records import Run
from torchglass.store.runs import free_name
from torchglass.store.windows import destroy_windows
from torchglass.store.writing import to_json

_OF_SERIES = ("payloads", "chunks", "rewinds")
_OF_RUN = (
    "series", "histogram_series", "profiler_windows", "artifacts", "facts", "arrivals", "resumptions", "ranks",
)  # fmt: skip


def rename(connection: Connection, run: Run, name: str) -> None:
    """Give a run another name.

    Raises:
        OptionError: the name is blank.
        StoreError: another run has it.
    """
    if not isinstance(name, str) or not name.strip():
        raise OptionError(f"name={name!r}: give the run a name that can be read")
    query = "SELECT 1 FROM runs WHERE name = ? AND deleted_at IS NULL AND id <> ?"
    if connection.execute(query, (name, run.id)).fetchone():
        raise StoreError(f"there is a run {name!r} already: choose another name")
    connection.execute("UPDATE runs SET name = ? WHERE id = ?", (name, run.id))


def tag(connection: Connection, run: Run, add: Iterable[str] | str, remove: Iterable[str] | str) -> None:
    """Add tags behind those there are, each once, and take others away; to remove what is not there is no error."""
    added, removed = _tags("add", add), _tags("remove", remove)
    kept = [each for each in dict.fromkeys((*run.tags, *added)) if each not in removed]
    connection.execute("UPDATE runs SET tags = ? WHERE id = ?", (to_json(kept), run.id))


def annotate(connection: Connection, run: Run, note: str) -> None:
    """Replace a run's note; an empty one takes it away."""
    if not isinstance(note, str):
        raise OptionError(f"note={note!r}: give text, or '' for none")
    connection.execute("UPDATE runs SET note = ? WHERE id = ?", (note, run.id))


def archive(connection: Connection, run: Run, archived_at: float | None) -> None:
    """Put a run out of the way, or back."""
    connection.execute("UPDATE runs SET archived_at = ? WHERE id = ?", (archived_at, run.id))


def delete(connection: Connection, run: Run, now: float) -> None:
    """Hide a run wherever runs are listed or found; its name is free for others from now on."""
    connection.execute("UPDATE runs SET deleted_at = ? WHERE id = ?", (now, run.id))


def restore(connection: Connection, run: Run) -> None:
    """Have a deleted run back, under its name if nobody took it meanwhile, else with a number behind it."""
    name = free_name(connection, run.name)
    connection.execute("UPDATE runs SET deleted_at = NULL, name = ? WHERE id = ?", (name, run.id))


def destroy(connection: Connection, run_id: int) -> None:
    """Remove every row of a run from every table."""
    for table in _OF_SERIES:
        connection.execute(
            f"DELETE FROM {table} WHERE series_id IN (SELECT id FROM series WHERE run_id = ?)", (run_id,)
        )
    connection.execute(
        "DELETE FROM histograms WHERE series_id IN (SELECT id FROM histogram_series WHERE run_id = ?)", (run_id,)
    )
    destroy_windows(connection, run_id)
    for table in _OF_RUN:
        connection.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))
    connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))


def _tags(option: str, given: Iterable[str] | str) -> list[str]:
    tags = [given] if isinstance(given, str) else list(given)
    for each in tags:
        if not isinstance(each, str) or not each.strip():
            raise OptionError(f"{option}={each!r}: a tag is text that can be read")
    return tags
