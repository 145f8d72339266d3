"""Post-training quantisation to eight bits, with the kernels that come with torch.

Static (Jacob et al. 2018) where torch.fx can trace the model: weights and activations in int8, scales from a few
hundred training pictures. Else dynamic: linear layers alone, activations scaled batch by batch.

What is not offered: int8 weights that our own code unpacks before each product. They would shrink the file and slow
the model down, and the time would be our code's, not a technique's.
"""

from __future__ import annotations

import copy
from importlib import import_module
from types import ModuleType

import torch
from torch import nn

from torchglass.errors import OptionError
from torchglass.reference_models.variants.technique import Predictor, Subject, Variant, saved_weights
from torchglass.reference_models.variants.timing import reason

CALIBRATION_IMAGES = 256


def predictor(subject: Subject) -> Predictor:
    """Quantise the model.

    Raises:
        OptionError: the device is not the CPU, or this build of torch has no int8 kernels.
    """
    if subject.device.type != "cpu":
        raise OptionError(f"torch's own int8 kernels run on the CPU alone and the device is {subject.device}")
    engine = torch.backends.quantized.engine
    if engine == "none":
        raise OptionError(f"torch {torch.__version__} was built without int8 kernels for this processor")
    quantization = _quantization()
    calibration = subject.calibration[:CALIBRATION_IMAGES]
    try:
        model = _static(quantization, subject, engine)
        note = f"static, by {engine}, scales from {len(calibration)} training images"
    except Exception as error:  # torch.fx refuses a model with whatever its code raises under the tracer
        model = _dynamic(quantization, subject.model, error)
        note = f"dynamic, by {engine}, linear layers alone: static failed ({reason(error)})"
    return Predictor(model, saved_weights(model), (note,))


def _quantization() -> ModuleType:
    try:
        import_module("torch.ao.quantization.quantize_fx")
        return import_module("torch.ao.quantization")
    except ImportError as error:
        raise OptionError(
            f"torch {torch.__version__} has no torch.ao.quantization any more; its successor, torchao, is not used here"
        ) from error


def _static(quantization: ModuleType, subject: Subject, engine: str) -> nn.Module:
    mapping = quantization.get_default_qconfig_mapping(engine)
    fx = quantization.quantize_fx
    observed = fx.prepare_fx(copy.deepcopy(subject.model), mapping, (subject.images,))
    with torch.no_grad():
        for images in torch.split(subject.calibration[:CALIBRATION_IMAGES], len(subject.images)):
            observed(images)
    model: nn.Module = fx.convert_fx(observed)
    return model


def _dynamic(quantization: ModuleType, model: nn.Module, failure: Exception) -> nn.Module:
    if not any(isinstance(module, nn.Linear) for module in model.modules()):
        raise OptionError("torch.fx cannot trace this model, and it has no linear layer to quantise") from failure
    quantized: nn.Module = quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    return quantized


VARIANT = Variant(
    "int8",
    "Post-training quantisation by torch.ao (deprecated there): int8 weights and products, a quarter of the file.",
    predictor,
    None,
    one_sided="quantisation after training: there is nothing left to train",
)
