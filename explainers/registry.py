"""Know the methods: a method is a file in the folder of its kind of input, and there is no other list."""

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from torchglass.errors import ExplainError, MissingExtraError, OptionError
from torchglass.explainers import pictures, table, text
from torchglass.explainers.checking.option_types import check_types
from torchglass.explainers.kinds import KINDS, NAMES, Kind

if TYPE_CHECKING:
    from torch import nn

    from torchglass.explainers.problem import Attribution

    Method = Callable[..., Attribution]
    Frame = Callable[..., nn.Module]

_FOLDERS = {"pictures": pictures, "text": text, "table": table}
DEFAULTS: Mapping[Kind, str] = {"pictures": "gradcam", "text": "integrated_gradients", "table": "shap"}
"""What `explain` runs where no method is named: the cheapest that says something of its kind."""


def method_names(kind: Kind | None = None) -> tuple[str, ...]:
    """Name the methods for a kind of input, or for any, the default one first, without loading any of them."""
    if kind is None:
        return tuple(dict.fromkeys(name for each in KINDS for name in method_names(each)))
    return _files(kind)


@cache
def _files(kind: Kind) -> tuple[str, ...]:
    found = {module.name for module in pkgutil.iter_modules(_FOLDERS[kind].__path__)}
    return tuple(sorted(found, key=lambda name: (name != DEFAULTS[kind], name)))


def load_method(kind: Kind, name: str, options: Mapping[str, Any]) -> "Method":
    """Load a method's file and check that it takes these options.

    A method is `attribute(problem, **options) -> Attribution`; its keyword-only arguments are its options.

    Raises:
        ExplainError: no method has that name, or none for this kind of input.
        OptionError: the method has no such option, or takes no such value for it.
        MissingExtraError: the library behind the method is not installed.
    """
    if name not in method_names(kind):
        known = ", ".join(method_names(kind))
        if name in method_names():
            raise ExplainError(f"method {name!r} does not explain {NAMES[kind]}: choose one of {known}")
        raise ExplainError(f"unknown method {name!r}: choose one of {known}")
    try:
        method: Method = import_module(f"{_FOLDERS[kind].__name__}.{name}").attribute
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or name, "explain") from error
    known_options = {p.name: p for p in inspect.signature(method).parameters.values() if p.kind is p.KEYWORD_ONLY}
    for option in options:
        if option not in known_options:
            raise OptionError(
                f"method {name!r} has no option {option!r}: it takes {', '.join(known_options) or 'none'}"
            )
    check_types(name, known_options, options)
    return method


def load_frame(kind: Kind, name: str) -> "Frame | None":
    """Give what makes a network without scores one that has them, where a loaded method is for such networks.

    A file's `framed(network, inputs, **options)` wraps a copy of the network as a model of scores (M, inputs), of which
    each input is explained by its own.
    """
    frame: Frame | None = getattr(import_module(f"{_FOLDERS[kind].__name__}.{name}"), "framed", None)
    return frame
