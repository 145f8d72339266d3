"""The exhibits: small models, their data and how they are trained. Their catalogue reads without torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchglass.reference_models.catalogue import available, get
    from torchglass.reference_models.data.form import DataForm
    from torchglass.reference_models.data.request import DataRequest
    from torchglass.reference_models.data.samples import Samples, Split
    from torchglass.reference_models.exhibit import DataSource, ReferenceModel
    from torchglass.reference_models.front_door import TrainingResult, train
    from torchglass.reference_models.options import TrainingOptions
    from torchglass.reference_models.recipe import Recipe
    from torchglass.reference_models.tasks.scores import Scores
    from torchglass.reference_models.weights import load_weights, model_from_checkpoint

_FILE_OF = {
    "available": "catalogue",
    "get": "catalogue",
    "DataForm": "data.form",
    "DataRequest": "data.request",
    "DataSource": "exhibit",
    "Recipe": "recipe",
    "ReferenceModel": "exhibit",
    "Samples": "data.samples",
    "Scores": "tasks.scores",
    "Split": "data.samples",
    "TrainingOptions": "options",
    "TrainingResult": "front_door",
    "train": "front_door",
    "load_weights": "weights",
    "model_from_checkpoint": "weights",
}

__all__ = [
    "DataForm",
    "DataRequest",
    "DataSource",
    "Recipe",
    "ReferenceModel",
    "Samples",
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
