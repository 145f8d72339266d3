"""A button that asks a running training for a profiler window now."""

from __future__ import annotations

import streamlit as st

from torchglass.errors import TorchglassError
from torchglass.language import tr
from torchglass.store import Run, Store, open_store

STEPS = 3


def offer_profile(store: Store, run: Run) -> None:
    """Show the button while the run goes on; its window shows up on the page by itself."""
    if run.status != "running":
        return
    if st.button(tr("Profile the next {count} steps", count=STEPS), icon=":material/timer:", width="stretch"):
        try:
            with open_store(store.location) as writable:
                asked = writable.request_profile(run.id, STEPS)
        except TorchglassError as error:
            st.text(str(error))
            return
        st.toast(tr("Request {number}: the window shows up here when its steps are done.", number=asked.number))
