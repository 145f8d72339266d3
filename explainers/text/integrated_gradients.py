"""Integrated gradients of a text: each word's share of the score, along the path from a hidden word to its vector."""

import torch

from torchglass.errors import OptionError
from torchglass.explainers.gradients.embedding import EmbeddedModel, find_embedding
from torchglass.explainers.gradients.integration import IMPLEMENTATION, integrate
from torchglass.explainers.private.scored_model import inputs_per_pass
from torchglass.explainers.problem import Attribution, Problem

BASELINES = ("hidden", "padding")


def attribute(problem: Problem, *, steps: int = 1024, baseline: str = "hidden") -> Attribution:
    """Integrate the score's gradient over the embedding's vectors, from those of a hidden word; sum over each vector.

    Values (N, T), which add up to f(x) - f(x with every word hidden); the model keeps the masks that it makes of the
    ids, so the base value is the score of a text as long as this one whose words have no content. Checks:
    `completeness_error`, in score units, and `completeness_error_relative`, as a share of the difference, each the
    worst of the texts.

    Args:
        steps: most points on a path; a text whose sum is right to 1e-3 with fewer takes fewer.
        baseline: where the paths start: "hidden", the vector of the background's token id, which a model knows that was
            trained with words hidden behind it; or "padding", the vector of the padding id, which no model has seen in
            a word's place.

    Raises:
        ExplainError: the model has no layer that embeds the token ids, or not of that name.
        OptionError: steps are too few, or the baseline is neither.

    Source: Sundararajan et al. 2017 (arXiv 1703.01365), through captum's IntegratedGradients.
    """
    if baseline not in BASELINES:
        raise OptionError(f"baseline is {baseline!r}: choose one of {', '.join(BASELINES)}")
    nothing = torch.full_like(problem.inputs, problem.padding)
    is_word = problem.inputs != problem.padding
    start_ids = torch.where(is_word, problem.background, nothing) if baseline == "hidden" else nothing
    embedding = find_embedding(problem.model, problem.inputs, problem.targets, problem.layer)
    with torch.no_grad():
        ends = embedding.module(problem.inputs)
        starts = embedding.module(start_ids)
    found = integrate(
        EmbeddedModel(problem.model, embedding.module),
        starts,
        ends,
        problem.targets,
        beside=problem.inputs,
        steps=steps,
        per_pass=inputs_per_pass(problem.inputs[0]),
    )
    return Attribution(
        values=found.values.sum(dim=2).cpu().numpy(),
        implementation=IMPLEMENTATION,
        parameters={
            "steps": found.steps,
            "most_steps": steps,
            "baseline": problem.background_name if baseline == "hidden" else f"token id {problem.padding}",
        },
        checks=found.checks(problem.outputs),
        base_values=found.base.float().cpu().numpy(),
        layer=embedding.name,
        layer_alternatives=embedding.alternatives,
    )
