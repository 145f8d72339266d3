"""Say what a method is asked and what it answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from torchglass.explainers.explanation import FloatArray, IntArray
from torchglass.explainers.kinds import Kind
from torchglass.explainers.pace import Pace
from torchglass.explainers.private.scored_model import ScoredModel


@dataclass(frozen=True, eq=False)
class Problem:
    """Inputs to explain on a private copy of the model; everything is checked and on the model's device."""

    model: ScoredModel
    kind: Kind
    inputs: Tensor
    """Pictures (N, C, H, W) or rows (N, F), float32; token ids (N, T), int64"""
    targets: Tensor
    """(N,), int64"""
    outputs: Tensor
    """(N,), the score of each input's target"""
    background: Tensor
    """(B, ...), the reference inputs; of text one (1, T), made of the id that hides a word"""
    background_name: str
    padding: int
    """the token id of places that hold no word"""
    layer: str | None
    seed: int
    pace: Pace = field(default_factory=Pace)

    def each(self) -> Iterator[int]:
        """Number the inputs for a method that takes one after the other, and tell how many are done."""
        for i in range(len(self.inputs)):
            yield i
            self.pace.tell(i + 1, len(self.inputs))


@dataclass(frozen=True, eq=False)
class Attribution:
    """What a method found; the front door adds what was asked and what it cost."""

    values: FloatArray
    """(N, 1 or C, H, W), (N, T) or (N, F)"""
    implementation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, float] = field(default_factory=dict)
    base_values: FloatArray | None = None
    standard_errors: FloatArray | None = None
    layer: str | None = None
    layer_alternatives: tuple[str, ...] = ()
    targets: IntArray | None = None
    """(N,), what the explanation is of, where that is not the problem's own targets"""
