"""Watch the attention of a model while it runs, however it is written."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from torchglass.errors import ExplainError
from torchglass.explainers.private.scored_model import ScoredModel

_MODULES = inspect.signature(F.multi_head_attention_forward)
_SOFTMAXES = (F.softmax, torch.softmax, Tensor.softmax)


@dataclass(frozen=True, eq=False)
class Attention:
    """What the T tokens of N inputs take from each other in each attention of a model, and which are read at last."""

    weights: tuple[Tensor, ...]
    """(N, T, T) each, heads averaged, in the order of the calls; rows sum to 1"""
    readers: Tensor
    """(N, T), 1 for each token whose last attention the explained score depends on, else 0"""

    def rollout(self) -> Tensor:
        """Follow the attention back from the tokens that are read, on average, to those that went in: (N, T).

        Each layer passes a token half of itself, its residual connection, and half of what it attends to: the product
        of (A + I) / 2 over the layers, rows normalised. A row sums to 1.

        Source: Abnar and Zuidema 2020 (arXiv 2005.00928).
        """
        share = self.readers / self.readers.sum(dim=1, keepdim=True)
        for weights in reversed(self.weights):
            mixed = (weights + torch.eye(weights.shape[1], device=weights.device)) / 2
            mixed = mixed / mixed.sum(dim=2, keepdim=True)
            share = (share[:, None] @ mixed)[:, 0]
        return share


def watch_attention(model: ScoredModel, inputs: Tensor, targets: Tensor) -> Attention:
    """Run the inputs once and note every self-attention's weights.

    Seen are nn.MultiheadAttention, which is asked for the weights that torch's layers do without; torch's fused
    scaled_dot_product_attention, whose weights are computed anew from queries, keys and mask; and a softmax over the
    last axis of (N, heads, T, T), as attention is written by hand.

    Raises:
        ExplainError: the model has no attention of these, or one that is not of all inputs' tokens to each other.
    """
    watch = _Watch(len(inputs))
    # Under a torch function mode torch's layers do not take their fused path, in which no weights exist.
    with watch:
        table = model(inputs)
    name = type(model.network).__name__
    if not watch.shapes:
        raise ExplainError(
            f"no attention was seen in {name}: attention rollout knows nn.MultiheadAttention, "
            "scaled_dot_product_attention and a softmax over (N, heads, T, T); use another method"
        )
    if len(watch.shapes) > 1 or not watch.weights:
        seen = ", ".join(map(str, sorted(watch.shapes)))
        raise ExplainError(
            f"the attentions of {name} have the shapes {seen}: attention rollout multiplies them, so each must be over "
            "the same tokens, (N, T, T) with heads averaged; use another method"
        )
    return Attention(tuple(watch.weights), watch.readers(table, targets))


class _Watch(TorchFunctionMode):
    """Note attention weights (N, T, T) as they are computed, and tap the last attention for the gradient behind it."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.weights: list[Tensor] = []
        self.shapes: set[tuple[int, ...]] = set()
        self._tap = torch.empty(0)
        self._by_token: Callable[[Tensor], Tensor] = torch.Tensor.abs

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is F.multi_head_attention_forward:
            asked = _MODULES.bind(*args, **named)
            asked.arguments["need_weights"] = True
            output, weights = func(*asked.args, **asked.kwargs)
            assert weights is not None
            # Tokens come first in what torch's module computes: (T, N, D).
            by_head = weights if weights.ndim == 4 else weights[:, None]
            return self._noted(output, by_head, lambda slopes: slopes.abs().sum(dim=2).T), weights
        output = func(*args, **named)
        if func is F.scaled_dot_product_attention:
            return self._noted(output, _fused_weights(*args, **named), self._summed)
        if func in _SOFTMAXES and _is_square(output, args, named):
            return self._noted(output, output, self._summed)
        return output

    def readers(self, table: Tensor, targets: Tensor) -> Tensor:
        """Say which tokens' last attention the targets' scores depend on; all where none is told."""
        everybody = torch.ones(self.weights[-1].shape[:2], device=table.device)
        if not table.requires_grad:
            return everybody
        explained = table.gather(1, targets[:, None]).sum()
        (slopes,) = torch.autograd.grad(explained, self._tap, materialize_grads=True)
        read = (self._by_token(slopes) != 0).float()
        return torch.where(read.any(dim=1, keepdim=True), read, everybody)

    def _noted(self, output: Tensor, weights: Tensor, by_token: Callable[[Tensor], Tensor]) -> Tensor:
        found = weights.detach().float().nan_to_num()  # a token that may look at nothing has no weights
        if found.ndim == 3 and len(found) % self.inputs == 0:  # heads beside inputs, (N * heads, T, T)
            found = found.unflatten(0, (self.inputs, -1))  # type: ignore[no-untyped-call]
        if found.ndim == 4:
            found = found.mean(dim=1)
        self.shapes.add(tuple(found.shape))
        if found.ndim == 3 and len(found) == self.inputs and found.shape[1] == found.shape[2]:
            self.weights.append(found)
        self._tap, self._by_token = torch.zeros_like(output, requires_grad=True), by_token
        return output + self._tap

    def _summed(self, slopes: Tensor) -> Tensor:
        """Sum (N, heads, T, D) or (N * heads, T, D) to (N, T)."""
        size: Tensor = slopes.abs().sum(dim=-1).reshape(self.inputs, -1, slopes.shape[-2]).sum(dim=1)
        return size


def _is_square(output: Tensor, args: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
    axis = named.get("dim", args[1] if len(args) > 1 else None)
    return output.ndim in (3, 4) and output.shape[-1] == output.shape[-2] and axis in (-1, output.ndim - 1)


def _fused_weights(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Compute what scaled_dot_product_attention weighs its values by, (..., T, T): its documented formula."""
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], dim=-3)
    products = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(products.shape[-2:], dtype=torch.bool, device=products.device).tril()
    if attn_mask is not None:
        bias = attn_mask
        if attn_mask.dtype is torch.bool:
            bias = torch.zeros_like(attn_mask, dtype=products.dtype).masked_fill(~attn_mask, -torch.inf)
        products = products + bias
    return products.softmax(dim=-1)
