"""Say what a method is asked and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.scored_model import ScoredModel


@dataclass(frozen=True, eq=False)
class Problem:
    """Pictures to explain on a private copy of the model; everything is checked, float32 and on the model's device."""

    model: ScoredModel
    pictures: Tensor
    """(N, C, H, W)"""
    targets: Tensor
    """(N,), int64"""
    outputs: Tensor
    """(N,), the score of each picture's target"""
    background: Tensor
    """(B, C, H, W), the reference pictures"""
    background_name: str
    layer: str | None
    seed: int


@dataclass(frozen=True, eq=False)
class Attribution:
    """What a method found; the front door adds what was asked and what it cost."""

    values: FloatArray
    """(N, 1 or C, H, W)"""
    implementation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, float] = field(default_factory=dict)
    base_values: FloatArray | None = None
    standard_errors: FloatArray | None = None
    layer: str | None = None
    layer_alternatives: tuple[str, ...] = ()
