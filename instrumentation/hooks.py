"""Boundaries of a step, found with the hooks that are safe on any model.

Only the model that the user calls and the optimizer carry hooks: forward pre and post, a hook on the first output
tensor that needs a gradient, the autograd engine's end-of-backward callback, and the optimizer's step hooks. No
`register_full_backward_hook`: it more than doubles the step and breaks in-place ReLU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from torchglass.instrumentation.guard import Guard

is_compiling = torch.compiler.is_compiling
current_graph_task = torch._C._current_graph_task_id  # -1 unless the autograd engine is at work in this thread


class StepEvents(Protocol):
    """What the hooks tell: each call is a moment on the training thread, in nanoseconds of the guard's clock."""

    def forward_begins(self, now_ns: int) -> None: ...
    def forward_ends(self, now_ns: int) -> None: ...
    def backward_begins(self, now_ns: int) -> None: ...
    def backward_ends(self, now_ns: int) -> None: ...
    def optimizer_begins(self, now_ns: int) -> None: ...
    def optimizer_ends(self, now_ns: int) -> None: ...
    def evaluation_begins(self, now_ns: int) -> None: ...
    def evaluation_ends(self, now_ns: int) -> None: ...


class Hooks:
    """The hooks on one model and one optimizer, where there are such; `remove` leaves neither with a trace."""

    def __init__(
        self, model: nn.Module | None, optimizer: torch.optim.Optimizer | None, events: StepEvents, guard: Guard
    ) -> None:
        self._events = events
        self._guard = guard
        self._depth = 0  # of calls of the model within calls of the model
        self._backward_is_open = False
        self._leaf_handle: RemovableHandle | None = None
        self._handles: list[RemovableHandle] = []
        if model is not None:
            self._handles.append(model.register_forward_pre_hook(self._before_forward))
            self._handles.append(model.register_forward_hook(self._after_forward, always_call=True))
        if optimizer is not None:
            self.add_optimizer(optimizer)

    def add_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Watch the steps of an optimizer, too."""
        self._handles.append(optimizer.register_step_pre_hook(self._before_optimizer))
        self._handles.append(optimizer.register_step_post_hook(self._after_optimizer))

    def remove(self) -> None:
        """Take every hook off again; removing twice is harmless."""
        self._forget_leaf()
        while self._handles:
            self._handles.pop().remove()

    def __deepcopy__(self, memo: dict[int, Any]) -> Hooks:
        return _inert()

    def __reduce__(self) -> tuple[Callable[[], Hooks], tuple[()]]:
        # A model that is copied, pickled or sent to another process takes along hooks that do nothing.
        return _inert, ()

    def _before_forward(self, model: nn.Module, _inputs: Any) -> None:
        # Traced into the user's graph we would break it; inside a backward a forward is a checkpoint's, part of that.
        if is_compiling() or current_graph_task() != -1:
            return
        self._depth += 1
        if self._depth > 1:
            return
        if model.training and torch.is_grad_enabled():
            self._backward_is_open = False  # a backward that raised never reported its end
            self._guard.moment(self._events.forward_begins)
        else:
            self._guard.moment(self._events.evaluation_begins)

    def _after_forward(self, model: nn.Module, _inputs: Any, output: Any) -> None:
        if is_compiling() or current_graph_task() != -1:
            return
        self._depth -= 1
        if self._depth > 0:
            return
        self._depth = 0
        if model.training and torch.is_grad_enabled():
            self._guard.moment(self._end_forward, output)
        else:
            self._guard.moment(self._events.evaluation_ends)

    def _end_forward(self, now_ns: int, output: Any) -> None:
        self._events.forward_ends(now_ns)
        plain = type(output) is torch.Tensor and output.requires_grad
        tensor = output if plain else next(_tensors_with_gradient(output), None)
        if tensor is not None:
            handle = tensor.register_hook(self._on_output_gradient)
            if tensor.is_leaf:
                # A model that returns a parameter of its own: unlike a result, it outlives the step with its hooks.
                self._forget_leaf()
                self._leaf_handle = handle

    def _forget_leaf(self) -> None:
        if self._leaf_handle is not None:
            self._leaf_handle.remove()
            self._leaf_handle = None

    def _on_output_gradient(self, _gradient: torch.Tensor) -> None:
        # Two forwards before one backward arrive here twice; only the first opens it.
        if not self._backward_is_open:
            self._backward_is_open = True
            self._guard.moment(self._open_backward)

    def _open_backward(self, now_ns: int) -> None:
        self._events.backward_begins(now_ns)
        _at_end_of_backward(self._close_backward)

    def _close_backward(self) -> None:
        if self._backward_is_open:
            self._backward_is_open = False
            self._guard.moment(self._events.backward_ends)

    def _before_optimizer(self, *_ignored: Any) -> None:
        self._guard.moment(self._events.optimizer_begins)

    def _after_optimizer(self, *_ignored: Any) -> None:
        self._depth = 0  # an interrupt may have left a forward without its end
        self._guard.moment(self._events.optimizer_ends)


def _inert() -> Hooks:
    hooks = Hooks.__new__(Hooks)
    hooks._guard = Guard(lambda _message: None)
    hooks._guard.armed = False
    hooks._handles = []
    hooks._leaf_handle = None
    hooks._depth = 0
    hooks._backward_is_open = False
    hooks._events = cast(StepEvents, _Nothing())
    return hooks


class _Nothing:
    """Events of a copied model: nobody listens."""

    def __getattr__(self, name: str) -> Any:
        return lambda _now_ns: None


def _tensors_with_gradient(output: Any) -> Iterator[torch.Tensor]:
    """Walk the shapes that models return: tensor, sequence, mapping, or an object with attributes."""
    if isinstance(output, torch.Tensor):
        if output.requires_grad:
            yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors_with_gradient(value)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from _tensors_with_gradient(value)
    elif hasattr(output, "__dataclass_fields__"):
        yield from _tensors_with_gradient(vars(output))


# Public as torch.autograd.graph.queue_callback from torch 2.15; the engine's own entry before that.
_at_end_of_backward: Callable[[Callable[[], None]], None] = (
    getattr(torch.autograd.graph, "queue_callback", None) or torch.autograd.Variable._execution_engine.queue_callback
)
