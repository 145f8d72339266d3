"""Hide words of a text or columns of a row and ask again: the engine as their methods see it, one input at a time."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchglass.explainers.perturbation.codes import all_but_one
from torchglass.explainers.perturbation.engine import Engine
from torchglass.explainers.perturbation.fill import averaged
from torchglass.explainers.perturbation.masks import CodedMasks
from torchglass.explainers.problem import Problem

Shown: TypeAlias = npt.NDArray[np.bool_]
Worth: TypeAlias = Callable[[Shown], npt.NDArray[np.float64]]
"""Which of P parts are shown (M, P) -> the target's score of each such input, (M,)."""


def word_places(problem: Problem, i: int) -> Tensor:
    """Say which places (P,) of text i hold a word: those that are not padding."""
    return (problem.inputs[i] != problem.padding).nonzero()[:, 0]


def worth_of_words(problem: Problem, i: int) -> Worth:
    """Score text i with some of its words in the place of others the id that hides a word; padding stays."""
    places = word_places(problem, i)
    parts = torch.full_like(problem.inputs[i], len(places))
    parts[places] = torch.arange(len(places), device=places.device)
    return _worth(problem, i, parts)


def worth_of_columns(problem: Problem, i: int) -> Worth:
    """Score row i with some of its columns, the others taken from each row of the background in turn: the mean."""
    return _worth(problem, i, torch.arange(problem.inputs.shape[1], device=problem.inputs.device))


def without_each(worth: Worth, parts: int) -> npt.NDArray[np.float64]:
    """Score the whole input less its score without each part: (P,)."""
    asked = worth(np.concatenate([np.ones((1, parts), dtype=np.bool_), all_but_one(parts)]))
    differences: npt.NDArray[np.float64] = asked[0] - asked[1:]
    return differences


def _worth(problem: Problem, i: int, parts: Tensor) -> Worth:
    engine, fill = Engine(problem), averaged(problem.background)

    def worth(shown: Shown) -> npt.NDArray[np.float64]:
        return engine.ask(CodedMasks(shown, np.full(len(shown), i), {i: parts}), fill)

    return worth
