"""Maps that know nothing of the model: what an explanation has to beat."""

import torch
import torch.nn.functional as F
from torch import Tensor

from torchglass.explainers.kinds import Kind

DRAWS: dict[Kind, int] = {"pictures": 3, "text": 4, "table": 8}
"""Random maps that are averaged: of a text of five words one order is luck, of a thousand pixels hardly."""

_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


def baseline_maps(inputs: Tensor, kind: Kind, seed: int) -> dict[str, Tensor]:
    """Draw a random map and, of pictures, an edge detector's: name -> (D, N, P) for inputs (N, ...)."""
    parts = inputs[0, 0].numel() if kind == "pictures" else inputs.shape[1]
    # Drawn on the CPU, so that a seed gives the same map on every device.
    draw = torch.Generator().manual_seed(seed)
    random = torch.rand(DRAWS[kind], len(inputs), parts, generator=draw).to(inputs.device)
    return {"random": random, **({"edges": edges(inputs).flatten(1)[None]} if kind == "pictures" else {})}


def edges(pictures: Tensor) -> Tensor:
    """Give the Sobel magnitude of pictures (N, C, H, W), over all channels together: (N, H, W).

    Source: the edge detector that Adebayo et al. 2018 (arXiv 1810.03292) hold explanations against.
    """
    count, channels, height, width = pictures.shape
    down = torch.tensor(_SOBEL, device=pictures.device).T
    kernels = torch.stack((down, down.T))[:, None]
    # Replicated, not zero: a picture's border is no edge.
    padded = F.pad(pictures.reshape(count * channels, 1, height, width), (1, 1, 1, 1), mode="replicate")
    gradients: Tensor = F.conv2d(padded, kernels)
    return gradients.reshape(count, channels * 2, height, width).square().sum(dim=1).sqrt()
