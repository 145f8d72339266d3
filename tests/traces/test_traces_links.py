"""kernel <- operator <- module <- phase, and the buckets of what cannot be blamed on an operator."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function
from trace_making import Making, lines

from torchglass.instrumentation.profiling.kineto import read_trace
from torchglass.traces import links
from torchglass.traces.profile import profile_of

PATH = ("phase", "module", "operator", "kernel")


def paths(made: Making) -> dict[tuple[str, ...], Any]:
    """Calls and nanoseconds by path."""
    table = profile_of(made.trace()).tables["links"]
    found = {row[:4]: (row[4], round(row[5] * 1e9, 3)) for row in lines(table, *PATH, "calls", "seconds")}
    assert len(found) == len(table["phase"])
    return found


def test_a_kernel_is_linked_to_the_operator_that_its_external_id_names() -> None:
    made = (
        Making()
        .note("nn.Module: net", 0, 200)
        .note("nn.Module: net.layer1.0.conv", 10, 100)
        .op("aten::conv2d", 20, 80, operator_id=5)
        .op("aten::cudnn_convolution", 30, 60, operator_id=6)
        .call(40, 9, correlation=3, external=6)
        .kernel("xmma", 300, 50, correlation=3)
        .note("torchglass.phase#forward", 250)
    )
    where = ("forward", "net.layer1.0.conv")
    assert paths(made) == {
        ("forward", "net", "(python)", ""): (1, 100),
        (*where, "(python)", ""): (1, 20),
        (*where, "aten::conv2d", ""): (1, 20),
        (*where, "aten::cudnn_convolution", ""): (1, 60),
        (*where, "aten::cudnn_convolution", "xmma"): (1, 50),
    }


def test_an_external_id_that_names_an_operator_elsewhere_is_not_believed() -> None:
    made = (
        Making()
        .op("aten::other", 0, 10, operator_id=3)
        .op("aten::relu", 20, 30, operator_id=4)
        .call(30, 5, correlation=3, external=3)
        .kernel("relu", 60, 7, correlation=3, external=3)
    )
    assert ("other", "(no module)", "aten::relu", "relu") in paths(made)


def test_of_launches_that_share_a_number_the_latest_before_the_work_is_its_own() -> None:
    """As in a file that several processes, or several windows, were put into."""
    made = Making().kernel("early", 30, 5, correlation=9).kernel("late", 130, 5, correlation=9, device=1)
    for begin, name, lane in ((0, "aten::mm", 1), (100, "aten::add", 2)):
        made.op(name, begin, 20, lane=lane, operator_id=lane).call(
            begin + 5, 5, correlation=9, external=lane, lane=lane
        )
    table = profile_of(made.trace()).tables["links"]
    linked = {kernel: operator for operator, kernel in lines(table, "operator", "kernel") if kernel}
    assert linked == {"early": "aten::mm", "late": "aten::add"}


def test_without_a_recorded_launch_the_external_id_alone_links() -> None:
    made = Making().op("aten::relu", 20, 30, operator_id=4).kernel("relu", 60, 7, correlation=9, external=4)
    assert ("other", "(no module)", "aten::relu", "relu") in paths(made)


def test_an_external_id_that_only_repeats_the_correlation_links_to_nothing() -> None:
    made = Making().op("aten::relu", 20, 30, operator_id=9).kernel("relu", 60, 7, correlation=9, external=9)
    assert ("other", "(no module)", "(unlinked)", "relu") in paths(made)


def test_backward_kernels_are_of_the_forward_operators_module() -> None:
    """Two operators peek at number 8: the latest one made the node."""
    made = (
        Making()
        .note("nn.Module: net.first", 0, 50)
        .op("aten::argmax", 5, 10, sequence=8)
        .note("nn.Module: net.second", 100, 50)
        .op("aten::linear", 105, 40, sequence=8)
        .op("aten::addmm", 110, 20, sequence=8)
        .op("autograd::engine::evaluate_function: AddmmBackward0", 200, 90, lane=2, sequence=8, forward_lane=1)
        .op("AddmmBackward0", 205, 70, lane=2, sequence=8, forward_lane=1)
        .op("aten::mm", 210, 50, lane=2)
        .call(220, 10, correlation=3, lane=2)
        .kernel("gemm", 400, 33, correlation=3)
        .note("torchglass.phase#forward", 180)
        .note("torchglass.phase#backward", 300)
    )
    found = paths(made)
    assert found["backward", "net.second", "aten::mm", "gemm"] == (1, 33)
    assert found["backward", "net.second", "aten::mm", ""] == (1, 50)


def test_numbers_of_different_threads_are_different_nodes() -> None:
    made = (
        Making()
        .note("nn.Module: mine", 0, 50, lane=1)
        .op("aten::mul", 5, 10, lane=1, sequence=8)
        .note("nn.Module: theirs", 20, 50, lane=2)
        .op("aten::mul", 25, 10, lane=2, sequence=8)
        .op("MulBackward0", 100, 10, lane=3, sequence=8, forward_lane=1)
        .op("MulBackward0", 120, 17, lane=3, sequence=8, forward_lane=2)
    )
    found = paths(made)
    assert found["backward", "mine", "MulBackward0", ""] == (1, 10)
    assert found["backward", "theirs", "MulBackward0", ""] == (1, 17)


def test_the_number_alone_links_where_threads_are_counted_another_way_and_only_one_has_it() -> None:
    made = (
        Making()
        .note("nn.Module: mine", 0, 50, lane=4711)
        .op("aten::mul", 5, 10, lane=4711, sequence=8)
        .op("aten::mul", 20, 10, lane=4711, sequence=9)
        .note("nn.Module: theirs", 65, 20, lane=4712)
        .op("aten::add", 70, 10, lane=4712, sequence=9)
        .op("MulBackward0", 100, 10, lane=4713, sequence=8, forward_lane=1)
        .op("MulBackward0", 120, 17, lane=4713, sequence=9, forward_lane=1)
    )
    found = paths(made)
    assert found["backward", "mine", "MulBackward0", ""] == (1, 10)
    assert found["backward", "(no module)", "MulBackward0", ""] == (1, 17)


def test_recomputed_operators_in_backward_are_of_the_module_that_runs_again() -> None:
    made = (
        Making()
        .note("nn.Module: block", 0, 50)
        .op("CheckpointFunction", 5, 40, sequence=3)
        .op("autograd::engine::evaluate_function: CheckpointFunctionBackward", 100, 90, sequence=3, forward_lane=1)
        .note("nn.Module: block.fc", 110, 30)
        .op("aten::addmm", 112, 20, sequence=11)
        .op("aten::mm", 150, 20)
    )
    found = paths(made)
    assert found["backward", "block.fc", "aten::addmm", ""] == (1, 20)
    assert found["backward", "block", "aten::mm", ""] == (1, 20)


def test_backward_inside_of_a_module_that_runs_the_whole_step_is_of_the_inner_module() -> None:
    made = (
        Making()
        .note("nn.Module: Trainer", 0, 900)
        .note("nn.Module: net.fc", 10, 50)
        .op("aten::addmm", 12, 20, sequence=3)
        .op("AddmmBackward0", 100, 40, sequence=3, forward_lane=1)
        .op("aten::add_", 200, 15)
    )
    found = paths(made)
    assert found["backward", "net.fc", "AddmmBackward0", ""] == (1, 40)
    assert found["other", "Trainer", "aten::add_", ""] == (1, 15)


def test_what_no_operator_launched_goes_to_a_bucket_with_a_name() -> None:
    made = (
        Making()
        .op("aten::replay", 0, 50)
        .call(10, 5, correlation=1, name="cudaGraphLaunch")
        .call(60, 5, correlation=2)
        .call(70, 5, correlation=3)
        .kernel("in a graph", 100, 3, correlation=1, graph_node=31)
        .kernel("in it too", 110, 4, correlation=1)
        .kernel("of a graph whose launch is lost", 115, 2, correlation=98, graph_node=33)
        .kernel("triton_poi_fused_relu_0", 120, 5, correlation=2)
        .kernel("lonely", 130, 6, correlation=3)
        .kernel("launched before the window", 140, 7, correlation=99)
    )
    found = {path[2:]: taken for path, taken in paths(made).items() if path[3]}
    assert found == {
        ("(CUDA graph)", "in a graph"): (1, 3),
        ("(CUDA graph)", "in it too"): (1, 4),
        ("(CUDA graph)", "of a graph whose launch is lost"): (1, 2),
        ("(compiled)", "triton_poi_fused_relu_0"): (1, 5),
        ("(unlinked)", "lonely"): (1, 6),
        ("(unlinked)", "launched before the window"): (1, 7),
    }
    quality = profile_of(made.trace()).facts["quality"]
    assert (quality["graph_kernels"], quality["unlinked_kernels"]) == (3, 2)


def test_compiled_code_under_an_operator_of_its_own_stays_there() -> None:
    made = Making().op("CompiledFunction", 0, 50).call(10, 5, 2).kernel("triton_poi_fused_0", 100, 5, 2)
    assert ("other", "(no module)", "CompiledFunction", "triton_poi_fused_0") in paths(made)


def test_paths_hold_all_time_of_the_devices_and_of_the_threads() -> None:
    made = (
        Making()
        .note("ProfilerStep#1", 0, 1_000)
        .op("aten::add", 100, 200)
        .call(150, 50, correlation=1)
        .call(900, 40, correlation=7, name="cudaDeviceSynchronize")
        .kernel("add", 300, 70, correlation=1)
        .copy("Memcpy DtoH (Device -> Pinned)", 400, 30)
    )
    table = profile_of(made.trace()).tables["links"]
    on_device = table["kernel"] != ""
    assert table["seconds"][on_device].sum() == pytest.approx(100e-9)
    assert table["seconds"][~on_device].sum() == pytest.approx(1_000e-9)
    assert ("aten::add", 1, 200) in [
        (op, n, round(s * 1e9)) for op, n, s in lines(table, "operator", "calls", "seconds")
    ]


def test_many_paths_are_cut_to_the_longest_and_the_rest_keeps_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MAX_LINKS", 4)
    made = Making()
    for index in range(7):
        made.op(f"op{index}", index * 100, 20 + index).kernel(f"k{index}", index * 100, 50 + index)
    found = paths(made)
    assert found["other", "(rest)", "(rest)", ""] == (7, sum(range(20, 27)))
    assert found["other", "(rest)", "(rest)", "(rest)"] == (3, 50 + 51 + 52)
    assert sum(taken for _, taken in found.values()) == sum(range(20, 27)) + sum(range(50, 57))


def test_a_real_window_gives_backward_to_the_modules_whose_forward_it_is_of() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 8))
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        value = torch.randn(16, 64)
        for name, part in model.named_children():
            with record_function(f"nn.Module: net.{name}"):
                value = part(value)
        with record_function("torchglass.phase#forward"):
            pass
        value.sum().backward()  # type: ignore[no-untyped-call]
        with record_function("torchglass.phase#backward"):
            pass
    table = profile_of(read_trace(profiler.profiler.kineto_results.events())).tables["links"]
    found = {row[:3] for row in lines(table, *PATH)}
    assert ("forward", "net.1", "aten::tanh") in found
    assert ("backward", "net.1", "aten::tanh_backward") in found
    assert ("backward", "net.2", "aten::mm") in found
    assert not any(phase == "backward" and module == "net.1" and name == "aten::mm" for phase, module, name in found)
