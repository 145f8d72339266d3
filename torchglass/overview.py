"""The verb `overview`: what the model of a run of rows makes of its columns, over the samples that the run kept."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from torchglass.terminal import say

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add_overview(verb: Verb) -> None:
    """Add the verb to a command line whose `verb(name, command, text)` adds one."""
    overview = verb("overview", _overview, "Say which columns count for a run's model, over many rows, and store it.")
    overview.add_argument("run", help="a run of a model of rows (mlp, linear, ppo), or the model's name")
    overview.add_argument("--target", type=int, help="class whose score is looked at (default: the commonest answer)")
    overview.add_argument("--rows", type=int, help="test rows at most (100)")
    overview.add_argument("--seed", type=int, default=0)


def _overview(options: argparse.Namespace) -> int:
    from torchglass.overviews import MOST_ROWS, OverviewRequest, overview_run

    rows = MOST_ROWS if options.rows is None else options.rows
    for line in overview_run(options.store, OverviewRequest(options.run, options.target, rows, options.seed)):
        say(line)
    return 0
