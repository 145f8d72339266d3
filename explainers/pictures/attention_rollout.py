"""Attention rollout of a vision transformer: which patches the tokens that are read have looked at, layer by layer."""

import torch
import torch.nn.functional as F

from torchglass.errors import ExplainError
from torchglass.explainers.gradients.attention import watch_attention
from torchglass.explainers.gradients.maps import passes
from torchglass.explainers.gradients.token_grid import infer_grid
from torchglass.explainers.own import own_implementation
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem) -> Attribution:
    """Multiply the attention of all layers, each mixed half and half with the residual connection.

    Class-blind: it shows where the network looked and not what for, and every class gets the same map wherever the same
    tokens are read; `parameters["class_blind"]` says so. Values (N, 1, H, W) are shares of a picture's attention, never
    negative, laid out by patches and enlarged bilinearly; all tokens together hold 1. The rows that count are the
    tokens whose last attention the target's score depends on: a class token, or all where the head averages them.
    Check: `class_token_share`, what stays with tokens that stand for no patch.

    Raises:
        ExplainError: the model has no attention that is known, or its tokens are no grid of patches.

    Source: Abnar and Zuidema 2020 (arXiv 2005.00928).
    """
    found = [watch_attention(problem.model, pictures, targets) for pictures, targets in passes(problem)]
    shares = torch.cat([attention.rollout() for attention in found])
    size = (problem.inputs.shape[2], problem.inputs.shape[3])
    grid = infer_grid(shares.shape[1], size)
    if grid is None:
        raise ExplainError(
            f"the model's {shares.shape[1]} tokens are no grid of square patches of a {size[0]} x {size[1]} picture, "
            "with or without a class token: use method 'gradcam'"
        )
    small_map = grid.maps(shares[:, :, None])
    return Attribution(
        values=F.interpolate(small_map, size=size, mode="bilinear", align_corners=False).detach().cpu().numpy(),
        implementation=own_implementation("attention rollout"),
        parameters={
            "class_blind": True,
            "attentions": len(found[0].weights),
            "map_size": [grid.rows, grid.columns],
            "tokens_read": int(found[0].readers[0].sum()),
        },
        checks={"class_token_share": float(shares[:, : grid.first].sum(dim=1).mean())},
    )
