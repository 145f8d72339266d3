"""Initial weights by name, for every weight of two or more dimensions; norms and embeddings stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

DEVIATION = 0.02  # of "normal" (Radford et al. 2016, BERT)
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Bilinear)

SCHEMES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "xavier": nn.init.xavier_uniform_,  # Glorot and Bengio 2010
    "kaiming": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),  # He et al. 2015
    "orthogonal": nn.init.orthogonal_,  # Saxe, McClelland, Ganguli 2014
    "normal": lambda weight: nn.init.normal_(weight, std=DEVIATION),
}


@torch.no_grad()
def initialize(model: nn.Module, scheme: str | None) -> None:
    """Draw the weights of linear and convolutional layers anew and zero their biases; None leaves all as it is."""
    if scheme is None:
        return
    for module in model.modules():
        if isinstance(module, LAYERS):
            SCHEMES[scheme](module.weight)
            if module.bias is not None:
                module.bias.zero_()
