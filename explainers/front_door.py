"""Explain a model's scores: check, copy, run one method, freeze the answer."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers.checking.checks import Target, checked_model, checked_scores, checked_targets, device_of
from torchglass.explainers.checking.inputs import Inputs, checked_background, checked_inputs, kind_of
from torchglass.explainers.explanation import Explanation
from torchglass.explainers.kinds import Kind
from torchglass.explainers.pace import Pace, Progress
from torchglass.explainers.private.private_copy import private_copy, switch_in_place_off
from torchglass.explainers.private.random_state import borrowed_random_state
from torchglass.explainers.private.scored_model import ScoredModel, output_space
from torchglass.explainers.problem import Attribution, Problem
from torchglass.explainers.registry import DEFAULTS, load_frame, load_method


def explain(
    model: nn.Module,
    inputs: Inputs,
    target: Target = None,
    method: str | None = None,
    *,
    kind: Kind | None = None,
    layer: str | None = None,
    background: Inputs | float | None = None,
    padding: int = 0,
    seed: int = 0,
    budget: float | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
    **options: Any,
) -> Explanation:
    """Explain the score of each input's target class, or a regression's value.

    Everything runs on a private copy in eval mode: the model comes back as it was (modes, hooks, gradients, buffers),
    and so do the random generators, after success and after failure.

    Args:
        model: maps a batch to scores (N, K), or to one value each, (N, 1) or (N,), on any device.
        inputs: float pictures (N, C, H, W), integer token ids (N, T) or float rows (N, F), prepared as for training.
        target: class to explain, one for all or one per input; None for each input's highest score.
        method: one of `method_names(kind)`; None is "gradcam" for pictures, "integrated_gradients" for text and "shap"
            for rows.
        kind: "pictures", "text" or "table"; None to tell it by type and rank.
        layer: name of the layer that the class-activation methods read, or of the embedding that
            "integrated_gradients" of a text starts from; None to find it. The others only check that it is there.
        background: what an input without its content is. Pictures and rows: reference inputs (B, ...) to average over
            or to draw from, or a number for a constant one; None is zero: black, or the mean after normalising. A value
            equal to its background gets no relevance, so inputs of the training set say more. Text: the token id that
            stands where a word is hidden; None is 1.
        padding: token id of the places of a text that hold no word.
        seed: repeats the explanation exactly on the same machine, unless a budget ends it.
        budget: seconds after which a method that samples ends with what it has; it always takes its fewest samples.
        progress: called with (done, total) now and then by methods that ask the model many times; what it raises
            cancels the explanation and comes out here, with everything as it was.
        clock: seconds; passed in by tests.
        options: of the method; see the `attribute` function of its file.

    Raises:
        ExplainError: the model or an input cannot be explained as asked.
        OptionError: an option is unknown or has a value that it cannot take.
        MissingExtraError: the method's library is not installed.
    """
    kind = kind_of(inputs, kind)
    method = DEFAULTS[kind] if method is None else method
    with borrowed_random_state(seed), plain_autograd(model):
        attribute = load_method(kind, method, options)
        started = clock()
        pace = Pace(_checked_budget(budget), progress, clock, started)
        frame = load_frame(kind, method)
        framed = None if frame is None else partial(frame, **options)
        problem, table = posed(
            checked_model(model), inputs, kind, target, layer, background, padding, seed, pace, framed
        )
        found = attribute(problem, **options)
        _refuse_non_finite(found, method)
        return Explanation(
            attributions=found.values,
            inputs=_numpy(problem.inputs),
            targets=_numpy(problem.targets) if found.targets is None else found.targets,
            outputs=_numpy(problem.outputs),
            output_space=output_space(table) if frame is None else "value",
            method=method,
            implementation=found.implementation,
            seed=seed,
            seconds=clock() - started,
            model_evaluations=problem.model.inputs_seen,
            kind=kind,
            base_values=found.base_values,
            standard_errors=found.standard_errors,
            layer=found.layer,
            layer_alternatives=found.layer_alternatives,
            parameters=found.parameters,
            checks=found.checks,
            options=options,
        )


def posed(
    model: nn.Module,
    inputs: Inputs,
    kind: Kind,
    target: object,
    layer: str | None,
    background: object,
    padding: int,
    seed: int,
    pace: Pace | None = None,
    framed: Callable[[nn.Module, int], nn.Module] | None = None,
) -> tuple[Problem, Tensor]:
    """Check what is asked and copy the model: the problem, and the scores (N, K) of its inputs.

    `framed` wraps the copy of a network that has no scores, given the number of inputs; see `load_frame`.
    """
    batch = checked_inputs(inputs, kind, padding, device_of(model))
    references, background_name = checked_background(background, batch, kind)
    if kind == "text":
        refuse_strange_ids(model, torch.cat((batch, references)))
    network = private_copy(model)
    _refuse_unknown_layer(network, layer)
    if framed is not None:
        if target is not None:
            raise ExplainError(f"target is {target!r}: this method explains what its own options name, give none")
        network, target = framed(network, len(batch)), torch.arange(len(batch))
    scored = ScoredModel(network).eval()
    table = checked_scores(scored, batch)
    switch_in_place_off(scored, batch[:1])
    targets = checked_targets(target, table)
    outputs = table.gather(1, targets[:, None])[:, 0]
    problem = Problem(
        scored, kind, batch, targets, outputs, references, background_name, padding, layer, seed, pace or Pace()
    )
    return problem, table


def _checked_budget(budget: float | None) -> float | None:
    if budget is not None and not budget > 0:
        raise OptionError(f"budget is {budget}: give seconds above 0, or None for no limit")
    return budget


def _refuse_unknown_layer(network: nn.Module, layer: str | None) -> None:
    names = [name for name, _ in network.named_modules()]
    if layer is not None and layer not in names:
        known = ", ".join(filter(None, names)) or "none"
        raise ExplainError(f"layer {layer!r} is not in the model: choose one of {known}")


def refuse_strange_ids(model: nn.Module, ids: Tensor) -> None:
    """Refuse token ids that no embedding of the model has a row for."""
    # On CUDA an id that no row answers to ends the process's use of the device, so it must not get that far.
    rows = [module.num_embeddings for module in model.modules() if isinstance(module, nn.Embedding)]
    if rows and int(ids.max()) >= max(rows):
        raise ExplainError(f"token id {int(ids.max())} is out of range: the model embeds ids 0 to {max(rows) - 1}")


@contextmanager
def plain_autograd(model: object) -> Iterator[None]:
    """Differentiate in float32 whatever the caller switched on: inference mode, no_grad, autocast, other defaults."""
    with ExitStack() as stack:
        if (dtype := torch.get_default_dtype()) != torch.float32:
            stack.callback(torch.set_default_dtype, dtype)
            torch.set_default_dtype(torch.float32)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if isinstance(model, nn.Module) and any(isinstance(module, nn.RNNBase) for module in model.modules()):
            # cuDNN's recurrent networks have no backward pass in eval mode.
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


def _refuse_non_finite(found: Attribution, method: str) -> None:
    bad = [i for i, values in enumerate(found.values) if not np.isfinite(values).all()]
    if bad:
        raise ExplainError(f"method {method!r} gave NaN or infinity for inputs {bad[:5]}: try another method")


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy()
