"""Train: start a reference model, watch it and stop it; of use before there is any store."""

from __future__ import annotations

import streamlit as st

from torchglass.dashboard import notices
from torchglass.dashboard.ordering import job_panel
from torchglass.dashboard.ordering.training_order import training_form
from torchglass.errors import NoStoreError, TorchglassError
from torchglass.language import tr
from torchglass.store import open_store
from torchglass.store.location import locate


def show() -> None:
    """Draw the form and what it started; the training makes the store where there is none."""
    st.header(tr("Train"), anchor=False)
    try:
        location = locate(None)
        with open_store(location, read_only=True):
            told = tr("Train one of the models that come with torchglass. Its run appears in the store of this page:")
    except NoStoreError:
        told = tr("There is no store yet. The first training makes it:")
    except TorchglassError as error:
        notices.broken_store(str(error))
        return
    st.caption(told)
    st.text(str(location))
    job_panel.show()
    training_form()
