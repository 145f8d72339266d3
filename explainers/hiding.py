"""Hide parts of one input and ask the model again: the seam between perturbation methods and the model."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchglass.explainers.problem import Problem
from torchglass.explainers.scored_model import ELEMENTS_PER_PASS, scores

Shown: TypeAlias = npt.NDArray[np.bool_]
Worth: TypeAlias = Callable[[Shown], npt.NDArray[np.float64]]
"""Which of P parts are shown (M, P) -> the target's score of each such input, (M,)."""


def word_places(problem: Problem, i: int) -> Tensor:
    """Say which places (P,) of text i hold a word: those that are not padding."""
    return (problem.inputs[i] != problem.padding).nonzero()[:, 0]


def worth_of_words(problem: Problem, i: int) -> Worth:
    """Score text i with some of its words in the place of others the id that hides a word; padding stays."""
    text, target, places = problem.inputs[i], int(problem.targets[i]), word_places(problem, i)
    hidden = problem.background[0, places]

    def worth(shown: Shown) -> npt.NDArray[np.float64]:
        asked = text.repeat(len(shown), 1)
        asked[:, places] = torch.where(torch.as_tensor(shown, device=text.device), text[places], hidden)
        return _numpy(scores(problem.model, asked)[:, target])

    return worth


def worth_of_columns(problem: Problem, i: int) -> Worth:
    """Score row i with some of its columns, the others taken from each row of the background in turn: the mean."""
    row, target, background = problem.inputs[i], int(problem.targets[i]), problem.background
    per_pass = max(1, ELEMENTS_PER_PASS // background.numel())

    def worth(shown: Shown) -> npt.NDArray[np.float64]:
        means = [
            scores(problem.model, torch.where(part[:, None], row, background).flatten(0, 1))[:, target]
            .double()
            .reshape(len(part), len(background))
            .mean(dim=1)
            for part in torch.split(torch.as_tensor(shown, device=row.device), per_pass)
        ]
        return _numpy(torch.cat(means))

    return worth


def without_each(worth: Worth, parts: int) -> npt.NDArray[np.float64]:
    """Score the whole input less its score without each part: (P,)."""
    shown = np.ones((parts + 1, parts), dtype=np.bool_)
    shown[np.arange(1, parts + 1), np.arange(parts)] = False
    asked = worth(shown)
    differences: npt.NDArray[np.float64] = asked[0] - asked[1:]
    return differences


def _numpy(tensor: Tensor) -> npt.NDArray[np.float64]:
    array: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    return array.astype(np.float64)
