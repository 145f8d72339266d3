"""What users read, in their language: English sentences are the keys, gettext catalogues below locale/ the rest.

`make words` collects the sentences of the code into the catalogues; a test holds that none is missing. `tr` is called
where a sentence is shown; `mark` names one where the language is not known yet, such as a constant of a module.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, Final

from torchglass.errors import OptionError

DOMAIN: Final = "torchglass"
LOCALE: Final = Path(__file__).parent / "locale"
ENGLISH: Final = "en"
LANGUAGES: Final[Mapping[str, str]] = {ENGLISH: "English", "zh": "中文"}  # code, as its readers call it

_spoken: ContextVar[str] = ContextVar("torchglass_language", default=ENGLISH)


def tr(sentence: str, /, **values: object) -> str:
    """The sentence in the language in use, `{name}` in it replaced by the values; unknown sentences stay English."""
    told = _catalogue(_spoken.get()).gettext(sentence) if sentence else ""
    return told.format(**values) if values else told


def listed(parts: Iterable[str]) -> str:
    """What belongs together, one after the other: "a, b, c", by the comma of the language in use."""
    return tr(", ").join(parts)


def clauses(parts: Iterable[str]) -> str:
    """Thoughts of one sentence: "a; b", by the semicolon of the language in use."""
    return tr("; ").join(parts)


def mark(sentence: str) -> str:
    """Name a sentence for the catalogues and leave it as it is: whoever shows it calls `tr`."""
    return sentence


def language() -> str:
    """Code of the language in use."""
    return _spoken.get()


def speak(code: str) -> None:
    """Use a language from here on, in this thread or task.

    Raises:
        OptionError: for a code that has no catalogue.
    """
    _spoken.set(_known(code))


@contextmanager
def spoken(code: str) -> Iterator[None]:
    """Use a language for a while; raises OptionError as `speak` does."""
    before = _spoken.set(_known(code))
    try:
        yield
    finally:
        _spoken.reset(before)


def closest(tag: str | None) -> str:
    """The language for a browser's or a system's tag, such as "zh-CN" or "de_DE.UTF-8"; English where there is none."""
    code = (tag or "").replace("_", "-").partition("-")[0].lower()
    return code if code in LANGUAGES else ENGLISH


def catalogue(code: str) -> Mapping[str, str]:
    """Every sentence that a language has, by the English one."""
    translations: Any = _catalogue(_known(code))
    found: Mapping[Any, Any] = getattr(translations, "_catalog", {})
    return {key: value for key, value in found.items() if isinstance(key, str) and key and isinstance(value, str)}


def _known(code: str) -> str:
    if code not in LANGUAGES:
        raise OptionError(f"no language {code!r}: there are {', '.join(LANGUAGES)}")
    return code


@cache
def _catalogue(code: str) -> gettext.NullTranslations:
    if code == ENGLISH:
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, LOCALE, languages=[code])
