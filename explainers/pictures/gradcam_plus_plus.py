"""Grad-CAM++: Grad-CAM whose weights look at each place, so that several small finds count as much as one large."""

from torch import Tensor

from torchglass.explainers.gradients.maps import LayerMaps, as_attribution, chosen_layer, read_maps
from torchglass.explainers.own import own_implementation
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem, *, relu: bool = False, placement: str = "receptive_field") -> Attribution:
    """Weigh each feature map by the positive gradients of the score, each place by its own coefficient.

    L = sum_k w_k A_k with w_k = sum_xy alpha * max(0, g), g = dy/dA_k, alpha = g^2 / (2 g^2 + g^3 sum_xy A_k). Weights
    of layers behind a ReLU are never negative, so a map says where the class is found and nothing against it; below
    zero it comes from activations that are. Values (N, 1, H, W) in score times activation. Checks: see
    maps.as_attribution.

    Args:
        relu: clip the small map at zero before enlarging, as in the paper.
        placement: as of "gradcam".

    Source: Chattopadhay et al. 2018 (arXiv 1710.11063), equations 10 and 19, for an exponential of the score.
    """
    choice = chosen_layer(problem, placement)
    maps = read_maps(problem, choice)
    summed = (_weights(maps) * maps.activations).sum(dim=1, keepdim=True)
    return as_attribution(
        problem,
        choice,
        summed.clamp(min=0) if relu else summed,
        placement=placement,
        implementation=own_implementation("Grad-CAM++"),
        parameters={"relu": relu},
    )


def _weights(maps: LayerMaps) -> Tensor:
    """Weigh each map: (N, K, 1, 1).

    The fraction is divided by g^2, which underflows for small gradients: alpha = 1 / (2 + g sum A).
    """
    positive = maps.gradients.clamp(min=0)
    denominator = 2 + positive * maps.activations.sum(dim=(2, 3), keepdim=True)
    safe = denominator.masked_fill(denominator == 0, 1)
    return (positive / safe).masked_fill(denominator == 0, 0).sum(dim=(2, 3), keepdim=True)
