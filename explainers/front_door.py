"""Explain a model's scores for pictures: check, copy, run one method, freeze the answer."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers.checks import (
    Pictures,
    Target,
    checked_background,
    checked_model,
    checked_pictures,
    checked_scores,
    checked_targets,
    device_of,
)
from torchglass.explainers.explanation import Explanation
from torchglass.explainers.private_copy import private_copy, switch_in_place_off
from torchglass.explainers.problem import Attribution, Problem
from torchglass.explainers.random_state import borrowed_random_state
from torchglass.explainers.registry import load_method
from torchglass.explainers.scored_model import ScoredModel, output_space


def explain(
    model: nn.Module,
    inputs: Pictures,
    target: Target = None,
    method: str = "gradcam",
    *,
    layer: str | None = None,
    background: Pictures | float | None = None,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    **options: Any,
) -> Explanation:
    """Explain the score of each picture's target class.

    Everything runs on a private copy in eval mode: the model comes back as it was (modes, hooks, gradients, buffers),
    and so do the random generators, after success and after failure.

    Args:
        model: classifier of pictures, (N, C, H, W) to (N, K) or (N,), on any device.
        inputs: float pictures (N, C, H, W), prepared as for training.
        target: class to explain, one for all or one per picture; None for each picture's highest score.
        method: "gradcam", "shap" or "lime"; `method_names()` lists them.
        layer: name of the layer that "gradcam" reads; None to find it. The others do not read it.
        background: what "a picture without its content" is, for "shap" (averaged over) and "lime" (shown where a
            segment is hidden): pictures (B, C, H, W) or one (C, H, W), or a number for a flat picture. None is zero:
            black, or the mean after normalising. A pixel equal to its background gets no relevance from "shap", so
            pictures of the training set say more. "gradcam" does not read it.
        seed: repeats the explanation exactly on the same machine.
        clock: seconds; passed in by tests.
        options: of the method; see the `attribute` function of its file.

    Raises:
        ExplainError: the model or an input cannot be explained as asked.
        OptionError: an option is unknown or has a value that it cannot take.
        MissingExtraError: the method's library is not installed.
    """
    with borrowed_random_state(seed), _plain_autograd():
        attribute = load_method(method, options)
        started = clock()
        problem, table = _posed(checked_model(model), inputs, target, layer, background, seed)
        found = attribute(problem, **options)
        _refuse_non_finite(found, method)
        return Explanation(
            attributions=found.values,
            inputs=_numpy(problem.pictures),
            targets=_numpy(problem.targets),
            outputs=_numpy(problem.outputs),
            output_space=output_space(table),
            method=method,
            implementation=found.implementation,
            seed=seed,
            seconds=clock() - started,
            model_evaluations=problem.model.pictures_seen,
            base_values=found.base_values,
            standard_errors=found.standard_errors,
            layer=found.layer,
            layer_alternatives=found.layer_alternatives,
            parameters=found.parameters,
            checks=found.checks,
        )


def _posed(
    model: nn.Module, inputs: object, target: object, layer: str | None, background: object, seed: int
) -> tuple[Problem, Tensor]:
    device = device_of(model)
    pictures = checked_pictures(inputs, device)
    references, background_name = checked_background(background, pictures)
    scored = ScoredModel(private_copy(model)).eval()
    table = checked_scores(scored, pictures)
    switch_in_place_off(scored, pictures[:1])
    targets = checked_targets(target, table)
    outputs = table.gather(1, targets[:, None])[:, 0]
    return Problem(scored, pictures, targets, outputs, references, background_name, layer, seed), table


@contextmanager
def _plain_autograd() -> Iterator[None]:
    """Differentiate in float32 whatever the caller switched on: inference mode, no_grad or autocast."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def _refuse_non_finite(found: Attribution, method: str) -> None:
    bad = [i for i, values in enumerate(found.values) if not np.isfinite(values).all()]
    if bad:
        raise ExplainError(f"method {method!r} gave NaN or infinity for pictures {bad[:5]}: try another method")


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy()
