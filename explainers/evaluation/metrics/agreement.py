"""Agreement: whether other methods value the parts in the same order."""

import numpy as np

from torchglass.explainers.evaluation.case import EXPLANATION, Case, Measured, UndefinedError
from torchglass.explainers.rank_correlation import rank_correlation

COST = "nothing"
BETTER = None


def measure(case: Case) -> Measured:
    """Measure the rank correlation with each of the other explanations; the value is their mean, the curve all of them.

    Agreement is no proof: methods that err alike agree.

    Source: Krishna et al. 2022, The disagreement problem (arXiv 2202.01602).
    """
    if not case.others:
        raise UndefinedError("there is no other explanation to agree with: give others")
    present = case.present.cpu().numpy()
    own = case.explanation
    found = np.array(
        [
            [
                rank_correlation(own.relevance(i).reshape(-1)[present[i]], one.relevance(i).reshape(-1)[present[i]])
                for one in case.others
            ]
            for i in range(len(own.targets))
        ],
        dtype=np.float32,
    )
    return Measured({EXPLANATION: found.mean(axis=1)}, "a map is constant", curve=found)
