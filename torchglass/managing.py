"""The verbs that change what is known of a run: each parses, calls the store, and says in a line what came of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from torchglass.terminal import say, terminal_text

if TYPE_CHECKING:
    from torchglass.store import Store

Command = Callable[[argparse.Namespace], int]
Verb = Callable[[str, Command, str], argparse.ArgumentParser]
RUN = "name, or beginning of the uid"
SECONDS_PER_DAY = 86_400.0


def add_verbs(verb: Verb) -> None:
    """Add the verbs to a command line whose `verb(name, command, text)` adds one."""
    rename = verb("rename", _rename, "Give a run another name.")
    rename.add_argument("run", help=RUN)
    rename.add_argument("name", help="the new name")

    tag = verb("tag", _tag, "Add tags to a run, or take some away.")
    tag.add_argument("run", help=RUN)
    tag.add_argument("tags", nargs="*", metavar="TAG", help="a tag to add")
    tag.add_argument("--remove", nargs="+", default=[], metavar="TAG", help="tags to take away")

    note = verb("note", _note, "Keep a note with a run, in place of the one it has.")
    note.add_argument("run", help=RUN)
    note.add_argument("note", metavar="TEXT", help="the note; '' for none")

    archive = verb("archive", _archive, "Put runs out of the way: `runs --archived` still lists them.")
    archive.add_argument("runs", nargs="+", metavar="RUN", help=RUN)
    archive.add_argument("--undo", action="store_true", help="bring them back")

    delete = verb("delete", _delete, "Delete runs; until `purge` they can be had back.")
    delete.add_argument("runs", nargs="+", metavar="RUN", help=RUN)
    delete.add_argument("--undo", action="store_true", help="have deleted runs back, with all they held")

    purge = verb("purge", _purge, "Destroy the runs that were deleted. This cannot be undone.")
    purge.add_argument("--older-than", type=_days, default=0.0, metavar="DAYS", help="only those deleted so long ago")

    fork = verb("fork", _fork, "Make a run that begins as another did before a step.")
    fork.epilog = "Train it on with attach(..., resume=NAME), from a checkpoint of that step."
    fork.add_argument("run", help=RUN)
    fork.add_argument("--step", type=int, required=True, help="the first step that is not copied")
    fork.add_argument("--name", help="name of the new run (default: RUN-at-STEP)")

    unwind = verb("unwind", _unwind, "Show again what a run hid when it was last resumed at an earlier step.")
    unwind.add_argument("run", help=RUN)


def _rename(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        before = store.run(options.run).name
        _say(f"{before} is now {store.rename(options.run, options.name).name}")
    return 0


def _tag(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        run = store.tag(options.run, options.tags, options.remove)
        _say(f"{run.name}: {', '.join(run.tags) or 'no tags'}")
    return 0


def _note(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        run = store.annotate(options.run, options.note)
        _say(f"{run.name}: {run.note or 'no note'}")
    return 0


def _archive(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        for name in options.runs:
            run = store.archive(name, not options.undo)
            _say(f"{run.name}: {'no longer archived' if options.undo else 'archived'}")
    return 0


def _delete(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        for name in options.runs:
            run = store.restore(name) if options.undo else store.delete(name)
            _say(f"{run.name}: {'is back' if options.undo else 'deleted; `torchglass delete --undo` has it back'}")
    return 0


def _purge(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        purged = store.purge(older_than_seconds=options.older_than * SECONDS_PER_DAY)
    if not purged.names:
        _say("nothing to destroy")
    else:
        space = "later runs use the space" if purged.freed_bytes is None else f"{purged.freed_bytes / 1e6:.1f} MB freed"
        _say(f"destroyed {', '.join(purged.names)}; {space}")
    return 0


def _fork(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        run = store.fork(options.run, options.step, options.name)
        _say(f"{run.name}: begins as {store.run(options.run).name} did before step {run.parent_step}")
    return 0


def _unwind(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        run = store.unwind(options.run)
        undone = [each for each in store.resumptions(run.id) if each.undone_at is not None]
        last = max(undone, key=lambda each: each.undone_at or 0.0)
        _say(f"{run.name}: the {last.hidden_count:,} points that step {last.step} hid are shown again")
    return 0


def _opened(options: argparse.Namespace) -> Store:
    from torchglass.store import Store

    return Store(options.store, create=False)


def _say(text: str) -> None:
    say(terminal_text(text))


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days, such as 30 or 0.5")
    return days
