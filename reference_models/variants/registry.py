"""The registry: every file in `techniques/` is a variant; there is no other list. The names read without torch."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

from torchglass.errors import OptionError
from torchglass.reference_models.variants import techniques

if TYPE_CHECKING:
    from torchglass.reference_models.variants.technique import Variant

ORIGINAL = "fp32"  # what every other is compared with


def variant_names() -> tuple[str, ...]:
    """Return the name of every technique, the original first."""
    names = sorted(module.name for module in pkgutil.iter_modules(techniques.__path__))
    return (ORIGINAL, *(name for name in names if name != ORIGINAL))


def check_names(names: tuple[str, ...]) -> None:
    """Refuse names of no technique.

    Raises:
        OptionError: one of them is unknown, or there is none.
    """
    unknown = [name for name in names if name not in variant_names()]
    if unknown or not names:
        raise OptionError(f"unknown variant {', '.join(unknown)!r}: choose among {', '.join(variant_names())}")


def get_variants(names: tuple[str, ...]) -> tuple[Variant, ...]:
    """Return the variants of those names, the original before all others, whether it was named or not.

    Raises:
        OptionError: a name is unknown, or there is none.
    """
    check_names(names)
    wanted = dict.fromkeys((ORIGINAL, *names))
    return tuple(import_module(f"{techniques.__name__}.{name}").VARIANT for name in wanted)
