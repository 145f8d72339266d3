"""Evaluate an explanation: check, copy, run each metric on the map and on maps that know nothing, freeze the answer."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError, TorchglassError
from torchglass.explainers.checking.checks import checked_model, checked_scores, device_of
from torchglass.explainers.checking.inputs import Inputs, checked_background, checked_inputs
from torchglass.explainers.evaluation.again import Again, frame_of
from torchglass.explainers.evaluation.baselines import baseline_maps
from torchglass.explainers.evaluation.case import EXPLANATION, Case, ExplainAgain, Measured, UndefinedError
from torchglass.explainers.evaluation.registry import Metric, load_metrics
from torchglass.explainers.evaluation.scores import Scores
from torchglass.explainers.explanation import Explanation, FloatArray
from torchglass.explainers.front_door import plain_autograd, refuse_strange_ids
from torchglass.explainers.private.private_copy import private_copy
from torchglass.explainers.private.random_state import borrowed_random_state
from torchglass.explainers.private.scored_model import ScoredModel

OTHER_MODEL = 0.01
"""Difference of a score from the explained one, relative to the largest, above which the model must be another one."""


def evaluate(
    explanation: Explanation,
    model: nn.Module,
    inputs: Inputs | None = None,
    *,
    metrics: Sequence[str] | None = None,
    truth: Inputs | None = None,
    others: Sequence[Explanation] = (),
    background: Inputs | float | None = None,
    padding: int = 0,
    again: Mapping[str, Any] | None = None,
    seed: int = 0,
    steps: int = 32,
    budget: float = 60.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Scores:
    """Measure how far an explanation of a model can be trusted, beside a random map and, of pictures, an edge detector.

    Everything runs on a private copy, and modes, hooks, gradients and random generators come back as they were.

    Args:
        explanation: of N inputs.
        model: the one that was explained.
        inputs: what was explained; None for what the explanation holds.
        metrics: some of `metric_names()`; None for all. What cannot be computed is in `missing`, with the reason.
        truth: marks (N, H, W), (N, T) or (N, F), not zero where it is known that a pixel, word or column decides.
        others: explanations of the same inputs and classes by other methods, for "agreement".
        background: what stands where a part is hidden: reference inputs (B, ...), of which the mean is taken, a number,
            or, of text, a token id; None as in `explain`.
        padding: token id of the places of a text that hold no word.
        again: arguments of `explain` that the explanation does not hold, such as a function among its options, for
            metrics that explain again and detectors; None for this background and padding.
        seed: of the random map and of what is hidden.
        steps: points on the way of deletion and insertion, beside the first.
        budget: seconds; a metric that begins after them, or that would explain again for longer, is left out.
        clock: seconds; passed in by tests.

    Raises:
        ExplainError: the explanation is not of this model, or the truth does not fit it.
        OptionError: a metric is unknown, or a number is out of its range.
    """
    wanted = load_metrics(metrics)
    _check(explanation, others, steps, budget)
    started = clock()
    given = {"background": background, "padding": padding} if again is None else dict(again)
    repeated = Again(explanation, given, lambda: started + budget - clock())
    values: dict[str, Mapping[str, FloatArray]] = {}
    curves: dict[str, FloatArray] = {}
    missing: dict[str, str] = {}
    parameters: dict[str, Any] = {"budget": budget}
    with borrowed_random_state(explanation.seed), plain_autograd(model):
        case = _case(
            explanation,
            checked_model(model),
            inputs,
            truth,
            others,
            background,
            padding,
            steps,
            seed,
            given,
            repeated.for_one_metric(),
        )
        for metric in wanted:
            if clock() - started > budget:
                missing[metric.name] = f"the budget of {budget:g} s was spent before"
                continue
            try:
                found = _measured(metric, replace(case, again=repeated.for_one_metric()), seed)
            except (UndefinedError, TorchglassError) as error:
                missing[metric.name] = str(error)
                continue
            undefined = ~np.isfinite(found.values[EXPLANATION])
            if undefined.any():
                missing[metric.name] = f"{found.why_undefined}, for inputs {undefined.nonzero()[0][:5].tolist()}"
            values[metric.name] = found.values
            parameters |= found.parameters
            if found.curve is not None:
                curves[metric.name] = found.curve
    return Scores(
        values={metric: of[EXPLANATION] for metric, of in values.items()},
        baselines={
            name: {metric: of[name] for metric, of in values.items() if name in of}
            for name in case.maps
            if name != EXPLANATION
        },
        curves=curves,
        missing=missing,
        better={metric.name: metric.better for metric in wanted if metric.better is not None},
        seed=seed,
        seconds=clock() - started,
        model_evaluations=case.model.inputs_seen + repeated.evaluations,
        parameters=parameters,
    )


def _measured(metric: Metric, case: Case, seed: int) -> Measured:
    # Each metric draws from the same seed, whichever others are asked for.
    with borrowed_random_state(seed):
        return metric.measure(case)


def _check(explanation: object, others: Sequence[Explanation], steps: int, budget: float) -> None:
    if not isinstance(explanation, Explanation):
        raise ExplainError(f"explanation is a {type(explanation).__name__}: give what explain returned")
    if steps < 2:
        raise OptionError(f"steps is {steps}: give at least 2")
    if not budget > 0:
        raise OptionError(f"budget is {budget}: give seconds above 0")
    for number, other in enumerate(others):
        if not np.array_equal(other.inputs, explanation.inputs) or not np.array_equal(
            other.targets, explanation.targets
        ):
            raise ExplainError(f"others[{number}] explains other inputs or classes: explain the same ones")


def _case(
    explanation: Explanation,
    model: nn.Module,
    inputs: Inputs | None,
    truth: Inputs | None,
    others: Sequence[Explanation],
    background: Inputs | float | None,
    padding: int,
    steps: int,
    seed: int,
    given: Mapping[str, Any],
    again: ExplainAgain,
) -> Case:
    kind, device = explanation.kind, device_of(model)
    batch = checked_inputs(np.array(explanation.inputs) if inputs is None else inputs, kind, padding, device)
    if tuple(batch.shape) != explanation.inputs.shape:
        raise ExplainError(
            f"inputs have shape {tuple(batch.shape)}, and explained were {explanation.inputs.shape}: give those"
        )
    references, _ = checked_background(background, batch, kind)
    if kind == "text":
        refuse_strange_ids(model, torch.cat((batch, references)))
    scored, targets = _scored(model, explanation, given)
    _refuse_another_model(checked_scores(scored, batch), targets, explanation)
    count = len(batch)
    if kind == "text":
        hidden = torch.where(batch == padding, batch, references)
        present = batch != padding
    else:
        hidden = references.mean(dim=0, keepdim=True).expand_as(batch)
        present = torch.ones(count, batch[0, 0].numel() if kind == "pictures" else batch.shape[1], dtype=torch.bool)
    own = np.stack([explanation.relevance(i) for i in range(count)]).reshape(1, count, -1)
    return Case(
        explanation=explanation,
        model=scored,
        inputs=batch,
        targets=targets,
        hidden=hidden,
        maps={EXPLANATION: torch.as_tensor(own, device=device), **baseline_maps(batch, kind, seed)},
        present=present.to(device),
        truth=_checked_truth(truth, explanation, device),
        others=tuple(others),
        steps=steps,
        seed=seed,
        again=again,
    )


def _scored(model: nn.Module, explanation: Explanation, given: Mapping[str, Any]) -> tuple[ScoredModel, Tensor]:
    """Give a private copy as a model of scores, and which of them was explained of each input."""
    frame = frame_of(explanation)
    network, targets = private_copy(model), torch.from_numpy(explanation.targets.copy())
    if frame is not None:
        network, targets = frame(network, len(targets), **{**explanation.options, **given}), torch.arange(len(targets))
    return ScoredModel(network).eval(), targets.to(device_of(model))


def _refuse_another_model(table: Tensor, targets: Tensor, explanation: Explanation) -> None:
    if int(targets.max()) >= table.shape[1]:
        raise ExplainError(f"class {int(targets.max())} was explained, and the model has {table.shape[1]} outputs")
    found = table.gather(1, targets[:, None])[:, 0].cpu().numpy()
    if np.abs(found - explanation.outputs).max() > OTHER_MODEL * float(table.abs().max()):
        i = int(np.abs(found - explanation.outputs).argmax())
        raise ExplainError(
            f"the model scores input {i} with {found[i]:.4g}, and explained was {explanation.outputs[i]:.4g}: "
            "give the model as it was explained"
        )


def _checked_truth(truth: Inputs | None, explanation: Explanation, device: torch.device) -> Tensor | None:
    if truth is None:
        return None
    marks = torch.as_tensor(truth, device=device) != 0
    wanted = (len(explanation.targets), *explanation.relevance(0).shape)
    if marks.ndim == len(wanted) + 1 and marks.shape[1] == 1:
        marks = marks[:, 0]
    if tuple(marks.shape) != wanted:
        raise ExplainError(f"truth has shape {tuple(marks.shape)}, wanted {wanted} like the attributions")
    return marks.flatten(1)
