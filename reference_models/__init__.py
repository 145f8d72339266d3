"""The exhibits: small models, their data and how they are trained. Their catalogue reads without torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchglass.reference_models.catalogue import available, get
    from torchglass.reference_models.exhibit import DataSource, Recipe, ReferenceModel
    from torchglass.reference_models.options import TrainingOptions
    from torchglass.reference_models.scores import Scores
    from torchglass.reference_models.split import Split
    from torchglass.reference_models.training import TrainingResult, train
    from torchglass.reference_models.weights import load_weights, model_from_checkpoint

_FILE_OF = {
    "available": "catalogue",
    "get": "catalogue",
    "DataSource": "exhibit",
    "Recipe": "exhibit",
    "ReferenceModel": "exhibit",
    "TrainingOptions": "options",
    "Scores": "scores",
    "Split": "split",
    "TrainingResult": "training",
    "train": "training",
    "load_weights": "weights",
    "model_from_checkpoint": "weights",
}

__all__ = [
    "DataSource",
    "Recipe",
    "ReferenceModel",
    "Scores",
    "Split",
    "TrainingOptions",
    "TrainingResult",
    "available",
    "get",
    "load_weights",
    "model_from_checkpoint",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _FILE_OF:
        raise AttributeError(f"module 'torchglass.reference_models' has no attribute {name!r}")
    return getattr(import_module(f"torchglass.reference_models.{_FILE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
