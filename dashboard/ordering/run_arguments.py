"""How a job's command line names a run."""

from __future__ import annotations

from torchglass.store import Run


def argument_of(run: Run) -> str:
    """Its name, or its uid where the name begins with a dash and would be read as an option."""
    return run.uid if run.name.startswith("-") else run.name
