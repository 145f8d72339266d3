"""Count what one forward and backward pass of a model costs, on a copy without values.

Not by torch's `FlopCounterMode`: it hooks every module of the process and, as FakeTensorMode does, sets flags that all
threads share, by which a torch.compile at work in the training thread would recompile or give up. What is done here is
seen by the calling thread alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode, _push_mode
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only

from torchglass.errors import OptionError
from torchglass.instrumentation.call_shapes import TensorShape, carry_out
from torchglass.instrumentation.checkpoints import keep_random_numbers, keep_random_numbers_of
from torchglass.instrumentation.flop_calls import Call, Pass, with_attention_named
from torchglass.instrumentation.flop_formulas import flops_of, is_product, is_view, standing_of
from torchglass.instrumentation.outputs import tensors_with_gradient

MAX_OPERATORS = 50_000  # of one forward and backward: some ten seconds of the writer's thread
PAUSE_SECONDS = 1e-4  # after each operator: without it the training thread would wait 5 ms for each turn at Python
_LOWERED = (torch.float32, torch.float16, torch.bfloat16)
# What autocast lowers on every device, by the names of the functions that models call.
_AUTOCAST = frozenset(
    (
        *("__matmul__", "__rmatmul__", "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "chain_matmul", "conv1d"),
        *("conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "einsum"),
        *("linear", "matmul", "mm", "multi_dot", "mv", "scaled_dot_product_attention"),
    )
)
_META = torch.device("meta")
_DEVICE_OF = torch.Tensor.device.__get__


class Operation(NamedTuple):
    """What the calls of one operator from one module sum up to; `dtype` is that of its factors, "" unless counted.

    `bytes` are those of its inputs and results: what it moves at least, if no cache holds them.
    """

    name: str
    carried_out_in: Pass
    module: str
    dtype: str
    calls: int
    flops: int
    bytes: int


@dataclass(frozen=True)
class Work:
    """What a forward and backward pass costs.

    `left_out` are calls of operators that count nothing by definition, `unsupported` of those that may do arithmetic
    but have no formula.
    """

    operations: tuple[Operation, ...]
    left_out: Mapping[str, int]
    unsupported: Mapping[str, int]
    has_backward: bool

    def flops(self, carried_out_in: Pass | None = None) -> int:
        """Operations of one pass; None stands for forward and backward, without what is computed again."""
        wanted = (carried_out_in,) if carried_out_in else ("forward", "backward")
        return sum(each.flops for each in self.operations if each.carried_out_in in wanted)


def count_work(
    duplicate: nn.Module,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    *,
    device: torch.device,
    autocast: torch.dtype | None = None,
    pause_seconds: float = PAUSE_SECONDS,
) -> Work:
    """Run a copy that `meta_copy` made, forward and backward, as it would run on `device`.

    Args:
        arguments: plan of the positional arguments, as `plan_of` returns it.
        keywords: the same of the others.
        autocast: what autocast lowers products to there, None where it is off.

    Raises:
        OptionError: what the model does depends on values, or cannot be done without them.
    """
    tally = _Tally(pause_seconds)
    try:
        with tally.watching(duplicate), _OnDevice(device, tally), torch.enable_grad():
            with _autocast_to(autocast, device.type):
                output = duplicate(*carry_out(list(arguments), _make), **carry_out(dict(keywords), _make))
            entries = tensors_with_gradient(output)
            keep_random_numbers_of(entries)
            tally.is_backward = True
            if entries:  # in which checkpoints run the model's code again
                torch.autograd.backward(entries, [torch.empty_like(each) for each in entries])
    except OptionError:
        raise
    except Exception as error:
        sentence = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise OptionError(f"the model cannot run without values: {type(error).__name__}: {sentence}") from error
    return tally.result(has_backward=bool(entries))


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]  # of torch's __init_subclass__
    """Sees each operator below autograd, and keeps all tensors on the meta device."""

    def __init__(self, pause_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.is_backward = False
        self.autocast: torch.dtype | None = None  # as it is in the model's code: down here it always reads as off
        self._pause_seconds = pause_seconds
        self._path: list[str] = []
        self._origins: dict[int, int] = {}  # a backward node's number -> the place of the call that made it
        self._calls: list[Call] = []
        self._left_out: Counter[str] = Counter()
        self._unsupported: Counter[str] = Counter()

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
        arguments, options = _without_values(func, list(args), dict(kwargs or {}))
        if is_product(func):
            arguments = self._lowered(arguments)
        result = func(*arguments, **options)
        self._note(func, arguments, options, result)
        if self._pause_seconds:
            time.sleep(self._pause_seconds)
        return result

    def result(self, *, has_backward: bool) -> Work:
        """What was seen, summed by operator, pass, module and dtype."""
        sums: dict[tuple[str, Pass, str, str], list[int]] = {}
        for call in with_attention_named(self._calls):
            entry = sums.setdefault((call.name, call.carried_out_in, call.module, call.dtype), [0, 0, 0])
            for place, value in enumerate((1, call.flops, call.bytes)):
                entry[place] += value
        operations = tuple(Operation(*key, *entry) for key, entry in sums.items() if entry[1] or entry[2])
        return Work(operations, dict(self._left_out), dict(self._unsupported), has_backward)

    def _entering(self, name: str) -> Callable[..., None]:
        return lambda *_ignored: self._path.append(name)

    def _leaving(self, *_ignored: Any) -> None:
        self._path.pop()

    def _lowered(self, arguments: list[Any]) -> list[Any]:
        """What autocast does to the factors of a product that other functions call."""
        kinds = {each.dtype for each in arguments if isinstance(each, torch.Tensor)}
        if not kinds or not kinds.issubset(_LOWERED):
            return arguments
        lowest = (self.autocast if torch.is_grad_enabled() else None) or max(kinds, key=_LOWERED.index)
        return [each.to(lowest) if isinstance(each, torch.Tensor) else each for each in arguments]

    def _note(self, func: Any, arguments: list[Any], options: dict[str, Any], result: Any) -> None:
        if len(self._calls) >= MAX_OPERATORS:
            raise OptionError(f"one pass takes more than {MAX_OPERATORS:,} operators")
        name = func._schema.name
        flops = flops_of(func, arguments, options, result)
        if flops is None:
            match standing_of(func):
                case "unsupported":
                    self._unsupported[name] += 1
                case "left out":
                    self._left_out[name] += 1
        moves = not is_view(func) and "empty" not in name
        sizes = tuple(map(_size, _tensors((arguments, options, result)))) if moves else ()
        dtype = _dtype_of(arguments) if flops is not None else ""
        carried_out_in, origin = self._whence()
        module = self._path[-1] if self._path else (self._calls[origin].module if origin is not None else "")
        self._calls.append(Call(name, carried_out_in, module, dtype, flops or 0, sizes, origin))

    def _whence(self) -> tuple[Pass, int | None]:
        """In which pass an operator runs, and in a backward the place of the call whose gradient it makes."""
        if self.is_backward and not torch.is_grad_enabled():
            node = torch._C._current_autograd_node()
            return "backward", self._origins.get(node._sequence_nr()) if node is not None else None
        # A backward node has its number before its operator arrives here; operators within that one find it taken.
        self._origins.setdefault(torch._C._autograd._get_sequence_nr() - 1, len(self._calls))
        return ("recomputed" if self.is_backward else "forward"), None


class _OnDevice(TorchFunctionMode):
    """Lets tensors say that they are where the user's are: models make tensors there, and ask autocast about it."""

    def __init__(self, device: torch.device, tally: _Tally) -> None:
        super().__init__()
        self._device = device
        self._tally = tally

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func == _DEVICE_OF:
            return self._device
        enabled = torch.is_autocast_enabled(self._device.type)
        self._tally.autocast = torch.get_autocast_dtype(self._device.type) if enabled else None
        name, options = getattr(func, "__name__", ""), dict(kwargs or {})
        if name in ("cpu", "cuda"):
            return args[0]
        if name == "to" or "device" in options:  # here already: further down torch would look for the device
            args, options = tree_map(_on_meta, (tuple(args), options))
        if enabled and name in _AUTOCAST:
            args, options = tree_map_only(torch.Tensor, self._lower, (tuple(args), options))
        return func(*args, **options)

    def _lower(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self._tally.autocast) if tensor.dtype in _LOWERED else tensor


