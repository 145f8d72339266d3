"""Say of an option's value, in one sentence, that it is of a type that the option does not take."""

import math
from collections.abc import Mapping
from inspect import Parameter
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from torchglass.errors import OptionError


def check_types(method: str, takes: Mapping[str, Parameter], options: Mapping[str, Any]) -> None:
    """Compare options with the annotations of the method that takes them; ranges are for the method to check.

    A number must be finite, since one that is not compares with no bound, and a whole number is no truth value, since
    True would pass for 1. Annotations of other types than numbers, truth values, texts and None let everything pass.

    Raises:
        OptionError: a value is of another type.
    """
    for name, value in options.items():
        wanted = _members(takes[name].annotation)
        if not any(_is(value, each) for each in wanted):
            known = " or ".join(dict.fromkeys(_named(each) for each in wanted))
            raise OptionError(f"{name} is {value!r}: method {method!r} takes {known} there")


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _is(value: object, wanted: Any) -> bool:
    truth = isinstance(value, bool | np.bool_)
    if wanted is bool:
        return truth
    if wanted is int:
        return isinstance(value, Integral) and not truth
    if wanted is float:
        return isinstance(value, Real) and not truth and math.isfinite(value)
    if wanted is str:
        return isinstance(value, str)
    if wanted is None or wanted is NoneType:
        return value is None
    if get_origin(wanted) is Literal:
        return any(isinstance(value, type(choice)) for choice in get_args(wanted))
    return True


def _named(wanted: Any) -> str:
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(map(repr, get_args(wanted)))}"
    return {bool: "True or False", int: "a whole number", float: "a finite number", str: "a name"}.get(wanted, "None")
