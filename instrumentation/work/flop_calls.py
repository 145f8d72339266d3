"""Calls of operators as they were counted, and attention named among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

Pass = Literal["forward", "backward", "recomputed"]
ATTENTION = "aten::scaled_dot_product_attention"
ATTENTION_BACKWARD = f"{ATTENTION}_backward"
_PRODUCT = "aten::bmm"
_SOFTMAX = "aten::_safe_softmax"  # used by attention and by no other function


class Call(NamedTuple):
    """One call of an operator. `sizes` are the bytes of its tensors in order, the results last.

    `origin` is the place, in the list of all calls, of the one whose gradient it makes; `dtype` is that of the factors,
    "" for what is not counted.
    """

    name: str
    carried_out_in: Pass
    module: str
    dtype: str
    flops: int
    sizes: tuple[int, ...]
    origin: int | None = None

    @property
    def bytes(self) -> int:
        """What it moves at least."""
        return sum(self.sizes)


def with_attention_named(calls: Sequence[Call]) -> list[Call]:
    """Put one call in the place of those that make up an attention, which on a device is one kernel.

    Without a device it is made of a product, a softmax and another product, and of what lies between. The one call has
    their operations, but moves only queries, keys, values and results, and in the backward pass their gradients too.
    """
    spans = list(_attentions(calls))
    place = {index: span for span in spans for index in span}
    members: dict[tuple[range, Pass], list[Call]] = {}
    named: list[Call | tuple[range, Pass]] = []
    for index, call in enumerate(calls):
        backward = call.carried_out_in == "backward"
        span = place.get(call.origin if backward and call.origin is not None else index)
        if span is None:
            named.append(call)
            continue
        key: tuple[range, Pass] = (span, "backward" if backward else call.carried_out_in)
        if key not in members:
            members[key] = []
            named.append(key)
        members[key].append(call)
    return [each if isinstance(each, Call) else _as_one(calls, each[0], members[each]) for each in named]


def _attentions(calls: Sequence[Call]) -> Iterator[range]:
    """From the first product to the second, around each of attention's softmaxes."""
    for index, call in enumerate(calls):
        if call.name != _SOFTMAX or call.carried_out_in == "backward":
            continue
        first = next((place for place in range(index - 1, -1, -1) if calls[place].name == _PRODUCT), None)
        last = next((place for place in range(index + 1, len(calls)) if calls[place].name == _PRODUCT), None)
        if first is not None and last is not None:
            yield range(first, last + 1)


def _as_one(calls: Sequence[Call], span: range, members: Sequence[Call]) -> Call:
    first, last = calls[span[0]], calls[span[-1]]
    moved = (*first.sizes[:2], last.sizes[1], last.sizes[-1])
    backward = members[0].carried_out_in == "backward"
    return first._replace(
        name=ATTENTION_BACKWARD if backward else ATTENTION,
        carried_out_in=members[0].carried_out_in,
        dtype=next((each.dtype for each in members if each.dtype), ""),
        flops=sum(each.flops for each in members),
        sizes=(*moved, *moved) if backward else moved,
    )
