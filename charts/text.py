"""What a run's own words go through before a page, a figure or a disk sees them: nobody's run name is trusted."""

from __future__ import annotations

import html
import re
import unicodedata

MAX_CHARACTERS = 120
MAX_FILE_NAME = 100  # characters; leaves room for an extension below every common limit of 255 bytes

_INVISIBLE = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
}  # controls, bidi and other formats, lone surrogates, line breaks
_JOINER = "\u200d"  # invisible, and enough to keep a renderer from making a link of what it splits
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_LINK_STARTS = re.compile(r"(http|www|ftp|mailto|xmpp|@)", re.IGNORECASE)
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # device names on Windows
_WIDE = re.compile(r"[\u2e80-\u9fff\uff00-\uffef]")
_PIECES = re.compile(r"[\u2e80-\u9fff][\u3001-\u3011\uff00-\uff65”]*|[^\u2e80-\u9fff]+|.")


def plain_text(text: object, limit: int = MAX_CHARACTERS) -> str:
    """One visible line of at most `limit` characters: controls and bidirectional marks go, what is cut ends in "…"."""
    visible = "".join(" " if char in "\n\r\t" else char for char in str(text) if _is_visible(char))
    line = " ".join(visible.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _is_visible(char: str) -> bool:
    return char in "\n\r\t" or unicodedata.category(char) not in _INVISIBLE


def plot_text(name: object, limit: int = MAX_CHARACTERS) -> str:
    """Text for a plotly title, trace name, tick or annotation: its small HTML has no say.

    Quotes stay as they are: plotly would show their entities. Never put the result into a `hovertemplate`,
    where `%{…}` still means something.
    """
    return html.escape(plain_text(name, limit), quote=False)


def markdown_text(name: object, limit: int = MAX_CHARACTERS) -> str:
    """Text for a Streamlit element that reads markdown: no image, link, directive, formula or emphasis comes of it.

    A backslash before punctuation does not stop bare addresses from becoming links: an invisible joiner does.
    """
    escaped = _PUNCTUATION.sub(r"\\\1", plain_text(name, limit))
    return _LINK_STARTS.sub(rf"\1{_JOINER}", escaped)


def file_name(name: object, fallback: str = "run") -> str:
    """A name that every file system takes and that leads into no other folder."""
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", plain_text(name, MAX_FILE_NAME)).strip(".-")
    if not kept:
        return fallback
    return f"_{kept}" if _RESERVED.match(kept) else kept


def short_label(name: object, limit: int = 34) -> str:
    """A tick label: long names keep their beginning and their end, where layers and kernels differ."""
    line = plain_text(name, 1000)
    if len(line) > limit:
        tail = limit * 3 // 5
        line = f"{line[: limit - tail - 1]}…{line[-tail:]}"
    return html.escape(line, quote=False)


def kernel_name(name: object) -> str:
    """A kernel's name without the type that it returns and the types that it takes: what tells it from others."""
    text = plain_text(name, 1000).removeprefix("void ")
    depth = 0
    for place, char in enumerate(text):
        if char in "<>":
            depth += 1 if char == "<" else -1
        elif char == "(" and depth == 0 and place and not text.startswith("(anonymous", place):
            return text[:place].rstrip()
    return text


def sentence(text: object, limit: int = MAX_CHARACTERS) -> str:
    """A reason as a sentence of its own: it begins with a capital, unless its first word is a name from code."""
    line = plain_text(text, limit)
    first = line.partition(" ")[0]
    return f"{line[:1].upper()}{line[1:]}" if first.strip(",:;").isalpha() else line


def wrapped(text: str, width: int) -> str:
    """Text that has passed `plot_text`, broken into lines of about `width` characters for plotly, which breaks none.

    Chinese has no blanks to break at, and its characters take the room of two: a line may end behind any of them, but
    not before a mark.
    """
    lines = [""]
    for word in text.split():
        for place, piece in enumerate(_PIECES.findall(word)):
            gap = " " if place == 0 and lines[-1] else ""
            if lines[-1] and _columns(lines[-1]) + _columns(gap + piece) > width:
                lines.append("")
                gap = ""
            lines[-1] += gap + piece
    return "<br>".join(lines)


def _columns(text: str) -> int:
    """The room that a text takes, in Latin characters."""
    return len(text) + len(_WIDE.findall(text))
