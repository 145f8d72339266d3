"""Ablation-CAM: feature maps weighed by what the score loses without them."""

from typing import Any

import torch
from torch import Tensor, nn

from torchglass.explainers.gradients.layers import LayerChoice
from torchglass.explainers.gradients.maps import as_attribution, chosen_layer, last_output, read_activations
from torchglass.explainers.own import own_implementation
from torchglass.explainers.private.scored_model import in_passes, inputs_per_pass
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem, *, relu: bool = False, placement: str = "receptive_field") -> Attribution:
    """Set each feature map to zero, ask for the score anew, and weigh the map by the share that is lost.

    L = sum_k (y - y without k) / |y| * A_k; no gradient is asked, so a saturated network hides nothing. The paper
    divides by y, which turns the map over where the score is negative. Values (N, 1, H, W) in activation units. Checks:
    see maps.as_attribution.

    A picture costs as many evaluations as the layer has maps.

    Args:
        relu: clip the small map at zero before enlarging, as in the paper.
        placement: as of "gradcam".

    Source: Desai and Ramaswamy 2020, Ablation-CAM (WACV), equation 4.
    """
    choice = chosen_layer(problem, placement)
    activations = read_activations(problem, choice)
    lost = problem.outputs[:, None] - _scores_without(problem, choice, activations.shape[1])
    size = problem.outputs.abs()
    weights = lost / size.masked_fill(size == 0, 1)[:, None]
    summed = (weights[:, :, None, None] * activations).sum(dim=1, keepdim=True)
    return as_attribution(
        problem,
        choice,
        summed.clamp(min=0) if relu else summed,
        placement=placement,
        implementation=own_implementation("Ablation-CAM"),
        parameters={"relu": relu, "maps": activations.shape[1]},
    )


def _scores_without(problem: Problem, choice: LayerChoice, maps: int) -> Tensor:
    """Score each picture without each of the layer's maps, (N, K): every pair is a picture, whoever it belongs to."""
    layer = problem.model.network.get_submodule(choice.name)
    last = _calls(problem, layer) - 1
    count = len(problem.inputs) * maps

    def without(start: int, end: int) -> Tensor:
        problem.pace.tell(start, count)
        pair = torch.arange(start, end, device=problem.inputs.device)
        handle = layer.register_forward_hook(_without(pair % maps, choice, last))
        try:
            table: Tensor = problem.model(problem.inputs[pair // maps])
        finally:
            handle.remove()
        return table.gather(1, problem.targets[pair // maps, None])[:, 0]

    return in_passes(problem.model, count, inputs_per_pass(problem.inputs[0]), without).reshape(-1, maps)


def _calls(problem: Problem, layer: nn.Module) -> int:
    """Count how often one forward pass calls the layer: the maps are those of its last call."""
    with torch.no_grad(), last_output(layer) as caught:
        problem.model(problem.inputs[:1])
    return len(caught)


def _without(channels: Tensor, choice: LayerChoice, last: int) -> Any:
    """Make a hook that sets one channel of each row to zero, in the call of that number; of tokens the patches'."""
    calls = iter(range(last + 1))

    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor | None:
        if next(calls) < last:
            return None
        kept = output.clone()
        rows = torch.arange(len(kept), device=kept.device)
        if choice.grid is None:
            kept[rows, channels] = 0
        else:
            kept[rows, choice.grid.first :, channels] = 0
        return kept

    return hook
