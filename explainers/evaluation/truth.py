"""Read what is known to decide an input."""

import torch
from torch import Tensor

from torchglass.explainers.evaluation.case import Case, UndefinedError

NOTHING = "the truth marks nothing"


def known(case: Case, i: int) -> Tensor:
    """Mark which of the parts that input i has decide: (p,).

    Raises:
        UndefinedError: the truth is not known.
    """
    if case.truth is None:
        raise UndefinedError("what decides is not known: give truth")
    return case.truth[i, case.present[i]]


def unless_nothing_decides(found: Tensor, decides: Tensor) -> Tensor:
    """Leave what was found (D,), or NaN where no part decides: nothing can lie on it, however good the map is."""
    return found if bool(decides.any()) else torch.full_like(found, torch.nan)
