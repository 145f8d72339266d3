"""Draw which parts are shown: bits by chance, Shapley's coalitions in pairs, all coalitions, all but one."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt
from torch import Tensor

from torchglass.explainers.perturbation.masks import CodedMasks, Shown

Weights = npt.NDArray[np.float64]


def stacked(codes: Mapping[int, Shown], places: Mapping[int, Tensor]) -> CodedMasks:
    """Put the codes of several inputs, each (M_i, P_i), into one list, in the order of the mapping."""
    widest = max(one.shape[1] for one in codes.values())
    padded = [np.pad(one, ((0, 0), (0, widest - one.shape[1])), constant_values=True) for one in codes.values()]
    rows = np.repeat(list(codes), [len(one) for one in codes.values()])
    return CodedMasks(
        np.concatenate(padded), rows, {row: _renumbered(places[row], codes[row], widest) for row in codes}
    )


def _renumbered(place: Tensor, code: Shown, widest: int) -> Tensor:
    """Let what an input always shows, number P_i, keep being shown among more parts."""
    return place.masked_fill(place == code.shape[1], widest)


def by_chance(masks: int, parts: int, keep_rate: float, draw: np.random.Generator) -> Shown:
    """Show each part with the same chance, independently: (M, P)."""
    shown: Shown = draw.random((masks, parts)) < keep_rate
    return shown


def all_but_one(parts: int) -> Shown:
    """Hide each part in turn: (P, P)."""
    return ~np.eye(parts, dtype=np.bool_)


def all_coalitions(parts: int) -> Shown:
    """List every coalition but the empty and the whole one: (2^P - 2, P)."""
    numbers = np.arange(1, 2**parts - 1)
    shown: Shown = (numbers[:, None] >> np.arange(parts)) % 2 == 1
    return shown


def shapley_weights(parts: int) -> Weights:
    """Weigh a whole size of coalitions, 1 to P - 1 members, as Shapley's kernel does: (P - 1,), the sum is 1.

    One coalition of size s has (P - 1) / (C(P, s) s (P - s)); there are C(P, s) of them (Lundberg and Lee 2017).
    """
    sizes = np.arange(1, parts)
    weights = (parts - 1) / (sizes * (parts - sizes))
    normalized: Weights = weights / weights.sum()
    return normalized


@dataclass(frozen=True, eq=False)
class Coalitions:
    """Coalitions whose sizes are asked completely, and how to draw the others: what a budget is best spent on."""

    parts: int
    complete: Shown
    """(E, P), all coalitions of the smallest and largest sizes"""
    weights: Weights
    """(E,), of the kernel"""
    rest: Weights
    """(P - 1,), the kernel's weight of each size that is left to draw"""

    @classmethod
    def planned(cls, parts: int, masks: int) -> "Coalitions":
        """Plan for so many masks: sizes from both ends inwards, as long as drawing would ask them all the same."""
        left, budget = shapley_weights(parts), masks
        whole: list[Shown] = []
        weights: list[Weights] = []
        for size in range(1, parts // 2 + 1):
            sizes = sorted({size, parts - size})
            count, share = comb(parts, size) * len(sizes), float(left[[s - 1 for s in sizes]].sum())
            if count > budget * share / max(float(left.sum()), 1e-12) * (1 + 1e-9):
                break
            for each in sizes:
                members = _of_size(parts, each)
                whole.append(members)
                weights.append(np.full(len(members), left[each - 1] / len(members)))
                left[each - 1] = 0.0
            budget -= count
        empty = np.zeros((0, parts), dtype=np.bool_)
        return cls(parts, np.concatenate([empty, *whole]), np.concatenate([np.zeros(0), *weights]), left)

    def drawn(self, pairs: int, draw: np.random.Generator) -> Shown:
        """Draw coalitions of the other sizes, each followed by its complement: (2 * pairs, P).

        A pair's errors cancel where the score is odd in the coalition, which makes the mean about as exact as four
        times as many independent draws (Covert and Lee 2021, arXiv 2012.01536).
        """
        sizes = draw.choice(np.arange(1, self.parts), size=pairs, p=self.rest / self.rest.sum())
        ranks = draw.random((pairs, self.parts)).argsort(axis=1).argsort(axis=1)
        first = ranks < sizes[:, None]
        shown: Shown = np.stack([first, ~first], axis=1).reshape(2 * pairs, self.parts)
        return shown


def _of_size(parts: int, size: int) -> Shown:
    members = list(combinations(range(parts), size))
    shown = np.zeros((len(members), parts), dtype=np.bool_)
    np.put_along_axis(shown, np.array(members), True, axis=1)
    return shown
