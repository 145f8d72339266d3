"""Kernels and copies by name: weighted means, tensor cores by name, and overlapping work counted once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from trace_making import Making, lines

from torchglass.traces.kernel_names import could_use_tensor_cores, is_communication, uses_tensor_cores
from torchglass.traces.profile import profile_of
from torchglass.traces.tables import LONGEST_NAME, short_name


def test_percentages_are_weighted_by_duration_and_no_kernel_has_more_than_all_sms() -> None:
    made = (
        Making()
        .kernel("gemm", 0, 10, blocks_per_sm=4.0, occupancy_percent=20.0)
        .kernel("gemm", 20, 30, blocks_per_sm=0.5, occupancy_percent=60.0)
    )
    table = profile_of(made.trace()).tables["kernels"]
    assert lines(table, "name", "device", "calls", "seconds", "shortest_seconds", "longest_seconds") == [
        ("gemm", 0, 2, 40e-9, 10e-9, 30e-9)
    ]
    assert table["blocks_per_sm"].tolist() == [pytest.approx((4 * 10 + 0.5 * 30) / 40)]
    assert table["sm_efficiency_percent"].tolist() == [pytest.approx((100 * 10 + 50 * 30) / 40)]
    assert table["occupancy_percent"].tolist() == [pytest.approx((20 * 10 + 60 * 30) / 40)]


def test_kernels_without_a_known_grid_do_not_weigh_in_and_none_is_not_zero() -> None:
    made = (
        Making().kernel("a", 0, 10, blocks_per_sm=0.25, occupancy_percent=40.0).kernel("a", 20, 90).kernel("b", 200, 5)
    )
    profile = profile_of(made.trace())
    found = {
        row[0]: row[1:]
        for row in lines(profile.tables["kernels"], "name", "sm_efficiency_percent", "occupancy_percent")
    }
    assert found["a"] == (25.0, 40.0)
    assert all(math.isnan(value) for value in found["b"])
    assert "kernels.occupancy_percent" not in profile.facts["missing"]
    bare = profile_of(Making().kernel("b", 200, 5).trace())
    assert bare.facts["missing"]["kernels.occupancy_percent"] == "the trace does not tell the grid of its kernels"


def test_work_that_overlaps_on_its_stream_is_cut_where_the_next_begins_and_counted() -> None:
    made = (
        Making()
        .kernel("first", 0, 100)
        .kernel("second", 80, 50)
        .kernel("elsewhere", 90, 100, stream=20)
        .kernel("same start", 500, 9)
        .kernel("same start, shorter", 500, 4)
    )
    profile = profile_of(made.trace())
    seconds = dict(lines(profile.tables["kernels"], "name", "seconds"))
    assert seconds == {
        "first": 80e-9,
        "second": 50e-9,
        "elsewhere": 100e-9,
        "same start": 9e-9,
        "same start, shorter": 0.0,
    }
    assert profile.facts["quality"]["clipped"] == 2
    assert {row.name: row.self_seconds for row in profile.rows} == seconds


def test_the_same_kernel_on_two_devices_has_two_lines() -> None:
    made = Making().kernel("k", 0, 10).kernel("k", 0, 30, device=1)
    assert lines(profile_of(made.trace()).tables["kernels"], "name", "device", "seconds") == [
        ("k", 1, 30e-9),
        ("k", 0, 10e-9),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "volta_h884gemm_64x64_ldg8_nn",
        "turing_fp16_s1688gemm_fp16_128x128_ldg8_f2f_tn",
        "ampere_bf16_s16816gemm_bf16_64x64_sliced1x2_ldg8_f2f_stages_64x5_tn",
        "sm80_xmma_fprop_implicit_gemm_indexed_tf32f32_tf32f32_f32_nhwckrsc_nchw_tilesize128x128x16",
        "void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_128x256_16x3_tn_align4>(cutlass_80::Params)",
        "nvjet_tst_128x256_64x4_1x2_h_bz_coopA_TNT",
        "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize64x64x64_warpgroupsize1x1x1_execute_kernel__5x_cublas",
        "cutlass3x_sm90_tensorop_s64x128x16gemm_bf16_bf16_f32_void_bf16",
        "void cutlass::device_kernel<flash::FlashAttnFwdSm90<MainloopFwd>>(Params)",
        "cutlass3x_sm100_tensorop_gemm_f16_tcgen05",
        "void pytorch_flash::flash_fwd_kernel<pytorch_flash::Flash_fwd_kernel_traits<64, 128>>(Flash_fwd_params)",
        "fmha_cutlassF_bf16_aligned_64x64_rf_sm80(PyTorchMemEffAttention::AttentionKernel)",
        "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7_64x128x64",
    ],
)
def test_kernels_of_tensor_cores_are_known_by_name(name: str) -> None:
    assert uses_tensor_cores(name)
    assert could_use_tensor_cores(name)


@pytest.mark.parametrize(
    "name",
    [
        "ampere_sgemm_32x32_sliced1x4_tn",
        "void implicit_convolve_sgemm<float, float, 1024, 6, 7, 3, 3, 5, 1, false, false, true>(int)",
        "void cudnn::detail::dgrad_engine<float, 512, 6, 5, 3, 3, 3, false>(int, int)",
        "void cutlass::Kernel2<cutlass_80_simt_sgemm_128x128_8x4_nn_align1>(Params)",
        "sm80_xmma_gemm_f32f32_f32f32_f32_nn_n_tilesize32x32x8_stage3_warpsize1x2x1_ffma_aligna4_alignc4",
        "cudnn_ampere_scudnn_winograd_128x128_ldg1_ldg4_relu_tile148t_nt_v1",
    ],
)
def test_matrix_kernels_of_the_plain_units_could_use_tensor_cores_and_do_not(name: str) -> None:
    assert not uses_tensor_cores(name)
    assert could_use_tensor_cores(name)


@pytest.mark.parametrize(
    "name",
    [
        "void at::native::vectorized_elementwise_kernel<4, at::native::AddFunctor<float>>(int)",
        "void cudnn::bn_fw_tr_1C11_kernel_NCHW<float, float, 512, true, 1>(cudnnTensorStruct)",
        "void fbgemm_gpu::permute_2D_lengths_kernel<int>(int, int)",
        "void at::native::(anonymous namespace)::convert_kernel(int)",
        "triton_poi_fused_relu_0",
        "ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)",
    ],
)
def test_other_kernels_could_not(name: str) -> None:
    assert not could_use_tensor_cores(name)


def test_collectives_are_known_by_name_and_hips_own_kernels_are_none() -> None:
    assert is_communication("ncclDevKernel_AllReduce_Sum_f32_RING_LL(x)")
    assert is_communication("ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t(x)")
    assert not is_communication("hip_elementwise_kernel")


def test_copies_are_summed_by_direction_and_memory_and_pageable_memory_is_flagged() -> None:
    made = (
        Making()
        .copy("Memcpy HtoD (Pageable -> Device)", 0, 10, bytes_moved=100.0)
        .copy("Memcpy HtoD (Pageable -> Device)", 20, 30, bytes_moved=900.0)
        .copy("Memcpy HtoD (Pinned -> Device)", 60, 7, bytes_moved=50.0)
        .copy("Memcpy DtoH (Device -> Pageable)", 70, 4)
        .copy("Memcpy DtoH (Device -> Pageable)", 76, 2, bytes_moved=3.0)
        .copy("Memcpy PtoP (Device -> Device)", 80, 5, bytes_moved=4.0)
        .copy("Memset (Device)", 90, 4, bytes_moved=8.0)
        .copy("Memcpy Unknown (Array -> Array)", 100, 3, bytes_moved=1.0)
    )
    table = profile_of(made.trace()).tables["copies"]
    told = lines(table, "kind", "memory", "pageable", "calls", "seconds")
    assert told == [
        ("HtoD", "Pageable -> Device", True, 2, 40e-9),
        ("HtoD", "Pinned -> Device", False, 1, 7e-9),
        ("DtoH", "Device -> Pageable", True, 2, 6e-9),
        ("PtoP", "Device -> Device", False, 1, 5e-9),
        ("fill", "Device", False, 1, 4e-9),
        ("other", "Array -> Array", False, 1, 3e-9),
    ]
    assert np.array_equal(table["bytes"], [1000.0, 50.0, np.nan, 4.0, 8.0, 1.0], equal_nan=True)


def test_long_names_are_cut_alike_everywhere_and_stay_apart() -> None:
    ends = ("first>", "second>")
    names = ["void kernel<" + "x" * 2_000 + end for end in ends]
    made = Making()
    for index, name in enumerate(names):
        made.op(name, index * 10, 9).kernel(name, index * 10, 5 + index)
    profile = profile_of(made.trace())
    expected = {short_name(name) for name in names}
    assert len(expected) == 2
    assert all(len(name) == LONGEST_NAME for name in expected)
    for table, column in (("kernels", "name"), ("operators", "name"), ("gaps", "after"), ("slice_names", "name")):
        assert set(profile.tables[table][column].tolist()) <= expected, table
    assert {row.name for row in profile.rows} == expected
    assert expected < set(profile.tables["links"]["kernel"].tolist())
