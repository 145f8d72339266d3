"""Group pictures whose maps are hot at the same places."""

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

FEWEST_MEMBERS = 4
"""A group of fewer pictures has no mean worth the name."""
FEWEST_NEIGHBOURS = 4

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def cell_pixels(height: int, width: int, cells: int) -> int:
    """Say how wide a square cell is where about so many lie along the longer side."""
    return max(1, round(max(height, width) / cells))


def in_cells(maps: Floats, pixels: int) -> Floats:
    """Add maps (N, H, W) up in square cells: (N, rows, columns), the last ones as far as the picture goes."""
    rows, columns = np.arange(0, maps.shape[1], pixels), np.arange(0, maps.shape[2], pixels)
    summed: Floats = np.add.reduceat(np.add.reduceat(maps, rows, axis=1), columns, axis=2)
    return summed


def groups_of(points: Floats, most: int, seed: int) -> list[Integers]:
    """Cut points (N, D) into at most so many groups by spectral clustering; each is the indices of its members.

    Neighbours are joined, as many as twice the logarithm of N; the number of groups is where the spectrum of the
    normalised Laplacian has its largest gap; k-means tells them apart in its first eigenvectors. Everything together is
    a group as well, the first: where all pictures share a spot it is that of the mean.

    Source: Lapuschkin et al. 2019, Unmasking Clever Hans predictors (SpRAy); Ng, Jordan and Weiss 2001.
    """
    everything = np.arange(len(points))
    most = min(most, len(points) // FEWEST_MEMBERS)
    if most < 2:
        return [everything]
    values, vectors = np.linalg.eigh(_laplacian(points))
    count = int(np.argmax(np.diff(values[: most + 1]))) + 1
    if count == 1:
        return [everything]
    rows = vectors[:, :count]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    labels = KMeans(count, n_init=10, random_state=seed % 2**32).fit_predict(rows)
    found = [np.flatnonzero(labels == label) for label in range(count)]
    return [everything, *(group for group in found if len(group) >= FEWEST_MEMBERS)]


def _laplacian(points: Floats) -> Floats:
    """Of the graph in which two points are joined if either is among the other's nearest: I - D^-1/2 A D^-1/2."""
    squares = np.square(points).sum(axis=1)
    distances = squares[:, None] + squares[None, :] - 2 * points @ points.T
    np.fill_diagonal(distances, np.inf)
    neighbours = min(len(points) - 1, max(FEWEST_NEIGHBOURS, round(2 * np.log2(len(points)))))
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :neighbours]
    joined = np.zeros_like(distances)
    np.put_along_axis(joined, nearest, 1.0, axis=1)
    joined = np.maximum(joined, joined.T)
    scale = 1 / np.sqrt(joined.sum(axis=1))
    laplacian: Floats = np.eye(len(points)) - scale[:, None] * joined * scale[None, :]
    return laplacian
