"""The perceptron's criterion (Rosenblatt 1958; K classes: Collins 2002), with its learning rule as the backward pass.

Rosenblatt's machine learnt from mistakes alone: where the highest score s_a is not the true class's s_y, the weights
move towards the true class and away from the answer, and where the answer is right they stay. That rule is gradient
descent on the mean of s_a - s_y, whose gradient is +1 at the answer and -1 at the truth, 0 where both are one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class PerceptronCriterion(torch.autograd.Function):
    """Mean over the batch of max_k s_k - s_y: scores (N, K) and labels (N,) int64 to a number (0-d), at least 0.

    Where scores tie, the answer is the first of them, as argmax says it: with all weights zero the loss is 0 and the
    gradient is not, which is what lets the machine leave its blank state. Between ties the function is linear in
    the scores, so its second derivative is zero, and double backward gives that.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss and the answers (N,) int64, which the backward pass reads."""
        answers = scores.argmax(dim=1)
        gap = scores.gather(1, answers[:, None]) - scores.gather(1, labels[:, None])
        return gap.mean(), answers

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
        """Keep labels and answers, two whole numbers per sample, and not the scores."""
        scores, labels = inputs
        _, answers = output
        ctx.mark_non_differentiable(answers)
        ctx.save_for_backward(labels, answers)
        ctx.classes = scores.shape[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return (+1 at the answer, -1 at the truth) / N of each row, times the gradient of the loss."""
        labels, answers = ctx.saved_tensors
        loss_gradient, _ = gradients
        share = (loss_gradient / len(labels)).expand(len(labels), 1)
        blank = share.new_zeros(len(labels), ctx.classes)
        return blank.scatter_add(1, answers[:, None], share).scatter_add(1, labels[:, None], -share), None


def perceptron_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of max_k s_k - s_y over scores (N, K) and labels (N,) int64, a number (0-d).

    Half-precision scores are taken as float32, as torch's own losses do under autocast: a sum over a batch in bf16
    would round to three digits.
    """
    exact = scores.to(torch.promote_types(scores.dtype, torch.float32))
    loss, _ = PerceptronCriterion.apply(exact, labels)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    result: Tensor = loss
    return result
