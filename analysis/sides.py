"""What the two sides of a comparison are called."""

from __future__ import annotations

from collections.abc import Sequence

from torchglass.language import tr


def sides(letters: Sequence[str]) -> str:
    """Name one side or both: "A", "A and B"."""
    return tr("{first} and {second}", first=letters[0], second=letters[1]) if len(letters) == 2 else "".join(letters)
