"""Grad-CAM: which places of the last feature maps raise the score."""

import captum
import torch
from captum.attr import LayerGradCam
from torch import Tensor

from torchglass.explainers.gradients.layers import LayerChoice
from torchglass.explainers.gradients.maps import as_attribution, chosen_layer, passes, read_maps
from torchglass.explainers.own import own_implementation
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem, *, relu: bool = False, placement: str = "receptive_field") -> Attribution:
    """Weigh each feature map by the mean gradient of the score, sum, and enlarge to the picture.

    L = sum_k mean_xy(dy/dA_k) * A_k, values (N, 1, H, W) in score times activation, so only their shape and sign
    compare across layers. Checks: see maps.as_attribution. Of a vision transformer the maps are the patches' tokens
    laid out where the patches lie, `parameters["tokens"]` says so; captum reads maps alone, so there the sum is ours.

    Args:
        relu: clip the small map at zero before enlarging, as in the paper. Off, because a clipped map cannot be
            unclipped: the page shows both what speaks for the class and what speaks against it.
        placement: "receptive_field" enlarges so that each unit's value lies where the unit looks, and falls back where
            that cannot be told; "stretched" enlarges the map bilinearly to the whole picture, as other libraries do.
            Where units tile the picture the two are equal; `parameters["placement"]` says which was done.

    Source: Selvaraju et al. 2017, Grad-CAM (arXiv 1610.02391), through captum's LayerGradCam.
    """
    choice = chosen_layer(problem, placement)
    return as_attribution(
        problem,
        choice,
        gradcam_map(problem, choice, relu=relu),
        placement=placement,
        implementation=implementation(choice),
        parameters={"relu": relu},
    )


def gradcam_map(problem: Problem, choice: LayerChoice, *, relu: bool) -> Tensor:
    """Sum the layer's maps by their mean gradients: (N, 1, h, w)."""
    if choice.grid is not None:
        maps = read_maps(problem, choice)
        weights = maps.gradients.mean(dim=(2, 3), keepdim=True)
        summed = (weights * maps.activations).sum(dim=1, keepdim=True)
        return summed.clamp(min=0) if relu else summed
    grad_cam = LayerGradCam(problem.model, problem.model.network.get_submodule(choice.name))
    return torch.cat(
        [
            grad_cam.attribute(pictures.requires_grad_(), target=targets, relu_attributions=relu).detach()
            for pictures, targets in passes(problem)
        ]
    )


def implementation(choice: LayerChoice) -> str:
    """Name who sums the maps: captum, or we where they are tokens."""
    if choice.grid is not None:
        return own_implementation("Grad-CAM of tokens")
    return f"captum {captum.__version__} LayerGradCam"
