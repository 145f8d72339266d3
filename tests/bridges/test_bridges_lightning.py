"""The Lightning logger and callback in real trainers: metrics, hyper-parameters, phases, layers, and how a fit ends."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from bridged import facts_of, points_of, run_of, run_script
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from torchglass.bridges.lightning import TorchglassCallback, TorchglassLogger
from torchglass.store import Store

BATCHES, EPOCHS = 4, 2
STEPS = BATCHES * EPOCHS


class Tiny(LightningModule):  # type: ignore[misc]
    """Calls its layers directly, as most modules do: hooks on the module itself would never be called."""

    def __init__(self, width: int = 3, rate: float = 0.1, fail_at: int = -1, error: Any = None) -> None:
        super().__init__()
        self.save_hyperparameters("width", "rate")
        self.layer = nn.Linear(4, width)
        self.rate, self.fail_at, self.error = rate, fail_at, error
        self.gradient_norms: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == self.fail_at:
            raise self.error
        loss: torch.Tensor = self.layer(batch[0]).square().mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("valid/loss", self.layer(batch[0]).square().mean())

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test/loss", self.layer(batch[0]).square().mean())

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        gradient = self.layer.weight.grad
        assert gradient is not None
        self.gradient_norms.append(float(gradient.norm()))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.layer.parameters(), lr=self.rate)


def loader() -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(0)
    return DataLoader(TensorDataset(torch.randn(BATCHES * 2, 4, generator=generator)), batch_size=2)


def trainer(**options: Any) -> Trainer:
    plain: dict[str, Any] = {
        "accelerator": "cpu",
        "max_epochs": EPOCHS,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "log_every_n_steps": 1,
        "logger": False,
    }
    return Trainer(**(plain | options))


def series_of(path: Path, key: str) -> dict[int, float]:
    with Store(path) as store:
        series = store.find_series(1, key)
        if series is None:
            return {}
        points = store.points(series.id)
        return dict(zip(points.steps.tolist(), points.values.tolist(), strict=True))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Lightning's advice on workers and devices is not ours to follow here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_the_logger_and_the_callback_record_one_run_together(path: Path) -> None:
    logger, module = TorchglassLogger("both", config={"seed": 1}, devices=False), Tiny()
    assert (logger.name, logger.version) == ("both", None)
    callback = TorchglassCallback(every=1, histograms=4, profile=None)
    fitting = trainer(logger=logger, callbacks=[callback])
    fitting.fit(module, loader(), loader())
    fitting.test(module, loader(), verbose=False)
    assert (logger.name, logger.version) == ("both", 1)
    logger.experiment.finish()
    with Store(path) as store:
        assert len(store.runs()) == 1
        assert [each.step for each in store.histograms(1, "weights/layer.weight")] == [0, 4]
    points = points_of(path)
    assert list(points["train/loss"]) == list(range(STEPS))
    assert list(points["valid/loss"]) == [BATCHES - 1, STEPS - 1]
    assert len(points["test/loss"]) == 1
    assert (run_of(path).status, run_of(path).config) == ("finished", {"seed": 1, "width": 3, "rate": 0.1})
    assert facts_of(path)["model"] == {"class": "Tiny", "parameters": 15}


def test_each_step_has_phases_that_add_up_and_the_gradients_of_that_very_step(path: Path) -> None:
    module = Tiny()
    trainer(callbacks=[TorchglassCallback(every=1, histograms=None, profile=None, devices=False)]).fit(module, loader())
    norms = series_of(path, "layers/layer.weight/gradient_norm")
    assert list(norms) == list(range(STEPS))
    assert list(norms.values()) == pytest.approx(module.gradient_norms, rel=1e-6)
    phases = {name: series_of(path, f"phase/{name}") for name in ("step", "data", "forward", "backward", "optimizer")}
    for name, found in phases.items():
        assert list(found) == list(range(STEPS)), name
        assert all(seconds >= 0 for seconds in found.values()), name
    for name in ("forward", "backward", "optimizer"):
        assert all(seconds > 0 for seconds in phases[name].values()), name
    parts = [series_of(path, f"phase/{name}") for name in ("data", "forward", "backward", "optimizer", "other")]
    parts.append(series_of(path, "phase/torchglass"))
    for step, whole in phases["step"].items():
        assert sum(part.get(step, 0.0) for part in parts) == pytest.approx(whole)
    assert (run_of(path).name, run_of(path).status) == ("Tiny", "finished")
    assert run_of(path).config == {"width": 3, "rate": 0.1}
    assert not module._forward_hooks


def test_accumulated_gradients_make_one_step(path: Path) -> None:
    callback = TorchglassCallback("acc", every=1, profile=None, devices=False)
    trainer(callbacks=[callback], accumulate_grad_batches=2).fit(Tiny(), loader())
    assert list(series_of(path, "phase/step")) == list(range(STEPS // 2))
    assert callback.run is not None
    assert callback.run.name == "acc"


def test_a_second_fit_of_the_same_parts_is_watched_again(path: Path) -> None:
    logger, callback = TorchglassLogger("twice", devices=False), TorchglassCallback(every=1, profile=None)
    alone = TorchglassCallback("alone", every=1, profile=None, devices=False)
    for rate in (0.1, 0.2):
        trainer(logger=logger, callbacks=[callback], max_epochs=1).fit(Tiny(rate=rate), loader())
        trainer(callbacks=[alone], max_epochs=1).fit(Tiny(rate=rate), loader())
    logger.run.finish()
    with Store(path) as store:
        assert sorted(run.name for run in store.runs()) == ["alone", "alone-2", "twice"]
        norms = store.find_series(store.run("twice").id, "layers/layer.weight/gradient_norm")
        assert norms is not None
        assert norms.count == 2 * BATCHES
    assert run_of(path, "twice").config == {"width": 3, "rate": 0.2}
    assert run_of(path, "alone-2").config == {"width": 3, "rate": 0.2}


def test_a_fit_that_is_resumed_goes_on_with_its_own_steps(path: Path) -> None:
    first = trainer(max_epochs=1)
    first.fit(Tiny(), loader())
    first.save_checkpoint(path.parent / "half.ckpt")
    callback = TorchglassCallback(every=1, profile=None, devices=False)
    trainer(callbacks=[callback]).fit(Tiny(), loader(), ckpt_path=path.parent / "half.ckpt")
    assert list(series_of(path, "phase/step")) == list(range(BATCHES, STEPS))


@pytest.mark.parametrize("with_logger", [True, False])
def test_an_exception_in_a_step_fails_the_run_with_its_text(path: Path, with_logger: bool) -> None:
    options: dict[str, Any] = {"logger": TorchglassLogger("broken", devices=False)} if with_logger else {}
    module = Tiny(fail_at=3, error=ValueError("no label 7"))
    with pytest.raises(ValueError, match="no label 7"):
        trainer(callbacks=[TorchglassCallback("broken", devices=False)], **options).fit(module, loader())
    assert (run_of(path).status, run_of(path).error) == ("failed", "ValueError: no label 7")
    assert list(series_of(path, "phase/step")) == [0, 1, 2]


def test_ctrl_c_interrupts_the_run(path: Path) -> None:
    import signal

    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit):
            trainer(callbacks=[TorchglassCallback(devices=False)], logger=TorchglassLogger(devices=False)).fit(
                Tiny(fail_at=2, error=KeyboardInterrupt()), loader()
            )
    finally:
        signal.signal(signal.SIGINT, before)
    assert (run_of(path).status, run_of(path).error) == ("interrupted", None)


class Adversaries(Tiny):
    """Two optimizers, stepped by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.second = nn.Linear(4, 1)

    def training_step(self, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        for optimizer, layer in zip(self.optimizers(), (self.layer, self.second), strict=True):
            loss = layer(batch[0]).square().mean()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in (self.layer, self.second)]


