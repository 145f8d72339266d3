"""Change a spot in pictures and measure what becomes of a class: erased where it is, pasted where it was not."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchglass.explainers.changing.regions import Box, drawn_elsewhere, patches, places_apart, with_patches
from torchglass.explainers.private.scored_model import ScoredModel, output_space, scores

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Asked:
    """Pictures (N, C, H, W), the class that a model predicts for each, (N,), and its probabilities (N, K).

    The last two are on the CPU.
    """

    model: ScoredModel
    pictures: Tensor
    classes: Tensor
    probabilities: Tensor

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, chosen: npt.NDArray[np.int64]) -> "Asked":
        """Take some of the pictures."""
        at = torch.as_tensor(chosen)
        return Asked(self.model, self.pictures[at.to(self.pictures.device)], self.classes[at], self.probabilities[at])


@dataclass(frozen=True, eq=False)
class Change:
    """What one change did to N pictures at P places, the spot first: `gains` and `changed` are (P, N).

    A gain is in probability, positive where the class moved as it would if the model read the place.
    """

    gains: Floats
    changed: Flags


def asked(model: ScoredModel, pictures: Tensor) -> Asked:
    """Ask for the predicted classes of pictures."""
    found = probabilities(model, pictures)
    return Asked(model, pictures, found.argmax(dim=1), found)


def probabilities(model: ScoredModel, pictures: Tensor) -> Tensor:
    """Give class probabilities (N, K), float64 on the CPU, which scores are already where they are a distribution."""
    table = scores(model, pictures).cpu()
    return table.double() if output_space(table) == "probability" else table.double().softmax(dim=1)


def random_places(box: Box, height: int, width: int, count: int, draw: np.random.Generator) -> list[Box]:
    """Draw other places for a box, none twice; fewer where there are not so many."""
    apart = places_apart(box, height, width)
    chosen = draw.permutation(len(apart))[:count]
    return [box.moved_to(*apart[at]) for at in chosen]


def erase(tested: Asked, places: list[Box], draw: np.random.Generator) -> Change:
    """Hide each place behind what lies elsewhere in another of the pictures: the predicted class's loss."""
    gains, changed = [], []
    rows = torch.arange(len(tested))
    before = tested.probabilities[rows, tested.classes]
    for place in places:
        others = tested.pictures[_others(len(tested), tested.pictures.device, draw)]
        after = probabilities(tested.model, with_patches(tested.pictures, place, drawn_elsewhere(others, place, draw)))
        gains.append(before - after[rows, tested.classes])
        changed.append(after.argmax(dim=1) != tested.classes)
    return _change(gains, changed)


def paste(donors: Asked, receivers: Asked, places: list[Box]) -> Change:
    """Put each place of N donors into N receivers, which show another class: what the donor's class gains."""
    gains, changed = [], []
    rows = torch.arange(len(donors))
    before = receivers.probabilities[rows, donors.classes]
    for place in places:
        after = probabilities(donors.model, with_patches(receivers.pictures, place, patches(donors.pictures, place)))
        gains.append(after[rows, donors.classes] - before)
        changed.append(after.argmax(dim=1) == donors.classes)
    return _change(gains, changed)


def partners(donors: Asked, pool: Asked, draw: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw for each donor a picture of the pool that is taken for another class; -1 where there is none."""
    classes, of_pool = donors.classes.numpy(), pool.classes.numpy()
    found = np.full(len(classes), -1, dtype=np.int64)
    for i, label in enumerate(classes):
        others = np.flatnonzero(of_pool != label)
        if len(others):
            found[i] = draw.choice(others)
    return found


def _others(count: int, device: torch.device, draw: np.random.Generator) -> Tensor:
    """Give each of `count` pictures another one, by lot; the only one gets itself."""
    steps = draw.integers(1, max(2, count), size=count)
    return torch.as_tensor((np.arange(count) + steps) % count, device=device)


def _change(gains: list[Tensor], changed: list[Tensor]) -> Change:
    return Change(torch.stack(gains).numpy(), torch.stack(changed).numpy())
