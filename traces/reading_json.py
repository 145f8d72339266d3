"""The events of a trace's JSON one after another, never the file as a whole, and what stands beside them.

The C scanner of `json` decodes one value at a time out of a window of text: 2 to 3 microseconds an event.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from torchglass.errors import DataError

LARGEST_VALUE = 32 << 20  # characters of one event, or of one value beside the events
KEPT_BESIDE = frozenset(("baseTimeNanoseconds", "deviceProperties", "distributedInfo", "host_name"))

_SPACE = re.compile(r"[ \t\r\n]*")
_BETWEEN = re.compile(r"[ \t\r\n]*,?[ \t\r\n]*")  # of old writers, some left a comma behind the last event
_END_OF_EVENT = re.compile(r'\}(?=\s*(?:,\s*\{\s*"(?:ph|name|cat|args|pid|tid|ts|dur|id|s)"\s*:|\]))')
_BARE = re.compile(r"(?<=[:\[,])(\s*)(?:N/A|-?nan(?:\(\w*\))?|-?inf(?:inity)?|None)(?=\s*[,}\]])", re.IGNORECASE)
# Names were once written as they came: with quotes and backslashes of their own.
_NAME = re.compile(r'"name"\s*:\s*"')
_END_OF_NAME = re.compile(r'"\s*(?:,\s*"(?:ph|cat|args|pid|tid|ts|dur|id|bp|s)"\s*:|\})')
_LOOSE = re.compile(r'\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})|(?<!\\)"')


class Events:
    """Iterate for the events of a trace in the order of the file; `beside` holds the rest once that is done.

    Numbers with a fraction arrive as their text, so that no digit of a time is lost.

    Raises:
        DataError: the text is no JSON, no trace, ends early, or holds a value of absurd size or depth.
    """

    def __init__(self, blocks: Iterable[str], name: str) -> None:
        self.beside: dict[str, Any] = {}
        self.repaired_count = 0
        self._name = name
        self._blocks = iter(blocks)
        self._text = ""
        self._at = 0
        self._dropped = 0  # characters before `_text`
        decoder: Any = json.JSONDecoder(strict=False, parse_float=str)
        self._scan = decoder.scan_once  # `raw_decode` wraps it in a layer of Python
        decoder = json.JSONDecoder(strict=False)
        self._scan_beside = decoder.scan_once

    def __iter__(self) -> Iterator[Any]:
        opening = self._character()
        if opening == "[":
            self._at += 1
            yield from self._array(may_end_open=True)
        elif opening == "{":
            self._at += 1
            yield from self._members()
        else:
            self._fail("is not JSON" if opening else "is empty", "give a trace in Chrome's or Kineto's JSON format")

    def _members(self) -> Iterator[Any]:
        found = False
        while (character := self._character()) != "}":
            if character == ",":
                self._at += 1
                continue
            key = self._value(self._scan_beside) if character == '"' else None
            if key is None or self._character() != ":":
                self._broken(character)
            self._at += 1
            if key == "traceEvents":
                if self._character() != "[":
                    self._fail("has traceEvents that are no list", "record it again")
                self._at += 1
                found = True
                yield from self._array(may_end_open=False)
            else:
                value = self._value(self._scan_beside)
                if key in KEPT_BESIDE:
                    self.beside[key] = value
        if not found:
            self._fail("is JSON without traceEvents", "give a trace in Chrome's or Kineto's JSON format")

    def _array(self, *, may_end_open: bool) -> Iterator[Any]:
        scan, between = self._scan, _BETWEEN.match
        while True:
            # The quick way: while whole events lie in the window, nothing else is looked at.
            text, at = self._text, self._at
            try:
                while True:
                    at = between(text, at).end()  # type: ignore[union-attr]
                    value, end = scan(text, at)
                    if end == len(text):  # a number may go on in the next block
                        break
                    at = end
                    self._at = at
                    yield value
            except (StopIteration, ValueError, RecursionError):
                self._at = at
            character = self._character()
            if character == ",":
                self._at += 1
                character = self._character()
            if character == "]":
                self._at += 1
                return
            if not character and may_end_open:  # the format lets a bare list go without its bracket
                return
            yield self._value(scan, is_event=True)

    def _value(self, scan: Any, *, is_event: bool = False) -> Any:
        """Decode the value ahead, with as much more text as it takes."""
        self._character()
        wanted = 1
        while True:
            try:
                value, end = scan(self._text, self._at)
            except RecursionError:
                self._fail("nests its values too deeply", "that is no trace")
            except (StopIteration, ValueError):
                if is_event and (event := self._repaired(scan)) is not None:
                    return event
                if len(self._text) - self._at > LARGEST_VALUE:
                    self._fail(f"holds no readable value within {LARGEST_VALUE:,} characters", "record it again")
                if not self._more(wanted):
                    self._broken(self._text[self._at : self._at + 1])
                wanted *= 2
            else:
                if end < len(self._text):
                    self._at = end
                    return value
                if not self._more(1):
                    self._at = len(self._text)
                    return value

    def _repaired(self, scan: Any) -> Any:
        """Decode an event whose writer escaped too little; None where that is not what is wrong."""
        found = _END_OF_EVENT.search(self._text, self._at)
        if found is None:
            return None
        piece = _BARE.sub(r"\1null", self._text[self._at : found.end()])
        try:
            event, _ = scan(_with_names_escaped(piece), 0)
        except (StopIteration, ValueError, RecursionError):
            return None
        self._at = found.end()
        self.repaired_count += 1
        return event

    def _character(self) -> str:
        """The next character that is no space; empty at the end."""
        skipped = 0
        while True:
            found = _SPACE.match(self._text, self._at)
            end = self._at if found is None else found.end()
            skipped += end - self._at
            self._at = end
            if end < len(self._text):
                return self._text[end]
            if skipped > LARGEST_VALUE:
                self._fail(f"holds {skipped:,} blanks in a row", "that is no trace")
            if not self._more(1):
                return ""

    def _more(self, blocks: int) -> bool:
        """Take more text into the window and drop what lies behind; False at the end of the file."""
        more = "".join(block for _, block in zip(range(blocks), self._blocks, strict=False))
        if not more:
            more = next((block for block in self._blocks if block), "")
        self._dropped += self._at
        self._text = self._text[self._at :] + more
        self._at = 0
        return bool(more)

    def _broken(self, character: str) -> NoReturn:
        if not character:
            self._fail("is truncated: it ends in the middle of the trace", "copy or record it again")
        if not self._more(1) and self._unfinished():
            self._fail("is truncated: it ends in the middle of an event", "copy or record it again")
        self._fail("is not valid JSON", "record it again")

    def _unfinished(self) -> bool:
        """Whether the value ahead breaks only where the text ends."""
        try:
            json.loads(self._text[self._at :], strict=False)
        except json.JSONDecodeError as error:
            unclosed_text = error.msg.startswith("Unterminated string")
            return unclosed_text or self._at + error.pos >= len(self._text) - 1
        except (ValueError, RecursionError):
            return False
        return True

    def _fail(self, what: str, remedy: str) -> NoReturn:
        where = f" (character {self._dropped + self._at + 1:,})" if self._dropped + self._at else ""
        raise DataError(f"{self._name} {what}{where}: {remedy}")


def _with_names_escaped(text: str) -> str:
    # Beginning and end are sought by turns: one pattern for both would, of beginnings alone, take hours.
    parts: list[str] = []
    at = 0
    while (begin := _NAME.search(text, at)) and (end := _END_OF_NAME.search(text, begin.end())):
        parts += text[at : begin.end()], _LOOSE.sub(r"\\\g<0>", text[begin.end() : end.start()])
        at = end.start()
    return "".join((*parts, text[at:]))
