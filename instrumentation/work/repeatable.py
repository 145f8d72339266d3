"""Whether a model's forward may be run once more unseen: not if Python code in it draws from random numbers of the
whole process, which the user's own draws would then miss, sets what the training thread relies on, changes what
outlives the call, or talks to other processes.

Draws of torch's generators are no matter: without values nothing is drawn.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import nn

from torchglass.errors import OptionError
from torchglass.instrumentation.work.lasting_changes import codes_of, lasting_change

MAX_FUNCTIONS = 2000  # looked at, of one model
MAX_OBJECTS = 2000
PAUSE_SECONDS = 1e-4  # after each function: the training thread gets its turn
_SHARED = frozenset(  # set by these and set back, in two threads at once, it may stay wrong
    {
        *("manual_seed", "manual_seed_all", "set_rng_state", "fork_rng", "sdpa_kernel", "sdp_kernel"),
        *("enable_flash_sdp", "enable_math_sdp", "enable_mem_efficient_sdp", "enable_cudnn_sdp", "set_default_dtype"),
        *("set_float32_matmul_precision", "use_deterministic_algorithms", "set_num_threads", "catch_warnings"),
    }
)
_EXCHANGES = ("all_", "barrier", "broadcast", "gather", "irecv", "isend", "recv", "reduce", "scatter", "send")
_LIBRARIES = frozenset({"torch", "torchvision", "numpy"}) | sys.stdlib_module_names


def refuse_unrepeatable(model: nn.Module) -> None:
    """Look through the code of every `forward` and of what it calls by name, torch's own left out.

    Raises:
        OptionError: it draws from `random` or `numpy.random`, sets what all threads share, such as a seed or the kernel
            that attention takes, calls a function that torch.compile compiled, which would be compiled once more,
            changes a global, a class or a variable around it, or exchanges something with other ranks.
    """
    objects = list(_objects_in(model))
    if any(hasattr(each, "_torchdynamo_orig_callable") for each in objects):
        raise OptionError("the model keeps a function that torch.compile compiled")
    waiting = [(found, type(module)) for module in model.modules() for found in _methods(type(module), "forward")]
    waiting += [(found, type(each)) for each in objects for found in _methods(type(each), "__call__")]
    waiting += [(each, type(model)) for each in objects if isinstance(each, FunctionType)]
    kinds = {type(each) for each in objects if not isinstance(each, FunctionType)}
    seen: set[tuple[FunctionType, type]] = set()
    while waiting and len(seen) < MAX_FUNCTIONS:
        function, owner = waiting.pop()
        if (function, owner) in seen or _is_no_matter(function.__module__ or ""):
            continue
        seen.add((function, owner))
        time.sleep(PAUSE_SECONDS)
        names = {name for code in codes_of(function.__code__) for name in (*code.co_names, *code.co_freevars)}
        known = {name: value for name, value in _surroundings(function).items() if name in names}
        _refuse(function, names, known, owner)
        for used in known.values():
            waiting += [(found, type(used)) for found in _called(used, names)]
        waiting += [(found, kind) for kind in (owner, *kinds) for name in names for found in _methods(kind, name)]


def _refuse(function: FunctionType, names: set[str], known: Mapping[str, Any], owner: type) -> None:
    where = function.__qualname__
    if shared := sorted(names & _SHARED):
        raise OptionError(f"{where} calls {shared[0]}, which sets what all threads share")
    for name, used in known.items():
        if _draws(used, names):
            raise OptionError(f"{where} draws random numbers of Python or NumPy")
        if hasattr(used, "_torchdynamo_orig_callable"):
            raise OptionError(f"{where} calls {name}, which torch.compile compiled")
        if _exchanges(name, used, names):
            raise OptionError(f"{where} exchanges something with other ranks")
    if changed := lasting_change(function, names, known, owner):
        raise OptionError(f"{where} changes {changed}, which outlives the call")


def _surroundings(function: FunctionType) -> dict[str, Any]:
    """What a function finds by name: globals, and the variables of the function in which it was made."""
    enclosed: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            enclosed[name] = cell.cell_contents
        except ValueError:
            continue  # not set yet
    return {**function.__globals__, **enclosed}


def _called(used: Any, names: set[str]) -> Iterator[FunctionType]:
    """The Python functions that a global stands for, or that may be called of it."""
    if isinstance(used, FunctionType):
        yield used
    elif isinstance(used, MethodType):
        yield from _called(used.__func__, names)
    elif isinstance(used, ModuleType):
        if _root(used.__name__) not in _LIBRARIES:
            yield from (found for name in names if isinstance(found := vars(used).get(name), FunctionType))
    elif not isinstance(used, type) and _root(type(used).__module__) not in _LIBRARIES:
        yield from (found for name in (*names, "__call__") for found in _methods(type(used), name))


def _methods(owner: type, name: str) -> Iterator[FunctionType]:
    """A method as the class and those that it extends have it, each of which may call the next."""
    for kind in owner.__mro__:
        found = vars(kind).get(name)
        found = getattr(found, "__func__", found)  # of a class or static method
        if isinstance(found, FunctionType):
            yield found


def _objects_in(model: nn.Module) -> Iterator[Any]:
    """Functions, and objects of classes that are no library's, which modules keep as attributes or in these."""
    attributes = (each for module in model.modules() for each in vars(module).items())
    waiting: list[Any] = [value for name, value in attributes if not _stays_behind(name)]
    met: set[int] = set()
    while waiting and len(met) < MAX_OBJECTS:
        value = waiting.pop()
        if id(value) in met or isinstance(value, nn.Module | torch.Tensor | type | str | int | float | None):
            continue
        met.add(id(value))
        if isinstance(value, FunctionType | MethodType):
            yield getattr(value, "__func__", value)
        elif isinstance(value, dict | list | tuple | set):
            waiting += value.values() if isinstance(value, dict) else value
        elif _root(type(value).__module__) not in _LIBRARIES:
            yield value
            waiting += getattr(value, "__dict__", {}).values()


def _stays_behind(attribute: str) -> bool:
    """Tell what a copy of a module is made without."""
    return attribute.endswith("hooks") or attribute == "_compiled_call_impl"


def _draws(used: Any, names: Iterable[str]) -> bool:
    if isinstance(used, ModuleType):
        return used.__name__ in ("random", "numpy.random") or (used.__name__ == "numpy" and "random" in names)
    source = getattr(used, "__self__", None) if callable(used) else used
    return isinstance(source, random.Random) or type(source).__module__.startswith("numpy.random")


def _exchanges(name: str, used: Any, names: Iterable[str]) -> bool:
    if isinstance(used, ModuleType):
        return used.__name__.startswith("torch.distributed") and any(each.startswith(_EXCHANGES) for each in names)
    return name.startswith(_EXCHANGES) and str(getattr(used, "__module__", "")).startswith("torch.distributed")


def _is_no_matter(module: str) -> bool:
    """Torch's own code; and what sets up its logging at the first message."""
    return _root(module) in ("torch", "torchvision") or module.endswith(".logging")


def _root(module: str | None) -> str:
    return (module or "").partition(".")[0]
