"""Attention rollout of a text: which words the tokens that are read have looked at, layer by layer."""

import torch

from torchglass.errors import ExplainError
from torchglass.explainers.gradients.attention import watch_attention
from torchglass.explainers.own import own_implementation
from torchglass.explainers.private.scored_model import inputs_per_pass
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem) -> Attribution:
    """Multiply the attention of all layers, each mixed half and half with the residual connection.

    Class-blind: it shows where the network looked and not what for, and every class gets the same values wherever the
    same words are read; `parameters["class_blind"]` says so. Values (N, T) are shares of a text's attention, never
    negative; all tokens together hold 1, and padding is set to zero after. The rows that count are the tokens whose
    last attention the target's score depends on: a class token, or all words where the head averages them. Check:
    `padding_share`, what padding held: a model that masks it gives it nothing where it is not read.

    Raises:
        ExplainError: the model has no attention that is known, or not one token per word.

    Source: Abnar and Zuidema 2020 (arXiv 2005.00928).
    """
    per_pass = inputs_per_pass(problem.inputs[0])
    found = [
        watch_attention(problem.model, ids, targets)
        for ids, targets in zip(
            torch.split(problem.inputs, per_pass), torch.split(problem.targets, per_pass), strict=True
        )
    ]
    shares = torch.cat([attention.rollout() for attention in found])
    first = shares.shape[1] - problem.inputs.shape[1]
    if first not in (0, 1):
        raise ExplainError(
            f"the model attends to {shares.shape[1]} tokens of a text of {problem.inputs.shape[1]} ids: attention "
            "rollout needs one per id, or one more in front; use another method"
        )
    of_ids, is_padding = shares[:, first:], problem.inputs == problem.padding
    return Attribution(
        values=of_ids.masked_fill(is_padding, 0).detach().cpu().numpy(),
        implementation=own_implementation("attention rollout"),
        parameters={
            "class_blind": True,
            "attentions": len(found[0].weights),
            "tokens_read": int(found[0].readers[0].sum()),
        },
        checks={"padding_share": float((of_ids * is_padding).sum(dim=1).mean())},
    )
