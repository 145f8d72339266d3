"""Models whose answers can be counted by hand, and explanations written by hand, for the tests of the metrics."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchglass.explainers import Explanation


class OnePixel(nn.Module):
    """Two classes: the second one's probability is the pixel at row 2, column 5, whatever else the picture shows."""

    def forward(self, pictures: Tensor) -> Tensor:
        seen = pictures[:, 0, 2, 5]
        return torch.stack((1 - seen, seen), dim=1)


class Weighted(nn.Module):
    """A linear model of rows with one output: weights 4, 2, -1 and 0, and 7 for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(4, 1)
        with torch.no_grad():
            self.line.weight.copy_(torch.tensor([[4.0, 2.0, -1.0, 0.0]]))
            self.line.bias.fill_(7.0)

    def forward(self, rows: Tensor) -> Tensor:
        output: Tensor = self.line(rows)
        return output


class Deaf(nn.Module):
    """Scores that heed every pixel and none of the weights: no randomisation can change what is said of it."""

    def __init__(self) -> None:
        super().__init__()
        self.unheard = nn.Linear(64, 2)

    def forward(self, pictures: Tensor) -> Tensor:
        pixels = pictures.flatten(1)
        seen = (pixels * torch.arange(1.0, 65.0, device=pixels.device)).sum(dim=1) / 4096
        return torch.stack((1 - seen, seen), dim=1) + 0 * self.unheard(pixels)


def by_hand(model: nn.Module, inputs: Tensor, values: Any, **fields: Any) -> Explanation:
    """An explanation of the highest score whose attributions are given."""
    with torch.no_grad():
        table = model(inputs)
    targets = table.argmax(dim=1)
    known: dict[str, Any] = {
        "attributions": np.asarray(values, np.float32),
        "inputs": inputs.numpy(),
        "targets": targets.numpy(),
        "outputs": table.gather(1, targets[:, None])[:, 0].numpy(),
        "output_space": "probability" if inputs.ndim == 4 else "value",
        "kind": "pictures" if inputs.ndim == 4 else "table" if inputs.is_floating_point() else "text",
        "method": "by_hand",
        "implementation": "nobody",
        "seed": 0,
        "seconds": 0.0,
        "model_evaluations": 0,
    }
    return Explanation(**known | fields)


def spot(size: int = 8) -> Tensor:
    """One picture (1, 1, size, size), black but for the pixel at row 2, column 5."""
    picture = torch.zeros(1, 1, size, size)
    picture[0, 0, 2, 5] = 1
    return picture
