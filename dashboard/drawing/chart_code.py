"""The Python that draws a chart of this page from the store, for its menu's "copy as Python"."""

from __future__ import annotations

from textwrap import dedent, indent

from torchglass.store import Run, Store


def chart_code(store: Store, run: Run, imports: str, reading: str, drawing: str) -> str:
    """A complete script: `reading` runs with `store` and `run` at hand, `drawing` after the store is closed.

    A password of the store is not in it: the database finds it where it always does.
    """
    found = "\n".join(sorted([*dedent(imports).split("\n"), "from torchglass.store import open_store"])).strip()
    opening = f"with open_store({store.location.shown!r}, read_only=True) as store:\n    run = store.run({run.name!r})"
    return f"{found}\n\n{opening}\n{indent(dedent(reading).strip(), '    ')}\n{dedent(drawing).strip()}\n"
