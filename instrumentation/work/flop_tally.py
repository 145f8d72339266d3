"""Sees each operator that a model runs on tensors without values, on the calling thread alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode, _push_mode
from torch.utils._pytree import tree_flatten, tree_map_only

from torchglass.errors import OptionError
from torchglass.instrumentation.work.call_shapes import first_tensor
from torchglass.instrumentation.work.checkpoints import keep_random_numbers
from torchglass.instrumentation.work.flop_calls import Call, Pass
from torchglass.instrumentation.work.flop_formulas import flops_of, is_product, is_view, standing_of

MAX_OPERATORS = 50_000  # of one forward and backward: some ten seconds of the writer's thread
LOWERED = (torch.float32, torch.float16, torch.bfloat16)  # formats between which autocast chooses, the highest first
META = torch.device("meta")


class Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]  # of torch's __init_subclass__
    """Sees each operator below autograd, and keeps all tensors on the meta device."""

    def __init__(self, pause_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.is_backward = False
        self.autocast: torch.dtype | None = None  # as it is in the model's code: down here it always reads as off
        self.attention: torch.dtype | None = None  # of the queries of one that is at work: it may be raised in there
        self._pause_seconds = pause_seconds
        self._path: list[str] = []
        self._origins: dict[int, int] = {}  # a backward node's number -> the place of the call that made it
        self.calls: list[Call] = []
        self.outputs: dict[str, tuple[int, ...]] = {}  # shape of the first tensor of each module's first result
        self.left_out: Counter[str] = Counter()
        self.unsupported: Counter[str] = Counter()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or the first call would import torch._dynamo

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Watch this thread's operators, and which module they come from.

        Not `with self`: that would set flags for all threads, by which torch.compile decides.
        """
        for name, module in model.named_modules():
            module.register_forward_pre_hook(self._entering(name))
            module.register_forward_hook(self._leaving, always_call=True)
        torch.autocast_increment_nesting()  # or an autocast within the model would empty that cache, too
        _push_mode(self)
        try:
            yield
        finally:
            _pop_mode()
            torch.autocast_decrement_nesting()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        keep_random_numbers()
        with torch._C.DisableTorchFunction():  # what is asked here is not for the model: `_OnDevice` has no say
            arguments, options = _without_values(func, list(args), dict(kwargs or {}))
            if is_product(func):
                arguments = self._lowered(arguments)
            result = func(*arguments, **options)
            self._note(func, arguments, options, result)
        if self._pause_seconds:
            time.sleep(self._pause_seconds)
        return result

    def _entering(self, name: str) -> Callable[..., None]:
        return lambda *_ignored: self._path.append(name)

    def _leaving(self, _module: nn.Module, _arguments: Any, output: Any) -> None:
        name = self._path.pop()
        tensor = first_tensor(output)
        if tensor is not None and name not in self.outputs:
            self.outputs[name] = tuple(tensor.shape)

    def _lowered(self, arguments: list[Any]) -> list[Any]:
        """What autocast does to the factors of a product that other functions call."""
        kinds = {each.dtype for each in arguments if isinstance(each, torch.Tensor)}
        if not kinds or not kinds.issubset(LOWERED):
            return arguments
        lowest = (self.autocast if torch.is_grad_enabled() else None) or max(kinds, key=LOWERED.index)
        return [each.to(lowest) if isinstance(each, torch.Tensor) else each for each in arguments]

    def _note(self, func: Any, arguments: list[Any], options: dict[str, Any], result: Any) -> None:
        if len(self.calls) >= MAX_OPERATORS:
            raise OptionError(f"one pass takes more than {MAX_OPERATORS:,} operators")
        name = func._schema.name
        flops = flops_of(func, arguments, options, result)
        if flops is None:
            match standing_of(func):
                case "unsupported":
                    self.unsupported[name] += 1
                case "left out":
                    self.left_out[name] += 1
        moves = not is_view(func) and "empty" not in name
        sizes = tuple(map(self._size, _tensors((arguments, options, result)))) if moves else ()
        dtype = self._dtype_of(arguments) if flops is not None else ""
        carried_out_in, origin = self._whence()
        module = self._path[-1] if self._path else (self.calls[origin].module if origin is not None else "")
        self.calls.append(Call(name, carried_out_in, module, dtype, flops or 0, sizes, origin))

    def _size(self, tensor: torch.Tensor) -> int:
        """Bytes of a tensor; of one that was expanded, those that it is made of."""
        element = tensor.element_size()
        size = min(tensor.numel() * element, tensor.untyped_storage().nbytes())
        if self.attention is not None and tensor.dtype is torch.float32:
            return size * self.attention.itemsize // element
        return size

    def _dtype_of(self, arguments: Sequence[Any]) -> str:
        kinds = [each.dtype for each in arguments if isinstance(each, torch.Tensor)]
        factors = [kind for kind in kinds if kind.is_floating_point] or kinds
        # The narrowest: scales and sums that go along have more bits than what is multiplied.
        found = self.attention or min(factors, key=lambda kind: kind.itemsize, default="")
        return str(found).removeprefix("torch.")

    def _whence(self) -> tuple[Pass, int | None]:
        """In which pass an operator runs, and in a backward the place of the call whose gradient it makes."""
        if self.is_backward and not torch.is_grad_enabled():
            node = torch._C._current_autograd_node()
            return "backward", self._origins.get(node._sequence_nr()) if node is not None else None
        # A backward node has its number before its operator arrives here; operators within that one find it taken.
        self._origins.setdefault(torch._C._autograd._get_sequence_nr() - 1, len(self.calls))
        return ("recomputed" if self.is_backward else "forward"), None


def _without_values(func: Any, arguments: list[Any], options: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Send what is made to the meta device, and with it what a call mixes in that has values.

    A tensor of the user's own that the model's code refers to is neither written nor drawn into.
    """
    tensors = _tensors((arguments, options))
    if options.get("device") is not None or (not tensors and _takes_device(func)):
        options |= {"device": META} | ({"pin_memory": False} if options.get("pin_memory") else {})
    if options.get("generator") is not None:
        options["generator"] = None
    has_values = [each.device != META for each in tensors]
    writes = func._schema.is_mutable or torch.Tag.nondeterministic_seeded in func.tags
    if any(has_values) and (writes or not all(has_values)):
        arguments, options = tree_map_only(torch.Tensor, lambda each: each.to(META), (arguments, options))
    return arguments, options


def _takes_device(func: Any) -> bool:
    return any(each.name == "device" for each in func._schema.arguments)


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [each for each in tree_flatten(tree)[0] if isinstance(each, torch.Tensor)]
