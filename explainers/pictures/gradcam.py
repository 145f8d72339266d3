"""Grad-CAM: which places of the last feature maps raise the score."""

import captum
import torch
from captum.attr import LayerAttribution, LayerGradCam

from torchglass.errors import OptionError
from torchglass.explainers.layers import choose_layer
from torchglass.explainers.placement import find_placement, place
from torchglass.explainers.problem import Attribution, Problem
from torchglass.explainers.scored_model import inputs_per_pass

PLACEMENTS = ("receptive_field", "stretched")


def attribute(problem: Problem, *, relu: bool = False, placement: str = "receptive_field") -> Attribution:
    """Weigh each feature map by the mean gradient of the score, sum, and enlarge to the picture.

    L = sum_k mean_xy(dy/dA_k) * A_k, values (N, 1, H, W) in score times activation, so only their shape and sign
    compare across layers. Checks: `positive_share` is the part of the map's mass that speaks for the target; near zero
    it says "no positive evidence", which a picture scaled to 0..1 hides. `negative_activation_share` is the part of the
    layer's mass below zero: the method reads an activation as "found here", which holds after ReLU, while on tanh maps
    (0.3 and more) the hot places of small digits were no better than chance.

    Args:
        relu: clip the small map at zero before enlarging, as in the paper. Off, because a clipped map cannot be
            unclipped: the page shows both what speaks for the class and what speaks against it.
        placement: "receptive_field" enlarges so that each unit's value lies where the unit looks, and falls back where
            that cannot be told; "stretched" enlarges the map bilinearly to the whole picture, as other libraries do.
            Where units tile the picture the two are equal; `parameters["placement"]` says which was done.

    Source: Selvaraju et al. 2017, Grad-CAM (arXiv 1610.02391), through captum's LayerGradCam.
    """
    if placement not in PLACEMENTS:
        raise OptionError(f"placement is {placement!r}: choose one of {', '.join(PLACEMENTS)}")
    choice = choose_layer(problem.model, problem.inputs, problem.targets, problem.layer)
    layer = problem.model.network.get_submodule(choice.name)
    grad_cam = LayerGradCam(problem.model, layer)
    per_pass = inputs_per_pass(problem.inputs[0])
    small_map = torch.cat(
        [
            grad_cam.attribute(pictures.requires_grad_(), target=targets, relu_attributions=relu).detach()
            for pictures, targets in zip(
                torch.split(problem.inputs.clone(), per_pass), torch.split(problem.targets, per_pass), strict=True
            )
        ]
    )
    size = (problem.inputs.shape[2], problem.inputs.shape[3])
    found = find_placement(problem.model, choice.name, problem.inputs) if placement == "receptive_field" else None
    if found is not None:
        values = place(small_map, found, size)
    else:
        values = LayerAttribution.interpolate(small_map, size, interpolate_mode="bilinear")
    mass = float(small_map.abs().sum())
    return Attribution(
        values=values.cpu().numpy(),
        implementation=f"captum {captum.__version__} LayerGradCam",
        parameters={
            "relu": relu,
            "map_size": list(small_map.shape[2:]),
            "placement": "stretched" if found is None else "receptive_field",
        },
        checks={
            "negative_activation_share": choice.negative_share,
            **({"positive_share": float(small_map.clamp(min=0).sum()) / mass} if mass > 0 else {}),
        },
        layer=choice.name,
        layer_alternatives=choice.alternatives,
    )
