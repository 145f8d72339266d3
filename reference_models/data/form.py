"""What a model must know of its data to be built: it is kept with every checkpoint, so that the data may be gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from torchglass.errors import DataError

Kind = Literal["pictures", "text", "table", "observations"]
TaskName = Literal["classification", "regression", "detection", "generation", "control"]


@dataclass(frozen=True)
class DataForm:
    """One sample's kind and size, and what an answer means.

    `shape` is (C, H, W) of a picture, (T,) tokens of a text, (F,) features of a table's row or of what a policy
    observes. `class_names` names classes or actions and is empty for regression. Of a text's ids 0 is padding, 1 an
    unknown word and 2 a masked one. `target_mean` and `target_deviation` are those of a number to predict, over the
    training samples, in its own units.
    """

    kind: Kind
    task: TaskName
    shape: tuple[int, ...]
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    vocabulary_size: int = 0
    target_mean: float = 0.0
    target_deviation: float = 1.0

    @property
    def outputs(self) -> int:
        """Return how many numbers answer one sample."""
        return len(self.class_names) or 1

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold and `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: object) -> DataForm:
        """Rebuild from what `to_json` gave.

        Raises:
            DataError: when it is not that.
        """
        if not isinstance(found, Mapping) or not {"kind", "task", "shape"} <= found.keys():
            raise DataError(f"{str(found)[:100]!r} does not say what data its model takes: train the model again")
        known = {field.name for field in fields(cls)}
        parts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in found.items() if name in known
        }
        return cls(**parts)
