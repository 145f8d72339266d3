"""Hold one explanation of a batch of inputs: what was asked, what came out and how far to trust it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from torchglass.errors import ExplainError
from torchglass.explainers.kinds import Kind
from torchglass.explainers.saved import jsonable, read_npz, write_npz

if TYPE_CHECKING:
    import shap
    import torch

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
OutputSpace = Literal["logit", "probability", "value"]

_FACTS = ("parameters", "checks", "options")
_ARRAYS = ("attributions", "inputs", "targets", "outputs", "base_values", "standard_errors")


@dataclass(frozen=True, eq=False)
class Explanation:
    """The attributions of N inputs, signed and on their raw scale, with their provenance and checks.

    Arrays are read-only. Scaling for display is the chart's business: two explanations stay comparable here.
    """

    attributions: FloatArray
    """In input space, in units of the score: (N, 1 or C, H, W) of pictures, (N, T) of text, (N, F) of rows."""
    inputs: FloatArray | IntArray
    """(N, C, H, W), (N, T) or (N, F), the inputs as the model saw them; token ids are int64."""
    targets: IntArray
    """(N,), the explained class of each input; 0 where the model has one output."""
    outputs: FloatArray
    """(N,), the explained score: the model's output for the target."""
    output_space: OutputSpace
    """"probability" where the outputs are a distribution, "value" where there is one output, else "logit"."""
    method: str
    implementation: str
    """Library, version and class that computed it, for example "captum 0.9.0 LayerGradCam"."""
    seed: int
    seconds: float
    model_evaluations: int
    """Inputs put forward through the model, masked and reference inputs among them."""
    kind: Kind = "pictures"
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
    options: Mapping[str, Any] = field(default_factory=dict)
    """The method's options as they were asked for, JSON-able: what it takes to explain again in the same way."""

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            array = getattr(self, name)
            if array is not None:
                own = np.array(array, dtype=np.int64 if name in self._integers else np.float32)
                own.setflags(write=False)
                object.__setattr__(self, name, own)
        for name in _FACTS:
            object.__setattr__(self, name, jsonable(getattr(self, name)))
        object.__setattr__(self, "layer_alternatives", tuple(self.layer_alternatives))

    @property
    def _integers(self) -> tuple[str, ...]:
        return ("targets", "inputs") if self.kind == "text" else ("targets",)

    def relevance(self, i: int) -> FloatArray:
        """Give input i's attributions, still signed and unscaled: (H, W), summed over channels, or (T,) or (F,)."""
        own = self.attributions[i]
        relevance: FloatArray = own.sum(axis=0) if own.ndim == 3 else own
        return relevance

    def to_arrays(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Split into named arrays and JSON-able facts, so that a store needs no pickle."""
        arrays = {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}
        meta = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _ARRAYS}
        meta["layer_alternatives"] = list(self.layer_alternatives)
        meta |= {name: dict(getattr(self, name)) for name in _FACTS}
        return arrays, meta

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> "Explanation":
        """Rebuild from what `to_arrays` gave, an opened .npz among the mappings that will do.

        Raises:
            ExplainError: a part is missing or unknown, as in a file of another version.
        """
        try:
            parts: dict[str, Any] = {name: arrays[name] for name in arrays if name in _ARRAYS}
            return cls(**parts, **meta)
        except (KeyError, TypeError, ValueError) as error:
            raise ExplainError(f"stored explanation cannot be read ({error}): explain again to replace it") from error

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write all of it into one .npz file at this path, arrays and JSON without pickle; an old one is replaced.

        Raises:
            ExplainError: the file cannot be written.
        """
        return write_npz(Path(path), *self.to_arrays())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Explanation":
        """Read what `save` wrote: equal in every field.

        Raises:
            ExplainError: there is no such file, it is torn, or something else wrote it.
        """
        return cls.from_arrays(*read_npz(Path(path)))

    def to_captum(self) -> "torch.Tensor":
        """Give the attributions as captum's `attribute` returns them, a tensor shaped like `attributions`."""
        import torch

        return torch.from_numpy(self.attributions.copy())

    def to_shap(self, feature_names: Sequence[str] | None = None) -> "shap.Explanation":
        """Give them as `shap.Explanation`, which shap's plots take: values, base values, data and their errors.

        Pictures are turned to shap's (N, H, W, C); base values are None where the method has none.
        """
        import shap

        return shap.Explanation(
            values=_rows_last(self.attributions),
            base_values=None if self.base_values is None else self.base_values.copy(),
            data=_rows_last(self.inputs),
            error_std=None if self.standard_errors is None else _rows_last(self.standard_errors),
            feature_names=None if feature_names is None else list(feature_names),
            compute_time=self.seconds,
        )


def _rows_last(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.moveaxis(array, 1, -1).copy() if array.ndim == 4 else array.copy()
