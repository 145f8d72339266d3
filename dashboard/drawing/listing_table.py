"""Puts a listing of torchglass.charts on the page: numbers stay numbers, so that a reader can sort by them.

A long one has a field to search it, and each can be had whole as CSV.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from torchglass.charts.listings import Field, Listing
from torchglass.charts.text import plain_text
from torchglass.charts.units import MISSING, number, scale_of
from torchglass.dashboard.answering.tables import to_csv
from torchglass.language import tr

MOST_NAME_CHARACTERS = 400
SEARCHED_FROM = 12  # rows: fewer are read faster than a name is typed
MOST_SEARCH_CHARACTERS = 200
_LADDERS = {"s": "s", "B": "B", "B/s": "B"}


def show_listing(listing: Listing, key: str, *, complete: Callable[[], Listing] | None = None) -> None:
    """Show a table, with a search where it is long; `complete` makes what its CSV holds, if that is more.

    A note below says what is not in it.
    """
    found = _searched(listing, key)
    columns, looks = {}, {}
    for field in found.fields:
        title, values, look = _column(field)
        columns[title], looks[title] = values, look
    st.dataframe(columns, hide_index=True, width="stretch", key=key, column_config=looks, placeholder=MISSING)
    notes = []
    if listing.left_out:
        there = tr("{count} more rows are not listed; the CSV has them.", count=number(listing.left_out))
        notes.append(there if complete else tr("{count} more rows are not listed.", count=number(listing.left_out)))
    if listing.unknown:
        notes.append(tr("Not known of any row: {columns}.", columns=", ".join(listing.unknown)))
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.download_button(
            tr("CSV"),
            data=partial(csv_of, complete or listing),
            file_name=f"{key}.csv",
            mime="text/csv",
            key=f"{key}-csv",
            icon=":material/download:",
            type="tertiary",
            help=tr("Every row, in seconds, bytes and percent"),
            on_click="ignore",
        )
        if notes:
            st.caption(" ".join(notes), width="content")


def _searched(listing: Listing, key: str) -> Listing:
    """The rows that a reader looks for, where there are enough of them to look for some."""
    if len(listing) < SEARCHED_FROM:
        return listing
    asked = st.text_input(
        tr("Search"),
        key=f"{key}-search",
        placeholder=tr("Search {count} rows", count=number(len(listing))),
        label_visibility="collapsed",
        icon=":material/search:",
        max_chars=MOST_SEARCH_CHARACTERS,
    )
    return rows_with(listing, asked.split())


def rows_with(listing: Listing, words: Sequence[str]) -> Listing:
    """Rows with each of these words in a text of theirs, whatever its case."""
    if not words:
        return listing
    texts = [field.values for field in listing.fields if field.unit == "text"]
    rows = [" ".join(str(value) for value in row).casefold() for row in zip(*texts, strict=True)]
    kept = [place for place, row in enumerate(rows) if all(word.casefold() in row for word in words)]
    fields = [field._replace(values=tuple(field.values[place] for place in kept)) for field in listing.fields]
    return Listing(tuple(fields), listing.left_out, listing.unknown)


def csv_of(listing: Listing | Callable[[], Listing]) -> bytes:
    """The table as CSV, in the units of the store."""
    found = listing() if callable(listing) else listing
    return to_csv({_heading(field): field.values for field in found.fields})


def _heading(field: Field) -> str:
    unit = {"share": "%", "text": "", "count": "", "yes": ""}.get(field.unit, field.unit)
    return f"{field.title} ({unit})" if unit else field.title


def _column(field: Field) -> tuple[str, list[Any], Any]:
    """Title with its unit, values in that unit, and how they look."""
    name, meaning = field.title, field.meaning or None
    if field.unit == "text":
        texts = [plain_text(value, MOST_NAME_CHARACTERS) for value in field.values]
        is_long = max((len(text) for text in texts), default=0) > 24
        return name, texts, st.column_config.TextColumn(help=meaning, width="large" if is_long else None)
    if field.unit == "share":
        config = st.column_config.ProgressColumn(help=meaning, format="%.1f %%", min_value=0, max_value=100, width=120)
        return name, list(field.values), config
    if field.unit in _LADDERS:
        known = [abs(value) for value in field.values if value]
        scale = scale_of(_LADDERS[field.unit], max(known, default=None))
        unit = f"{scale.unit}/s" if field.unit == "B/s" else scale.unit
        values = [None if value is None else value * scale.factor for value in field.values]
        return f"{name}, {unit}", values, st.column_config.NumberColumn(help=meaning, format="%.4g")
    title = f"{name}, %" if field.unit == "%" else name
    # Four digits of a measured number tell enough; of what was counted each does.
    is_whole = all(value is None or isinstance(value, int) for value in field.values)
    looks = "localized" if is_whole else "%.4g"
    return title, list(field.values), st.column_config.NumberColumn(help=meaning, format=looks)
