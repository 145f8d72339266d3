"""Ways from one page to another, for pages that know only its address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import streamlit as st
from streamlit.navigation.page import Page

_PAGES = "pages_by_address"  # of a session, as a part of a page that runs again by itself has nothing else


def remember(pages: Mapping[str, Page]) -> None:
    """Note every page by its address ("" is the first one)."""
    st.session_state[_PAGES] = dict(pages)


def go(address: str, **parameters: str) -> NoReturn:
    """Leave for another page, whose address gets these parameters."""
    st.switch_page(_page(address), query_params=parameters)


def link(address: str, label: str, *, icon: str | None = None, **parameters: str) -> None:
    """Draw a link to another page; nothing where a page is shown without the others. `label` is markdown."""
    if address in st.session_state.get(_PAGES, {}):
        st.page_link(_page(address), label=label, icon=icon, query_params=parameters)


def _page(address: str) -> Page:
    page: Page = st.session_state[_PAGES][address]
    return page
