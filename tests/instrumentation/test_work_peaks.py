"""Peaks of devices by the names that their drivers give them."""

from __future__ import annotations

import pytest

from torchglass.instrumentation.work import peaks
from torchglass.instrumentation.work.peaks import Peak, find_peak


@pytest.mark.parametrize(
    ("name", "number_format", "teraflops", "gigabytes"),
    [
        ("Tesla V100-SXM2-32GB", "float16", 125, 900),
        ("Tesla T4", "float16", 65, 320),
        ("NVIDIA A10", "bfloat16", 125, 600),
        ("NVIDIA A10G", "bfloat16", 70, 600),
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312, 2039),
        ("NVIDIA A100 80GB PCIe", "tf32", 156, 1935),
        ("NVIDIA A40", "bfloat16", 149.7, 696),
        ("NVIDIA L4", "bfloat16", 121, 300),
        ("NVIDIA L40S", "bfloat16", 362.05, 864),
        ("NVIDIA GeForce RTX 3090", "bfloat16", 71, 936),
        ("NVIDIA GeForce RTX 4090", "float16", 165.2, 1008),
        ("NVIDIA RTX A6000", "bfloat16", 154.8, 768),
        ("NVIDIA RTX 6000 Ada Generation", "bfloat16", 364.2, 960),
        ("Quadro RTX 6000", "float16", 130.5, 672),
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.4, 3350),
        ("NVIDIA H100 PCIe", "bfloat16", 756.5, 2000),
        ("NVIDIA H100 NVL", "bfloat16", 835.5, 3900),
        ("NVIDIA H200", "bfloat16", 989.4, 4800),
        ("NVIDIA GH200 480GB", "bfloat16", 989.4, 4000),
        ("NVIDIA B200", "bfloat16", 2250, 7700),
        ("AMD Instinct MI250X", "bfloat16", 191.5, 1638.4),
        ("AMD Instinct MI300X", "float8", 2614.9, 5300),
    ],
)
def test_a_device_is_found_by_its_drivers_name(
    name: str, number_format: str, teraflops: float, gigabytes: float
) -> None:
    found = find_peak(name)
    assert isinstance(found, Peak)
    assert found.of(number_format) == pytest.approx(teraflops * 1e12)
    assert found.memory_bytes_per_second == pytest.approx(gigabytes * 1e9)


@pytest.mark.parametrize(
    "name", ["NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA H800", "NVIDIA H20", "NVIDIA A1000", "cpu", ""]
)
def test_a_device_that_only_resembles_a_known_one_is_unknown(name: str) -> None:
    assert isinstance(find_peak(name), str)


def test_a_part_of_a_device_is_told_apart_from_the_whole() -> None:
    found = find_peak("NVIDIA A100-SXM4-40GB MIG 1g.5gb")
    assert isinstance(found, str)
    assert "part" in found


def test_every_name_matches_one_device_and_every_device_has_a_source() -> None:
    for peak, _ in peaks._TABLE:
        assert peak.source
        assert peak.flops_per_second["float32"] < peak.flops_per_second["float16"]
    names = [
        *("Tesla V100-PCIE-16GB", "NVIDIA A10", "NVIDIA A10G", "NVIDIA A100-PCIE-40GB", "NVIDIA L40", "NVIDIA L40S"),
        *("NVIDIA H200", "NVIDIA H200 NVL", "NVIDIA B200", "NVIDIA GB200", "AMD Instinct MI250", "AMD Instinct MI250X"),
    ]
    for name in names:
        assert sum(bool(pattern.fullmatch(name)) for _, pattern in peaks._TABLE) == 1


def test_dense_peaks_double_from_tf32_to_half_and_from_half_to_a_byte() -> None:
    for peak, _ in peaks._TABLE:
        half = peak.flops_per_second["float16"]
        if (byte := peak.flops_per_second.get("float8")) is not None:
            assert byte == pytest.approx(2 * half, rel=0.02)
        if (tf32 := peak.flops_per_second.get("tf32")) is not None:
            assert half == pytest.approx(2 * tf32, rel=0.03)


def test_tf32_runs_as_float32_where_a_device_has_none_and_bfloat16_as_nothing() -> None:
    found = find_peak("Tesla T4")
    assert isinstance(found, Peak)
    assert found.of("tf32") == found.of("float32") == pytest.approx(8.1e12)
    assert found.of("bfloat16") is None
