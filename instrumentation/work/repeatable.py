"""Whether a model's forward may be run once more unseen: not if Python code in it draws from random numbers of the
whole process, which the user's own draws would then miss, or sets what the training thread relies on.

Draws of torch's generators are no matter: without values nothing is drawn.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from torch import nn

from torchglass.errors import OptionError

MAX_FUNCTIONS = 2000  # looked at, of one model
_SHARED = frozenset(  # set by these and set back, in two threads at once, it may stay wrong
    {
        *("manual_seed", "manual_seed_all", "set_rng_state", "fork_rng", "sdpa_kernel", "sdp_kernel"),
        *("enable_flash_sdp", "enable_math_sdp", "enable_mem_efficient_sdp", "enable_cudnn_sdp", "set_default_dtype"),
        *("set_float32_matmul_precision", "use_deterministic_algorithms", "set_num_threads", "catch_warnings"),
    }
)


def refuse_unrepeatable(model: nn.Module) -> None:
    """Look through the code of every `forward` and of what it calls by name, torch's own left out.

    Raises:
        OptionError: it draws from `random` or `numpy.random`, sets what all threads share, such as a seed or the kernel
            that attention takes, or calls a function that torch.compile compiled, which would be compiled once more.
    """
    waiting = [(found, type(module)) for module in model.modules() if (found := _function(type(module), "forward"))]
    seen: set[tuple[FunctionType, type]] = set()
    while waiting and len(seen) < MAX_FUNCTIONS:
        function, owner = waiting.pop()
        if (function, owner) in seen or _is_of_torch(function.__module__):
            continue
        seen.add((function, owner))
        names = set(_names(function.__code__))
        if shared := sorted(names & _SHARED):
            raise OptionError(f"{function.__qualname__} calls {shared[0]}, which sets what all threads share")
        for name in names:
            used = function.__globals__.get(name)
            if _draws(used, names):
                raise OptionError(f"{function.__qualname__} draws random numbers of Python or NumPy")
            if hasattr(used, "_torchdynamo_orig_callable"):
                raise OptionError(f"{function.__qualname__} calls {name}, which torch.compile compiled")
            if isinstance(used, FunctionType):
                waiting.append((used, owner))
            elif method := _function(owner, name):
                waiting.append((method, owner))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _function(owner: type, name: str) -> FunctionType | None:
    found = inspect.getattr_static(owner, name, None)
    found = getattr(found, "__func__", found)  # of a class or static method
    return found if isinstance(found, FunctionType) else None


def _draws(used: Any, names: set[str]) -> bool:
    if isinstance(used, ModuleType):
        return used.__name__ in ("random", "numpy.random") or (used.__name__ == "numpy" and "random" in names)
    source = getattr(used, "__self__", None) if callable(used) else used
    return isinstance(source, random.Random) or type(source).__module__.startswith("numpy.random")


def _is_of_torch(module: str | None) -> bool:
    return (module or "").split(".")[0] in ("torch", "torchvision")
