"""Put the parts of an input in the order in which a map values them."""

import torch
from torch import Tensor


def places_in_order(maps: Tensor, seed: int) -> Tensor:
    """Say at which place each part of maps (M, P) comes, 0 for the largest value: (M, P).

    Equal values come in an order that the seed draws: by position, a map of few values would be judged by the corner
    that the picture begins with.
    """
    parts = maps.shape[1]
    shuffled = torch.randperm(parts, generator=torch.Generator().manual_seed(seed)).to(maps.device)
    order = shuffled[maps[:, shuffled].argsort(dim=1, descending=True, stable=True)]
    counted = torch.arange(parts, device=maps.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, counted)
