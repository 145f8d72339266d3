"""Training: everything that `run.log` recorded, live, with other runs drawn over it."""

from __future__ import annotations

from torchglass.dashboard import notices
from torchglass.dashboard.choosing.overlaid import choose_overlaid
from torchglass.dashboard.drawing.live import live_charts
from torchglass.language import mark, tr
from torchglass.store import Run, Store

NOTHING = mark("This run logged no scalar.")
WAITING = mark("Waiting for the first value. Charts appear by themselves when the run logs one.")
ENDED = mark("The run ended before it logged a value.")


def show(store: Store, run: Run) -> None:
    """Draw the scalars of a run."""
    notices.run_heading(tr("Training"), store, run)
    if run.status != "running" and not store.series_of(run.id, kind="scalar"):
        notices.nothing_recorded(tr(NOTHING), 'run.log({"loss": loss, "train/accuracy": accuracy})')
        return
    live_charts(run, ["scalar"], waiting=WAITING, ended=ENDED, overlaid=choose_overlaid(store, run))
