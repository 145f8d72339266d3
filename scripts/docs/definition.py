"""One line of the glossary."""

from __future__ import annotations

from typing import NamedTuple


class Definition(NamedTuple):
    """What a recorded quantity is; `key` may hold `*` for a name that the model or the program gives.

    `missing` says when there is none, empty where there always is one; `source` is the file that computes it.
    """

    key: str
    what: str
    unit: str
    window: str
    missing: str
    source: str
