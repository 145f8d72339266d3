"""Find the layer whose maps a class-activation method should read, by running the real pictures."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers.gradients.token_grid import TokenGrid, infer_grid
from torchglass.explainers.private.scored_model import ScoredModel

PROBE_PICTURES = 8
"""Pictures that the search runs: every map of every layer is alive at once, and layers do not change with the batch."""


@dataclass(frozen=True)
class LayerChoice:
    """The layer to explain and the runners-up, best first."""

    name: str
    alternatives: tuple[str, ...]
    negative_share: float
    """Part of the layer's summed |activation| that lies below zero, over the probe pictures."""
    grid: TokenGrid | None = None
    """How the layer's tokens lie in the picture; None where the layer gives maps."""

    def maps(self, output: Tensor) -> Tensor:
        """Bring the layer's output, or a gradient like it, to maps (N, K, h, w)."""
        return output if self.grid is None else self.grid.maps(output)


def choose_layer(model: ScoredModel, pictures: Tensor, targets: Tensor, name: str | None = None) -> LayerChoice:
    """Choose the last layer with maps (rank 4, more than one place) that the targets' scores depend on.

    Depending means a gradient that is not zero everywhere. Tokens (N, T, D) of a vision transformer count as maps where
    T is a grid of patches, with or without a class token, and where the gradient reaches the patches: after the last
    block of one that reads its class token it does not. Last rank poolings, as they only lose place, and linear layers,
    which of tokens mostly make the queries, keys and values that attention alone reads. Of modules that hand on one
    tensor (a Sequential and its last child) the innermost is named. A given name wins over the search.

    Raises:
        ExplainError: no layer, or not the named one, has maps that the targets depend on.
    """
    modules = dict(model.network.named_modules())
    calls = _trace(model, pictures[:PROBE_PICTURES])
    size = (pictures.shape[2], pictures.shape[3])
    maps = {layer: output for layer, output in calls.outputs.items() if _has_places(output, calls.scores, size)}
    alive = _with_gradient(maps, calls.scores, targets[:PROBE_PICTURES], size)
    ranked = sorted(_innermost(alive, calls.outputs), key=lambda layer: _is_poor(modules[layer]))
    if name is None:
        if not ranked:
            raise ExplainError(
                f"no layer of {type(model.network).__name__} gives maps (N, C, h, w) that the target depends on: "
                "class-activation maps need a convolution or a grid of tokens; use method 'shap' or 'lime'"
            )
        return _choice(ranked[0], ranked, calls.outputs, size)
    if name not in alive:
        shape = tuple(calls.outputs[name].shape) if name in calls.outputs else "nothing"
        raise ExplainError(
            f"layer {name!r} gives {shape}, not maps (N, C, h, w) that the target depends on: "
            f"choose one of {_listed(ranked)}"
        )
    return _choice(name, ranked, calls.outputs, size)


def _is_poor(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or "Pool" in type(module).__name__


def _choice(name: str, ranked: list[str], outputs: dict[str, Tensor], size: tuple[int, int]) -> LayerChoice:
    activations = outputs[name].detach()
    grid = _grid(activations, size)
    activations = activations if grid is None else grid.patches(activations)
    # A layer with a gradient may still be silent; the floor keeps its share at zero.
    mass = max(float(activations.abs().sum()), 1e-30)
    share = float(activations.clamp(max=0).abs().sum()) / mass
    return LayerChoice(name, tuple(layer for layer in ranked if layer != name), share, grid)


@dataclass(frozen=True, eq=False)
class _Calls:
    """Each layer's output in its last call, latest first, and the scores they led to."""

    outputs: dict[str, Tensor]
    scores: Tensor


def _trace(model: ScoredModel, pictures: Tensor) -> _Calls:
    outputs: dict[str, Tensor] = {}

    def note(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                outputs.pop(name, None)
                outputs[name] = output

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in model.network.named_modules()]
    try:
        table = model(pictures.clone().requires_grad_())
    finally:
        for handle in handles:
            handle.remove()
    return _Calls(dict(reversed(outputs.items())), table)


def _has_places(output: Tensor, table: Tensor, size: tuple[int, int]) -> bool:
    if not output.requires_grad or len(output) != len(table):
        return False
    if output.ndim == 4:
        return output.shape[2] * output.shape[3] > 1
    return _grid(output, size) is not None


def _grid(output: Tensor, size: tuple[int, int]) -> TokenGrid | None:
    return infer_grid(output.shape[1], size) if output.ndim == 3 else None


def _with_gradient(maps: dict[str, Tensor], table: Tensor, targets: Tensor, size: tuple[int, int]) -> list[str]:
    if not maps or not table.requires_grad:
        return []
    explained = table.gather(1, targets[:, None]).sum()
    gradients = torch.autograd.grad(explained, list(maps.values()), allow_unused=True)
    return [name for name, g in zip(maps, gradients, strict=True) if g is not None and _reaches_places(g, size)]


def _reaches_places(gradient: Tensor, size: tuple[int, int]) -> bool:
    grid = _grid(gradient, size)
    return bool((gradient if grid is None else grid.patches(gradient)).any())


def _innermost(names: list[str], outputs: dict[str, Tensor]) -> list[str]:
    # Inner modules return before the ones around them, so the earliest name of a tensor is the innermost.
    by_tensor = {id(outputs[name]): name for name in names}
    return [name for name in names if by_tensor[id(outputs[name])] == name]


def _listed(names: list[str]) -> str:
    return ", ".join(name for name in names if name) or "none"
