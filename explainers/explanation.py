"""Hold one explanation of a batch of pictures: what was asked, what came out and how far to trust it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from torchglass.errors import ExplainError

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
OutputSpace = Literal["logit", "probability"]

_ARRAYS = ("attributions", "inputs", "targets", "outputs", "base_values", "standard_errors")


@dataclass(frozen=True, eq=False)
class Explanation:
    """The attributions of N pictures, signed and on their raw scale, with their provenance and checks.

    Arrays are read-only. Scaling for display is the chart's business: two explanations stay comparable here.
    """

    attributions: FloatArray
    """(N, 1 or C, H, W), in input space, in units of the explained score."""
    inputs: FloatArray
    """(N, C, H, W), the pictures as the model saw them."""
    targets: IntArray
    """(N,), the explained class of each picture."""
    outputs: FloatArray
    """(N,), the explained score: the model's output for the target."""
    output_space: OutputSpace
    """"probability" where the model's outputs are a distribution over classes, else "logit" (log-probabilities too)."""
    method: str
    implementation: str
    """Library, version and class that computed it, for example "captum 0.9.0 LayerGradCam"."""
    seed: int
    seconds: float
    model_evaluations: int
    """Pictures put forward through the model, masked and reference pictures among them."""
    base_values: FloatArray | None = None
    """(N,), the score that the attributions start from; None where the method has none."""
    standard_errors: FloatArray | None = None
    """Like attributions, one sigma of sampling; None where nothing was sampled or the method does not say."""
    layer: str | None = None
    layer_alternatives: tuple[str, ...] = ()
    """Other layers that could have been explained, best first."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able settings that the method ran with, and which fallback it took and why."""
    checks: Mapping[str, float] = field(default_factory=dict)
    """Figures of trust, such as completeness_error or surrogate_r2; a check that has no value has no key."""

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            array = getattr(self, name)
            if array is not None:
                own = np.array(array, dtype=np.int64 if name == "targets" else np.float32)
                own.setflags(write=False)
                object.__setattr__(self, name, own)

    def relevance(self, i: int) -> FloatArray:
        """Sum picture i's attributions over its channels: (H, W), still signed and unscaled."""
        summed: FloatArray = self.attributions[i].sum(axis=0)
        return summed

    def to_arrays(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Split into named arrays and JSON-able facts, so that a store needs no pickle."""
        arrays = {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}
        meta = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _ARRAYS}
        meta["layer_alternatives"] = list(self.layer_alternatives)
        meta["parameters"], meta["checks"] = dict(self.parameters), dict(self.checks)
        return arrays, meta

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> "Explanation":
        """Rebuild from what `to_arrays` gave, an opened .npz among the mappings that will do.

        Raises:
            ExplainError: a part is missing or unknown, as in a file of another version.
        """
        try:
            parts: dict[str, Any] = {name: arrays[name] for name in arrays if name in _ARRAYS}
            return cls(**parts, **{**meta, "layer_alternatives": tuple(meta["layer_alternatives"])})
        except (KeyError, TypeError) as error:
            raise ExplainError(f"stored explanation cannot be read ({error}): explain again to replace it") from error
