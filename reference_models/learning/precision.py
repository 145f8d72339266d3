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


def choose_precision(device: torch.device, amp: str | None) -> Precision:
    """Return the format to train in: float32 without `amp`, else "bf16", "fp16", or "auto" as suits the device.

    "auto" is bf16 where the chip computes it (the CPU, and CUDA from compute capability 8.0), else fp16 with a
    gradient scaler, whose step reads one number back from the device. On a CPU bf16 saves memory, and time only where
    the processor has bf16 instructions.

    Raises:
        OptionError: the device has no such format.
    """
    if amp is not None and device.type == "mps":
        raise OptionError(f"amp is {amp!r} and mps is not tried with mixed precision here: train without it")
    if amp == "fp16" and device.type == "cpu":
        raise OptionError("amp is 'fp16' and the device is the CPU, which trains in bf16 only: give --amp bf16")
    if amp == "bf16" and device.type == "cuda" and not _has_bf16(device):
        raise OptionError("amp is 'bf16' and this GPU only emulates it, slower than float32: give --amp fp16")
    dtype = None if amp is None else _mixed_dtype(device, amp)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)
    return Precision(device, dtype, scaler)


def _mixed_dtype(device: torch.device, amp: str) -> torch.dtype:
    if amp == "auto":
        return torch.bfloat16 if device.type == "cpu" or _has_bf16(device) else torch.float16
    return torch.float16 if amp == "fp16" else torch.bfloat16


def _has_bf16(device: torch.device) -> bool:
    major, _ = torch.cuda.get_device_capability(device)
    return major >= 8


def _mps_is_available() -> bool:
    return torch.backends.mps.is_available()


def _check_cuda(name: str) -> None:
    if not torch.cuda.is_available():
        raise OptionError(f"device is {name!r} and torch {torch.__version__} sees no CUDA device: choose auto or cpu")
    _, _, index = name.partition(":")
    count = torch.cuda.device_count()
    if index and int(index) >= count:
        raise OptionError(f"device is {name!r} and this machine has {count} CUDA device(s): they count from cuda:0")
