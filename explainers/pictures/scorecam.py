"""Score-CAM: feature maps weighed by what the score becomes of a picture that shows only what they found."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from torchglass.explainers.gradients.maps import as_attribution, chosen_layer, read_activations
from torchglass.explainers.own import own_implementation
from torchglass.explainers.private.scored_model import in_passes, inputs_per_pass
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem, *, relu: bool = False, placement: str = "receptive_field") -> Attribution:
    """Show the picture through each feature map, scaled to 0..1, and weigh the map by the score of what is left.

    L = sum_k w_k A_k, w the softmax over the maps of y(x through A_k) - y(x); no gradient is asked. What a map hides
    becomes the mean of the background, zero by default as in the paper. The softmax makes weights depend on the scale
    of the scores: where they are small all maps weigh alike. Values (N, 1, H, W) in activation units. Checks: see
    maps.as_attribution, and `largest_weight`, the mean over pictures of the heaviest map's weight: of K maps near 1 / K
    says that the weights chose nothing.

    A picture costs as many evaluations as the layer has maps.

    Args:
        relu: clip the small map at zero before enlarging, as in the paper.
        placement: as of "gradcam", for the map; the masks are stretched, as in the paper.

    Source: Wang et al. 2020, Score-CAM (arXiv 1910.01279).
    """
    choice = chosen_layer(problem, placement)
    activations = read_activations(problem, choice)
    weights = (_scores_through(problem, activations) - problem.outputs[:, None]).softmax(dim=1)
    summed = (weights[:, :, None, None] * activations).sum(dim=1, keepdim=True)
    found = as_attribution(
        problem,
        choice,
        summed.clamp(min=0) if relu else summed,
        placement=placement,
        implementation=own_implementation("Score-CAM"),
        parameters={"relu": relu, "maps": activations.shape[1], "background": f"mean of {problem.background_name}"},
    )
    largest = float(weights.max(dim=1).values.mean())
    return replace(found, checks={**found.checks, "largest_weight": largest})


def _scores_through(problem: Problem, activations: Tensor) -> Tensor:
    """Score each picture through each of its maps, (N, K): every pair is a picture, whoever it belongs to."""
    inputs, maps = activations.shape[:2]
    hidden = problem.background.mean(dim=0)
    masks = _scaled(activations).flatten(0, 1)[:, None]

    def shown_through(start: int, end: int) -> Tensor:
        pair = torch.arange(start, end, device=masks.device)
        mask = F.interpolate(masks[pair], size=problem.inputs.shape[2:], mode="bilinear", align_corners=False)
        problem.pace.tell(start, inputs * maps)
        table: Tensor = problem.model(hidden + mask * (problem.inputs[pair // maps] - hidden))
        return table.gather(1, problem.targets[pair // maps, None])[:, 0]

    per_pass = inputs_per_pass(problem.inputs[0])
    return in_passes(problem.model, inputs * maps, per_pass, shown_through).reshape(inputs, maps)


def _scaled(maps: Tensor) -> Tensor:
    """Bring each map to 0..1; one that is constant found nothing and shows nothing."""
    lowest, highest = maps.amin(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
    span = highest - lowest
    return (maps - lowest) / span.masked_fill(span == 0, 1)
