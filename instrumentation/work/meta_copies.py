"""A private copy of a model without memory: its code runs on tensors that have a shape and no values."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from torchglass.errors import OptionError
from torchglass.instrumentation.work.call_shapes import is_plain, kind_of

ATTEMPTS = 3  # at a copy while the training thread gives the model new attributes
_WRAPPERS = {"OptimizedModule": "_orig_mod", "DistributedDataParallel": "module", "DataParallel": "module"}
_HOOKS = (
    "_forward_pre_hooks",
    "_forward_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
# Of a plain tensor, and of a parameter that no module knows.
_COPIES_OF_VALUES = (torch.Tensor.__deepcopy__, cast(Any, torch.Tensor).data.__get__)


def bare(model: nn.Module) -> nn.Module:
    """The model itself, without what torch.compile or a data-parallel wrapper put around it."""
    while inner := _WRAPPERS.get(type(model).__name__):
        model = getattr(model, inner)
    return model


def meta_copy(model: nn.Module) -> nn.Module:
    """Copy a model to the meta device: no value is read, no memory taken, and no hook of the user's goes along.

    What torch's own hooks compute (weight norm, pruning) is kept: it is part of the model.

    Raises:
        OptionError: the model cannot be copied, or its parameters are not plain tensors.
    """
    _refuse_what_cannot_run(model)
    for attempt in range(ATTEMPTS):
        try:
            with _BlankTensors():
                duplicate: nn.Module = copy.deepcopy(model, _memo(model))
            return duplicate
        except RuntimeError as error:
            if "changed size during iteration" not in str(error) or attempt == ATTEMPTS - 1:
                raise OptionError(f"the model cannot be copied: {error}") from error
        except OptionError:
            raise
        except Exception as error:
            raise OptionError(f"the model cannot be copied: {type(error).__name__}: {error}") from error
    raise AssertionError("unreachable")


def _refuse_what_cannot_run(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise OptionError("a scripted module runs no Python that could be counted")
        if type(module).__name__ in ("FullyShardedDataParallel", "DeepSpeedEngine"):
            raise OptionError(f"a {type(module).__name__} holds its parameters in pieces")


def _memo(model: nn.Module) -> dict[int, Any]:
    """What `deepcopy` finds already copied: parameters and buffers, hooks, and compiled parts as they were before."""
    memo: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        memo[id(tensor)] = _blank(tensor)
    modules = list(model.modules())
    for module in modules:
        for name in _HOOKS:
            hooks = module.__dict__.get(name)
            if isinstance(hooks, Mapping):
                memo[id(hooks)] = OrderedDict((key, hook) for key, hook in hooks.items() if _is_of_torch(hook))
    for module in reversed(modules):  # inner ones first
        if bare(module) is not module and id(bare(module)) not in memo:
            memo[id(module)] = copy.deepcopy(bare(module), memo)
    return memo


def _is_of_torch(hook: Callable[..., Any]) -> bool:
    owner = getattr(hook, "__module__", None) or type(hook).__module__
    return owner.startswith("torch.nn.utils.")


class _BlankTensors(TorchFunctionMode):
    """Copies of tensors that are neither parameters nor buffers have no values either."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _COPIES_OF_VALUES and args[0].device.type != "meta":
            return _blank(args[0])
        return func(*args, **(kwargs or {}))


def _blank(tensor: torch.Tensor) -> torch.Tensor:
    if not is_plain(tensor):
        raise OptionError(f"the model holds a {kind_of(tensor)}, which is no plain tensor")
    made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    made.requires_grad_(tensor.requires_grad)
    return nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made
