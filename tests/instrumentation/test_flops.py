"""Operations of a forward and backward pass, held against arithmetic that is written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from torchglass.errors import OptionError
from torchglass.instrumentation.work.call_shapes import plan_of
from torchglass.instrumentation.work.flops import Work, count_work
from torchglass.instrumentation.work.meta_copies import meta_copy

CPU = torch.device("cpu")


def count(
    model: nn.Module, *arguments: Any, device: torch.device = CPU, autocast: torch.dtype | None = None, **keywords: Any
) -> Work:
    return count_work(
        meta_copy(model),
        plan_of(arguments),
        plan_of(keywords),
        device=device,
        autocast=autocast,
        pause_seconds=0,
    )


def flops_by(work: Work, field: str, carried_out_in: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in work.operations:
        if each.flops and each.carried_out_in == carried_out_in:
            found[getattr(each, field)] = found.get(getattr(each, field), 0) + each.flops
    return found


def formats(work: Work) -> set[str]:
    return {each.dtype for each in work.operations if each.flops}


def test_a_perceptron_is_two_products_forward_and_three_backward_for_its_input_needs_no_gradient() -> None:
    work = count(nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5)), torch.zeros(7, 10))
    first, second = 2 * 7 * 10 * 20, 2 * 7 * 20 * 5
    assert flops_by(work, "module", "forward") == {"0": first, "2": second}
    assert flops_by(work, "module", "backward") == {"0": first, "2": 2 * second}
    assert work.flops() == 2 * first + 3 * second
    assert work.unsupported == {}


def test_an_input_that_needs_a_gradient_adds_its_product() -> None:
    given = torch.zeros(7, 10, requires_grad=True)
    assert count(nn.Linear(10, 20), given).flops("backward") == 2 * (2 * 7 * 10 * 20)


def test_a_frozen_layer_passes_gradients_on_but_makes_none() -> None:
    model = nn.Sequential(nn.Linear(10, 20), nn.Linear(20, 5))
    model[1].requires_grad_(False)
    assert flops_by(count(model, torch.zeros(7, 10)), "module", "backward") == {"0": 2 * 7 * 200, "1": 2 * 7 * 100}


def test_convolutions_count_output_places_times_kernel_with_groups_and_stride() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),  # 10 x 10 to 8 x 8
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, groups=4, stride=2),  # 8 x 8 to 3 x 3, each output sees 2 channels
        nn.MaxPool2d(2),  # 3 x 3 to 1 x 1
        nn.Flatten(),
        nn.Linear(8, 10),
    )
    first = 2 * 2 * (8 * 8) * 8 * 3 * (3 * 3)
    grouped = 2 * 2 * (3 * 3) * 8 * (8 // 4) * (3 * 3)
    last = 2 * 2 * 8 * 10
    work = count(model, torch.zeros(2, 3, 10, 10))
    assert flops_by(work, "module", "forward") == {"0": first, "3": grouped, "6": last}
    assert flops_by(work, "module", "backward") == {"0": first, "3": 2 * grouped, "6": 2 * last}


def test_a_transposed_convolution_counts_input_places() -> None:
    work = count(nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), torch.zeros(3, 4, 5, 5, requires_grad=True))
    forward = 2 * 3 * (5 * 5) * 4 * (6 // 2) * (2 * 2)
    assert (work.flops("forward"), work.flops("backward")) == (forward, 2 * forward)


def test_a_transformer_layer_counts_projections_attention_and_both_halves_of_its_perceptron() -> None:
    batch, length, width, heads, hidden = 2, 3, 16, 2, 32
    model = nn.TransformerEncoderLayer(width, heads, hidden, batch_first=True)
    work = count(model, torch.zeros(batch, length, width))
    tokens = batch * length
    projections = 2 * tokens * width * (3 * width)
    attention = 2 * (2 * batch * heads * length * length * (width // heads))
    out = 2 * tokens * width * width
    half = 2 * tokens * width * hidden
    assert work.flops("forward") == projections + attention + out + 2 * half
    assert work.flops("backward") == projections + 2 * (attention + out + 2 * half)
    assert flops_by(work, "module", "forward") == {
        "self_attn": projections + attention + out,
        "linear1": half,
        "linear2": half,
    }


def test_attention_is_one_operator_that_moves_queries_keys_values_and_results() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(1))

        def forward(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
            return functional.scaled_dot_product_attention(query + self.bias, key, key, is_causal=True)

    work = count(Attention(), torch.zeros(2, 4, 5, 8), torch.zeros(2, 4, 7, 8, requires_grad=True))
    products = 2 * 2 * (2 * 4) * 5 * 7 * 8
    assert flops_by(work, "name", "forward") == {"aten::scaled_dot_product_attention": products}
    assert flops_by(work, "name", "backward") == {"aten::scaled_dot_product_attention_backward": 2 * products}
    moved = {each.carried_out_in: each.bytes for each in work.operations if each.flops}
    queries, keys = 4 * 2 * 4 * 5 * 8, 4 * 2 * 4 * 7 * 8
    assert moved["forward"] == queries + keys + keys + queries
    assert moved["backward"] == 2 * moved["forward"]


def test_attention_keeps_its_format_where_torch_raises_it_for_want_of_gradients() -> None:
    class Attention(nn.Module):
        def forward(self, values: torch.Tensor) -> Any:
            return functional.scaled_dot_product_attention(query=values, key=values, value=values)

    (only,) = [each for each in count(Attention(), torch.zeros(2, 4, 5, 8).bfloat16()).operations if each.flops]
    assert (only.dtype, only.bytes) == ("bfloat16", 4 * 2 * (2 * 4 * 5 * 8))


def test_a_recurrent_layer_counts_each_step_in_time() -> None:
    work = count(nn.LSTM(8, 16), torch.zeros(5, 3, 8))
    assert work.flops("forward") == 5 * (2 * 3 * (8 + 16) * (4 * 16))


def test_what_a_checkpoint_computes_again_is_counted_apart() -> None:
    class Checkpointed(nn.Module):
        def __init__(self, reentrant: bool) -> None:
            super().__init__()
            self.inner, self.outer = nn.Sequential(nn.Linear(4, 6), nn.ReLU()), nn.Linear(6, 3)
            self.reentrant = reentrant

        def forward(self, values: torch.Tensor) -> Any:
            return self.outer(checkpoint(self.inner, values, use_reentrant=self.reentrant))

    inner, outer = 2 * 5 * 4 * 6, 2 * 5 * 6 * 3
    for reentrant, lowered in ((True, None), (False, None), (True, torch.bfloat16), (False, torch.bfloat16)):
        work = count(Checkpointed(reentrant), torch.zeros(5, 4, requires_grad=True), autocast=lowered)
        assert formats(work) == {"bfloat16" if lowered else "float32"}
        assert flops_by(work, "module", "recomputed") == {"inner.0": inner}
        assert flops_by(work, "module", "backward") == {"inner.0": 2 * inner, "outer": 2 * outer}
        assert work.flops() == 3 * (inner + outer)


def test_totals_agree_with_torchs_own_counter_on_the_real_model() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(4 * 36, 9), nn.LayerNorm(9))
    given = torch.randn(2, 3, 6, 6)
    with FlopCounterMode(display=False) as judge:
        model(given).sum().backward()
    assert count(model, given).flops() == judge.get_total_flops()


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_autocast_lowers_products_in_both_passes_and_the_bytes_that_they_move(device: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 16, 2))
    given = torch.zeros(2, 3, 6, 6)
    full = count(model, given)
    lowered = count(model, given, device=torch.device(device), autocast=torch.bfloat16)
    assert (formats(full), formats(lowered)) == ({"float32"}, {"bfloat16"})
    assert lowered.flops() == full.flops()
    moved = [sum(each.bytes for each in work.operations if each.flops) for work in (full, lowered)]
    assert moved[0] == 2 * moved[1]
    assert not torch.is_autocast_enabled("cpu")


def test_autocast_that_the_model_itself_switches_is_followed() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.low, self.high = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, values: torch.Tensor) -> Any:
            with torch.autocast(values.device.type, dtype=torch.bfloat16):
                lowered = self.low(values)
            return self.high(lowered.float())

    work = count(Mixed(), torch.zeros(2, 4))
    assert {each.module: each.dtype for each in work.operations if each.flops} == {"low": "bfloat16", "high": "float32"}


def test_a_model_of_a_device_that_is_not_here_makes_its_own_tensors_there() -> None:
    class Positional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, values: torch.Tensor) -> Any:
            assert values.device == torch.device("cuda:1")
            places = torch.arange(values.shape[0], device=values.device).to("cuda:1")[:, None]
            mask = torch.tensor([1.0, 2.0, 3.0, 4.0]).cuda()
            return self.layer(values + places + torch.zeros(4).to(values.device)) * mask

    assert count(Positional(), torch.zeros(3, 4), device=torch.device("cuda:1")).flops("forward") == 2 * 3 * 4 * 4


def test_arithmetic_without_a_formula_is_named_and_what_counts_nothing_by_definition_apart() -> None:
    class Spectrum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, values: torch.Tensor) -> Any:
            return torch.fft.rfft(self.layer(values).relu()).abs()

    work = count(Spectrum(), torch.zeros(3, 4))
    assert "aten::_fft_r2c" in work.unsupported
    assert "aten::relu" in work.left_out
    assert not work.unsupported.keys() & work.left_out.keys()
    assert "aten::t" not in work.left_out  # moves no number


def test_keywords_and_structures_of_tensors_are_called_as_they_were() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, batch: dict[str, Any], *, scale: float, pair: tuple[torch.Tensor, int]) -> Any:
            return {"out": self.layer(batch["values"]) * scale + pair[0][: pair[1]]}

    work = count(Named(), {"values": torch.zeros(3, 4)}, scale=0.5, pair=(torch.zeros(5, 2), 3))
    assert work.flops() == 2 * (2 * 3 * 4 * 2)


def test_a_model_without_gradients_counts_its_forward_alone() -> None:
    work = count(nn.Linear(4, 2).requires_grad_(False), torch.zeros(3, 4))
    assert (work.flops(), work.has_backward) == (2 * 3 * 4 * 2, False)


@pytest.mark.parametrize("depends", [lambda values: values if values.sum() > 0 else -values, lambda v: v[v > 0]])
def test_what_depends_on_values_is_refused_with_the_reason(depends: Any) -> None:
    class Branching(nn.Module):
        def forward(self, values: torch.Tensor) -> Any:
            return depends(values)

    with pytest.raises(OptionError, match="cannot run without values"):
        count(Branching(), torch.zeros(3, requires_grad=True))


def test_a_pass_of_endless_operators_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchglass.instrumentation.work.flop_tally.MAX_OPERATORS", 10)
    with pytest.raises(OptionError, match="more than 10 operators"):
        count(nn.Sequential(*(nn.Linear(2, 2) for _ in range(20))), torch.zeros(1, 2))


def test_counted_operators_are_those_that_the_profiler_sees_with_as_many_calls() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolved, self.encoded = nn.Conv2d(3, 16, 2, groups=1), nn.TransformerEncoderLayer(16, 2, 32, 0.0)
            self.out = nn.Linear(16, 3, bias=False)

        def forward(self, values: torch.Tensor) -> Any:
            return self.out(self.encoded(self.convolved(values).flatten(2).permute(2, 0, 1)))

    model, given = Model(), torch.randn(2, 3, 4, 4)
    with torch.profiler.profile() as profiler:
        model(given).sum().backward()
    seen = {each.key: each.count for each in profiler.key_averages()}
    counted: dict[str, int] = {}
    for each in count(model, given).operations:
        if each.flops:
            counted[each.name] = counted.get(each.name, 0) + each.calls
    backward = counted.pop("aten::scaled_dot_product_attention_backward")
    assert backward == seen["aten::_scaled_dot_product_flash_attention_for_cpu_backward"]
    assert counted == {name: seen[name] for name in counted}
    assert set(counted) >= {"aten::convolution", "aten::convolution_backward", "aten::mm", "aten::addmm"}
