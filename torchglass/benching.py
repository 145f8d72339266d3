"""The verb `bench-model`: one reference model under several techniques, side by side, kept with the model's run."""

from __future__ import annotations

import argparse
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from torchglass.terminal import say, say_json

if TYPE_CHECKING:
    from torchglass.bench_weights import Trained
    from torchglass.reference_models.variants.results import Comparison

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]

ARTIFACT_KIND = "variants"
EPILOG = """\
Inference is measured on trained weights: those of the newest run of the model in the store, or else of a short \
training that is recorded there. Training steps begin at fresh weights, the same for all. fp32 is always measured, for \
the others are compared with it. A technique that cannot run here says why and fails nothing."""


def add_bench_model(verb: Verb) -> None:
    """Add the verb to a command line whose `verb(name, command, text)` adds one."""
    bench = verb("bench-model", bench_model, "Measure a reference model under several techniques, side by side.")
    bench.epilog = EPILOG
    bench.add_argument("model", help="name of a reference model, such as lenet5")
    bench.add_argument("--variants", type=_names, metavar="fp32,amp,compile,...", help="techniques (all of them)")
    bench.add_argument("--mode", choices=["train", "infer", "both"], default="both")
    bench.add_argument("--dataset", help="a data set of the model (default: the run's, or one without a download)")
    bench.add_argument("--batch-size", type=_count, help="images a call (default: as the model is trained)")
    bench.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    bench.add_argument("--run", help="a run of the model whose last weights are taken (default: the newest)")
    bench.add_argument("--weights", type=Path, help="a state_dict file instead of a run's last weights")
    bench.add_argument("--repeats", type=_count, default=15, help="turns of each variant (15)")
    bench.add_argument("--steps", type=_count, default=20, help="training steps whose losses are compared (20)")
    bench.add_argument("--no-memory", action="store_true", help="skip the processes that measure memory")
    bench.add_argument("--no-store", action="store_true", help="write nothing into the store")
    bench.add_argument("--cache", type=Path, help="folder of downloaded data sets")
    bench.add_argument("--json", action="store_true", help="for a machine to read")


def bench_model(options: argparse.Namespace) -> int:
    """Measure, keep what was found with the run, and print it; 0 even where some technique cannot run.

    Raises:
        OptionError: the model, a variant or the device is unknown.
    """
    from torchglass.bench_table import lines_of
    from torchglass.bench_weights import Wanted, trained_model
    from torchglass.errors import OptionError
    from torchglass.reference_models.catalogue import get
    from torchglass.reference_models.data.request import DataRequest
    from torchglass.reference_models.learning.precision import choose_device
    from torchglass.reference_models.variants.comparing import Terms, compare_variants
    from torchglass.reference_models.variants.registry import get_variants, variant_names

    exhibit = get(options.model)
    variants = get_variants(variant_names() if options.variants is None else options.variants)
    device = choose_device(options.device)
    trained = trained_model(
        Wanted(
            model=exhibit.name,
            dataset=options.dataset,
            run=options.run,
            weights=options.weights,
            store=options.store,
            device=options.device,
            cache=options.cache,
            record=not options.no_store,
        )
    )
    recipe = exhibit.source(trained.dataset).recipe
    split = exhibit.load_data(trained.dataset, DataRequest(trained.seed, options.cache, progress=True))
    if (split.form.kind, split.form.task) != ("pictures", "classification"):
        raise OptionError(f"bench-model compares classifiers of pictures, and {exhibit.name} is none: choose lenet5")
    comparison = compare_variants(
        exhibit,
        trained.dataset,
        trained.model.to(device),
        split,
        recipe,
        variants,
        Terms(
            modes=("train", "infer") if options.mode == "both" else (options.mode,),
            batch_size=options.batch_size or recipe.batch_size,
            rounds=options.repeats,
            steps=options.steps,
            memory=not options.no_memory,
        ),
        progress=True,
    )
    kept = None if options.no_store else _keep(options.store, comparison, trained)
    if options.json:
        say_json({"run": kept, **comparison.to_meta()})
        return 0
    for line in lines_of(comparison):
        say(line)
    if kept is not None:
        say(f"kept with the run {kept}")
    return 0


def _keep(location: str | None, comparison: Comparison, trained: Trained) -> str:
    """Keep the comparison with the run that has the weights, or with one of its own, and return the run's name."""
    from torchglass.store import ArtifactBlock, open_store

    with open_store(location) as store:
        run = trained.run
        if run is None:
            config = {"model": comparison.model, "dataset": comparison.dataset, "device": comparison.device}
            run = store.start_run(f"{comparison.model}-variants", config, host=socket.gethostname(), pid=os.getpid())
            store.end_run(run.id, "finished")
        meta = comparison.to_meta()
        block = ArtifactBlock(ARTIFACT_KIND, comparison.model, trained.step, time.time(), meta, comparison.seconds)
        store.add_artifact(run.id, block)
    return run.name


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of times: give a whole number from 1")
    return count
