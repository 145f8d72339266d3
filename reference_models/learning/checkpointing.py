"""Activation checkpointing (Chen et al. 2016): keep fewer activations, and compute the rest again in backward."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from torchglass.errors import OptionError


@contextmanager
def checkpointed(model: nn.Module) -> Iterator[None]:
    """Checkpoint the model's blocks for a while: names, weights and gradients stay; only `forward` goes another way.

    The blocks are what stands in the sequences among the model's children; of a model that is a sequence itself,
    as many layers as there are blocks make one.

    Raises:
        OptionError: the model is no sequence and has none among its children.
    """
    blocks = blocks_of(model)
    for block in blocks:
        block.forward = _in_segments(block) if isinstance(block, nn.Sequential) and block is model else _rerun(block)
    try:
        yield
    finally:
        for block in blocks:
            block.__dict__.pop("forward", None)


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """Return what is checkpointed: the model itself where it is a sequence.

    Raises:
        OptionError: the model is no sequence and has none among its children.
    """
    if isinstance(model, nn.Sequential):
        return [model]
    sequences = [child for child in model.children() if isinstance(child, nn.Sequential | nn.ModuleList)]
    blocks = [block for sequence in sequences for block in sequence]
    if not blocks:
        raise OptionError(
            f"checkpointing needs a sequence of blocks, and {type(model).__name__} has none: train without it"
        )
    return blocks


def _rerun(block: nn.Module) -> Callable[..., Any]:
    return partial(checkpoint, block.forward, use_reentrant=False, context_fn=partial(_contexts, (block,)))


def _in_segments(model: nn.Sequential) -> Callable[[Tensor], Tensor]:
    layers = tuple(model)
    size = math.ceil(math.sqrt(len(layers)))  # as many segments as layers in a segment: the least is kept
    segments = [layers[start : start + size] for start in range(0, len(layers), size)]

    def forward(inputs: Tensor) -> Tensor:
        for segment in segments:
            contexts = partial(_contexts, segment)
            inputs = checkpoint(partial(_run, segment), inputs, use_reentrant=False, context_fn=contexts)
        return inputs

    return forward


def _run(layers: Sequence[nn.Module], inputs: Tensor) -> Tensor:
    for layer in layers:
        inputs = layer(inputs)
    return inputs


def _contexts(modules: Sequence[nn.Module]) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """What the first and the second run of these modules happen in."""
    return nullcontext(), _running_means_kept(modules)


@contextmanager
def _running_means_kept(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Let batch norm count into copies of its running means: it sees the batch for the second time.

    Copies rather than none, because checkpointing checks that the second pass saves as many tensors as the first.
    """
    parts = (part for module in modules for part in module.modules())
    norms = [(part, dict(part.named_buffers(recurse=False))) for part in parts if isinstance(part, _BatchNorm)]
    for norm, buffers in norms:
        for name, buffer in buffers.items():
            setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, buffers in norms:
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)
