"""Activation checkpointing (Chen et al. 2016): keep fewer activations, and compute the rest again."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from torchglass.errors import OptionError
from torchglass.reference_models.variants.technique import Learner, Subject, Variant, plain_learner


class Checkpointed(nn.Module):
    """A block of which only the input is kept; its inside is computed again in the backward pass."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, *inputs: Tensor) -> Tensor:
        """Run the block and forget what is inside it."""
        outputs: Tensor = checkpoint(self.block, *inputs, use_reentrant=False)
        return outputs


def learner(subject: Subject) -> Learner:
    """Checkpoint the model's blocks.

    Raises:
        OptionError: the model is no sequence and has none among its children.
    """
    before = sum(parameter.numel() for parameter in subject.model.parameters())
    model, count = _checkpointed(subject.model)
    if sum(parameter.numel() for parameter in model.parameters()) != before:
        raise OptionError("a module of this model stands in two sequences, which checkpointing would part")
    plain = plain_learner(model, model, subject.device)
    notes = [f"{count} blocks keep their input alone"]
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        notes.append("batch norm sees each batch twice, so its running means move faster")
    return Learner(plain.forward, plain.parameters, plain.scaler, tuple(notes))


def _checkpointed(model: nn.Module) -> tuple[nn.Module, int]:
    """A model whose blocks are checkpointed and their number; parameters keep their order."""
    if isinstance(model, nn.Sequential):
        layers = list(model)
        size = math.ceil(math.sqrt(len(layers)))  # as many blocks as layers in a block: the least is kept
        blocks = [nn.Sequential(*layers[start : start + size]) for start in range(0, len(layers), size)]
        return nn.Sequential(*(Checkpointed(block) for block in blocks)), len(blocks)
    count = 0
    for child in model.children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            for place, block in enumerate(child):
                child[place] = Checkpointed(block)
                count += 1
    if not count:
        raise OptionError("checkpointing needs a sequence of blocks, and this model has none at its top")
    return model, count


VARIANT = Variant(
    "checkpointed",
    "Activations inside blocks are computed again instead of kept: less memory, a forward pass more, equal gradients.",
    None,
    learner,
    one_sided="checkpointing saves what the backward pass needs, and inference has no backward pass",
)
