"""Work of each step: rows made from what the training thread noted, counted once per shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from torchglass.instrumentation.buffer import Buffer
from torchglass.instrumentation.rows import to_row_blocks
from torchglass.instrumentation.work.meter import LOOK_AGAIN, MAX_SHAPES, WorkMeter
from torchglass.store import Fact

H200 = "NVIDIA H200"


class Bench:
    """A meter, and what a writer would have made of its rows."""

    def __init__(self, device_name: str = H200) -> None:
        self.buffer = Buffer()
        self.meter = WorkMeter(self.buffer, 0, lambda: 0.0, name_of=lambda _device: device_name)

    def step(self, number: int, when: float, model: nn.Module, *batches: torch.Tensor) -> None:
        for batch in batches:
            self.meter.forward_began(model, (batch,), {})
        self.meter.step_ended(number, when)

    def written(self) -> tuple[dict[str, dict[int, float]], dict[str, list[Any]]]:
        """Values by series and step, and facts by key."""
        rows: list[Any] = []
        facts: dict[str, list[Any]] = {}
        while len(self.buffer):
            for record in self.buffer.take():
                if isinstance(record, Fact):
                    facts.setdefault(record.key, []).append(record.value)
                else:
                    rows.append(made(record))
        series: dict[str, dict[int, float]] = {}
        for block in to_row_blocks(rows):
            for place, column in enumerate(block.columns):
                assert column.kind == "work"
                values = zip(block.steps.tolist(), block.values[:, place].tolist(), strict=True)
                series.setdefault(column.key, {}).update(values)
        return series, facts


def made(record: Any) -> Any:
    make, told = record
    return make(*told)


def on_gpu(bench: Bench, model: nn.Module, batch: torch.Tensor) -> None:
    """Have the shape of this call taken for one on a GPU: there is none here."""
    bench.meter.forward_began(model, (batch,), {})
    for shape in bench.meter._shapes.values():
        shape.device = torch.device("cuda:0")
    bench.meter._in_step.clear()


PERCEPTRON = 2 * 7 * 10 * 20 * 2 + 2 * 7 * 20 * 5 * 3  # forward and backward of 7 samples


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))


def test_operations_and_samples_sum_over_the_micro_steps_and_time_is_from_end_to_end() -> None:
    bench, model = Bench(), perceptron()
    for number, when in enumerate((10.0, 10.5, 12.5)):
        bench.step(number, when, model, torch.zeros(7, 10), torch.zeros(14, 10))
    series, _ = bench.written()
    assert series["work/flops_per_step"] == dict.fromkeys(range(3), 3 * PERCEPTRON)
    assert series["work/samples_per_second"] == {1: 21 / 0.5, 2: 21 / 2.0}


def test_mfu_is_the_share_of_the_dense_peak_of_the_format_that_ran() -> None:
    bench, model = Bench(), perceptron()
    batch = torch.zeros(7, 10)
    on_gpu(bench, model, batch)
    for number, when in enumerate((0.0, 1e-6, 3e-6)):
        bench.step(number, when, model, batch)
    series, facts = bench.written()
    assert series["work/mfu_percent"] == pytest.approx(
        {1: 100 * PERCEPTRON / (1e-6 * 66.9e12), 2: 100 * PERCEPTRON / (2e-6 * 66.9e12)}
    )
    assert facts["work"][-1]["peak"]["source"].startswith("NVIDIA H200")
    assert "missing/work/mfu_percent" not in facts


def test_float32_products_are_held_against_the_tf32_peak_where_that_is_allowed() -> None:
    bench, model, batch = Bench(), perceptron(), torch.zeros(7, 10)
    known = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        on_gpu(bench, model, batch)
        bench.step(0, 0.0, model, batch)
        bench.step(1, 1e-6, model, batch)
        series, facts = bench.written()
    finally:
        torch.set_float32_matmul_precision(known)
    assert facts["work"][-1]["formats"] == {"tf32": PERCEPTRON}
    assert series["work/mfu_percent"][1] == pytest.approx(100 * PERCEPTRON / (1e-6 * 494.7e12))


def test_formats_that_mix_are_weighed_by_the_time_that_each_takes_at_its_peak() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole, self.lower = nn.Linear(10, 10), nn.Linear(10, 10).bfloat16()

        def forward(self, values: torch.Tensor) -> Any:
            return self.lower(self.whole(values).bfloat16())

    bench, model, batch = Bench(), Mixed(), torch.zeros(4, 10)
    on_gpu(bench, model, batch)
    bench.step(0, 0.0, model, batch)
    bench.step(1, 1e-6, model, batch)
    product = 2 * 4 * 10 * 10
    at_peak = 2 * product / 66.9e12 + 3 * product / 989.4e12
    assert bench.written()[0]["work/mfu_percent"][1] == pytest.approx(100 * at_peak / 1e-6)


def test_a_format_that_the_device_has_no_peak_for_has_no_mfu_and_is_named() -> None:
    bench, model, batch = Bench("Tesla T4"), perceptron().bfloat16(), torch.zeros(7, 10, dtype=torch.bfloat16)
    on_gpu(bench, model, batch)
    bench.step(0, 0.0, model, batch)
    bench.step(1, 1.0, model, batch)
    series, facts = bench.written()
    assert "work/mfu_percent" not in series
    assert facts["missing/work/mfu_percent"] == ["no peak is known for bfloat16 on T4"]


def test_an_unknown_device_has_operations_but_no_mfu_and_says_why() -> None:
    for name, reason in ((H200, "CPU"), ("NVIDIA Quantum 9000", "NVIDIA Quantum 9000")):
        bench, model, batch = Bench(name), perceptron(), torch.zeros(7, 10)
        if name != H200:
            on_gpu(bench, model, batch)
        bench.step(0, 0.0, model, batch)
        bench.step(1, 1.0, model, batch)
        series, facts = bench.written()
        assert "work/mfu_percent" not in series
        assert series["work/flops_per_step"][1] == PERCEPTRON
        assert reason in facts["missing/work/mfu_percent"][0]
        assert facts["work"][0]["peak"] is None


def test_a_model_that_cannot_be_counted_still_has_its_samples_and_says_why() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, values: torch.Tensor) -> Any:
            return self.layer(values) if values.sum() > 0 else values

    bench, model = Bench(), Branching()
    for number in range(3):
        bench.step(number, 0.5 * number, model, torch.zeros(3, 2))
    series, facts = bench.written()
    assert series == {"work/samples_per_second": {1: 6.0, 2: 6.0}}
    assert len(facts["missing/work/flops"]) == 1
    assert "without values" in facts["missing/work/flops"][0]


def test_a_step_of_which_one_part_is_not_counted_has_no_operations_rather_than_too_few() -> None:
    bench, model = Bench(), perceptron()
    bench.meter.forward_began(model, (torch.zeros(7, 10),), {})
    bench.meter.forward_began(model, (torch.zeros(7, 10), object()), {})
    bench.meter.step_ended(0, 0.0)
    series, facts = bench.written()
    assert "work/flops_per_step" not in series
    assert "object" in facts["missing/work/flops"][0]


def test_ever_new_shapes_are_counted_up_to_a_bound_that_is_told() -> None:
    bench, model = Bench(), perceptron()
    for number in range(MAX_SHAPES + 3):
        bench.step(number, float(number), model, torch.zeros(number + 1, 10))
    series, facts = bench.written()
    assert sorted(series["work/flops_per_step"]) == list(range(MAX_SHAPES))
    assert len(series["work/samples_per_second"]) == MAX_SHAPES + 2
    assert str(MAX_SHAPES) in facts["missing/work/flops"][0]
    assert len(facts["work"][-1]["shapes"]) == MAX_SHAPES


def test_layers_that_freeze_are_noticed_and_counted_anew() -> None:
    bench, model, batch = Bench(), perceptron(), torch.zeros(7, 10)
    model.requires_grad_(False)
    model[2].requires_grad_(True)  # type: ignore[index]
    for number in range(LOOK_AGAIN + 1):
        bench.step(number, float(number), model, batch)
        if number == 1:
            bench_before = bench.written()[0]["work/flops_per_step"][1]
            model.requires_grad_(True)
    after = bench.written()[0]["work/flops_per_step"]
    assert bench_before == 2 * 7 * (10 * 20 + 20 * 5) + 2 * 7 * 20 * 5
    assert after[LOOK_AGAIN] == PERCEPTRON


def test_modes_and_gradients_are_those_of_the_call_not_of_the_moment_it_is_counted() -> None:
    class Moody(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.always, self.in_training = nn.Linear(10, 10), nn.Linear(10, 10)

        def forward(self, values: torch.Tensor) -> Any:
            return self.in_training(self.always(values)) if self.training else self.always(values)

    bench, model = Bench(), Moody()
    bench.step(0, 0.0, model, torch.zeros(7, 10))
    model.eval().requires_grad_(False)
    assert bench.written()[0]["work/flops_per_step"][0] == 5 * (2 * 7 * 100)
    assert not model.training


def test_a_model_that_is_gone_keeps_nothing_alive_and_says_so() -> None:
    bench, model = Bench(), perceptron()
    bench.step(0, 0.0, model, torch.zeros(7, 10))
    del model
    assert "gone" in bench.written()[1]["missing/work/flops"][0]


def test_a_call_that_is_being_traced_leaves_the_trace_alone() -> None:
    bench = Bench()

    class Told(nn.Module):
        def __init__(self, tells: bool) -> None:
            super().__init__()
            self.layer, self.tells = nn.Linear(10, 2), tells

        def forward(self, values: torch.Tensor) -> Any:
            if self.tells:
                bench.meter.forward_began(self.layer, (values,), {})
            return self.layer(values)

    graphs = [str(torch.jit.trace(Told(tells), torch.zeros(7, 10)).inlined_graph) for tells in (True, False)]  # type: ignore[no-untyped-call]
    assert graphs[0].count("aten::") == graphs[1].count("aten::")


def test_a_device_without_autocast_is_no_matter_for_the_training_thread() -> None:
    bench, model = Bench(), perceptron().to("meta")
    with torch.autocast("cpu"):
        bench.step(0, 0.0, model, torch.zeros(7, 10, device="meta"))
        bench.step(1, 0.5, model, torch.zeros(7, 10, device="meta"))
    series, facts = bench.written()
    assert series == {"work/samples_per_second": {1: 14.0}}
    assert facts["missing/work/flops"]


def test_what_is_called_by_keywords_alone_has_samples_too() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.layer = nn.Embedding(50, 8), nn.Linear(8, 50)

        def forward(self, *, ids: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
            return {"logits": self.layer(self.table(ids))}

    bench, model = Bench(), Named()
    for number in range(2):
        bench.meter.forward_began(model, (), {"ids": torch.zeros(4, 6, dtype=torch.long), "mask": None})
        bench.meter.step_ended(number, 2.0 * number)
    series, facts = bench.written()
    assert series["work/samples_per_second"] == {1: 2.0}
    assert series["work/flops_per_step"][1] == 3 * (2 * 4 * 6 * 8 * 50)
    check = facts["work"][0]["cross_check"]
    assert check["flops"] == 6 * (8 * 50 + 50) * 4 * 6  # the embedding multiplies nothing
    assert check["ratio"] == pytest.approx(8 * 50 / (8 * 50 + 50))


def test_the_fact_tells_operators_modules_parameters_and_what_is_uncertain() -> None:
    bench = Bench()
    model = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    bench.step(0, 0.0, model, torch.zeros(2, 3, 16))
    told = bench.written()[1]["work"][0]
    modules = {each["name"]: each for each in told["modules"]}
    assert modules[""]["forward_flops"] == told["shapes"][0]["forward_flops"]
    assert modules["linear1"] == {
        "name": "linear1",
        "kind": "Linear",
        "parameters": 16 * 32 + 32,
        "forward_flops": 2 * 6 * 16 * 32,
        "backward_flops": 2 * 2 * 6 * 16 * 32,
        "recomputed_flops": 0,
    }
    assert sum(each["flops"] for each in told["operators"]) == sum(
        told["shapes"][0][f"{name}_flops"] for name in ("forward", "backward", "recomputed")
    )
    assert told["shapes"][0]["call"] == "(2, 3, 16) float32"
    assert told["parameters"] == sum(each.numel() for each in model.parameters())
    weights, products = 2 * 6 * (16 * 48 + 16 * 16 + 2 * 16 * 32), 2 * (2 * 2 * 3 * 3 * 16)
    whole = 3 * weights - 2 * 6 * 16 * 48 + 3 * products  # the input needs no gradient
    assert any(each.startswith(f"attention, {300 * products / whole:.0f} %") for each in told["warnings"])
    assert np.isfinite([each["bytes"] for each in told["operators"]]).all()


def test_what_was_not_counted_is_warned_of() -> None:
    class Transformed(nn.Module):
        def forward(self, inputs: torch.Tensor) -> Any:
            return torch.fft.rfft(inputs @ inputs.T).abs()

    bench, model = Bench(), Transformed()
    bench.step(0, 0.0, model, torch.zeros(4, 8))
    told = bench.written()[1]["work"][0]
    assert told["warnings"] == [
        "not counted, for want of a formula: aten::_fft_r2c",
        "no result of the model needs a gradient: nothing is counted of a backward pass",
    ]


def test_making_a_row_twice_as_a_writer_does_that_tries_again_gives_the_same() -> None:
    bench, model = Bench(), perceptron()
    bench.step(0, 0.0, model, torch.zeros(7, 10))
    (record,) = bench.buffer.take()
    assert made(record) == made(record)
