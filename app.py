"""Doorstep of the page: `streamlit run app.py`. The store is `TORCHGLASS_STORE`, else `./torchglass.db`."""

import streamlit as st

from torchglass.dashboard.serving.server import app_parts

app = st.App(**app_parts())
