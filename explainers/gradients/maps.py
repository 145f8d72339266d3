"""Read one layer's maps and the gradients of the score to them, and bring what a method makes of them to pixels."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchglass.errors import OptionError
from torchglass.explainers.gradients.layers import LayerChoice, choose_layer
from torchglass.explainers.gradients.placement import find_placement, place
from torchglass.explainers.private.scored_model import inputs_per_pass
from torchglass.explainers.problem import Attribution, Problem

PLACEMENTS = ("receptive_field", "stretched")


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """What a layer gave for N pictures in its last call."""

    activations: Tensor
    """(N, K, h, w)"""
    gradients: Tensor
    """(N, K, h, w), of the target's score"""


def read_maps(problem: Problem, choice: LayerChoice) -> LayerMaps:
    """Run all pictures forward and back once, in passes of bounded size."""
    layer = problem.model.network.get_submodule(choice.name)
    activations, gradients = [], []
    for pictures, targets in passes(problem):
        with last_output(layer) as caught:
            table = problem.model(pictures.requires_grad_())
        explained = table.gather(1, targets[:, None]).sum()
        (gradient,) = torch.autograd.grad(explained, caught[-1])
        activations.append(choice.maps(caught[-1].detach()))
        gradients.append(choice.maps(gradient))
    return LayerMaps(torch.cat(activations), torch.cat(gradients))


def read_activations(problem: Problem, choice: LayerChoice) -> Tensor:
    """Run all pictures forward once, without a graph: (N, K, h, w)."""
    layer = problem.model.network.get_submodule(choice.name)
    activations = []
    with torch.no_grad():
        for pictures, _ in passes(problem):
            with last_output(layer) as caught:
                problem.model(pictures)
            activations.append(choice.maps(caught[-1]))
    return torch.cat(activations)


def passes(problem: Problem) -> Iterator[tuple[Tensor, Tensor]]:
    """Split the pictures, copied, and their targets so that each part goes through the model at once."""
    per_pass = inputs_per_pass(problem.inputs[0])
    yield from zip(torch.split(problem.inputs.clone(), per_pass), torch.split(problem.targets, per_pass), strict=True)


@contextmanager
def last_output(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Catch what a layer returns, call by call."""
    caught: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    try:
        yield caught
    finally:
        handle.remove()


def chosen_layer(problem: Problem, placement: str) -> LayerChoice:
    """Find the layer that a class-activation method reads.

    Raises:
        ExplainError: no layer, or not the named one, has maps that the targets depend on.
        OptionError: the placement is unknown.
    """
    if placement not in PLACEMENTS:
        raise OptionError(f"placement is {placement!r}: choose one of {', '.join(PLACEMENTS)}")
    return choose_layer(problem.model, problem.inputs, problem.targets, problem.layer)


def enlarged(problem: Problem, choice: LayerChoice, small_map: Tensor, placement: str) -> tuple[Tensor, str]:
    """Bring maps (N, 1, h, w) to the pictures' size (N, 1, H, W), and say how.

    Patches of a transformer tile the picture, so their maps are stretched.
    """
    size = (problem.inputs.shape[2], problem.inputs.shape[3])
    looks = placement == "receptive_field" and choice.grid is None
    found = find_placement(problem.model, choice.name, problem.inputs) if looks else None
    if found is not None:
        return place(small_map, found, size), "receptive_field"
    return F.interpolate(small_map, size=size, mode="bilinear", align_corners=False), "stretched"


def as_attribution(
    problem: Problem,
    choice: LayerChoice,
    small_map: Tensor,
    *,
    placement: str,
    implementation: str,
    parameters: Mapping[str, Any],
) -> Attribution:
    """Enlarge a layer's signed maps (N, 1, h, w) and say how far they can be read.

    Checks: `positive_share` is the part of the map's mass that speaks for the target; near zero it says "no positive
    evidence", which a picture scaled to 0..1 hides. `negative_activation_share` is the part of the layer's mass below
    zero: the methods read an activation as "found here", which holds after ReLU, while on tanh maps (0.3 and more) the
    hot places of small digits were no better than chance.
    """
    values, placed = enlarged(problem, choice, small_map, placement)
    mass = float(small_map.abs().sum())
    tokens = {} if choice.grid is None else {"tokens": f"{choice.grid.first} before the patches"}
    return Attribution(
        values=values.detach().cpu().numpy(),
        implementation=implementation,
        parameters={**parameters, "map_size": list(small_map.shape[2:]), "placement": placed, **tokens},
        checks={
            "negative_activation_share": choice.negative_share,
            **({"positive_share": float(small_map.clamp(min=0).sum()) / mass} if mass > 0 else {}),
        },
        layer=choice.name,
        layer_alternatives=choice.alternatives,
    )
