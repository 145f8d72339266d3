"""Layer-CAM: feature maps weighed place by place, which also makes sense of a network's early, finer layers."""

from torchglass.explainers.gradients.maps import as_attribution, chosen_layer, read_maps
from torchglass.explainers.own import own_implementation
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem, *, relu: bool = False, placement: str = "receptive_field") -> Attribution:
    """Weigh each activation by the positive part of its own gradient and sum over the maps.

    L = sum_k max(0, dy/dA_k) * A_k, values (N, 1, H, W) in score units, below zero only where activations are. Checks:
    see maps.as_attribution. Name an early layer for a finer map.

    Args:
        relu: clip the small map at zero before enlarging, as in the paper.
        placement: as of "gradcam".

    Source: Jiang et al. 2021, LayerCAM (IEEE TIP 30), equations 5 and 6.
    """
    choice = chosen_layer(problem, placement)
    maps = read_maps(problem, choice)
    summed = (maps.gradients.clamp(min=0) * maps.activations).sum(dim=1, keepdim=True)
    return as_attribution(
        problem,
        choice,
        summed.clamp(min=0) if relu else summed,
        placement=placement,
        implementation=own_implementation("Layer-CAM"),
        parameters={"relu": relu},
    )
