"""The verb `models`: what can be trained, on which data, and how good it must become."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torchglass.terminal import say, say_json

if TYPE_CHECKING:
    from torchglass.reference_models.exhibit import ReferenceModel

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]

NEEDS = {"": "", "network": " (a download)", "file": " (--data FILE)"}


def add_models(verb: Verb) -> None:
    """Add the verb to a command line whose `verb(name, command, text)` adds one."""
    models = verb("models", print_models, "List the reference models, their data sets and their quality bars.")
    models.add_argument("--json", action="store_true", help="for a machine to read")


def print_models(options: argparse.Namespace) -> int:
    """Print a block for each model."""
    from torchglass.reference_models.catalogue import available

    if options.json:
        say_json([_told(model) for model in available()])
        return 0
    for model in available():
        sources = ", ".join(source.name + NEEDS[source.needs] for source in model.sources)
        say(f"{model.name:16}{model.summary}")
        say(f"{'':16}data: {sources}; {model.bar.metric} at least {model.bar.at_least:g}")
    return 0


def _told(model: ReferenceModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "title": model.title,
        "summary": model.summary,
        "data": [{"name": source.name, "needs": source.needs} for source in model.sources],
        "metric": model.bar.metric,
        "quality_bar": model.bar.at_least,
        "explanations": list(model.explain.methods),
    }
