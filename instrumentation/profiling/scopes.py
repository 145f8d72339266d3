"""Names for what runs inside a profiler window: modules and phases as ranges of the trace. Outside one, nothing.

A range costs a microsecond under the profiler. The window's hooks are on every module; they come with the window and
go with it, and a model that is compiled gets none: they would be traced into its graph.
"""

from __future__ import annotations

import contextlib
import sys
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from torchglass.traces.trace import MODULE_PREFIX, PHASE_PREFIX

# Much cheaper than record_function, which it stands in for where torch has it.
_Range: Any = getattr(torch._C._profiler, "_RecordFunctionFast", torch.profiler.record_function)
_current_graph_task = torch._C._current_graph_task_id
COMPILED = "modules are not named where this process has compiled any: hooks would have it compile them anew"


def mark_phase(phase: str) -> None:
    """Say, as an instant of the trace, that the time since the instant before belonged to this phase."""
    with _Range(PHASE_PREFIX + phase):
        pass


class ModuleScopes:
    """Ranges around the forward of each module of a model, while it is `open`."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []

    def open(self, model: nn.Module | None) -> str | None:
        """Hook every module that can carry hooks; return why there are none, if so."""
        if model is None:
            return "the model is gone"
        if is_compiled(model):
            return COMPILED
        for name, module in model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue  # carries no hooks; its operators count as its parent's
            scope = _Scope(f"{MODULE_PREFIX}{name or type(module).__name__}")
            self._handles.append(module.register_forward_pre_hook(scope.enter, prepend=True))
            self._handles.append(module.register_forward_hook(scope.leave, always_call=True))
        return None

    def close(self) -> None:
        """Take every hook off again; closing twice is harmless."""
        while self._handles:
            self._handles.pop().remove()


def is_compiled(model: nn.Module) -> bool:
    """Tell whether a part of the model is compiled, or any function at all was: it may call a part of the model.

    Such a function is compiled anew when a module that it calls has hooks that it had not before.
    """
    if any(module._compiled_call_impl is not None for module in model.modules()):
        return True
    dynamo = sys.modules.get("torch._dynamo.utils")
    return dynamo is not None and bool(dynamo.counters["stats"].get("unique_graphs"))


class _Scope:
    """The range of one module; entered again within itself where a module calls itself."""

    def __init__(self, name: str | None) -> None:
        self._name = name  # None in a copy of the model, which opens no range
        self._open: list[Any] = []

    def enter(self, _module: nn.Module, _arguments: Any) -> None:
        # Within a backward a checkpoint calls the module again, and may end early without a word.
        if self._name is None or torch.compiler.is_compiling() or _current_graph_task() != -1:
            return
        entered = _Range(self._name)
        entered.__enter__()
        self._open.append(entered)

    def leave(self, _module: nn.Module, _arguments: Any, _output: Any) -> None:
        if self._open and _current_graph_task() == -1:
            self._open.pop().__exit__(None, None, None)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Scope:
        return _Scope(None)

    def __reduce__(self) -> tuple[type[SimpleNamespace], tuple[()], dict[str, Any]]:
        # A model that is saved during a window must load where torchglass is not installed.
        nothing = contextlib.nullcontext().__exit__
        return SimpleNamespace, (), {"enter": nothing, "leave": nothing}
