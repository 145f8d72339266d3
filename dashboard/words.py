"""Which language a visitor reads: the address's `?lang=zh`, else the browser's; and the words that our scripts need."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import streamlit as st

from torchglass.language import ENGLISH, LANGUAGES, closest, language, speak, tr

PARAMETER: Final = "lang"
ASSETS: Final = Path(__file__).parent / "assets"
_PICKED, _IN_URL = "picked_language", "language_in_url"
_TEXT = r'"(?:[^"\\\n]|\\.)*"'
_CALL = re.compile(rf"\b(?:tr|mark)\(\s*({_TEXT}(?:\s*\+\s*{_TEXT})*)")


def choose_language() -> None:
    """Speak the visitor's language in this run of the script; call it before anything is said.

    An address that names a language wins when it is opened, then the switch of `offer_languages`. The address names the
    language only where it is not the browser's own, so a link does not carry its sender's language to everybody.
    """
    own = closest(st.context.locale)
    asked = st.query_params.get(PARAMETER)
    picked = st.session_state.get(_PICKED)
    if asked in LANGUAGES and (picked is None or asked != st.session_state.get(_IN_URL)):
        picked = asked
    chosen = picked if isinstance(picked, str) and picked in LANGUAGES else own
    st.session_state[_PICKED] = chosen
    told = chosen if chosen != own else None
    st.session_state[_IN_URL] = told
    if told is not None and asked != told:
        st.query_params[PARAMETER] = told
    elif told is None and asked is not None:
        del st.query_params[PARAMETER]
    speak(chosen)


def offer_languages() -> None:
    """Show the switch in the sidebar; each language is called as its readers call it."""
    st.sidebar.segmented_control(
        tr("Language"),
        list(LANGUAGES),
        format_func=lambda code: LANGUAGES[code],
        key=_PICKED,
        required=True,
        label_visibility="collapsed",
    )


def words_of_scripts() -> Mapping[str, str]:
    """The sentences of assets/*.js in the language in use, by the English ones; nothing where that is English."""
    if language() == ENGLISH:
        return {}
    return {sentence: tr(sentence) for sentence in _sentences()}


@cache
def _sentences() -> tuple[str, ...]:
    found = (said for path in sorted(ASSETS.glob("*.js")) for said in script_sentences(path.read_text("utf-8")))
    return tuple(dict.fromkeys(found))


def script_sentences(script: str) -> Iterator[str]:
    """The literal of each `tr("…")` and `mark("…")` of a script; parts that are joined by `+` are one."""
    for call in _CALL.finditer(script):
        yield "".join(json.loads(part) for part in re.findall(_TEXT, call.group(1)))
