"""Read what is known to decide an input."""

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
