"""Parts of a page that run again by themselves, in the language of the page that drew them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import streamlit as st

from torchglass.language import language, spoken

P = ParamSpec("P")
R = TypeVar("R")


def fragment(func: Callable[P, R], run_every: float | None = None) -> Callable[P, R]:
    """`st.fragment` whose later runs speak as its first did.

    They come in threads of their own, where the page's script chose no language.
    """

    @wraps(func)
    def begin(*args: P.args, **kwargs: P.kwargs) -> R:
        code = language()

        @wraps(func)
        def speaking() -> R:
            with spoken(code):
                return func(*args, **kwargs)

        run: Callable[[], R] = st.fragment(speaking, run_every=run_every)
        return run()

    return begin
