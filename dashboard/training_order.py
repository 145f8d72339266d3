"""A form that starts the training of a reference model as a job."""

from __future__ import annotations

import streamlit as st

from torchglass.dashboard import job_panel
from torchglass.reference_models.catalogue import available

MAX_EPOCHS = 1000
MAX_NAME_CHARACTERS = 120


def order_training() -> None:
    """Show the form; its run appears in the store of this page."""
    models = {model.name: model for model in available()}
    with st.expander("Train a reference model", icon=":material/play_arrow:"), st.form("train", border=False):
        model, epochs, run, start = st.columns([2, 1, 2, 1], vertical_alignment="bottom")
        name = model.selectbox("Model", list(models), format_func=lambda key: f"{models[key].title} ({key})")
        count = epochs.number_input("Epochs", min_value=1, max_value=MAX_EPOCHS, value=models[name].defaults.epochs)
        run_name = run.text_input("Run name", placeholder=name, max_chars=MAX_NAME_CHARACTERS)
        if start.form_submit_button("Train", width="stretch"):
            arguments = ["train", name, "--epochs", str(count), f"--run={run_name.strip() or name}"]
            job_panel.start(f"Train {name}", arguments)
