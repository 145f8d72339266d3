"""The verb `report`: one run, or several compared, as one self-contained HTML file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from torchglass.language import ENGLISH, LANGUAGES

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]

EPILOG = """\
The file opens offline, in any browser from 2023 on. What does not fit into --max-mb is left out, and said in it, in
this order: points of curves (extremes stay), histograms, explained samples, profiler windows, each run by itself,
pictures. If even that is larger nothing is written and the exit code is 2. The first of several runs is the one that
the others are compared with; at most 12.
"""


def add_report(verb: Verb) -> None:
    """Add the verb to a command line whose `verb(name, command, text)` adds one."""
    report = verb("report", _report, "Write a run, or several compared, into one self-contained HTML file.")
    report.add_argument("runs", nargs="+", metavar="RUN", help="name, or beginning of the uid")
    report.add_argument("-o", "--output", type=Path, help="the file (default: RUN.html, or RUN-compared.html)")
    report.add_argument("--max-mb", type=float, default=6.0, metavar="MB", help="largest size of the file (6)")
    report.add_argument("--language", choices=sorted(LANGUAGES), default=ENGLISH, help="language of the report (en)")
    report.add_argument(
        "--sections", type=_names, metavar="NAMES", help="only these, such as curves,devices (default: all)"
    )
    report.formatter_class = argparse.RawDescriptionHelpFormatter
    report.epilog = EPILOG


def _report(options: argparse.Namespace) -> int:
    from torchglass.report import export_report
    from torchglass.store import open_store
    from torchglass.terminal import say

    with open_store(options.store, read_only=True) as store:
        path = export_report(
            store,
            options.runs,
            options.output or Path(),
            language=options.language,
            max_mb=options.max_mb,
            sections=options.sections,
            tell=_progress,
        )
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    say(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def _progress(doing: str) -> None:
    """Say on a terminal what is being done; a log keeps the outcome alone."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{doing} ...", end="", file=sys.stderr, flush=True)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
