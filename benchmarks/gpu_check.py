"""What only a GPU can show: run `python benchmarks/gpu_check.py` on a CUDA machine; it writes results/gpu-check.json.

Each check returns figures, and fails loudly where a figure is wrong rather than slow. `--device cpu` runs the checks
that make sense there, so that the script itself stays tried.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu_explaining import check_explainers, check_probes
from gpu_profiling import check_kernels, check_mfu, check_recorded_traces, check_windows
from torch import nn

import torchglass
from torchglass.instrumentation.devices import Gpus
from torchglass.reference_models import TrainingOptions, train
from torchglass.reference_models.options import Amp
from torchglass.store import Store

RESULTS = Path(__file__).parent / "results"
Figures = dict[str, Any]


def check_training(device: torch.device, folder: Path) -> Figures:
    """Train the reference model with and without mixed precision; it reaches its bar and its phases sum to the step."""
    figures: Figures = {}
    formats: tuple[tuple[str, Amp | None], ...] = (("fp32", None), ("amp", "auto"))
    for name, amp in formats:
        result = train(
            TrainingOptions(store=folder / "train.db", run=name, device=str(device), amp=amp, progress=False)
        )
        assert result.passed, f"{name}: test accuracy {result.score}"
        with torchglass.open_store(folder / "train.db", read_only=True) as store:
            phases = medians(store, name)
            rows = {row.kind for window in store.windows(store.run(name).id) for row in window.rows}
        figures[name] = {"accuracy": result.score, "seconds": result.seconds, **phases, "rows": sorted(rows)}
        assert ("kernel" in rows) == (device.type == "cuda"), f"profiler rows: {rows}"
    return figures


def medians(store: Store, run: str) -> dict[str, float]:
    """Median milliseconds of each phase of a run."""
    series = store.series_of(store.run(run).id, kind="phase")
    return {f"{each.key}_ms": 1e3 * statistics.median(store.points(each.id).values) for each in series}


def big_cnn(device: torch.device) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A step of some ten milliseconds on a data-centre GPU."""
    width = 256 if device.type == "cuda" else 16
    layers = [nn.Conv2d(width, width, 3, padding=1) for _ in range(8)]
    model = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return model.to(device), torch.randn(64, 3, 32, 32, device=device), torch.randint(0, width, (64,), device=device)


def check_phases(device: torch.device, folder: Path) -> Figures:
    """Phases agree with a loop that synchronises at every boundary, to a tenth."""
    model, images, labels = big_cnn(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    path = folder / "phases.db"
    with torchglass.attach(model, optimizer, run="phases", store=path, every=None, histograms=None, profile=None):
        for _ in range(60):
            loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    reference: dict[str, list[float]] = {"forward": [], "backward": [], "optimizer": []}
    for _ in range(60):
        outputs = timed(device, reference["forward"], lambda: model(images))
        loss = nn.functional.cross_entropy(outputs, labels)
        timed(device, reference["backward"], loss.backward)
        timed(device, reference["optimizer"], optimizer.step)
        optimizer.zero_grad()
    with torchglass.open_store(path, read_only=True) as store:
        found = medians(store, "phases")
    figures = {}
    for phase, seconds in reference.items():
        figures[phase] = {"ours_ms": found[f"phase/{phase}_ms"], "synchronised_ms": 1e3 * statistics.median(seconds)}
    for phase in ("forward", "backward"):
        ratio = figures[phase]["ours_ms"] / figures[phase]["synchronised_ms"]
        assert 0.9 < ratio < 1.1 or device.type == "cpu", f"{phase}: {figures[phase]}"
    return figures


def timed(device: torch.device, seconds: list[float], work: Callable[[], Any]) -> Any:
    """Do some work between two synchronisations and note how long it took."""
    settle(device)
    began = time.perf_counter()
    result = work()
    settle(device)
    seconds.append(time.perf_counter() - began)
    return result


def settle(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def check_no_synchronisation(device: torch.device, folder: Path) -> Figures:
    """1,000 attached steps that log CUDA tensors, while torch raises at any synchronisation."""
    model, images, labels = big_cnn(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    path = folder / "sync.db"
    options = {"every": 50, "histograms": 200, "profile": None}
    with torchglass.attach(model, optimizer, run="sync", store=path, **options) as run:  # type: ignore[arg-type]
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(1000):
                loss = nn.functional.cross_entropy(model(images), labels)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                run.log(loss=loss)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    with torchglass.open_store(path, read_only=True) as store:
        recorded = {each.key: each.count for each in store.series_of(store.run("sync").id)}
    assert recorded["loss"] == 1000, recorded
    return {"steps": 1000, "losses_recorded": recorded["loss"], "phases_recorded": recorded["phase/step"]}


def check_devices(device: torch.device, folder: Path) -> Figures:
    """NVML through our reader and through nvidia-smi, one after the other."""
    gpus = Gpus()
    assert gpus.reason is None, gpus.reason
    reading = gpus.read()
    asked = "memory.used,power.draw,temperature.gpu,clocks.mem"
    command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader,nounits"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    memory_mib, watts, celsius, memory_mhz = (float(part) for part in printed.split(","))
    assert abs(reading.values["gpu0/temperature_celsius"] - celsius) <= 3
    assert abs(reading.values["gpu0/memory_used_bytes"] / 2**20 - memory_mib) < 700  # v1 of the call counts reserved
    assert reading.values["gpu0/memory_clock_mhz"] == memory_mhz
    smi = {"memory_mib": memory_mib, "watts": watts, "celsius": celsius, "memory_mhz": memory_mhz}
    return {"ours": dict(reading.values), "nvidia_smi": smi, "missing": dict(reading.missing), **gpus.facts()}


ANYWHERE = (check_training, check_phases, check_kernels, check_windows, check_mfu, check_explainers, check_probes)
CUDA_ONLY = (check_no_synchronisation, check_devices, check_recorded_traces)


def main() -> int:
    """Run the checks, keep their figures, and return how many failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    device = torch.device(parser.parse_args().device)
    checks = (*ANYWHERE, *(CUDA_ONLY if device.type == "cuda" else ()))
    results: Figures = {
        "machine": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "torch": torch.__version__,
        "torchglass": torchglass.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for check in checks:
            try:
                results[check.__name__] = check(device, Path(folder))
            except Exception as error:
                failed += 1
                results[check.__name__] = {"failed": f"{type(error).__name__}: {error}"}
            print(check.__name__, json.dumps(results[check.__name__], default=str), flush=True)
    if device.type == "cuda":
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "gpu-check.json").write_text(json.dumps(results, indent=2, default=str) + "\n", encoding="utf-8")
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
