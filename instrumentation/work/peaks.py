"""What a device can do at most: dense operations a second by number format, and bytes a second from its memory.

Vendors print peaks for 2:4 sparse matrices, twice what a dense one reaches: those are halved here. Peaks of GeForce
cards are those with float32 accumulation, which is what torch asks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple


class Peak(NamedTuple):
    """Peaks of one device as torch counts devices: operations a second by format, bytes a second, and who says so.

    A format that is missing has no peak of its own: it is not supported, or the vendor states none.
    """

    device: str
    flops_per_second: Mapping[str, float]
    memory_bytes_per_second: float
    source: str

    def of(self, number_format: str) -> float | None:
        """The peak for a format; TF32 runs as float32 where the device has none."""
        found = self.flops_per_second.get(number_format)
        return self.flops_per_second.get("float32") if found is None and number_format == "tf32" else found


def find_peak(device_name: str) -> Peak | str:
    """Return the peak of a device by the name that its driver gives it, or the reason why there is none.

    A name must match whole: an "RTX 4090 Laptop GPU" is no RTX 4090, and an H800 no H100.
    """
    name = device_name.strip()
    if " MIG " in f" {name} ":
        return f"{name} is a part of a device: vendors state no peak for it"
    for peak, pattern in _TABLE:
        if pattern.fullmatch(name):
            return peak
    return f"no peak is known for {name or 'a device without a name'}"


def _peak(
    device: str,
    pattern: str,
    half: float | None,
    tf32: float | None,
    single: float | None,
    double: float | None,
    gigabytes: float,
    source: str,
    *,
    brain: float | None = -1.0,
    fp8: float | None = None,
) -> tuple[Peak, re.Pattern[str]]:
    """Take teraflops a second; bfloat16 is as fast as float16 unless said, None where there is none."""
    stated = {
        "float16": half,
        "bfloat16": half if brain == -1.0 else brain,
        "tf32": tf32,
        "float32": single,
        "float64": double,
        "float8": fp8,
    }
    flops = {name: value * 1e12 for name, value in stated.items() if value is not None}
    vendor = r"(?:AMD )?" if device.startswith("AMD") else r"(?:NVIDIA |Tesla |Quadro |GeForce )*"
    return Peak(device, flops, gigabytes * 1e9, source), re.compile(vendor + pattern, re.IGNORECASE)


_VOLTA = "NVIDIA V100 datasheet, January 2020"
_TURING = "NVIDIA Turing architecture whitepaper, appendix A"
_GA102 = "NVIDIA Ampere GA102 architecture whitepaper, appendix A"
_ADA = "NVIDIA Ada architecture whitepaper, appendix A"
_A100 = "NVIDIA A100 datasheet, 2021"
_H100 = "NVIDIA H100 datasheet, sparse peaks halved"
_H200 = "NVIDIA H200 datasheet, sparse peaks halved"
_BLACKWELL = "NVIDIA Blackwell datasheet, sparse peaks halved"
_RTX_BLACKWELL = "NVIDIA RTX Blackwell architecture whitepaper, appendix A"
_MI200 = "AMD Instinct MI200 series datasheet; a card's halves are devices of their own, its peaks halved"
_MI300 = "AMD Instinct MI300 series datasheets"

# device, name, float16, TF32, float32, float64 (in TFLOP/s), memory (GB/s), source
_TABLE = (
    _peak("Tesla P100 SXM2", r"P100-SXM2-16GB", 21.2, None, 10.6, 5.3, 732, "NVIDIA P100 datasheet", brain=None),
    _peak("Tesla P100 PCIe", r"P100-PCIE-16GB", 18.7, None, 9.3, 4.7, 732, "NVIDIA P100 datasheet", brain=None),
    _peak("V100 SXM2", r"V100-SXM2-(?:16|32)GB(?:-LS)?", 125, None, 15.7, 7.8, 900, _VOLTA, brain=None),
    _peak("V100 PCIe", r"V100-PCIE-(?:16|32)GB", 112, None, 14, 7, 900, _VOLTA, brain=None),
    _peak("V100S PCIe", r"V100S-PCIE-32GB", 130, None, 16.4, 8.2, 1134, _VOLTA, brain=None),
    _peak("T4", r"T4", 65, None, 8.1, None, 320, "NVIDIA T4 datasheet", brain=None),
    _peak("RTX 2080 Ti", r"RTX 2080 Ti", 53.8, None, 13.4, None, 616, _TURING, brain=None),
    _peak("TITAN RTX", r"TITAN RTX", 130.5, None, 16.3, None, 672, _TURING, brain=None),
    _peak("Quadro RTX 6000", r"RTX 6000", 130.5, None, 16.3, None, 672, _TURING, brain=None),
    _peak("Quadro RTX 8000", r"RTX 8000", 130.5, None, 16.3, None, 672, _TURING, brain=None),
    _peak("A100 SXM4 40 GB", r"A100-SXM4-40GB", 312, 156, 19.5, 19.5, 1555, _A100),
    _peak("A100 SXM4 80 GB", r"A100-SXM4-80GB", 312, 156, 19.5, 19.5, 2039, _A100),
    _peak("A100 PCIe 40 GB", r"A100-PCIE-40GB", 312, 156, 19.5, 19.5, 1555, _A100),
    _peak("A100 PCIe 80 GB", r"A100 80GB PCIe", 312, 156, 19.5, 19.5, 1935, _A100),
    _peak("A30", r"A30", 165, 82, 10.3, 10.3, 933, "NVIDIA A30 datasheet, 2022"),
    _peak("A10", r"A10", 125, 62.5, 31.2, None, 600, "NVIDIA A10 datasheet, sparse peaks halved"),
    _peak("A10G", r"A10G", 70, 35, 35, None, 600, "NVIDIA A10G datasheet for Amazon EC2, sparse peaks halved"),
    _peak("A40", r"A40", 149.7, 74.8, 37.4, None, 696, "NVIDIA A40 datasheet, sparse peaks halved"),
    _peak("RTX A6000", r"RTX A6000", 154.8, 77.4, 38.7, None, 768, _GA102),
    _peak("RTX 3070", r"RTX 3070", 40.6, 20.3, 20.3, None, 448, _GA102),
    _peak("RTX 3080", r"RTX 3080", 59.5, 29.8, 29.8, None, 760, _GA102),
    _peak("RTX 3090", r"RTX 3090", 71, 35.6, 35.6, None, 936, _GA102),
    _peak("L4", r"L4", 121, 60, 30.3, None, 300, "NVIDIA L4 datasheet, sparse peaks halved", fp8=242.5),
    _peak("L40", r"L40", 181.05, 90.5, 90.5, None, 864, "NVIDIA L40 datasheet, 2022", fp8=362),
    _peak("L40S", r"L40S", 362.05, 183, 91.6, None, 864, "NVIDIA L40S datasheet, 2023", fp8=733),
    _peak("RTX 6000 Ada", r"RTX 6000 Ada Generation", 364.2, 182.1, 91.1, None, 960, _ADA, fp8=728.5),
    _peak("RTX 4080", r"RTX 4080", 97.5, 48.7, 48.7, None, 716.8, _ADA, fp8=194.9),
    _peak("RTX 4090", r"RTX 4090", 165.2, 82.6, 82.6, None, 1008, _ADA, fp8=330.3),
    _peak("RTX 5090", r"RTX 5090", 209.5, 104.8, 104.8, None, 1792, _RTX_BLACKWELL, fp8=419),
    _peak("H100 SXM5", r"H100 (?:SXM5 )?80GB HBM3", 989.4, 494.7, 66.9, 66.9, 3350, _H100, fp8=1978.9),
    _peak("H100 PCIe", r"H100 PCIe", 756.5, 378, 51, 51, 2000, _H100, fp8=1513),
    _peak("H100 NVL", r"H100 NVL", 835.5, 417.5, 60, 60, 3900, _H100, fp8=1670.5),
    _peak("H200 SXM5", r"H200", 989.4, 494.7, 66.9, 66.9, 4800, _H200, fp8=1978.9),
    _peak("H200 NVL", r"H200 NVL", 835.5, 417.5, 60, 60, 4800, _H200, fp8=1670.5),
    _peak("GH200 96 GB", r"GH200 480GB", 989.4, 494.7, 66.9, 66.9, 4000, "NVIDIA GH200 datasheet", fp8=1978.9),
    _peak("GH200 144 GB", r"GH200 144G HBM3e", 989.4, 494.7, 66.9, 66.9, 4900, "NVIDIA GH200 datasheet", fp8=1978.9),
    _peak("B200", r"B200", 2250, 1100, 75, 37, 7700, _BLACKWELL, fp8=4500),
    _peak("GB200", r"GB200", 2500, 1250, 80, 40, 8000, _BLACKWELL, fp8=5000),
    _peak("AMD MI100", r"Instinct MI100", 184.6, None, 46.1, 11.5, 1228.8, "AMD Instinct MI100 datasheet", brain=92.3),
    _peak("AMD MI210", r"Instinct MI210", 181, None, 45.3, 45.3, 1638.4, "AMD Instinct MI210 datasheet"),
    _peak("AMD MI250, one half", r"Instinct MI250", 181, None, 45.3, 45.3, 1638.4, _MI200),
    _peak("AMD MI250X, one half", r"Instinct MI250X", 191.5, None, 47.9, 47.9, 1638.4, _MI200),
    _peak("AMD MI300X", r"Instinct MI300X", 1307.4, 653.7, 163.4, 163.4, 5300, _MI300, fp8=2614.9),
    _peak("AMD MI325X", r"Instinct MI325X", 1307.4, 653.7, 163.4, 163.4, 6000, _MI300, fp8=2614.9),
)
