"""A trained model and the samples that its run kept, rebuilt from the store alone: no data set is loaded again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchglass.errors import RunNotFoundError
from torchglass.explainers.kinds import Kind
from torchglass.reference_models import ReferenceModel, available, get, load_weights, model_from_checkpoint
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.weights import blank_model
from torchglass.store import Artifact, Run, Store


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained reference model and the samples that its run kept. `model` maps samples to scores (N, K).

    `network` is the model as it was trained, which a scorer may wrap.
    """

    model: nn.Module
    network: nn.Module
    exhibit: ReferenceModel
    form: DataForm
    kind: Kind
    arrays: Mapping[str, npt.NDArray[Any]]
    meta: Mapping[str, Any]
    run: Run
    checkpoint: Artifact

    def inputs(self, name: str, chosen: slice) -> Tensor:
        """Samples ("inputs") or training samples ("background") as the model takes them."""
        kept = np.array(self.arrays[name][chosen])
        return torch.from_numpy(kept / np.float32(255) if kept.dtype == np.uint8 else kept)


def load_trained(store: Store, name: str, weights: Path | None = None) -> Trained:
    """Rebuild the model of a run, or of the newest run of the reference model of that name.

    `weights` is a state_dict file to take instead of the run's last checkpoint.

    Raises:
        RunNotFoundError: no such run, or it kept no checkpoint of a reference model, or no samples.
        DataError: the weights do not fit.
    """
    run, checkpoint = find_checkpoint(store, name)
    samples = store.artifacts(run.id, kind="samples")
    if not samples or "form" not in samples[-1].meta:
        raise RunNotFoundError(f"{run.name!r} kept no samples that can be explained: train its model again")
    exhibit = get(str(checkpoint.meta["model"]))
    if weights is None:
        network = model_from_checkpoint(store.arrays(checkpoint.id), checkpoint.meta)
    else:
        network = blank_model(checkpoint.meta).eval()
        load_weights(weights, network)
    model = _scored(exhibit, network)
    form = DataForm.from_json(samples[-1].meta["form"])
    kind: Kind = "table" if form.kind == "observations" else form.kind
    arrays, meta = store.arrays(samples[-1].id), samples[-1].meta
    return Trained(model, network, exhibit, form, kind, arrays, meta, run=run, checkpoint=checkpoint)


def at_checkpoints(store: Store, trained: Trained, most: int | None = None) -> Iterator[Trained]:
    """The model at so many of its run's checkpoints (None: at all), evenly spaced, in order of step; last `trained`."""
    kept = [one for one in store.artifacts(trained.run.id, kind="checkpoint") if "model" in one.meta]
    earlier = [one for one in kept if one.step < trained.checkpoint.step]
    if most is not None and most <= len(earlier):
        places = np.linspace(0, len(earlier), most).round().astype(int)[:-1]
        earlier = [earlier[place] for place in places]
    for checkpoint in earlier:
        network = model_from_checkpoint(store.arrays(checkpoint.id), checkpoint.meta)
        yield replace(trained, model=_scored(trained.exhibit, network), network=network, checkpoint=checkpoint)
    yield trained


def _scored(exhibit: ReferenceModel, network: nn.Module) -> nn.Module:
    return network if exhibit.explain.scorer is None else exhibit.explain.scorer(network).eval()


def find_checkpoint(store: Store, name: str) -> tuple[Run, Artifact]:
    """The last checkpoint of the run of that name, or of the newest run of the reference model of that name."""
    try:
        runs = [store.run(name)]
    except RunNotFoundError:
        if name not in {model.name for model in available()}:
            raise
        runs = [run for run in store.runs() if run.config.get("model") == name]
    for run in runs:
        checkpoints = [found for found in store.artifacts(run.id, kind="checkpoint") if "model" in found.meta]
        if checkpoints:
            return run, checkpoints[-1]
    raise RunNotFoundError(
        f"{name!r} has no checkpoint of a reference model in {store.location}: train one with `torchglass train lenet5`"
    )
