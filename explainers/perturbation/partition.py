"""Owen values of a text: neighbouring words are shared out together first, then within each half."""

import numpy as np
import numpy.typing as npt
import shap

from torchglass.errors import OptionError
from torchglass.explainers.perturbation.coalitions import Shares
from torchglass.explainers.perturbation.hiding import Worth


def owen_values(worth: Worth, players: int, evaluations: int) -> Shares:
    """Share worth(all) - worth(none) by shap's PartitionExplainer among players that stand in a row.

    The row is halved until single players are left; the larger differences are followed first, until `evaluations`
    are spent. What is left is shared evenly, so values always add up. Its first call in a process waits for shap to be
    compiled, some seconds.

    Raises:
        OptionError: evaluations are too few.

    Source: Owen 1977; Lundberg's PartitionExplainer in shap.
    """
    if evaluations < 2:
        raise OptionError(f"evaluations is {evaluations}: give at least 2, for the text and the hidden one")
    ends = worth(np.repeat([[False], [True]], players, axis=1))
    base, whole = float(ends[0]), float(ends[1])
    if players == 1:
        values = np.array([whole - base])
    else:
        explainer = shap.PartitionExplainer(lambda shown: worth(np.asarray(shown) > 0.5), _Row(players))
        found = explainer(np.ones((1, players)), max_evals=evaluations, silent=True).values
        values = np.asarray(found, dtype=np.float64).reshape(players)
    said = f"halves of the row, at most {evaluations} evaluations"
    return Shares(values, None, base, whole, said, f"shap {shap.__version__} PartitionExplainer")


class _Row:
    """shap's masker of a row of players: which are shown is the input itself."""

    def __init__(self, players: int) -> None:
        self.clustering = halved(players)
        self.shape = (1, players)
        self.fixed_background = True
        self.immutable_outputs = True

    def __call__(self, mask: npt.NDArray[np.bool_], row: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64]]:
        return (np.where(mask, row, 0.0)[None],)


def halved(players: int) -> npt.NDArray[np.float64]:
    """Join a row of players to a balanced tree, (P - 1, 4) as scipy's linkage: left, right, height, players."""
    joints: list[tuple[int, int, float, int]] = []

    def join(first: int, last: int) -> tuple[int, int]:
        """Join players from the first to before the last; return the node's number and height."""
        if last - first == 1:
            return first, 0
        (left, low), (right, high) = join(first, (first + last) // 2), join((first + last) // 2, last)
        height = max(low, high) + 1
        joints.append((left, right, float(height), last - first))
        return players + len(joints) - 1, height

    join(0, players)
    tree = np.array(joints, dtype=np.float64)
    tree[:, 2] /= tree[:, 2].max()
    return tree
