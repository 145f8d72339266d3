"""What the command line says: nothing that a run brings along steers the terminal that shows it."""

from __future__ import annotations

import json
import sys


def terminal_text(text: str) -> str:
    """Text from outside on one line, without what could steer a terminal: control and direction characters."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def shortened(text: str, most: int) -> str:
    """`terminal_text` of at most so many characters, white space as single spaces; what is cut ends in an ellipsis."""
    shown = terminal_text(" ".join(text[: 4 * most].split()))
    return shown if len(shown) <= most and len(text) <= 4 * most else f"{shown[: most - 1]}…"


def say(text: str = "") -> None:
    """Print lines of ours; whatever name is in them, its control characters are not printed.

    A name that may hold a line break goes through `terminal_text` first, or it could fake a line of ours.
    """
    print(_harmless(text), flush=True)


def complain(text: str) -> None:
    """Print lines on stderr, as `say` does on stdout."""
    print(_harmless(text), file=sys.stderr, flush=True)


def say_json(value: object) -> None:
    """Print JSON in ASCII; the one control character that JSON leaves as it is (RFC 8259, 7) is escaped as well."""
    print(json.dumps(value, indent=2).replace("\x7f", "\\u007f"), flush=True)


def _harmless(text: str) -> str:
    return "\n".join(terminal_text(line) for line in text.split("\n"))
