"""Infidelity: how far the attributions are from what the score really loses when parts are hidden together."""

import torch
from torch import Tensor

from torchglass.explainers.evaluation.case import Case, Measured

COST = "forwards"
BETTER = "low"

DRAWS = 64
"""Sets of hidden parts per input; the metric is a mean over them."""
LARGEST = 0.5
"""Largest side of a hidden rectangle, as a share of the picture's, and largest share of hidden words or columns."""


def measure(case: Case) -> Measured:
    """Measure E[(b * sum of the hidden parts' attributions - (f(x) - f(x without them)))^2], in score units squared.

    Hidden are random rectangles of pictures, and random sets of words or columns. The factor b is the one that fits
    best, as with `normalize=True` in captum, so a map in any unit can be judged. All maps are judged by the same
    hidden parts, which go through the model once.

    Source: Yeh et al. 2019, On the (in)fidelity and sensitivity of explanations (arXiv 1901.09392).
    """
    draw = torch.Generator().manual_seed(case.seed)
    found = {name: torch.empty(draws.shape[:2]) for name, draws in case.maps.items()}
    for i in range(len(case.inputs)):
        mask = hidden_parts(case, i, draw)
        asked = torch.where(case.parts_like_input(mask), case.hidden[i], case.inputs[i])
        answered = case.target_scores(torch.cat((case.inputs[i : i + 1], asked)), i).double()
        lost = answered[0] - answered[1:]
        for name, draws in case.maps.items():
            found[name][:, i] = _misfit(draws[:, i].double() @ mask.double().T, lost).float().cpu()
    return Measured({name: values.mean(dim=0).numpy() for name, values in found.items()}, parameters={"draws": DRAWS})


def hidden_parts(case: Case, i: int, draw: torch.Generator) -> Tensor:
    """Draw the sets of parts (DRAWS, P) that are hidden of input i."""
    if case.inputs.ndim == 4:
        rows, columns = (_stretches(size, draw) for size in case.inputs.shape[2:])
        return (rows[:, :, None] & columns[:, None, :]).flatten(1).to(case.inputs.device)
    share = LARGEST * torch.rand(DRAWS, 1, generator=draw)
    chance = torch.rand(DRAWS, case.present.shape[1], generator=draw).to(case.inputs.device)
    chance = chance.masked_fill(~case.present[i], 2.0)
    # The least of all is hidden in any case, so that no draw hides nothing.
    return (chance < share.to(chance)) | (chance == chance.min(dim=1, keepdim=True).values)


def _stretches(size: int, draw: torch.Generator) -> Tensor:
    """Draw a stretch of places for each set: (DRAWS, size), True inside."""
    lengths = 1 + (torch.rand(DRAWS, 1, generator=draw) * max(1, LARGEST * size)).long()
    starts = (torch.rand(DRAWS, 1, generator=draw) * (size - lengths + 1)).long()
    places = torch.arange(size)
    return (places >= starts) & (places < starts + lengths)


def _misfit(said: Tensor, lost: Tensor) -> Tensor:
    """Mean square of b * said (D, R) - lost (R,) over R, for the b that makes it least: (D,)."""
    size = said.square().sum(dim=1)
    factor = torch.where(size > 0, said @ lost / size.clamp(min=1e-300), 0.0)
    return (factor[:, None] * said - lost).square().mean(dim=1)
