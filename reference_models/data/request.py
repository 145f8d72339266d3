"""What is asked of a data set when it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torchglass.reference_models.data.samples import Split


@dataclass(frozen=True)
class DataRequest:
    """`seed` fixes the split, or the samples where they are generated; `cache` is the folder of data (None: the usual).

    `path` is the user's own file, for data sets that are read from one; `model_path` the folder of a model that brings
    its tokenizer; `progress` draws bars for what takes long.
    """

    seed: int = 0
    cache: Path | None = None
    progress: bool = False
    path: Path | None = None
    model_path: Path | None = None


Load = Callable[[DataRequest], Split]
