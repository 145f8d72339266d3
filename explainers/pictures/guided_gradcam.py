"""Guided Grad-CAM: Grad-CAM's places with the detail of guided backpropagation."""

import warnings

import captum
import torch
from captum.attr import GuidedBackprop
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers.gradients.maps import chosen_layer, enlarged, passes
from torchglass.explainers.pictures.gradcam import gradcam_map, implementation
from torchglass.explainers.private.canonical import canonical
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem, *, placement: str = "receptive_field") -> Attribution:
    """Multiply the clipped Grad-CAM map with the gradient that passes each ReLU only where it is positive.

    Values (N, C, H, W), signed by the guided gradient; only their shape compares. Guiding sees modules: a functional
    ReLU would silently leave the plain gradient, so the guided pass runs on a rewritten copy whose every ReLU is a
    module, called once. Sharp edges are no proof of truth: guided backpropagation ignores much of the upper layers
    (Adebayo et al. 2018), so ask for the randomisation check. Check: `positive_share`, that of the map.

    Args:
        placement: of the map, as of "gradcam"; "stretched" is what the paper and captum do.

    Raises:
        ExplainError: the copy cannot be rewritten, or the model has no ReLU to guide, or no maps.

    Source: Selvaraju et al. 2017 (arXiv 1610.02391), Springenberg et al. 2014 (arXiv 1412.6806), through captum's
    LayerGradCam and GuidedBackprop; its GuidedGradCam is their product.
    """
    choice = chosen_layer(problem, placement)
    guided = _guided(problem)
    small_map = gradcam_map(problem, choice, relu=False)
    placed_map, placed = enlarged(problem, choice, small_map.clamp(min=0), placement)
    mass = float(small_map.abs().sum())
    return Attribution(
        values=(guided * placed_map).detach().cpu().numpy(),
        implementation=f"captum {captum.__version__} GuidedBackprop on {implementation(choice)}",
        parameters={"map_size": list(small_map.shape[2:]), "placement": placed},
        checks={
            "negative_activation_share": choice.negative_share,
            **({"positive_share": float(small_map.clamp(min=0).sum()) / mass} if mass > 0 else {}),
        },
        layer=choice.name,
        layer_alternatives=choice.alternatives,
    )


def _guided(problem: Problem) -> Tensor:
    twin, untraced = canonical(problem.model, problem.inputs[:1])
    name = type(problem.model.network).__name__
    if untraced is not None:
        raise ExplainError(
            f"guided backpropagation of {name} cannot be trusted to see every ReLU, {untraced}: use method 'gradcam'"
        )
    if not any(isinstance(module, nn.ReLU) for module in twin.modules()):
        raise ExplainError(f"{name} has no ReLU, so there is nothing to guide: use method 'gradcam'")
    method = GuidedBackprop(twin)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces its hooks, which the copy takes along
            found = [
                method.attribute(pictures.requires_grad_(), target=targets).detach()
                for pictures, targets in passes(problem)
            ]
    finally:
        problem.model.inputs_seen += twin.inputs_seen
    return torch.cat(found)
