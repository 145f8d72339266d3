"""How good generated pictures are, by their nearest real ones: no network judges, so nothing has to be downloaded.

A picture counts as recognised when it lies no farther from some real training picture than that one's own fifth
neighbour (Kynkäänniemi et al. 2019, precision) and at least nine of its ten nearest real pictures are of one class. A
real test picture counts as covered when a generated one lies no farther from it than its own fifth neighbour among the
test pictures (Naeem et al. 2020, coverage). Distances are Euclidean, of pixels: that is close to what the eye sees
where pictures are small, centred and of one size, as scanned digits are, and of little use for photographs.

What it tells, measured on the digits: real pictures that were held out score 0.85 and 0.97 or more; uniform noise 0
and 0; the mean picture 1 and 0.07; ten pictures repeated 0.9 and 0.12; five digits of ten 0.95 and 0.6; halves of two
pictures blended 0.25 and 0.9; Gaussian draws with the real covariance 0.1 and 0.5. So each number alone can be had
cheaply, and `likeness` is the smaller one. What it cannot tell: whether pictures were learnt by heart.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchglass.errors import DataError
from torchglass.reference_models.data.samples import Samples

BALL_NEIGHBOURS = 5
ASKED_NEIGHBOURS, AGREEING_SHARE = 10, 0.9


class Likeness(NamedTuple):
    """Shares, 0 to 1: of the generated pictures that are recognised, and of the real ones that are covered.

    `rarest_class` is the share of the generated pictures that are recognised as the class that appears least.
    """

    recognised: float
    covered: float
    rarest_class: float

    @property
    def likeness(self) -> float:
        """Return the smaller of the two shares."""
        return min(self.recognised, self.covered)


@torch.no_grad()
def likeness(generated: Tensor, known: Samples, unseen: Samples, classes: int) -> Likeness:
    """Compare generated pictures (N, ...) with the real training ones (`known`) and with as many or fewer `unseen`.

    Raises:
        DataError: when there are too few real pictures to have that many neighbours.
    """
    if len(known) <= ASKED_NEIGHBOURS or len(unseen) <= BALL_NEIGHBOURS:
        raise DataError(
            f"there are {len(known)} training and {len(unseen)} test pictures: to compare generated ones with them "
            f"takes more than {ASKED_NEIGHBOURS} and {BALL_NEIGHBOURS}"
        )
    made, real, hidden = generated.flatten(1), known.inputs.flatten(1), unseen.inputs.flatten(1)
    distances = torch.cdist(made, real)
    lies_near = (distances <= reach(real)).any(1)
    labels = known.targets[distances.topk(ASKED_NEIGHBOURS, largest=False).indices]
    votes = torch.nn.functional.one_hot(labels, classes).sum(1)
    most, winner = votes.max(1)
    recognised = lies_near & (most >= AGREEING_SHARE * ASKED_NEIGHBOURS)
    covered = (torch.cdist(made, hidden) <= reach(hidden)).any(0)
    counts = torch.bincount(winner[recognised], minlength=classes)
    return Likeness(
        recognised=float(recognised.float().mean()),
        covered=float(covered.float().mean()),
        rarest_class=float(counts.min()) / len(made),
    )


def reach(pictures: Tensor) -> Tensor:
    """Return each picture's distance to its fifth neighbour among the others (N,), of rows (N, D)."""
    return torch.cdist(pictures, pictures).kthvalue(BALL_NEIGHBOURS + 1, dim=1).values  # the first is itself
