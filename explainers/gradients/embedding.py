"""Find where a text model turns token ids into numbers, and let it start from there."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers.private.scored_model import ScoredModel


@dataclass(frozen=True, eq=False)
class Embedding:
    """A module that is given the token ids (N, T) and returns vectors (N, T, D)."""

    name: str
    module: nn.Module
    alternatives: tuple[str, ...]


def find_embedding(model: ScoredModel, ids: Tensor, targets: Tensor, name: str | None = None) -> Embedding:
    """Find the innermost module that is given the ids and whose vectors the targets' scores depend on.

    Of several the first to be called is taken; a given name wins over the search.

    Raises:
        ExplainError: no module, or not the named one, is such an embedding.
    """
    modules = dict(model.network.named_modules())
    found = _trace(model, ids[:1], targets[:1])
    if not found:
        raise ExplainError(
            f"no layer of {type(model.network).__name__} is given the token ids and returns vectors (N, T, D) that the "
            "target depends on: use method 'occlusion', 'shap' or 'lime'"
        )
    if name is not None and name not in found:
        raise ExplainError(f"layer {name!r} does not embed the token ids: choose one of {_listed(found)}")
    chosen = found[0] if name is None else name
    return Embedding(chosen, modules[chosen], tuple(other for other in found if other != chosen))


class EmbeddedModel(nn.Module):
    """Score vectors (N, T, D) in the place of the embedding of ids (N, T); masks that the model makes of ids stay."""

    def __init__(self, model: ScoredModel, embedding: nn.Module) -> None:
        super().__init__()
        self.model = model
        # A list hides the module: it is a part of the model, not of this one.
        self._embedding = [embedding]

    def forward(self, vectors: Tensor, ids: Tensor) -> Tensor:
        def replace(_module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], _output: Any) -> Tensor | None:
            return vectors if _takes(ids, (*given, *named.values())) else None

        handle = self._embedding[0].register_forward_hook(replace, with_kwargs=True)
        try:
            scores: Tensor = self.model(ids)
        finally:
            handle.remove()
        return scores


def _trace(model: ScoredModel, ids: Tensor, targets: Tensor) -> list[str]:
    """Name the embeddings in the order of their calls, inner ones before those around them."""
    vectors: dict[str, Tensor] = {}

    def note(name: str) -> Any:
        def hook(_module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], output: Any) -> Tensor | None:
            if name in vectors or not _takes(ids, (*given, *named.values())):
                return None
            if not isinstance(output, Tensor) or output.ndim != 3 or output.shape[:2] != ids.shape:
                return None
            # The private copy asks for no gradients of its own.
            vectors[name] = output if output.requires_grad else output.detach().requires_grad_()
            return vectors[name]

        return hook

    handles = [
        module.register_forward_hook(note(name), with_kwargs=True)
        for name, module in model.network.named_modules()
        if name
    ]
    try:
        table = model(ids)
    finally:
        for handle in handles:
            handle.remove()
    if not vectors or not table.requires_grad:
        return []
    explained = table.gather(1, targets[:, None]).sum()
    gradients = torch.autograd.grad(explained, list(vectors.values()), allow_unused=True)
    return [name for name, g in zip(vectors, gradients, strict=True) if g is not None and bool(g.any())]


def _takes(ids: Tensor, given: tuple[Any, ...]) -> bool:
    return any(
        isinstance(one, Tensor) and not one.is_floating_point() and one.shape == ids.shape and torch.equal(one, ids)
        for one in given
    )


def _listed(names: list[str]) -> str:
    return ", ".join(name for name in names if name) or "none"
