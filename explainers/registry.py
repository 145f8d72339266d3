"""Know the methods: a method is one file with an `attribute` function, and one line here."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from torchglass.errors import ExplainError, MissingExtraError, OptionError

if TYPE_CHECKING:
    from torchglass.explainers.problem import Attribution

    Method = Callable[..., Attribution]

_FILES = {
    "gradcam": "torchglass.explainers.gradcam",
    "shap": "torchglass.explainers.shap_values",
    "lime": "torchglass.explainers.lime_surrogate",
}


def method_names() -> tuple[str, ...]:
    """Name the methods that `explain` knows, without loading any of them."""
    return tuple(_FILES)


def load_method(name: str, options: Mapping[str, Any]) -> "Method":
    """Load a method's file and check that it takes these options.

    A method is `attribute(problem, **options) -> Attribution`; its keyword-only arguments are its options.

    Raises:
        ExplainError: no method has that name.
        OptionError: the method has no such option.
        MissingExtraError: the library behind the method is not installed.
    """
    if name not in _FILES:
        raise ExplainError(f"unknown method {name!r}: choose one of {', '.join(_FILES)}")
    try:
        method: Method = import_module(_FILES[name]).attribute
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or name, "explain") from error
    known = [p.name for p in inspect.signature(method).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise OptionError(f"method {name!r} has no option {option!r}: it takes {', '.join(known) or 'none'}")
    return method
