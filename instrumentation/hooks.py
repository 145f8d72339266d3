"""Boundaries of a step, found with the hooks that are safe on any model.

Only the model that the user calls and the optimizer carry hooks: forward pre and post, a hook on the first output
tensor that needs a gradient, the autograd engine's end-of-backward callback, and the optimizer's step hooks. No
`register_full_backward_hook`: it more than doubles the step and breaks in-place ReLU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from torchglass.instrumentation.guard import Guard


class StepEvents(Protocol):
    """What the hooks tell: each call is a moment on the training thread."""

    def forward_begins(self) -> None: ...
    def forward_ends(self) -> None: ...
    def backward_begins(self) -> None: ...
    def backward_ends(self) -> None: ...
    def optimizer_begins(self) -> None: ...
    def optimizer_ends(self) -> None: ...
    def evaluation_begins(self) -> None: ...
    def evaluation_ends(self) -> None: ...


class Hooks:
    """The hooks on one model and one optimizer, where there are such; `remove` leaves neither with a trace."""

    def __init__(
        self, model: nn.Module | None, optimizer: torch.optim.Optimizer | None, events: StepEvents, guard: Guard
    ) -> None:
        self._events = events
        self._guard = guard
        self._backward_is_open = False
        self._leaf_handle: RemovableHandle | None = None
        self._handles: list[RemovableHandle] = []
        if model is not None:
            self._handles.append(model.register_forward_pre_hook(self._before_forward))
            self._handles.append(model.register_forward_hook(self._after_forward, always_call=True))
        if optimizer is not None:
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
        if _inside_backward():
            return
        if _is_training(model):
            self._backward_is_open = False  # a backward that raised never reported its end
            self._guard.call(self._events.forward_begins)
        else:
            self._guard.call(self._events.evaluation_begins)

    def _after_forward(self, model: nn.Module, _inputs: Any, output: Any) -> None:
        if _inside_backward():
            return
        if _is_training(model):
            self._guard.call(self._events.forward_ends)
            self._guard.call(self._watch_backward, output)
        else:
            self._guard.call(self._events.evaluation_ends)

    def _watch_backward(self, output: Any) -> None:
        tensor = next(_tensors_with_gradient(output), None)
        if tensor is not None:
            handle = tensor.register_hook(self._on_output_gradient)  # type: ignore[no-untyped-call]
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
            self._guard.call(self._open_backward)

    def _open_backward(self) -> None:
        self._events.backward_begins()
        _at_end_of_backward(self._close_backward)

    def _close_backward(self) -> None:
        if self._backward_is_open:
            self._backward_is_open = False
            self._guard.call(self._events.backward_ends)

    def _before_optimizer(self, *_ignored: Any) -> None:
        self._guard.call(self._events.optimizer_begins)

    def _after_optimizer(self, *_ignored: Any) -> None:
        self._guard.call(self._events.optimizer_ends)


def _inert() -> Hooks:
    hooks = Hooks.__new__(Hooks)
    hooks._guard = Guard(lambda _message: None)
    hooks._guard.armed = False
    hooks._handles = []
    hooks._leaf_handle = None
    hooks._backward_is_open = False
    hooks._events = _Nothing()
    return hooks


class _Nothing:
    """Events of a copied model: nobody listens."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: None


def _is_training(model: nn.Module) -> bool:
    return model.training and torch.is_grad_enabled()


def _inside_backward() -> bool:
    """Tell whether the autograd engine is at work: a forward there is a checkpoint's, part of the backward."""
    return torch._C._current_graph_task_id() != -1


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


def _at_end_of_backward(callback: Callable[[], None]) -> None:
    """Have the running autograd engine call back once all gradients of this backward are accumulated."""
    # Public as torch.autograd.graph.queue_callback from torch 2.15; the engine's own entry before that.
    public = getattr(torch.autograd.graph, "queue_callback", None)
    queue = public or torch.autograd.Variable._execution_engine.queue_callback
    queue(callback)
