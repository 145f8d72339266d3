"""Whether a function changes what outlives its call and is no part of the model: globals, classes, what it encloses.

A forward that is run once more would leave things there: a tensor without values in a list of the user's, say.
"""

from __future__ import annotations

import ast
import inspect
import opcode
import textwrap
from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence, MutableSet
from types import CodeType, FunctionType, ModuleType
from typing import Any

_CHANGING = frozenset(
    {
        *("add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "log", "pop", "popitem"),
        *("popleft", "push", "put", "record", "register", "remove", "setdefault", "update", "write"),
    }
)
_STORING = frozenset(opcode.opmap[name] for name in ("STORE_GLOBAL", "STORE_ATTR", "STORE_SUBSCR", "STORE_DEREF"))
_REMOVING = frozenset(opcode.opmap[name] for name in ("DELETE_GLOBAL", "DELETE_ATTR", "DELETE_SUBSCR"))
_CONTAINERS = (MutableMapping, MutableSequence, MutableSet)


def lasting_change(function: FunctionType, names: set[str], known: Mapping[str, Any], owner: type) -> str | None:
    """Return the text of what a function changes for good, None where it changes nothing, or its source is not had.

    Args:
        names: all names that it uses.
        known: what those are that it does not make itself.
        owner: the class whose instance it is called on.
    """
    if not (names & _CHANGING or any(_stores(code) for code in codes_of(function.__code__))):
        return None
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    outlasting = {name: value for name, value in known.items() if name not in function.__code__.co_varnames}
    return next((ast.unparse(each) for each in _changed(tree) if _outlasts(each, outlasting, owner)), None)


def codes_of(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions made in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_of(constant)


def _stores(code: CodeType) -> bool:
    return not (_STORING | _REMOVING).isdisjoint(code.co_code[::2])


def _changed(tree: ast.AST) -> Iterator[ast.expr]:
    """What is assigned to, deleted, or called by a name that promises a change; for that the object itself."""
    declared = {name for node in ast.walk(tree) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Subscript | ast.Name):
            if not _is_read(node) and (not isinstance(node, ast.Name) or node.id in declared):
                yield node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
            yield node.func.value


def _outlasts(changed: ast.expr, known: Mapping[str, Any], owner: type) -> bool:
    root, first = changed, ""
    while isinstance(root, ast.Attribute | ast.Subscript):
        first = root.attr if isinstance(root, ast.Attribute) else first
        root = root.value
    if isinstance(root, ast.Call):
        return isinstance(root.func, ast.Name) and root.func.id == "type" and not _is_read(changed)
    if not isinstance(root, ast.Name):
        return False
    if root.id != "self":
        return root.id in known and not (_is_read(changed) and isinstance(known[root.id], ModuleType | type))
    if first == "__class__":
        return True
    is_within = not isinstance(changed, ast.Attribute) or _is_read(changed) or not isinstance(changed.value, ast.Name)
    return is_within and isinstance(inspect.getattr_static(owner, first, None), _CONTAINERS)


def _is_read(changed: ast.expr) -> bool:
    return isinstance(changed, ast.Name | ast.Attribute | ast.Subscript) and isinstance(changed.ctx, ast.Load)
