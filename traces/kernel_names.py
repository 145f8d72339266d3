"""What the name of a kernel or a call tells: tensor cores, what could use them, communication, launches.

No trace says which units a kernel ran on; its name does, by the conventions of cuBLAS, cuDNN, CUTLASS and others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.traces.grouping import grouped

# Instructions (HMMA 884, 1688, 16816; WGMMA; tcgen05), CUTLASS's and cuDNN's words for them, and libraries without
# another path (nvjet of cuBLAS since Hopper, flash attention).
TENSOR_CORE = re.compile(
    r"[hs]884|[his]1688|16816|16832|i?8816|[hibdq]mma|gmma|utcmma|tcgen05|tensor_?op|wmma|nvjet|cutlass3x"
    r"|flash_?(fwd|bwd|attn|attention|decode|mla)|flash::|flashinfer|fmha_cutlass|fmha_v2|fort_native_sdpa"
    r"|xmma_(gemm|fprop|dgrad|wgrad)|deep_?gemm",
    re.IGNORECASE,
)
# Whatever multiplies on these has a name that says so after the architecture's.
SINCE_HOPPER = re.compile(r"sm(?:90|100|103|120)a?_", re.IGNORECASE)
MULTIPLIES = re.compile(r"gemm|mma|conv|fprop|dgrad|wgrad|attention|sdpa", re.IGNORECASE)
# The plain FP32 and FP64 units, whatever else the name says: `ffma`, SIMT tiles, FP32 in, FP32 through, FP32 out.
PLAIN_UNITS = re.compile(r"simt|ffma|dfma|xmma_\w{0,99}?f32f32_f32f32_f32|implicit_convolve_sgemm", re.IGNORECASE)
ELIGIBLE = re.compile(
    r"(?<!fb)gemm|matmul|conv(?!ert)|winograd|wgrad|dgrad|fprop|fft2d_|attention|sdpa|fmha|triton_tem_\w{0,300}mm",
    re.IGNORECASE,
)
# HIP's own kernels do not count (some tools take every name that begins with hip for communication).
COMMUNICATION = re.compile(
    r"^(nccl|rccl|hccl|oneccl|msccl)|ncclKernel|ncclDevKernel|nvshmem|multimem_|(one|two)_shot_all_reduce"
    r"|cross_device_reduce",
    re.IGNORECASE,
)
# Collectives of the CPU: their annotation on the host lasts until they are done, NCCL's only until they are launched.
HOST_COLLECTIVE = "gloo:"
COMPILED = re.compile(r"^triton_|inductor")
LAUNCH = re.compile(r"LaunchKernel|LaunchCooperative|ModuleLaunch|GraphLaunch|^(cuda|cu|hip)(Memcpy|Memset)")
GRAPH_LAUNCH = re.compile(r"GraphLaunch")


def uses_tensor_cores(name: str) -> bool:
    """Whether a kernel of this name runs on tensor cores, as far as names tell."""
    return bool(TENSOR_CORE.search(name) or _multiplies_since_hopper(name)) and not PLAIN_UNITS.search(name)


def _multiplies_since_hopper(name: str) -> bool:
    # Two searches: as one pattern, a name that repeats the first of them would take hours.
    architecture = SINCE_HOPPER.search(name)
    return architecture is not None and bool(MULTIPLIES.search(name, architecture.end()))


def could_use_tensor_cores(name: str) -> bool:
    """Whether the name says that the kernel multiplies matrices or convolves."""
    return uses_tensor_cores(name) or (bool(ELIGIBLE.search(name)) and not is_communication(name))


def is_communication(name: str) -> bool:
    """Whether a kernel of this name moves data between devices for a collective."""
    return bool(COMMUNICATION.search(name))


def matching(
    pattern: re.Pattern[str], names: Sequence[str], used: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.bool_]:
    """Whether the name of each row matches; `used` (n,) are indices into names, each distinct one is tried once."""
    groups = grouped(used)
    matches = [bool(pattern.search(names[index])) for index in used[groups.first].tolist()]
    return np.array(matches, dtype=np.bool_)[groups.of]
