"""Saliency: how fast the score changes with each pixel."""

import captum
import torch
from captum.attr import Saliency

from torchglass.explainers.gradients.maps import passes
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem, *, absolute: bool = False) -> Attribution:
    """Differentiate the score by each pixel and channel.

    Values (N, C, H, W) in score units per unit of a pixel: what a small change would do, not what the pixel
    contributed, so they add up to nothing and have no check. Networks' gradients are noisy from pixel to pixel;
    "smoothgrad" averages that out.

    Args:
        absolute: give the size alone, as the paper and captum do by default. Off, because the sign cannot be restored.

    Source: Simonyan et al. 2013 (arXiv 1312.6034), through captum's Saliency.
    """
    saliency = Saliency(problem.model)
    slopes = [
        saliency.attribute(pictures.requires_grad_(), target=targets, abs=absolute).detach()
        for pictures, targets in passes(problem)
    ]
    return Attribution(
        values=torch.cat(slopes).cpu().numpy(),
        implementation=f"captum {captum.__version__} Saliency",
        parameters={"absolute": absolute},
    )
