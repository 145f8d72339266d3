"""Turn what the caller gave into checked tensors, or say in one sentence what is wrong with it."""

from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers.private.scored_model import ScoredModel, scores

Target: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | npt.NDArray[np.integer[Any]] | Tensor | None


def checked_model(model: object) -> nn.Module:
    """Accept an nn.Module that has values and can be taken apart."""
    if not isinstance(model, nn.Module):
        raise ExplainError(f"model is a {type(model).__name__}: give a torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise ExplainError("model is a ScriptModule, whose parts cannot be copied and hooked: give the original module")
    if any(nn.parameter.is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        raise ExplainError("model has lazy layers whose weights have no shapes yet: run it on a batch first")
    if device_of(model).type == "meta":
        raise ExplainError("model is on the device 'meta', where weights have no values: load it onto a real device")
    return model


def device_of(model: nn.Module) -> torch.device:
    """Name the device of the model's first parameter or buffer; the CPU where it has neither."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def checked_scores(model: ScoredModel, inputs: Tensor) -> Tensor:
    """Run the model on the inputs: (N, K), all finite."""
    try:
        table = scores(model, inputs)
    except ExplainError:
        raise
    except Exception as error:
        raise ExplainError(
            f"the model cannot run on inputs of shape {tuple(inputs.shape)}: {first_line(error)}"
        ) from error
    bad = bad_rows(table)
    if bad:
        raise ExplainError(f"the model's scores are not finite for inputs {bad}: there is no score to explain")
    return table


def checked_targets(target: object, table: Tensor) -> Tensor:
    """Bring targets to (N,) class indices; None is each input's highest score."""
    inputs, classes = table.shape
    if target is None:
        return table.argmax(dim=1)
    asked = np.asarray(target.detach().cpu() if isinstance(target, Tensor) else target)
    if asked.dtype.kind not in "iu" or asked.ndim > 1:
        raise ExplainError(f"target is {target!r}: give a class index, one index per input, or None")
    if asked.ndim == 1 and len(asked) != inputs:
        raise ExplainError(f"target names {len(asked)} classes for {inputs} inputs: give one per input")
    outside = sorted({int(c) for c in np.atleast_1d(asked) if not 0 <= c < classes})
    if outside:
        known = f"classes 0 to {classes - 1}" if classes > 1 else "one output, target 0"
        raise ExplainError(f"target class {outside[0]} is out of range: the model has {known}")
    return torch.as_tensor(np.broadcast_to(asked, (inputs,)).astype(np.int64), device=table.device)


def first_line(error: Exception) -> str:
    """Quote another library's error within a sentence."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def bad_rows(table: Tensor) -> list[int]:
    """Number the first rows of (N, M) that hold NaN or infinity."""
    return [int(i) for i in (~torch.isfinite(table).all(dim=1)).nonzero()[:5]]
