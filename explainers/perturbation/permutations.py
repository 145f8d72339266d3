"""Shapley values by walking in from nobody to everybody in random orders, each order walked both ways."""

import numpy as np
import numpy.typing as npt

from torchglass.explainers.perturbation.hiding import Shown, Worth


def walks(worth: Worth, players: int, orders: int, draw: np.random.RandomState) -> npt.NDArray[np.float64]:
    """Say what each of P players adds when it enters, averaged over an order and its reverse: (orders, P).

    A player that enters early in one direction enters late in the other, which cancels much of what chance leaves. Each
    row adds up to worth(all) - worth(none). Costs 2 * orders * (P - 1) + 2 evaluations.

    Source: Mitchell et al. 2022, Sampling permutations for Shapley value estimation (arXiv 2104.12199).
    """
    places = np.array([draw.permutation(players) for _ in range(orders)])
    entered = np.concatenate((places, players - 1 - places))  # (2 orders, P): when each player enters
    shown: Shown = entered[:, None, :] < np.arange(1, players)[None, :, None]
    nobody, everybody = worth(np.repeat([[False], [True]], players, axis=1))
    between = worth(shown.reshape(-1, players)) if players > 1 else np.zeros(0)
    path = np.pad(between.reshape(2 * orders, players - 1), ((0, 0), (1, 1)))
    path[:, 0], path[:, -1] = nobody, everybody
    gains = np.take_along_axis(np.diff(path, axis=1), entered, axis=1)  # from entrances to players
    values: npt.NDArray[np.float64] = (gains[:orders] + gains[orders:]) / 2
    return values
