"""The callback in a real Keras fit on the torch backend, in a process of its own: the backend is chosen once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from bridged import facts_of, points_of, run_of, run_script

from torchglass.store import Store

SCRIPT = """
import keras, numpy, torch, json
from torchglass.bridges.keras import TorchglassCallback
keras.utils.set_random_seed(0)
x = numpy.random.default_rng(0).random((8, 4), dtype="float32")
y = x.sum(1, keepdims=True)
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1, name="d")], name="net")
model.compile(keras.optimizers.SGD(0.25), "mse", metrics=["mae"])
plain_apply = model.optimizer.apply

class Watch(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses, self.norms = [], []
    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])
        self.norms.append(float(model.layers[0].kernel.value.grad.norm()))

class Fail(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise ValueError("no batch 1")
"""

FIT = """
watch, ours = Watch(), TorchglassCallback(every=1, histograms=2, profile=None, devices=False, config={"mine": 1})
history = model.fit(x, y, batch_size=4, epochs=2, validation_data=(x, y), callbacks=[watch, ours], verbose=0)
assert model.optimizer.apply == plain_apply
ours.run.log(after=1.0)
print(json.dumps([watch.losses, history.history["val_loss"], watch.norms]))
"""

BREAK = """
callback = TorchglassCallback("broken", devices=False)
for fails in (True, False):
    try:
        model.fit(x, y, callbacks=[callback, Fail()] if fails else [callback], verbose=0)
    except ValueError:
        pass
model.fit(x, y, callbacks=[TorchglassCallback("last", devices=False), Fail()], verbose=0)
"""


class Fitted(NamedTuple):
    """What became of the script."""

    code: int
    out: str
    errors: str
    path: Path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """Four fits in one process, the last of which ends it."""
    folder = tmp_path_factory.mktemp("keras")
    ended = run_script(SCRIPT + FIT + BREAK, folder, KERAS_BACKEND="torch", PYTHONWARNINGS="ignore")
    return Fitted(*ended, folder / "store.db")


def test_metrics_phases_and_layers_of_a_fit_are_recorded(fitted: Fitted) -> None:
    assert fitted.out, fitted.errors
    losses, validated, norms = json.loads(fitted.out.splitlines()[-1])
    points = points_of(fitted.path, "net")
    assert points["train/loss"] == dict(enumerate(losses))
    assert list(points["train/mae"]) == [0, 1, 2, 3]
    assert points["val/loss"] == {1: validated[0], 3: validated[1]}
    assert points["epoch"] == {1: 1, 3: 2}
    run = run_of(fitted.path, "net")
    assert run.status == "finished"
    assert (run.config["optimizer/learning_rate"], run.config["epochs"], run.config["mine"]) == (0.25, 2, 1)
    assert facts_of(fitted.path, "net")["model"] == {"class": "Sequential", "parameters": 5}
    with Store(fitted.path) as store:
        keys = {series.key: series for series in store.series_of(run.id)}
        (name,) = [key for key in keys if key.endswith("kernel/gradient_norm")]
        found = store.points(keys[name].id)
        assert found.steps.tolist() == [0, 1, 2, 3]
        assert found.values.tolist() == pytest.approx(norms, rel=1e-6)
        ratios = store.points(keys[name.replace("gradient_norm", "update_ratio")].id)
        assert (ratios.values > 0).all()
        for phase in ("step", "data", "optimizer"):
            assert store.points(keys[f"phase/{phase}"].id).steps.tolist() == [0, 1, 2, 3], phase


def test_a_fit_that_raised_reads_failed(fitted: Fitted) -> None:
    assert fitted.code != 0
    assert "no batch 1" in fitted.errors
    with Store(fitted.path) as store:
        found = {run.name: (run.status, run.error) for run in store.runs()}
    assert found == {
        "net": ("finished", None),
        "broken": ("failed", "fit ended before its end"),
        "broken-2": ("finished", None),
        "last": ("failed", "ValueError: no batch 1"),
    }