@contextmanager
def _autocast_to(dtype: torch.dtype | None, device_type: str) -> Iterator[None]:
    """What `torch.autocast` does, but that at the end it empties the cache that all threads share."""
    known = torch.is_autocast_enabled(device_type), torch.get_autocast_dtype(device_type)
    try:
        torch.set_autocast_enabled(device_type, dtype is not None)
        if dtype is not None:
            torch.set_autocast_dtype(device_type, dtype)
        yield
    finally:
        torch.set_autocast_enabled(device_type, known[0])
        torch.set_autocast_dtype(device_type, known[1])


def _on_meta(value: Any) -> Any:
    is_device = isinstance(value, torch.device) or (isinstance(value, str) and value.split(":")[0] in ("cpu", "cuda"))
    return _META if is_device else value


def _make(tensor: TensorShape) -> torch.Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=_META).requires_grad_(tensor.requires_grad)


def _without_values(func: Any, arguments: list[Any], options: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Send what is made to the meta device, and with it what a call mixes in that has values.

    A tensor of the user's own that the model's code refers to is neither written nor drawn into.
    """
    tensors = _tensors((arguments, options))
    if options.get("device") is not None or (not tensors and _takes_device(func)):
        options |= {"device": _META} | ({"pin_memory": False} if options.get("pin_memory") else {})
    if options.get("generator") is not None:
        options["generator"] = None
    has_values = [each.device != _META for each in tensors]
    writes = func._schema.is_mutable or torch.Tag.nondeterministic_seeded in func.tags
    if any(has_values) and (writes or not all(has_values)):
        arguments, options = tree_map_only(torch.Tensor, lambda each: each.to(_META), (arguments, options))
    return arguments, options


def _takes_device(func: Any) -> bool:
    return any(each.name == "device" for each in func._schema.arguments)


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [each for each in tree_flatten(tree)[0] if isinstance(each, torch.Tensor)]


def _size(tensor: torch.Tensor) -> int:
    """Bytes of a tensor; of one that was expanded, those that it is made of."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _dtype_of(arguments: Sequence[Any]) -> str:
    factors = [each.dtype for each in arguments if isinstance(each, torch.Tensor)]
    return str(factors[-1]).removeprefix("torch.") if factors else ""
