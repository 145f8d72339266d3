"""Where a model is called: by itself, by its parts if it is a mere container, or through torch.compile."""

from __future__ import annotations

import gc
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

Before = Callable[[nn.Module, Any, Any], None]  # the module, its positional and its named arguments
After = Callable[[nn.Module, Any, Any], None]  # the module, its positional arguments, the result; None if it raised


class Calls:
    """Tells what is called before and after each call of a model; `remove` leaves the model without a trace.

    Compiled models are watched from outside their graph. One that is compiled later is found by `look_again`.
    """

    def __init__(self, model: nn.Module, before: Before, after: After) -> None:
        self._before = before
        self._after = after
        self._parts = [weakref.ref(part) for part in dict.fromkeys(called_parts(model))]
        self._handles: list[RemovableHandle] = []
        for part in self._alive():
            if part._compiled_call_impl is None:
                self._hook(part)
            else:
                self._enclose(part)

    @property
    def part_count(self) -> int:
        """How many parts a loop can call: one, unless the model is a mere container."""
        return len(self._parts)

    def look_again(self) -> bool:
        """Find what was compiled since; False if nothing was."""
        found = False
        for part in self._alive():
            if part._compiled_call_impl is not None and not isinstance(part._compiled_call_impl, Enclosed):
                self._enclose(part)
                found = True
            for wrapper in _compiled_around(part):
                if not any(each() is wrapper for each in self._parts):
                    self._parts.append(weakref.ref(wrapper))
                    self._hook(wrapper)
                    found = True
        return found

    def remove(self) -> None:
        """Take every hook off again; removing twice is harmless."""
        while self._handles:
            self._handles.pop().remove()
        for part in self._alive():
            if isinstance(part._compiled_call_impl, Enclosed):
                part._compiled_call_impl = part._compiled_call_impl.without(self._before)

    def _alive(self) -> list[nn.Module]:
        return [part for reference in self._parts if (part := reference()) is not None]

    def _hook(self, part: nn.Module) -> None:
        self._handles.append(part.register_forward_pre_hook(self._before, with_kwargs=True))
        self._handles.append(part.register_forward_hook(self._after, always_call=True))

    def _enclose(self, part: nn.Module) -> None:
        assert part._compiled_call_impl is not None
        part._compiled_call_impl = Enclosed(part, part._compiled_call_impl, self._before, self._after)


class Enclosed:
    """The call of a module that `Module.compile` compiled, between two of ours: a hook would become part of the graph.

    torch drops it from copies and pickles of the module, as it does the compiled call itself.
    """

    def __init__(self, module: nn.Module, compiled: Callable[..., Any], before: Before, after: After) -> None:
        self._module = module
        self._compiled = compiled
        self._before = before
        self._after = after

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if torch.compiler.is_compiling():
            return self._compiled(*arguments, **options)
        result = None
        self._before(self._module, arguments, options)
        try:
            result = self._compiled(*arguments, **options)
            return result
        finally:
            self._after(self._module, arguments, result)

    def without(self, before: Before) -> Callable[..., Any]:
        """What remains when one of several that enclose the call leaves."""
        if self._before == before:
            return self._compiled
        if isinstance(self._compiled, Enclosed):
            self._compiled = self._compiled.without(before)
        return self


def called_parts(model: nn.Module) -> Iterator[nn.Module]:
    """The model itself, or of a container without a `forward` of its own the parts that a loop can call."""
    # Looked up statically: a scripted module's class has no `forward` to give.
    if inspect.getattr_static(model, "forward") is inspect.getattr_static(nn.Module, "forward"):
        for child in model.children():
            yield from called_parts(child)
    else:
        yield model


def _compiled_around(part: nn.Module) -> list[nn.Module]:
    """What `torch.compile(part)` returned; torch keeps no list of these."""
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    if dynamo is None:
        return []
    return [each for each in gc.get_objects() if type(each) is dynamo.OptimizedModule and each._orig_mod is part]
