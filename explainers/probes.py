"""A few inputs that are explained over and over while a model trains."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchglass.errors import OptionError
from torchglass.explainers.checking.checks import Target, checked_model, checked_scores, checked_targets, device_of
from torchglass.explainers.checking.inputs import Inputs, checked_background, checked_inputs, kind_of
from torchglass.explainers.explanation import Explanation
from torchglass.explainers.front_door import plain_autograd, refuse_strange_ids
from torchglass.explainers.kinds import NAMES, Kind
from torchglass.explainers.private.private_copy import private_copy
from torchglass.explainers.private.random_state import borrowed_random_state
from torchglass.explainers.private.scored_model import ScoredModel
from torchglass.explainers.probing.looks import Looks
from torchglass.explainers.registry import load_method

MOST_PROBES = 16
MOST_PARTS = 512
"""Words of a text or columns of a row: each is a line of the picture over the steps, and a number of every frame."""
CHEAPEST: dict[Kind, str] = {
    "pictures": "gradcam",
    "text": "integrated_gradients",
    "table": "gradient_x_input",
}
"""What probes are explained by where no method is named."""


class Probes:
    """What `attach(probes=...)` explains while the model trains: always the same inputs, by the same methods and seed.

    It is explained after the first step, every so many, and at the end; between two steps, in the thread that trains,
    on a private copy in eval mode: training goes on bit for bit as without. On CUDA explaining waits for the device,
    and the copy and its passes need memory beside the training's. Of several ranks the first one explains, and the
    others wait for it.

    Args:
        inputs: at most 16 pictures (N, C, H, W), texts (N, T) or rows (N, F), as `explain` takes them; texts and rows
            of at most 512 words or columns.
        targets: the classes to explain, one for all or one each, such as the labels. None is each input's highest score
            at that step; where that changed since the look before, the two maps are not compared.
        methods: names as `explain` takes them, or names with their options, such as
            {"integrated_gradients": {"steps": 64}}; None is Grad-CAM for pictures, integrated gradients for texts and
            gradient times input for rows.
        every: steps from one look to the next.
        truth: which places decide, bool (N, H, W), (N, T) or (N, F); with it the share of the map on them is recorded.
        budget: share of the time that looks may take. A look that would exceed it is left out; the first one and the
            one at the end are taken all the same.
        kind, layer, background, padding, seed: as for `explain`.
        class_names: what the classes are called.
        names: of the columns (F), or of each text's words (N, T); a page shows them beside the map.

    Raises:
        ExplainError: the inputs, the background or the targets cannot be explained, or a method is unknown.
        OptionError: an argument has a value that it cannot take.
        MissingExtraError: a method's library is not installed.
    """

    def __init__(
        self,
        inputs: Inputs,
        targets: Target = None,
        methods: Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None,
        every: int = 200,
        truth: Tensor | npt.NDArray[Any] | None = None,
        budget: float = 0.05,
        *,
        kind: Kind | None = None,
        layer: str | None = None,
        background: Inputs | float | None = None,
        padding: int = 0,
        seed: int = 0,
        class_names: Sequence[str] = (),
        names: Sequence[Any] = (),
    ) -> None:
        self.kind = kind_of(inputs, kind)
        self.inputs = checked_inputs(inputs, self.kind, padding, torch.device("cpu"))
        _check_counts(self.inputs, self.kind)
        checked_background(background, self.inputs, self.kind)
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise OptionError(f"every is {every!r}: give a number of steps from 1 on, such as 200")
        if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget <= 1:
            raise OptionError(f"budget is {budget!r}: give a share of the time between 0 and 1, such as 0.05")
        self.every, self.budget = every, float(budget)
        self.methods = _checked_methods(methods, self.kind)
        self.truth = _checked_truth(truth, self.inputs, self.kind)
        self.names = _checked_names(names, self.inputs, self.kind)
        self.class_names = tuple(map(str, class_names))
        self.targets, self.background = _own(targets), _own(background)
        self.layer, self.padding, self.seed = layer, padding, seed

    def begin(self, model: nn.Module) -> Looks:
        """Begin the looks at one model in training; it is copied and run once on the inputs, to see that it can be.

        Raises:
            ExplainError: the model cannot be explained on these inputs, or a target is out of range.
        """
        with borrowed_random_state(self.seed), plain_autograd(model):
            copied = ScoredModel(private_copy(checked_model(model))).eval()
            batch = self.inputs.to(device_of(copied))
            if self.kind == "text":
                refuse_strange_ids(copied, batch)
            checked_targets(self.targets, checked_scores(copied, batch))
        return Looks(self)

    def facts(self, i: int, explanation: Explanation) -> dict[str, Any]:
        """Say of probe i what the explanation does not know."""
        facts: dict[str, Any] = {"class_names": list(self.class_names)}
        if self.targets is not None and explanation.output_space != "value":
            facts["label"] = int(explanation.targets[i])
        if self.names:
            facts["names"] = list(self.names[i] if self.kind == "text" else self.names)
        return facts


def _own(given: Any) -> Any:
    """Copy what was given: a loop may fill the same tensor with its next batch."""
    return given.detach().clone() if isinstance(given, Tensor) else copy.copy(given)


def _check_counts(batch: Tensor, kind: Kind) -> None:
    if len(batch) > MOST_PROBES:
        raise OptionError(f"inputs are {len(batch)} probes: give at most {MOST_PROBES}, each is kept again and again")
    if kind != "pictures" and batch.shape[1] > MOST_PARTS:
        raise OptionError(f"inputs are {NAMES[kind]} of {batch.shape[1]} parts: give at most {MOST_PARTS}")


def _checked_methods(methods: object, kind: Kind) -> dict[str, dict[str, Any]]:
    """Give each method's options by its name; all are loaded now, and not at the first step."""
    named: Any = (CHEAPEST[kind],) if methods is None else (methods,) if isinstance(methods, str) else methods
    is_list = isinstance(named, Sequence | Mapping) and all(isinstance(each, str) for each in named)
    if not is_list or not named:
        raise OptionError(f"methods is {methods!r}: give names such as ['gradcam'], or None")
    options = dict(named) if isinstance(named, Mapping) else {each: {} for each in named}
    for method, own in options.items():
        if not isinstance(own, Mapping):
            raise OptionError(f"methods gives {method!r} the options {own!r}: give a mapping, such as {{'steps': 64}}")
        load_method(kind, method, own)
    return {method: dict(own) for method, own in options.items()}


def _checked_truth(truth: object, batch: Tensor, kind: Kind) -> npt.NDArray[np.bool_] | None:
    if truth is None:
        return None
    found = np.asarray(truth.detach().cpu() if isinstance(truth, Tensor) else truth)
    wanted = (len(batch), *batch.shape[2:]) if kind == "pictures" else tuple(batch.shape)
    if found.dtype.kind not in "biuf" or found.shape != wanted:
        raise OptionError(f"truth has shape {found.shape}: give bool of shape {wanted}, one map for each input")
    return found.astype(bool)


def _checked_names(names: Sequence[Any], batch: Tensor, kind: Kind) -> tuple[Any, ...]:
    if not len(names) or kind == "pictures":
        return ()
    if kind == "text":
        if [len(each) for each in names] != [batch.shape[1]] * len(batch):
            raise OptionError(f"names are of another shape than the texts: give words of shape {tuple(batch.shape)}")
        return tuple(tuple(map(str, each)) for each in names)
    if len(names) != batch.shape[1]:
        raise OptionError(f"names are {len(names)} for {batch.shape[1]} columns: give one each")
    return tuple(map(str, names))
