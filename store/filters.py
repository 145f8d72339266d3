"""`lr < 0.01 and test/accuracy.max > 0.9`: which runs meet a condition. The text is read as a tree, and never run.

A name is a field of the run (`FIELDS`), else an entry of its configuration (nested ones by dots), else one of its
series of rank 0: by its key, or by the last part of it where that is clear; of a series, its last value, or with
`.min`, `.max`, ... (`STATISTICS`) another. `run.`, `config.` and `series.` before a name say which is meant; backquotes
take any name at all. What a run lacks meets no condition, nor the opposite of it; `is None` asks for just that.
"""

from __future__ import annotations

import ast
import difflib
import math
import operator
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeAlias

from torchglass.errors import OptionError
from torchglass.store.subject import Subject

MOST_CHARACTERS = 1000  # nobody types more, and no tree of so few can exhaust the stack
MOST_LEVELS = 50

_TIMES = ("created", "ended", "run.created", "run.ended")  # to be compared with a date
_ORDERS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_QUOTED = "quoted_name_{}_"
_TEXT_OR_QUOTED = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|`([^`]+)`""", re.DOTALL)

Truth: TypeAlias = bool | None  # None where a run lacks what is asked for


class Expression:
    """A condition on runs, or a value of them to sort by.

    Raises:
        OptionError: the text is not one.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: list[str] = []
        self._quoted: dict[str, str] = {}
        self._evaluate = self._value(self._parse())

    def value(self, subject: Subject) -> Any:
        """What it comes to for a run; None where that lacks something."""
        return self._evaluate(subject)

    def meets(self, subject: Subject) -> bool:
        """Whether a run meets the condition."""
        return _truth(self._evaluate(subject)) is True

    def _parse(self) -> ast.expr:
        if len(self.text) > MOST_CHARACTERS:
            raise OptionError(f"the condition has {len(self.text)} characters: at most {MOST_CHARACTERS} are read")
        try:
            with warnings.catch_warnings(action="ignore"):  # of an odd escape in a text
                tree = ast.parse(_TEXT_OR_QUOTED.sub(self._take_quoted, self.text).strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._refusal("it is no condition such as lr < 0.01 and test/accuracy.max > 0.9") from None
        if _levels(tree) > MOST_LEVELS:
            raise self._refusal(f"it is nested deeper than {MOST_LEVELS} levels")
        return tree

    def _take_quoted(self, match: re.Match[str]) -> str:
        text, name = match.groups()
        if text is not None:
            return str(text)  # a backquote in it is no more than that
        stand_in = _QUOTED.format(len(self._quoted))
        self._quoted[stand_in] = name
        return stand_in

    def _refusal(self, reason: str) -> OptionError:
        shown = self.text if len(self.text) <= 80 else f"{self.text[:80]}..."
        return OptionError(f"cannot read {shown!r}: {reason}")

    # From a piece of the tree to what evaluates it

    def _value(self, node: ast.expr) -> Callable[[Subject], Any]:
        if isinstance(node, ast.BoolOp):
            parts = [self._value(each) for each in node.values]
            joined = _all if isinstance(node.op, ast.And) else _any
            return lambda subject: joined([_truth(part(subject)) for part in parts])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            part = self._value(node.operand)
            return lambda subject: _opposite(_truth(part(subject)))
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        return self._operand(node)

    def _comparison(self, node: ast.Compare) -> Callable[[Subject], Truth]:
        operands = [node.left, *node.comparators]
        has_number = any(_is_number(each) for each in operands)
        has_time = any(self._name(each) in _TIMES for each in operands)
        read = [self._operand(each, text_is_name=has_number, text_is_date=has_time) for each in operands]
        for each, container in zip(node.ops, operands[1:], strict=True):
            if isinstance(each, ast.In | ast.NotIn) and _is_number(container):
                raise self._refusal("a number has nothing in it: `in` asks a text, tags, or a list such as (1, 2)")

        def compare(subject: Subject) -> Truth:
            values = [operand(subject) for operand in read]
            pairs = zip(node.ops, pairwise(values), pairwise(operands), strict=True)
            return _all([_compared(how, *two, asks_for_none=_is_none(nodes[1])) for how, two, nodes in pairs])

        return compare

    def _operand(
        self, node: ast.expr, *, text_is_name: bool = False, text_is_date: bool = False
    ) -> Callable[[Subject], Any]:
        name = self._name(node, text_is_name=text_is_name)
        if name is not None:
            self.names.append(name)
            return lambda subject: subject.find(name).value
        constant = self._constant(node)
        if text_is_date and isinstance(constant, str):
            constant = self._seconds(constant)
        return lambda subject: constant

    def _name(self, node: ast.expr, *, text_is_name: bool = False) -> str | None:
        """The name that a piece spells: `lr`, `optimizer.lr`, `test/accuracy.max`; None where it is something else."""
        if isinstance(node, ast.Name):
            return self._quoted.get(node.id, node.id)
        if isinstance(node, ast.Constant):
            return node.value if text_is_name and isinstance(node.value, str) else None
        if isinstance(node, ast.Attribute):
            before, after = self._name(node.value, text_is_name=True), self._quoted.get(node.attr, node.attr)
            return None if before is None else f"{before}.{after}"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            before, behind = self._name(node.left, text_is_name=True), self._name(node.right, text_is_name=True)
            return None if before is None or behind is None else f"{before}/{behind}"
        return None

    def _constant(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return [self._constant(each) for each in node.elts]
        if isinstance(node, ast.UnaryOp) and _is_number(node):
            sign = -1 if isinstance(node.op, ast.USub) else 1
            return sign * self._constant(node.operand)
        if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool | int | float | str)):
            return node.value
        raise self._refusal(
            f"{ast.unparse(node)[:60]!r} is neither a name nor a number nor a text; a name with other characters than "
            "letters, digits, _ . and / stands in backquotes"
        )

    def _seconds(self, text: str) -> float:
        try:
            return datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError):
            raise self._refusal(f"{text!r} is no date such as 2026-11-21 or 2026-11-21T15:30") from None


def filtered(subjects: Sequence[Subject], condition: str) -> list[Subject]:
    """Those that meet a condition, in their order.

    Raises:
        OptionError: it cannot be read, or asks for something that no run at all has.
    """
    expression = Expression(condition)
    _refuse_unknown(expression, subjects)
    return [subject for subject in subjects if expression.meets(subject)]


def sorted_by(subjects: Sequence[Subject], key: str) -> list[Subject]:
    """In order of a value, largest first if a minus stands before it; those that lack it come last.

    Raises:
        OptionError: as for `filtered`.
    """
    expression = Expression(key.strip().removeprefix("-"))
    _refuse_unknown(expression, subjects)
    values = [(subject, _sortable(expression.value(subject))) for subject in subjects]
    known = [(subject, value) for subject, value in values if value is not None]
    known.sort(key=lambda each: each[1], reverse=key.strip().startswith("-"))
    return [subject for subject, _ in known] + [subject for subject, value in values if value is None]


def _refuse_unknown(expression: Expression, subjects: Sequence[Subject]) -> None:
    for name in expression.names:
        if subjects and not any(subject.find(name).is_there for subject in subjects):
            known = {each for subject in subjects for each in subject.known_names()}
            close = difflib.get_close_matches(name, known, n=3, cutoff=0.65)
            hint = f"did you mean {' or '.join(close)}?" if close else "`torchglass show RUN` lists what a run has"
            raise OptionError(f"no run has {name!r}: {hint}")


def _sortable(value: Any) -> tuple[bool, Any] | None:
    """Numbers before texts; None for what has no order."""
    if isinstance(value, str):
        return True, value
    is_nan = isinstance(value, float) and math.isnan(value)
    return (False, value) if isinstance(value, int | float) and not is_nan else None


def _levels(tree: ast.expr) -> int:
    """How deep a tree goes; found without recursion, which is what a deep one exhausts."""
    level, nodes = 0, [tree]
    while nodes:
        level, nodes = level + 1, [child for node in nodes for child in _children(node)]
    return level


def _children(node: ast.expr) -> Iterator[ast.expr]:
    return (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return isinstance(node.operand, ast.Constant) and _is_number(node.operand)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _compared(how: ast.cmpop, left: Any, right: Any, *, asks_for_none: bool) -> Truth:
    is_negative = isinstance(how, ast.NotEq | ast.IsNot | ast.NotIn)
    if asks_for_none:
        return (left is None) != is_negative
    if left is None or right is None:
        return None
    if isinstance(how, ast.In | ast.NotIn):
        return _is_in(left, right, is_negative=is_negative)
    alike = _kind(left) == _kind(right)
    if type(how) in _ORDERS:
        return _ORDERS[type(how)](left, right) if alike and _kind(left) is not None else None
    return (alike and bool(left == right)) != is_negative


def _is_in(left: Any, right: Any, *, is_negative: bool) -> Truth:
    if isinstance(right, str):
        return (left in right) != is_negative if isinstance(left, str) else None
    if not isinstance(right, list):
        return None
    return any(_kind(each) == _kind(left) and each == left for each in right) != is_negative


def _kind(value: Any) -> type | None:
    """What may be put in order with each other: numbers (a truth is one) and texts."""
    if isinstance(value, str):
        return str
    return float if isinstance(value, int | float) else None


def _truth(value: Any) -> Truth:
    return None if value is None else bool(value)


def _opposite(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _all(truths: Sequence[Truth]) -> Truth:
    return False if False in truths else None if None in truths else True


def _any(truths: Sequence[Truth]) -> Truth:
    return True if True in truths else None if None in truths else False
