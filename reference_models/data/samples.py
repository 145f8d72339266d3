"""A data set as tensors: what is trained on, what is tested on, and what decides each answer where that is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torchglass.errors import DataError
from torchglass.reference_models.data.form import DataForm

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples on the CPU.

    `inputs` are pictures (N, C, H, W) float32 in 0..1, texts (N, T) int64, or rows (N, F) float32, standardised.
    `targets` are classes (N,) int64, numbers (N,) float32, or boxes (N, M, 5) float32: class, x0, y0, x1, y1 in pixels
    of the picture, class -1 where there is no box. `truth` marks what decides: pixels (N, H, W) or words (N, T) bool.
    """

    inputs: Tensor
    targets: Tensor
    truth: Tensor | None = None

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets) or len(self.targets) == 0:
            raise DataError(
                f"the set has {len(self.inputs)} samples and {len(self.targets)} labels: it needs as many labels as "
                "samples, and at least one"
            )

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, chosen: slice | Tensor) -> Samples:
        """Return some of the samples, by a slice or by indices (M,)."""
        return Samples(self.inputs[chosen], self.targets[chosen], None if self.truth is None else self.truth[chosen])


@dataclass(frozen=True)
class Scale:
    """How a table was standardised: raw value = standardised value * deviation + mean, by feature."""

    means: tuple[float, ...]
    deviations: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Split:
    """A data set in two parts, and what its numbers mean; `vocabulary` is the word of each id of a text."""

    form: DataForm
    train: Samples
    test: Samples
    vocabulary: tuple[str, ...] = ()
    scale: Scale | None = None

    def limited(self, count: int | None) -> Split:
        """Return the split with the first `count` training samples and as large a share of the test's; None: all."""
        if count is None or count >= len(self.train):
            return self
        tested = max(1, round(len(self.test) * count / len(self.train)))
        return replace(self, train=self.train[:count], test=self.test[:tested])
