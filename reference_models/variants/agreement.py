"""Whether a variant still is the same model: its logits on the test images beside the original's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from torchglass.reference_models.variants.results import Agreement
from torchglass.reference_models.variants.technique import Forward


@torch.no_grad()
def logits_of(forward: Forward, images: Tensor, batch_size: int, device: torch.device) -> Tensor:
    """Return the logits (N, classes) of images (N, C, H, W), float32 on the CPU.

    The last batch is filled up with its own last image: a technique that has fixed its batch size sees no other.
    """
    parts = []
    for batch in torch.split(images, batch_size):
        missing = batch_size - len(batch)
        filled = torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])]) if missing else batch
        parts.append(forward(filled.to(device))[: len(batch)].float().cpu())
    return torch.cat(parts)


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the share of rows (N, classes) whose largest value is the label's; a row that is not finite is wrong."""
    right = (logits.argmax(dim=1) == labels) & logits.isfinite().all(dim=1)
    return float(right.double().mean())


def agreement(logits: Tensor, original: Tensor) -> Agreement:
    """Compare two sets of logits (N, classes)."""
    usable = logits.isfinite().all(dim=1) & original.isfinite().all(dim=1)
    same = (logits.argmax(dim=1) == original.argmax(dim=1)) & usable
    ours, theirs = logits[usable].double(), original[usable].double()
    some = len(ours) > 0
    divergence = functional.kl_div(
        ours.log_softmax(dim=1), theirs.log_softmax(dim=1), reduction="batchmean", log_target=True
    )
    return Agreement(
        same_answers=float(same.double().mean()),
        largest_difference=float((ours - theirs).abs().max()) if some else None,
        divergence=max(0.0, float(divergence)) if some else None,  # rounding may take it below the zero that it is
        nonfinite_count=int((~usable).sum()),
    )
