"""In which number format a product really runs: float32 is TF32 where that is allowed and the device has it."""

from __future__ import annotations

from typing import Any, Literal

import torch

Kind = Literal["matmul", "convolution"]
_CONVOLUTIONS = ("convolution", "conv")


def tf32_is_allowed(kind: Kind) -> bool:
    """Read torch's switches, the newer ones (2.9 and later, `fp32_precision`) before the older ones.

    By default matrix products do not run in TF32, and convolutions do.
    """
    backends = torch.backends
    setting: Any = backends.cuda.matmul if kind == "matmul" else getattr(backends.cudnn, "conv", None)
    for scope in (setting, backends.cudnn, backends):
        chosen = getattr(scope, "fp32_precision", "none")
        if chosen != "none":
            return bool(chosen == "tf32")
    if setting is not None and hasattr(setting, "fp32_precision"):
        return False  # nothing was chosen anywhere
    return bool(backends.cuda.matmul.allow_tf32 if kind == "matmul" else backends.cudnn.allow_tf32)


def format_of(operator: str, dtype: str, device_type: str) -> str:
    """Name the format of an operator's products: "float8", "bfloat16", "float16", "tf32", "float32", ..."""
    if dtype.startswith("float8"):
        return "float8"  # whatever its bits are for: they run equally fast
    if dtype != "float32" or device_type != "cuda":
        return dtype
    kind: Kind = "convolution" if operator.removeprefix("aten::").lstrip("_").startswith(_CONVOLUTIONS) else "matmul"
    return "tf32" if tf32_is_allowed(kind) else "float32"
