"""Puts a listing of torchglass.charts on the page: numbers stay numbers, so that a reader can sort by them."""

from __future__ import annotations

from typing import Any

import streamlit as st

from torchglass.charts.listings import Field, Listing
from torchglass.charts.text import plain_text
from torchglass.charts.units import MISSING, number, scale_of

MOST_NAME_CHARACTERS = 400
_LADDERS = {"s": "s", "B": "B", "B/s": "B"}


def show_listing(listing: Listing, key: str) -> None:
    """Show a table; a note below says what is not in it."""
    columns, looks = {}, {}
    for field in listing.fields:
        title, values, look = _column(field)
        columns[title], looks[title] = values, look
    st.dataframe(columns, hide_index=True, width="stretch", key=key, column_config=looks, placeholder=MISSING)
    notes = []
    if listing.left_out:
        notes.append(f"{number(listing.left_out)} more rows are not listed.")
    if listing.unknown:
        notes.append(f"Not known of any row: {', '.join(listing.unknown)}.")
    if notes:
        st.caption(" ".join(notes))


def _column(field: Field) -> tuple[str, list[Any], Any]:
    """Title with its unit, values in that unit, and how they look."""
    meaning = field.meaning or None
    if field.unit == "text":
        texts = [plain_text(value, MOST_NAME_CHARACTERS) for value in field.values]
        is_long = max((len(text) for text in texts), default=0) > 24
        return field.title, texts, st.column_config.TextColumn(help=meaning, width="large" if is_long else None)
    if field.unit == "share":
        config = st.column_config.ProgressColumn(help=meaning, format="%.1f %%", min_value=0, max_value=100, width=120)
        return field.title, list(field.values), config
    if field.unit in _LADDERS:
        known = [abs(value) for value in field.values if value]
        scale = scale_of(_LADDERS[field.unit], max(known, default=None))
        unit = f"{scale.unit}/s" if field.unit == "B/s" else scale.unit
        values = [None if value is None else value * scale.factor for value in field.values]
        return f"{field.title}, {unit}", values, st.column_config.NumberColumn(help=meaning, format="%.4g")
    title = f"{field.title}, %" if field.unit == "%" else field.title
    # Four digits of a measured number tell enough; of what was counted each does.
    is_whole = all(value is None or isinstance(value, int) for value in field.values)
    looks = "localized" if is_whole else "%.4g"
    return title, list(field.values), st.column_config.NumberColumn(help=meaning, format=looks)
