"""The registry: every file in `exhibits/` that defines `EXHIBIT` is a reference model; there is no other list."""

import pkgutil
from functools import cache
from importlib import import_module

from torchglass.errors import OptionError
from torchglass.reference_models import exhibits
from torchglass.reference_models.exhibit import ReferenceModel


@cache
def available() -> tuple[ReferenceModel, ...]:
    """Return every reference model, in order of name."""
    names = sorted(module.name for module in pkgutil.iter_modules(exhibits.__path__))
    modules = (import_module(f"{exhibits.__name__}.{name}") for name in names)
    return tuple(module.EXHIBIT for module in modules)


def get(name: str) -> ReferenceModel:
    """Return the reference model of that name.

    Raises:
        OptionError: when there is none.
    """
    for model in available():
        if model.name == name:
            return model
    known = ", ".join(model.name for model in available())
    raise OptionError(f"no reference model is called {name!r}: choose one of {known}")
