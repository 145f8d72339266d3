"""ONNX: the model exported as a graph that ONNX Runtime runs, without torch."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from torchglass.errors import MissingExtraError, OptionError
from torchglass.reference_models.variants.technique import Forward, Predictor, Subject, Variant

FILE = "model.onnx"
EXTRA = "onnx"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def predictor(subject: Subject) -> Predictor:
    """Export the model with a free batch size and load it into ONNX Runtime on the same device.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        OptionError: ONNX Runtime has no provider for the device.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise MissingExtraError(package, EXTRA)
    provider = _provider(subject.device)
    images = subject.images
    example = images if len(images) > 1 else torch.cat([images, images])  # a batch of 1 would be taken for a constant
    program = torch.onnx.export(
        subject.model,
        (example,),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise OptionError("torch.onnx.export returned no program for this model")

    def save(folder: Path) -> None:
        program.save(folder / FILE)

    with TemporaryDirectory(prefix="torchglass-onnx-") as folder:
        save(Path(folder))
        session = _session(Path(folder) / FILE, provider)
    return Predictor(_forward(session, subject.device), save, (f"run by {provider}",))


def _provider(device: torch.device) -> str:
    import onnxruntime

    provider = PROVIDERS.get(device.type)
    if provider is None or provider not in onnxruntime.get_available_providers():
        hint = ": pip install onnxruntime-gpu in its place" if device.type == "cuda" else ""
        raise OptionError(f"onnxruntime {onnxruntime.__version__} has no provider for {device}{hint}")
    return provider


def _session(path: Path, provider: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # as many as the others have
    return onnxruntime.InferenceSession(str(path), options, providers=[provider])


def _forward(session: Any, device: torch.device) -> Forward:
    """Bind torch's own memory as input and output: nothing is copied, on no device."""
    import numpy as np

    index = device.index or 0
    classes = session.get_outputs()[0].shape[1]

    def forward(images: Tensor) -> Tensor:
        images = images.contiguous()
        logits = torch.empty(len(images), classes, device=images.device)
        binding = session.io_binding()
        binding.bind_input("images", device.type, index, np.float32, tuple(images.shape), images.data_ptr())
        binding.bind_output("logits", device.type, index, np.float32, tuple(logits.shape), logits.data_ptr())
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # ONNX Runtime has a stream of its own and would not wait for torch's
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return logits

    return forward


VARIANT = Variant(
    "onnx",
    "torch.onnx.export, run by ONNX Runtime: one file that other languages and runtimes read.",
    predictor,
    None,
    one_sided="ONNX Runtime answers; it does not train",
)
