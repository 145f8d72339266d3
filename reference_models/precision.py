"""Which device trains, and in which number format."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from torchglass.errors import OptionError


@dataclass(frozen=True)
class Precision:
    """Mixed precision on a device: `dtype` of the matrix products, None for plain float32; a scaler for fp16 gradients.

    The scaler is always there and passes everything through where the format needs none, so the loop has one shape.
    """

    device: torch.device
    dtype: torch.dtype | None
    scaler: torch.amp.GradScaler

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which the forward pass runs."""
        return nullcontext() if self.dtype is None else torch.autocast(self.device.type, dtype=self.dtype)


def choose_device(name: str) -> torch.device:
    """Return the device of that name; "auto" takes the first of CUDA, MPS and the CPU that is there.

    Raises:
        OptionError: when this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if _mps_is_available() else "cpu")
    if name == "mps" and not _mps_is_available():
        raise OptionError("device is 'mps' and this machine or this build of torch has none: choose auto or cpu")
    if name.startswith("cuda"):
        _check_cuda(name)
    return torch.device(name)


def choose_precision(device: torch.device, amp: bool) -> Precision:
    """Return the format to train in: float32, or with `amp` the mixed precision that suits the device.

    CUDA takes bf16 where the chip computes it (compute capability 8.0 up), else fp16 with a gradient scaler, whose
    step reads one number back from the device; the CPU takes bf16, which saves memory and only there saves time
    where the processor has bf16 instructions.

    Raises:
        OptionError: on MPS, whose autocast is not tried here.
    """
    if amp and device.type == "mps":
        raise OptionError("amp is on and the device is mps, for which mixed precision is not offered: train without it")
    dtype = _mixed_dtype(device) if amp else None
    scaler = torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)
    return Precision(device, dtype, scaler)


def _mixed_dtype(device: torch.device) -> torch.dtype:
    if device.type == "cpu":
        return torch.bfloat16
    major, _ = torch.cuda.get_device_capability(device)
    return torch.bfloat16 if major >= 8 else torch.float16  # below 8.0 torch emulates bf16, slower than float32


def _mps_is_available() -> bool:
    return torch.backends.mps.is_available()


def _check_cuda(name: str) -> None:
    if not torch.cuda.is_available():
        raise OptionError(f"device is {name!r} and torch {torch.__version__} sees no CUDA device: choose auto or cpu")
    _, _, index = name.partition(":")
    count = torch.cuda.device_count()
    if index and int(index) >= count:
        raise OptionError(f"device is {name!r} and this machine has {count} CUDA device(s): they count from cuda:0")
