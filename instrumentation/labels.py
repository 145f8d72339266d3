"""Name, tag and annotate a run while it is being recorded."""

from __future__ import annotations

from collections.abc import Iterable

from torchglass.instrumentation.disabled import DisabledRun
from torchglass.instrumentation.run import Run


def label(run: Run, *, name: str | None = None, tags: Iterable[str] | None = None, note: str | None = None) -> None:
    """Change what is given, in the store and at once; `tags` replace those there are.

    It waits for the store: not for the inside of a training loop.

    Raises:
        StoreError: another run has the name, or the store cannot be written.
        OptionError: the name is blank.
    """
    if isinstance(run, DisabledRun):
        return
    found = run._store.run(run.id)
    if name is not None and name != found.name:
        run._store.rename(run.id, name)
    if tags is not None:
        wanted = list(tags)
        run._store.tag(run.id, wanted, [tag for tag in found.tags if tag not in wanted])
    if note is not None:
        run._store.annotate(run.id, note)
