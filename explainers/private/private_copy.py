"""Copy a model so that it can be explained without the trained one noticing."""

import copy
from collections import OrderedDict
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers.private.scored_model import ScoredModel, scores

_CALL_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_STATE_HOOKS = (
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def private_copy(model: nn.Module) -> nn.Module:
    """Copy a model in eval mode, float32, gradient-free and without the caller's hooks.

    Copied is the module inside `torch.compile`, DataParallel or DistributedDataParallel: layer hooks set after the
    first compiled call do not fire, and a wrapper would synchronise with other processes. Hooks of torch.nn.utils
    (weight norm, spectral norm, pruning) stay, because they compute the weights.

    Raises:
        ExplainError: a part of the model cannot be copied, or would reach back into the trained model.
    """
    model = unwrapped(model)
    _refuse_forwards_that_reach_back(model)
    try:
        # The memo replaces hooks and non-leaf tensors on the way: neither can be copied, and the model stays as it is.
        twin = copy.deepcopy(model, {**_hooks_left_out(model), **graphs_cut(model)})
    except Exception as error:
        raise ExplainError(
            f"{type(model).__name__} cannot be copied ({error}): keep what deepcopy refuses out of its attributes"
        ) from error
    _unwrap_children(twin)
    return twin.float().eval().requires_grad_(False)


def switch_in_place_off(model: ScoredModel, probe: Tensor) -> None:
    """Let activations write to tensors of their own, which backward hooks need, unless the probe's scores change.

    They change where the network reads a tensor again after an activation wrote over it; it then stays as it is.
    """
    in_place = [module for module in model.network.modules() if module.__dict__.get("inplace") is True]
    if not in_place:
        return
    before = scores(model, probe)
    for module in in_place:
        module.__dict__["inplace"] = False
    if not torch.allclose(scores(model, probe), before, rtol=1e-5, atol=1e-6):
        for module in in_place:
            module.__dict__["inplace"] = True


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module inside `torch.compile` and the parallel wrappers."""
    while True:
        if isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            return model


def _unwrap_children(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        plain = unwrapped(child)
        if plain is not child:
            setattr(module, name, plain)
        _unwrap_children(plain)


def _refuse_forwards_that_reach_back(model: nn.Module) -> None:
    for name, module in model.named_modules():
        forward = module.__dict__.get("forward")
        if isinstance(forward, FunctionType) and forward.__closure__:
            raise ExplainError(
                f"forward of {name or 'the model'!r} was replaced by the function {forward.__qualname__!r}, which may "
                "hold on to the trained module: subclass the module instead, or explain before replacing"
            )


def _hooks_left_out(model: nn.Module) -> dict[int, Any]:
    left_out: dict[int, Any] = {}
    for module in model.modules():
        for kind in (*_CALL_HOOKS, *_STATE_HOOKS):
            hooks = getattr(module, kind)
            kept = {key: copy.deepcopy(hook) for key, hook in hooks.items() if _computes_weights(hook)}
            left_out[id(hooks)] = OrderedDict(kept if kind in _CALL_HOOKS else ())
    return left_out


def _computes_weights(hook: object) -> bool:
    return type(hook).__module__.startswith("torch.nn.utils.")


def graphs_cut(model: nn.Module) -> dict[int, Any]:
    """Give a memo for deepcopy in which tensors that a module keeps, and autograd made, are plain copies."""
    parts = (value for module in model.modules() for value in module.__dict__.values())
    return {id(tensor): tensor.detach().clone() for tensor in _tensors(parts) if not tensor.is_leaf}


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, dict):
            yield from _tensors(value.values())
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
