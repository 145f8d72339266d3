"""Trained weights of a reference model: from a file, from a run in the store, or from a quick training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torchglass.errors import NoStoreError, RunNotFoundError
from torchglass.reference_models import DataRequest, TrainingOptions, get, load_weights, model_from_checkpoint, train
from torchglass.store import Artifact, Run, Store, open_store
from torchglass.terminal import complain

if TYPE_CHECKING:
    from torch import nn

QUICK_EPOCHS = 10  # enough for answers worth comparing, far from the best that the model can give


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model on the CPU, the data and the seed of its split, and the run that has it, None for none."""

    model: nn.Module
    dataset: str
    seed: int
    step: int
    run: Run | None


@dataclass(frozen=True)
class Wanted:
    """Which weights: `run` by name or None for the newest of the model, `weights` a file in place of a run's."""

    model: str
    dataset: str | None
    run: str | None
    weights: Path | None
    store: str | None
    device: str
    cache: Path | None
    record: bool


def trained_model(wanted: Wanted) -> Trained:
    """Return the weights that are wanted; without any in the store the model is trained for a few epochs first.

    Raises:
        RunNotFoundError: the run that is named does not exist, or has no checkpoint of the model.
        DataError: the file does not hold weights of the model.
    """
    exhibit = get(wanted.model)
    found = _newest(wanted)
    dataset = wanted.dataset or (found.dataset if found is not None else exhibit.datasets[0])
    exhibit.source(dataset)
    if wanted.weights is not None:
        model = exhibit.build(exhibit.load_data(dataset, DataRequest(cache=wanted.cache)).form).eval()
        load_weights(wanted.weights, model)
        seed, step, run = (found.seed, found.step, found.run) if found is not None else (0, 0, None)
        return Trained(model, dataset, seed, step, run)
    return found if found is not None else _train_quickly(wanted, dataset)


def _newest(wanted: Wanted) -> Trained | None:
    """The last checkpoint of the run that is named, or of the newest run of the model that has one."""
    try:
        with open_store(wanted.store, read_only=True) as store:
            candidates = store.runs() if wanted.run is None else [store.run(wanted.run)]
            for run in candidates:
                for checkpoint in reversed(store.artifacts(run.id, kind="checkpoint")):
                    if _fits(checkpoint, wanted):
                        return _loaded(store, run, checkpoint)
    except NoStoreError:
        if wanted.run is not None:
            raise
    if wanted.run is not None:
        on = f" on {wanted.dataset}" if wanted.dataset is not None else ""
        raise RunNotFoundError(f"{wanted.run!r} has no checkpoint of {wanted.model}{on}: name another run")
    return None


def _fits(checkpoint: Artifact, wanted: Wanted) -> bool:
    meta = checkpoint.meta
    return meta.get("model") == wanted.model and wanted.dataset in (None, meta.get("dataset"))


def _loaded(store: Store, run: Run, checkpoint: Artifact) -> Trained:
    meta = checkpoint.meta
    model = model_from_checkpoint(store.arrays(checkpoint.id), meta)
    return Trained(model, str(meta["dataset"]), int(meta["seed"]), checkpoint.step, run)


def _train_quickly(wanted: Wanted, dataset: str) -> Trained:
    recipe = get(wanted.model).source(dataset).recipe
    epochs = min(recipe.epochs, QUICK_EPOCHS)
    complain(f"No trained {wanted.model} is in the store: training it for {epochs} epochs first ...")
    result = train(
        TrainingOptions(
            model=wanted.model,
            dataset=dataset,
            store=wanted.store,
            device=wanted.device,
            changes={"epochs": epochs},
            cache=wanted.cache,
            mode="on" if wanted.record else "disabled",
        )
    )
    if result.interrupted or not result.epochs:
        raise KeyboardInterrupt
    run = None
    if result.store is not None:
        with open_store(result.store, read_only=True) as store:
            run = store.run(result.run_name)
    return Trained(result.model.cpu(), dataset, 0, result.epochs[-1].step, run)
