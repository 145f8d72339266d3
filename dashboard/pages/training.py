"""Training: everything that `run.log` recorded, live."""

from __future__ import annotations

from torchglass.dashboard import notices
from torchglass.dashboard.live import live_charts
from torchglass.store import Run, Store


def show(store: Store, run: Run) -> None:
    """Draw the scalars of a run."""
    notices.run_heading("Training", store, run)
    if run.status != "running" and not store.series_of(run.id, kind="scalar"):
        notices.nothing_recorded("This run logged no scalar.", 'run.log({"loss": loss, "train/accuracy": accuracy})')
        return
    live_charts(
        run,
        ["scalar"],
        waiting="Waiting for the first value. Charts appear by themselves when the run logs one.",
        ended="The run ended before it logged a value.",
    )
