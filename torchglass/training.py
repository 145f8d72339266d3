"""The verb `train`: its options are the recipe's switches, read from the recipe itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchglass.terminal import complain, say

if TYPE_CHECKING:
    from torchglass.reference_models.recipe import Switch

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]

EXIT_NO_EPOCH = 1
EXIT_INTERRUPTED = 130
SHORT = {"learning_rate": "--lr"}
EPILOG = """\
What is not given is as the model's own recipe has it; `none` switches off what is on there. Several processes of one \
machine or of several train together when torchrun starts them: torchrun --nproc-per-node 2 -m torchglass train ...; \
there say --run-name, for torchrun takes --run for an option of its own."""


def add_train(verb: Verb) -> None:
    """Add the verb to a command line whose `verb(name, command, text)` adds one."""
    train = verb("train", train_model, "Train a reference model with torchglass attached.")
    train.epilog = EPILOG
    train.add_argument("model", help="name of a reference model, such as lenet5; `torchglass models` lists them")
    train.add_argument("--dataset", help="a data set of the model (default: one that needs no download)")
    train.add_argument("--data", type=Path, metavar="FILE", help="your own file, for a data set that is read from one")
    train.add_argument("--model-path", type=Path, metavar="PATH", help="a model's folder, or weights to begin with")
    train.add_argument("--run", "--run-name", dest="run", help="name of the run")
    train.add_argument("--resume", action="store_true", help="go on where the run of that name stopped")
    train.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    train.add_argument(
        "--amp", nargs="?", const="auto", choices=["auto", "bf16", "fp16"], help="mixed precision (auto: what suits)"
    )
    train.add_argument("--compile", action="store_true", help="compile the model with torch.compile")
    train.add_argument("--limit", type=int, metavar="N", help="train on the first N samples only")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--workers", type=int, default=0, help="processes that load data")
    train.add_argument("--cache", type=Path, help="folder of downloaded and generated data sets")
    train.add_argument(
        "--keep-checkpoints",
        type=int,
        metavar="N",
        help="checkpoints that the store keeps, evenly spaced (default: ten, of a large model the last)",
    )
    train.add_argument(
        "--no-probes", action="store_true", help="explain no test samples of a classifier while it trains"
    )
    train.add_argument("--quiet", action="store_true", help="no progress bars")
    add_switches(train)


def add_switches(parser: argparse.ArgumentParser) -> None:
    """Add an option for every switch of a recipe; `given_switches` reads those that were given."""
    from torchglass.reference_models.recipe import SWITCHES

    group = parser.add_argument_group("switches of the recipe")
    for name, switch in SWITCHES.items():
        flags = [f"--{name.replace('_', '-')}", *([SHORT[name]] if name in SHORT else [])]
        if switch.kind is bool:
            group.add_argument(
                *flags, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=switch.help
            )
        else:
            shown = "|".join(switch.choices) if switch.choices else "N" if switch.kind is int else "X"
            group.add_argument(
                *flags, dest=name, type=_reader(switch), default=argparse.SUPPRESS, metavar=shown, help=switch.help
            )


def given_switches(options: argparse.Namespace) -> dict[str, Any]:
    """Return the switches that were given, by name."""
    from torchglass.reference_models.recipe import SWITCHES

    return {name: getattr(options, name) for name in SWITCHES if hasattr(options, name)}


def train_model(options: argparse.Namespace) -> int:
    """Train, and say how well: 1 where not one epoch was completed, 130 after Ctrl-C."""
    from torchglass.reference_models import TrainingOptions, train
    from torchglass.reference_models.learning.placement import find_placement

    probes = _probes()
    result = train(
        TrainingOptions(
            model=options.model,
            dataset=options.dataset,
            changes=given_switches(options),
            store=options.store,
            run=options.run,
            device=options.device,
            amp=options.amp,
            compile=options.compile,
            resume=options.resume,
            data=options.data,
            model_path=options.model_path,
            limit=options.limit,
            seed=options.seed,
            cache=options.cache,
            workers=options.workers,
            progress=not options.quiet,
            keep_checkpoints=options.keep_checkpoints,
        ),
        probes=None if options.no_probes else probes,
    )
    if result.interrupted:
        complain(f"{result.run_name}: interrupted after {len(result.epochs)} epochs")
        return EXIT_INTERRUPTED
    if not result.epochs:
        return EXIT_NO_EPOCH
    if find_placement().is_first:
        say(f"{result.run_name}: {result.told} in {result.seconds:.1f} s on {result.device}")
        if result.weights is not None:
            say(f"weights: {result.weights}")
    return 0


def _probes() -> Any:
    """What chooses the probes; None where the explainers' libraries are not installed."""
    try:
        from torchglass.probing import reference_probes
    except ModuleNotFoundError:
        return None
    return reference_probes


def _reader(switch: Switch) -> Callable[[str], Any]:
    """Return what reads an option's text: `none` where that is possible, else a value of the switch's kind."""

    def read(text: str) -> Any:
        if switch.optional and text.lower() == "none":
            return None
        try:
            return switch.kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not possible: give {switch.wanted}") from None

    return read