def test_of_two_optimizers_the_first_counts_the_steps_and_the_run_says_so(path: Path) -> None:
    trainer(callbacks=[TorchglassCallback(every=1, profile=None, devices=False)]).fit(Adversaries(), loader())
    assert list(series_of(path, "layers/layer.weight/gradient_norm")) == list(range(STEPS))
    assert list(series_of(path, "phase/backward")) == list(range(STEPS))
    assert "the first counts" in facts_of(path)["warnings/optimizers"]


def test_a_store_that_cannot_be_opened_stops_no_training(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHGLASS_STORE", str(path.parent / "no" / "such" / "store.db"))
    module = Tiny()
    with pytest.warns(RuntimeWarning, match="does not exist"):
        trainer(callbacks=[TorchglassCallback(devices=False)]).fit(module, loader())
    assert len(module.gradient_norms) == STEPS


def test_a_prefix_groups_the_metrics_and_a_disabled_logger_makes_no_store(path: Path) -> None:
    trainer(logger=TorchglassLogger(mode="disabled"), callbacks=[TorchglassCallback(mode="disabled")]).fit(
        Tiny(), loader()
    )
    assert not path.exists()
    logger = TorchglassLogger(prefix="a/", devices=False)
    logger.log_metrics({"x": 1.0}, 3)
    logger.log_hyperparams({"lr": 1}, {"metric": 1})
    logger.run.finish()
    assert points_of(path) == {"a/x": {3: 1.0}}
    assert run_of(path).config == {"lr": 1}


OLD_NAME = """
import warnings; warnings.simplefilter("ignore")
import pytorch_lightning, torch
from torch.utils.data import DataLoader
from torchglass.bridges.lightning import TorchglassCallback, TorchglassLogger
assert issubclass(TorchglassLogger, pytorch_lightning.loggers.Logger)
assert issubclass(TorchglassCallback, pytorch_lightning.Callback)

class Tiny(pytorch_lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
    def training_step(self, batch, index):
        loss = self.layer(batch).mean()
        self.log("loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

logger = TorchglassLogger("old", devices=False)
pytorch_lightning.Trainer(
    accelerator="cpu", max_epochs=1, logger=logger, callbacks=[TorchglassCallback(every=1)], log_every_n_steps=1,
    enable_progress_bar=False, enable_model_summary=False, default_root_dir="here",
).fit(Tiny(), DataLoader(torch.randn(3, 4)))
"""


def test_the_older_name_of_lightning_serves_too_and_checkpoints_go_into_the_runs_folder(tmp_path: Path) -> None:
    code, _, errors = run_script(OLD_NAME, tmp_path)
    assert code == 0, errors
    path = tmp_path / "store.db"
    assert list(points_of(path)["loss"]) == [0, 1, 2]
    assert (run_of(path).name, run_of(path).status) == ("old", "finished")
    assert list((tmp_path / "here/old/version_1/checkpoints").glob("*.ckpt"))


TWO_RANKS = """
import warnings; warnings.simplefilter("ignore")
import lightning.pytorch, torch
from torch.utils.data import DataLoader
from torchglass.bridges.lightning import TorchglassCallback, TorchglassLogger

class Tiny(lightning.pytorch.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
    def training_step(self, batch, index):
        loss = self.layer(batch).mean()
        self.log("loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

def fit(**options):
    lightning.pytorch.Trainer(
        accelerator="cpu", devices=2, strategy="ddp_fork", max_epochs=1, log_every_n_steps=1, enable_progress_bar=False,
        callbacks=[TorchglassCallback(every=1, devices=False)], enable_checkpointing=False, **options,
    ).fit(Tiny(), DataLoader(torch.randn(6, 4)))

fit(logger=TorchglassLogger("ranks", devices=False))
fit(logger=False)
"""


def test_all_ranks_of_a_fit_record_one_run_whatever_launched_them(tmp_path: Path) -> None:
    code, _, errors = run_script(TWO_RANKS, tmp_path)
    assert code == 0, errors
    with Store(tmp_path / "store.db") as store:
        assert {run.name: run.status for run in store.runs()} == {"ranks": "finished", "Tiny": "finished"}
        for name in ("ranks", "Tiny"):
            found = {(each.rank, each.key): each.count for each in store.series_of(store.run(name).id)}
            norms = [found.get((rank, "layers/layer.weight/gradient_norm")) for rank in range(3)]
            assert norms == [3, 3, None], name
        losses = [(each.rank, each.count) for each in store.series_of(store.run("ranks").id) if each.key == "loss"]
        assert losses == [(0, 3)]
