"""What a reader may ask of a report: its language, its size, its sections."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torchglass.errors import OptionError
from torchglass.language import ENGLISH, LANGUAGES, mark

MAX_MB = 6.0  # most mail servers take twice that
MAX_RUNS = 12  # curves that a reader can tell apart on one chart
ALWAYS = ("summary", "settings")
SECTIONS = {
    "summary": mark("Summary"),
    "curves": mark("Curves"),
    "phases": mark("Where the time goes"),
    "ranks": mark("Ranks"),
    "memory": mark("Memory"),
    "layers": mark("Gradient flow"),
    "histograms": mark("Distributions"),
    "devices": mark("Devices"),
    "kernels": mark("Operators and kernels"),
    "timeline": mark("Time line"),
    "variants": mark("Techniques side by side"),
    "model": mark("The model"),
    "quality": mark("What it gets right"),
    "explanations": mark("What the model looks at"),
    "what_if": mark("What if"),
    "over_training": mark("What it looked at over training"),
    "shortcuts": mark("Shortcuts"),
    "overview": mark("Over many rows"),
    "settings": mark("Configuration and environment"),
}


@dataclass(frozen=True)
class Options:
    """How a report is to be: `sections` are keys of `SECTIONS`, `max_mb` megabytes (1e6 bytes), None for any size."""

    language: str = ENGLISH
    max_mb: float | None = MAX_MB
    sections: tuple[str, ...] = tuple(SECTIONS)

    def wants(self, section: str) -> bool:
        """Whether a section is to be in the report."""
        return section in self.sections


EVERYTHING = Options()


def checked(
    *, language: str = ENGLISH, max_mb: float | None = MAX_MB, sections: Iterable[str] | None = None
) -> Options:
    """Options as somebody gave them; summary and configuration are always among the sections.

    Raises:
        OptionError: a language without a catalogue, a size that is no positive number, a section that is not known.
    """
    if language not in LANGUAGES:
        raise OptionError(f"no language {language!r}: there are {', '.join(LANGUAGES)}")
    if max_mb is not None and (isinstance(max_mb, bool) or not math.isfinite(max_mb) or max_mb <= 0):
        raise OptionError(f"max_mb={max_mb!r}: give the largest size in megabytes, a number above 0")
    asked = tuple(SECTIONS) if sections is None else tuple(sections)
    unknown = [section for section in asked if section not in SECTIONS]
    if unknown:
        raise OptionError(f"no section {unknown[0]!r} in a report: there are {', '.join(SECTIONS)}")
    return Options(language, max_mb, tuple(each for each in SECTIONS if each in asked or each in ALWAYS))
