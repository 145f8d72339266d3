"""Boundaries of a step, found with the hooks that are safe on any model.

Only the model that the user calls and the optimizers carry hooks: forward pre and post, a hook on the output tensors
that need a gradient, the autograd engine's end-of-backward callback, and the optimizers' step hooks. No
`register_full_backward_hook`: it more than doubles the step and breaks in-place ReLU.
"""

from __future__ import annotations

import contextlib
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import FrameType, SimpleNamespace
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle, unserializable_hook

from torchglass.instrumentation.calls import Calls
from torchglass.instrumentation.guard import Guard
from torchglass.instrumentation.outputs import tensors_with_gradient
from torchglass.instrumentation.transfer import is_capturing

MAX_GRAPHS = 4  # parts of a model whose first result is told, as a generator and a discriminator
STEPS_WITHOUT_CALL = 3  # after these we look no longer for what the loop calls, and say so

is_compiling = torch.compiler.is_compiling
is_distributed = torch.distributed.is_initialized if torch.distributed.is_available() else bool  # bool() is False
trace_at_work = torch._C._get_tracing_state
current_graph_task = torch._C._current_graph_task_id  # -1 unless the autograd engine is at work in this thread


class StepEvents(Protocol):
    """What the hooks tell: each call is a moment on the training thread, in nanoseconds of the guard's clock."""

    def forward_begins(self, now_ns: int, model: nn.Module, arguments: Any, named: Any) -> None: ...
    def forward_ends(self, now_ns: int) -> None: ...
    def result_is_new(self, now_ns: int, part: nn.Module, output: Any) -> None: ...
    def backward_begins(self, now_ns: int) -> None: ...
    def backward_ends(self, now_ns: int) -> None: ...
    def gradients_are_synchronized(self, now_ns: int) -> None: ...
    def optimizer_begins(self, now_ns: int, optimizer: torch.optim.Optimizer, has_closure: bool) -> None: ...
    def closure_returned(self, now_ns: int, optimizer: torch.optim.Optimizer) -> None: ...
    def optimizer_ends(self, now_ns: int, optimizer: torch.optim.Optimizer) -> None: ...
    def evaluation_begins(self, now_ns: int) -> None: ...
    def evaluation_ends(self, now_ns: int) -> None: ...
    def calls_are_unseen(self, now_ns: int) -> None: ...


