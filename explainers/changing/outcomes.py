"""Ask what a model would say of an input that is a little different."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers.changing.changes import Change, check_kind
from torchglass.explainers.checking.checks import checked_scores, checked_targets, device_of
from torchglass.explainers.checking.inputs import Inputs, checked_background, checked_inputs, kind_of
from torchglass.explainers.explanation import FloatArray, IntArray, OutputSpace
from torchglass.explainers.front_door import refuse_strange_ids
from torchglass.explainers.kinds import RANKS, Kind
from torchglass.explainers.private.asking import asked_in_private
from torchglass.explainers.private.scored_model import output_space


@dataclass(frozen=True, eq=False)
class Outcome:
    """All scores of an input before and after a change, in the model's own space."""

    before: FloatArray
    """(K,)"""
    after: FloatArray
    """(K,), the mean where the change was made in several ways"""
    deviations: FloatArray
    """(K,), the standard deviation of `after` over these ways; zero where there was one"""
    each: FloatArray
    """(M, K), after each of these ways"""
    target: int
    output_space: OutputSpace
    changed: FloatArray | IntArray
    """The changed input without its batch axis, the first of several"""

    @property
    def ways(self) -> int:
        """In how many ways the change was made: M."""
        return len(self.each)

    @property
    def difference(self) -> float:
        """What the target's score gains."""
        return float(self.after[self.target] - self.before[self.target])


def what_if(
    model: nn.Module,
    input: Inputs,
    change: Change,
    target: int | None = None,
    *,
    background: Inputs | None = None,
    padding: int = 0,
    seed: int = 0,
) -> Outcome:
    """Change one input and compare the model's scores before and after.

    This is no attribution but the truth about one change: the model, a private copy of it, is asked twice.

    Args:
        model: maps a batch to scores (N, K), or to one value each, on any device.
        input: a picture (C, H, W), a text (T,) or a row (F,), or a batch of one, prepared as for training.
        change: `Erase` or `Paste` of a picture, `Replace` of a text, `SetColumn` or `SetColumns` of a row.
        target: class whose difference is asked for; None is the highest score before the change.
        background: pictures (B, C, H, W) that `Erase` takes patches from.
        padding: token id of the places of a text that hold no word.
        seed: of what is drawn.

    Raises:
        ExplainError: the input cannot be given to the model, or the change does not suit it.
        OptionError: the change is out of the input's range.
    """
    batch, kind = _one(input)
    check_kind(change, kind)
    one = checked_inputs(batch, kind, padding, device_of(model))
    source = None if background is None or kind != "pictures" else checked_background(background, one, kind)[0]
    changed = change.applied(one, source, np.random.default_rng(seed % 2**32))
    if kind == "text":
        checked_inputs(changed, kind, padding, one.device)
        refuse_strange_ids(model, changed)
    with asked_in_private(model, seed) as private:
        before, after = checked_scores(private, one), checked_scores(private, changed)
    chosen = int(checked_targets(target, before)[0])
    return Outcome(
        before=before[0].cpu().numpy(),
        after=after.mean(dim=0).cpu().numpy(),
        deviations=after.std(dim=0, correction=0).cpu().numpy(),
        each=after.cpu().numpy(),
        target=chosen,
        output_space=output_space(before),
        changed=changed[0].cpu().numpy(),
    )


def _one(given: Inputs) -> tuple[Tensor, Kind]:
    """Bring one input to a batch of one, and tell its kind by its type and rank."""
    kind_of(given, None)
    one = torch.as_tensor(given)
    batch = one[None] if one.ndim in (1, 3) else one
    kind = kind_of(batch, None)
    if batch.ndim != RANKS[kind] or len(batch) != 1:
        wanted = "a picture (C, H, W), a text (T,) or a row (F,)"
        raise ExplainError(f"input has shape {tuple(one.shape)}: give {wanted}")
    return batch, kind
