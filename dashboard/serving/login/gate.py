"""What stands between a visitor and the pages: nothing, the log-in of OpenID Connect, and the way out."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from torchglass.charts.text import plain_text
from torchglass.dashboard.drawing.components import mount
from torchglass.dashboard.serving.login.admission import current_admission
from torchglass.dashboard.serving.login.password_login import LOGOUT_PATH
from torchglass.dashboard.words import choose_language
from torchglass.language import tr


def show_to_those_let_in(show: Callable[[], None]) -> None:
    """Show the pages, with a button to log out in the sidebar; or ask a stranger to log in.

    With a password file strangers never come this far: the server asks before it answers anything.
    """
    admission = current_admission()
    if admission.is_oidc and not st.user.is_logged_in:
        _ask_to_log_in()
        return
    show()
    if admission.is_oidc:
        _show_name(st.user.get("email") or st.user.get("name"))
        st.sidebar.button(tr("Log out"), icon=":material/logout:", on_click=st.logout)
    elif admission.passwords is not None:
        with st.sidebar:
            mount("log_out", key="log-out", data={"path": LOGOUT_PATH})


def _ask_to_log_in() -> None:
    st.set_page_config(page_title="torchglass")
    choose_language()
    st.header("torchglass", anchor=False)
    st.text(tr("Log in to see the runs of this server."))
    st.button(tr("Log in"), icon=":material/login:", type="primary", on_click=st.login)


def _show_name(name: object) -> None:
    if name:
        st.sidebar.text(plain_text(name))