class Hooks:
    """The hooks on one model and its optimizers, where there are such; `remove` leaves none with a trace."""

    def __init__(
        self,
        model: nn.Module | None,
        optimizers: Sequence[torch.optim.Optimizer],
        events: StepEvents,
        guard: Guard,
    ) -> None:
        self._events = events
        self._guard = guard
        self._call: FrameType | None = None  # of the outermost watched call; those within it are its own business
        self._call_trains = False
        self._was_called = False
        self._optimizer_began = False
        self._steps_without_call = 0
        self._backward_is_open = False
        self._told_results: set[int] = set()  # of parts, by id
        self._leaf_handles: list[RemovableHandle] = []
        self._handles: list[RemovableHandle] = []
        self._calls = Calls(model, self._before_forward, self._after_forward) if model is not None else None
        self._results_to_tell = min(MAX_GRAPHS, self._calls.part_count) if self._calls is not None else 0
        for optimizer in optimizers:
            self.add_optimizer(optimizer)

    def add_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Watch the steps of an optimizer, too."""
        self._handles.append(optimizer.register_step_pre_hook(self._before_optimizer))
        self._handles.append(optimizer.register_step_post_hook(self._after_optimizer))

    def remove(self) -> None:
        """Take every hook off again; removing twice is harmless."""
        self._forget_leaves()
        while self._handles:
            self._handles.pop().remove()
        if self._calls is not None:
            self._calls.remove()

    def __deepcopy__(self, memo: dict[int, Any]) -> Hooks:
        # A model that is copied takes along hooks that do nothing.
        inert = Guard(lambda _message: None)
        inert.armed = False
        return Hooks(None, (), cast(StepEvents, _Nothing()), inert)

    def __reduce__(self) -> tuple[type[SimpleNamespace], tuple[()], dict[str, Callable[..., None]]]:
        # One that is saved or sent to another process, too; and it must load where torchglass is not installed.
        # This takes any arguments and returns None, from the standard library.
        nothing = contextlib.nullcontext().__exit__
        names = ("_before_forward", "_after_forward", "_before_optimizer", "_after_optimizer")
        return SimpleNamespace, (), dict.fromkeys(names, nothing)

    def _before_forward(self, model: nn.Module, arguments: Any, named: Any) -> None:
        # Traced into the user's graph we would break it.
        if is_compiling():
            return
        if current_graph_task() != -1:
            # A checkpoint calls the model again, as a part of the backward; of a reentrant one no output told so yet.
            if model.training and not self._backward_is_open:
                self._begin_backward()
            return
        if self._call is not None and _is_below(self._call):
            return
        self._call = sys._getframe(1)
        self._call_trains = model.training and (torch.is_grad_enabled() or _needs_gradient(arguments, named))
        if self._call_trains:
            self._was_called = True
            self._backward_is_open = False  # a backward that raised never reported its end
            self._guard.moment(self._events.forward_begins, model, arguments, named)
        else:
            self._guard.moment(self._events.evaluation_begins)

    def _after_forward(self, model: nn.Module, _arguments: Any, output: Any) -> None:
        if is_compiling() or self._call is None:
            return
        # After an exception the frame that began the call has gone.
        if sys._getframe(1) is not self._call and _is_below(self._call):
            return
        self._call = None
        if self._call_trains:
            self._guard.moment(self._end_forward, output)
            if self._results_to_tell:
                self._guard.moment(self._tell_first_result, model, output)
        else:
            self._guard.moment(self._events.evaluation_ends)

    def _end_forward(self, now_ns: int, output: Any) -> None:
        self._events.forward_ends(now_ns)
        if self._leaf_handles:
            self._forget_leaves()
        plain = type(output) is torch.Tensor and output.requires_grad
        for tensor in (output,) if plain else tensors_with_gradient(output):
            self._await_gradient(tensor)

    def _tell_first_result(self, now_ns: int, part: nn.Module, output: Any) -> None:
        # What is looked up while a graph is traced or captured could become a part of it; a later call will do.
        if id(part) in self._told_results or trace_at_work() is not None or is_capturing():
            return
        self._told_results.add(id(part))
        self._results_to_tell -= 1
        self._events.result_is_new(now_ns, part, output)

    def _await_gradient(self, tensor: Any) -> None:
        node = tensor.grad_fn
        if node is not None and type(tensor) is torch.Tensor and tensor._backward_hooks is None:
            # What `register_hook` does, in a third of its time: no handle is made, the tensor ends with its step.
            tensor._backward_hooks = OrderedDict(torchglass=self._on_output_gradient)
            node._register_hook_dict(tensor)
            return
        handle = tensor.register_hook(self._on_output_gradient)
        if tensor.is_leaf:
            # A model that returns a parameter of its own: unlike a result, it outlives the step with its hooks.
            self._leaf_handles.append(handle)

    def _forget_leaves(self) -> None:
        while self._leaf_handles:
            self._leaf_handles.pop().remove()

    # Said so, a result is saved by torch.save without a warning.
    @unserializable_hook  # type: ignore[untyped-decorator]
    def _on_output_gradient(self, _gradient: torch.Tensor) -> None:
        # Several outputs, or two forwards before one backward, arrive here several times; only the first opens it.
        if not self._backward_is_open:
            self._begin_backward()

    def _begin_backward(self) -> None:
        self._backward_is_open = True
        self._guard.moment(self._open_backward)

    def _open_backward(self, now_ns: int) -> None:
        self._events.backward_begins(now_ns)
        _at_end_of_backward(self._close_backward)

    def _close_backward(self) -> None:
        if self._backward_is_open:
            self._backward_is_open = False
            self._guard.moment(self._events.backward_ends)
            if is_distributed():
                # DDP queued the end of its exchange during this backward, before us: we are called behind it.
                _at_end_of_backward(self._tell_synchronized)

    def _tell_synchronized(self) -> None:
        self._guard.moment(self._events.gradients_are_synchronized)

    def _before_optimizer(
        self, optimizer: torch.optim.Optimizer, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        self._optimizer_began = True
        closure = arguments[1] if len(arguments) > 1 else options.get("closure")
        self._guard.moment(self._events.optimizer_begins, optimizer, closure is not None)
        if closure is None:
            return None

        def and_tell(*given: Any, **named: Any) -> Any:
            result = closure(*given, **named)
            self._guard.moment(self._events.closure_returned, optimizer)
            return result

        if "closure" in options:
            return arguments, {**options, "closure": and_tell}
        return (arguments[0], and_tell, *arguments[2:]), options

    def _after_optimizer(self, optimizer: torch.optim.Optimizer, *_ignored: Any) -> None:
        if not self._optimizer_began:
            return  # a subclass called the step of its base, whose hooks are these too
        self._optimizer_began = False
        self._guard.moment(self._events.optimizer_ends, optimizer)
        if self._was_called:
            self._was_called = False
        elif self._calls is not None and self._steps_without_call < STEPS_WITHOUT_CALL:
            self._guard.moment(self._look_again, self._calls)

    def _look_again(self, now_ns: int, calls: Calls) -> None:
        """A step went by without a call: the model may have been compiled since, or is called where nothing sees it."""
        self._steps_without_call += 1
        if calls.look_again():
            self._steps_without_call = 0
        elif self._steps_without_call == STEPS_WITHOUT_CALL:
            self._events.calls_are_unseen(now_ns)


class _Nothing:
    """Events of a copied model: nobody listens."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_ignored: None


def _needs_gradient(arguments: Any, named: Any) -> bool:
    """Tell a reentrant checkpoint's first pass, which is made without gradients, from an evaluation."""
    given = (*arguments, *named.values())
    return any(isinstance(each, torch.Tensor) and each.requires_grad for each in given)


def _is_below(frame: FrameType) -> bool:
    """Tell whether a frame is still at work: Ctrl-C in a notebook leaves calls that never ended."""
    caller: FrameType | None = sys._getframe(1)
    while caller is not None and caller is not frame:
        caller = caller.f_back
    return caller is not None


# Public as torch.autograd.graph.queue_callback from torch 2.15; the engine's own entry before that.
_at_end_of_backward: Callable[[Callable[[], None]], None] = (
    getattr(torch.autograd.graph, "queue_callback", None) or torch.autograd.Variable._execution_engine.queue_callback
)
