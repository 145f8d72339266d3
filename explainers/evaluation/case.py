"""Say what a metric is asked and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from torchglass.explainers.explanation import Explanation, FloatArray
from torchglass.explainers.private.scored_model import ScoredModel, scores

EXPLANATION = "explanation"
"""The name of the map that is judged, among those of the baselines."""

ExplainAgain = Callable[[nn.Module, Tensor, Tensor, int], FloatArray]
"""(model, inputs (M, ...), targets (M,), how many inputs are to be explained in all) -> attributions (M, ...)."""


class UndefinedError(Exception):
    """A metric says nothing of this explanation; the text says why."""


@dataclass(frozen=True, eq=False)
class Case:
    """An explanation on trial: N inputs of P parts each, which are pixels, places of a text or columns."""

    explanation: Explanation
    model: ScoredModel
    """a private copy"""
    inputs: Tensor
    """(N, ...) on the model's device"""
    targets: Tensor
    """(N,)"""
    hidden: Tensor
    """(N, ...), each input without its content; padding stays"""
    maps: Mapping[str, Tensor]
    """"explanation", "random", ... -> (D, N, P), signed; of a random map D draws, else one"""
    present: Tensor
    """(N, P), False at the padding of a text"""
    truth: Tensor | None
    """(N, P), the parts that are known to decide"""
    others: tuple[Explanation, ...]
    steps: int
    seed: int
    again: ExplainAgain

    def target_scores(self, batch: Tensor, i: int) -> Tensor:
        """Give the explained score of inputs (M, ...) that stem from input i: (M,)."""
        return scores(self.model, batch)[:, int(self.targets[i])]

    def certainty(self, batch: Tensor, i: int) -> Tensor:
        """Give the probability of input i's class for inputs (M, ...) that stem from it: (M,).

        Where the model has one output it is the output above that of the hidden input, in units of the distance between
        the two: 0 when hidden, 1 (or -1, where the content lowers it) when shown.
        """
        if self.explanation.output_space == "value":
            whole, none = self.target_scores(torch.stack((self.inputs[i], self.hidden[i])), i)
            distance = (whole - none).abs()
            if float(distance) <= 1e-6 * float(whole.abs() + none.abs()):
                return torch.full((len(batch),), torch.nan, device=batch.device)
            share: Tensor = (self.target_scores(batch, i) - none) / distance
            return share
        table = scores(self.model, batch)
        if self.explanation.output_space == "logit":
            table = table.softmax(dim=1)
        return table[:, int(self.targets[i])]

    def parts_like_input(self, parts: Tensor) -> Tensor:
        """Bring marks of parts (M, P) to a shape that inputs (M, ...) take: (M, 1, H, W) for pictures."""
        if self.inputs.ndim == 4:
            return parts.reshape(len(parts), 1, *self.inputs.shape[2:])
        return parts


@dataclass(frozen=True, eq=False)
class Measured:
    """What a metric found."""

    values: Mapping[str, FloatArray]
    """Map's name -> (N,), NaN where undefined; at least that of the explanation"""
    why_undefined: str = ""
    """why some value is NaN"""
    curve: FloatArray | None = None
    """(N, S), of the explanation"""
    parameters: Mapping[str, object] = field(default_factory=dict)


def judged(case: Case, judge: Callable[[Tensor, int], Tensor]) -> dict[str, FloatArray]:
    """Ask judge(draws (D, p) of the parts that input i has, i) -> (D,) of every map; the mean over the draws, (N,)."""
    return {
        name: torch.stack([judge(draws[:, i, case.present[i]], i).double().mean() for i in range(draws.shape[1])])
        .float()
        .cpu()
        .numpy()
        for name, draws in case.maps.items()
    }
