"""Explanations on a device: every method says there what it says on the CPU, and leaves model and generators alone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import torchglass
from torchglass.errors import ExplainError
from torchglass.explainers import Explanation, Probes, evaluate, explain, method_names
from torchglass.explainers.kinds import Kind

SAMPLED = {"lime", "rise", "shap", "smoothgrad"}
ALIKE, ALIKE_SAMPLED = 0.99, 0.9
"""Least correlation with the CPU's map: convolutions of a GPU round otherwise, and what is drawn there may differ."""
NEED_MORE = {"drise": "explains detectors"}


class Patches(nn.Module):
    """Sixteen patches of a picture, or the words of a text, through one layer of attention."""

    def __init__(self, words: int | None = None) -> None:
        super().__init__()
        self.begin: nn.Module = nn.Conv2d(1, 32, 8, stride=8) if words is None else nn.Embedding(words, 32)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.head = nn.Linear(32, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.begin(inputs)
        tokens = tokens.flatten(2).transpose(1, 2) if tokens.ndim == 4 else tokens
        scores: Tensor = self.head(self.layer(tokens).mean(dim=1))
        return scores


def subjects() -> dict[str, tuple[Kind, nn.Module, Tensor, Any]]:
    """Networks of each kind with inputs to explain and what stands for nothing."""
    torch.manual_seed(0)
    pictures, rows, ids = torch.rand(4, 1, 32, 32), torch.randn(32, 8), torch.randint(2, 40, (3, 12))
    convolutions = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(32, 5),
    )
    layers = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 5))
    return {
        "convolutions": ("pictures", convolutions, pictures, torch.rand(8, 1, 32, 32)),
        "patches": ("pictures", Patches(), pictures, 0.0),
        "words": ("text", Patches(40), ids, 1),
        "rows": ("table", layers, rows[:4], rows),
    }


def check_explainers(device: torch.device, folder: Path) -> dict[str, Any]:
    """Explain the same inputs here and on the CPU by every method, and compare."""
    figures: dict[str, Any] = {}
    for name, (kind, network, inputs, background) in subjects().items():
        here, there = copy.deepcopy(network), network.to(device).train()
        kept = [(tensor, tensor.clone()) for tensor in (*there.parameters(), *there.buffers())]
        generators = random_states(device)
        for method in (each for each in method_names(kind) if each not in NEED_MORE):
            found, wanted = (asked(one, inputs, method, background) for one in (there, here))
            if isinstance(found, str) or isinstance(wanted, str):
                assert found == wanted, f"{name}, {method}"
                figures[f"{name}/{method}"] = {"refused": found}
                continue
            alike = float(np.corrcoef(found.attributions.ravel(), wanted.attributions.ravel())[0, 1])
            assert alike >= (ALIKE_SAMPLED if method in SAMPLED else ALIKE), f"{name}, {method}: {alike}"
            figures[f"{name}/{method}"] = {"seconds": found.seconds, "cpu_seconds": wanted.seconds, "alike": alike}
        assert all(torch.equal(tensor, before) for tensor, before in kept), f"{name}: weights or statistics moved"
        assert there.training, f"{name}: the mode moved"
        assert all(parameter.grad is None for parameter in there.parameters()), f"{name}: a gradient is left"
        assert random_states(device) == generators, f"{name}: a generator moved"
    return figures | check_scores(device)


def check_scores(device: torch.device) -> dict[str, Any]:
    """Judge a map on the device."""
    _, network, pictures, background = subjects()["convolutions"]
    there = network.to(device)
    scores = evaluate(explain(there, pictures, 0, "gradcam", background=background), there)
    assert "deletion" in scores.values, scores.missing
    return {"deletion": scores.values["deletion"].tolist(), "not_measured": dict(scores.missing)}


def check_probes(device: torch.device, folder: Path) -> dict[str, Any]:
    """Look at probes while a network trains: it becomes what it becomes without, bit for bit."""
    _, _, pictures, _ = subjects()["convolutions"]
    probes = Probes(pictures, [0, 1, 2, 3], ["gradcam"], every=10, budget=1.0)
    with_probes, without = (trained(device, folder / "probes.db", given) for given in (probes, None))
    differ = [name for name, tensor in with_probes.items() if not torch.equal(tensor, without[name])]
    assert not differ, differ
    with torchglass.open_store(folder / "probes.db", read_only=True) as store:
        looks = len(store.artifacts(store.run("probed").id, kind="explanation", key="probe/0"))
    assert looks >= 3, looks
    return {"looks": looks}


def trained(device: torch.device, store: Path, probes: Probes | None) -> dict[str, Tensor]:
    """The weights after thirty steps, of the algorithms that repeat themselves."""
    _, network, _, _ = subjects()["convolutions"]
    network.to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    run = "probed" if probes is not None else "plain"
    deterministic = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        with torchglass.attach(network, optimizer, run=run, store=store, profile=None, probes=probes):
            for step in range(30):
                draw = torch.Generator().manual_seed(step)
                pictures = torch.rand(16, 1, 32, 32, generator=draw).to(device)
                classes = torch.randint(5, (16,), generator=draw).to(device)
                nn.functional.cross_entropy(network(pictures), classes).backward()
                optimizer.step()
                optimizer.zero_grad()
    finally:
        torch.backends.cudnn.deterministic = deterministic
    return network.state_dict()


def asked(network: nn.Module, inputs: Tensor, method: str, background: Any) -> Explanation | str:
    """An explanation of class 0, or why there is none."""
    try:
        return explain(network, inputs, 0, method, background=background)
    except ExplainError as error:
        return str(error)


def random_states(device: torch.device) -> list[bytes]:
    """The generators of torch, on the CPU and on the device, byte for byte."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return [state.numpy().tobytes() for state in states]
