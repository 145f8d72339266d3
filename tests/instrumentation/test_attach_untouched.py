"""An attached model carries hooks at its door alone, none of them a backward hook, and trains bit for bit as before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules import module
from torch.optim import optimizer as optimizers
from training import Small, batches, bits, seeded

import torchglass
from torchglass.instrumentation import every

# Everything at once: whatever could disturb is done at every step.
BUSY: dict[str, Any] = {"devices": False, "every": 1, "histograms": 1, "profile": every(4, steps=2)}


class Recurrent(nn.Module):
    """An LSTM, whose weights cuDNN and others keep in one piece."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(4, 3, num_layers=2, dropout=0.3, batch_first=True)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """(N, 4) -> (1, N, 3) and the state."""
        outputs, state = self.cell(inputs.unsqueeze(0))
        return outputs, state


class Normed(nn.Module):
    """Batch norm, in-place activations, weight norm by parametrization, a tied output."""

    def __init__(self) -> None:
        super().__init__()
        self.inward = nn.utils.parametrizations.weight_norm(nn.Linear(4, 8))
        self.norm = nn.BatchNorm1d(8)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.4, inplace=True)
        self.middle = nn.Linear(8, 8)
        self.last = nn.Linear(8, 8)
        self.last.weight = self.middle.weight

    def forward(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, 4) -> logits (N, 8)."""
        hidden = self.act(self.drop(self.norm(self.inward(inputs))))
        return {"logits": self.last(self.act(self.middle(hidden))).clamp_(-1, 1)}


class Attending(nn.Module):
    """A transformer layer with an embedding that gives sparse gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 4, sparse=True)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, 4) -> (1, N, 4)."""
        indices = inputs.argmax(dim=1)
        outputs: torch.Tensor = self.layer((inputs + self.table(indices)).unsqueeze(0))
        return outputs


def of(result: Any) -> torch.Tensor:
    """The tensor in what one of these models returns."""
    if isinstance(result, dict):
        result = result["logits"]
    tensor: torch.Tensor = result[0] if isinstance(result, tuple) else result
    return tensor


def trained(make: Callable[[], nn.Module], rule: str, store: Path | None) -> list[torch.Tensor]:
    """Losses, weights and buffers of a training with evaluations in between, with or without torchglass."""
    model = seeded(make)
    rules: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "sgd": lambda: torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True),
        "adamw": lambda: torch.optim.AdamW(model.parameters(), lr=0.01),
        "fused": lambda: torch.optim.AdamW(model.parameters(), lr=0.01, fused=True),
        "lbfgs": lambda: torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3),
    }
    optimizer = rules[rule]()
    run = store and torchglass.attach(model, optimizer, store=store, **BUSY)
    torch.manual_seed(3)
    kept: list[torch.Tensor] = []

    def closure(inputs: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = of(model(inputs)).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        kept.append(loss.detach())
        return loss

    for inputs in run.batches(batches(6)) if run else batches(6):
        if rule == "lbfgs":
            optimizer.step(lambda inputs=inputs: closure(inputs))  # type: ignore[misc, arg-type]
        else:
            closure(inputs)
            nn.utils.clip_grad_norm_([each for each in model.parameters() if not _is_sparse(each)], 1.0)
            optimizer.step()
        model.eval()
        with torch.no_grad():
            kept.append(of(model(inputs)))
        model.train()
        if run:
            run.log(loss=kept[-2])
    if run:
        run.finish()
    return [*kept, *model.parameters(), *model.buffers()]


def _is_sparse(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and parameter.grad.is_sparse


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (Recurrent, "adamw"),
        (Recurrent, "fused"),
        (Normed, "sgd"),
        (Normed, "fused"),
        (Attending, "sgd"),
        (lambda: Small(inplace=True), "lbfgs"),
    ],
    ids=["lstm", "lstm fused", "norms", "norms fused", "attention", "lbfgs"],
)
def test_losses_evaluations_weights_and_buffers_are_bit_equal_to_training_without_us(
    tmp_path: Path, make: Callable[[], nn.Module], rule: str
) -> None:
    with_us = bits(trained(make, rule, tmp_path / "s.db"))
    assert with_us == bits(trained(make, rule, None))


def hooks_of(module: nn.Module) -> Iterator[tuple[str, int]]:
    """Names of the hook tables of a module that hold something, and how much."""
    for name, table in vars(module).items():
        if "hooks" in name and table:
            yield name, len(table)


@pytest.mark.parametrize("make", [Recurrent, Normed, Attending])
def test_only_the_called_model_carries_hooks_and_no_module_or_parameter_a_backward_hook(
    tmp_path: Path, make: Callable[[], nn.Module]
) -> None:
    model = make()
    before = {name: dict(hooks_of(part)) for name, part in model.named_modules()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **BUSY):
        for inputs in batches(2):
            optimizer.zero_grad()
            of(model(inputs)).square().mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            during = {name: dict(hooks_of(part)) for name, part in model.named_modules()}
            root = during.pop("")
            assert set(root) - set(before[""]) == {
                "_forward_hooks",
                "_forward_hooks_always_called",
                "_forward_pre_hooks",
                "_forward_pre_hooks_with_kwargs",
            }
            assert during == {name: hooks for name, hooks in before.items() if name}
            for parameter in model.parameters():
                assert not parameter._backward_hooks
                assert not parameter._post_accumulate_grad_hooks
    assert {name: dict(hooks_of(part)) for name, part in model.named_modules()} == before


def test_no_hook_is_global(tmp_path: Path) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **BUSY):
        assert not module._has_any_global_hook()  # type: ignore[no-untyped-call]
        assert not optimizers._global_optimizer_pre_hooks
        assert not optimizers._global_optimizer_post_hooks


def test_an_evaluation_between_forward_and_backward_leaves_the_gradient_alone(tmp_path: Path) -> None:
    gradients = []
    for store in (tmp_path / "s.db", None):
        model = seeded(Normed)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        run = store and torchglass.attach(model, optimizer, store=store, **BUSY)
        loss = of(model(batches(1)[0])).square().mean()
        model.eval()
        with torch.inference_mode():
            model(batches(1)[0])
        model.train()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if run:
            run.finish()
        gradients.append([each.grad for each in model.parameters() if each.grad is not None])
    assert bits(gradients[0]) == bits(gradients[1])
