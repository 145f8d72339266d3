"""A run's configuration as trackers hold it: items and attributes, and a change of mind must be said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torchglass.errors import OptionError
from torchglass.instrumentation import Run

Given = Any  # a mapping, an argparse.Namespace, or an object with attributes


class Config(Mapping[str, Any]):
    """`config.lr`, `config["lr"]`, `config.update(...)`; what is added after the run began is stored with it."""

    def __init__(self, run: Run) -> None:
        values: dict[str, Any] = dict(run.config)
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_run", run)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"the config has no {name!r}") from None

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __setattr__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __repr__(self) -> str:
        return repr(self._values)

    def update(self, d: Given, allow_val_change: bool | None = None) -> None:
        """Add values, from a mapping or an object with attributes.

        Raises:
            OptionError: a value changes and `allow_val_change` is not set (in a notebook it is).
        """
        allowed = in_notebook() if allow_val_change is None else allow_val_change
        news = {name.strip("-"): value for name, value in to_mapping(d).items()}
        for name, value in news.items():
            if not allowed and name in self._values and _differs(self._values[name], value):
                raise OptionError(
                    f"config.{name} is {self._values[name]!r} and would become {value!r}: "
                    "if that is meant, say config.update(..., allow_val_change=True)"
                )
        self._values.update(news)
        self._run.configure(news)

    def setdefaults(self, d: Given) -> None:
        """Add the values whose names are not there yet."""
        self.update({name: value for name, value in to_mapping(d).items() if name not in self._values})

    def as_dict(self) -> dict[str, Any]:
        """Return a copy as a plain dictionary."""
        return dict(self._values)


def to_mapping(given: Given) -> dict[str, Any]:
    """Return hyper-parameters by name.

    Raises:
        OptionError: they are neither a mapping nor an object with attributes.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {str(name): value for name, value in given.items()}
    if hasattr(given, "flag_values_dict"):  # absl
        return dict(given.flag_values_dict())
    if hasattr(given, "__dict__"):
        return dict(vars(given))
    raise OptionError(f"config is a {type(given).__name__}: give a mapping or parsed arguments")


def in_notebook() -> bool:
    """Tell whether this is an interactive kernel, whose cells run again and again."""
    import sys

    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config


def _differs(kept: Any, value: Any) -> bool:
    try:
        return bool(kept != value)
    except (TypeError, ValueError, RuntimeError):  # arrays, tensors: not one answer
        return True
