"""Keras 3, above all on its torch backend: a callback for metrics, step times and layers.

from torchglass.bridges.keras import TorchglassCallback

model.fit(x, y, callbacks=[TorchglassCallback()])
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import torch
from torch import nn

from torchglass.instrumentation import Run, start
from torchglass.instrumentation.guard import Guard, tell
from torchglass.instrumentation.options import DEFAULT_HISTOGRAMS, DEFAULT_NORMS, DEFAULT_PROFILE, Steps
from torchglass.instrumentation.watching import Cadences, Moment, unwatch, watch


class TorchglassCallback(keras.callbacks.Callback):
    """Record what `fit` reports: `train/...` after each batch, `val/...` and `epoch` after each epoch.

    Keras reports the mean since the epoch began, so the value after its last batch is the epoch's. On the torch
    backend layers' norms and histograms, profiler windows and the phases `data`, `optimizer` and `other` are recorded
    too; Keras calls no module's hooks, so forward and backward are within `other`. While a fit runs, its optimizer's
    `apply` is one of ours that calls Keras's own; not so for a model that is compiled (`jit_compile=True`).

    A fit that an exception ends leaves the run failed: with its text if the program ends, else at the next fit.

    Args:
        run: name; default is the model's.
        config: added to the optimizer's settings and the parameters of `fit`.
        store, devices, mode: as for `torchglass.start`.
        every, histograms, profile, include, exclude: as for `torchglass.attach`.
    """

    def __init__(
        self,
        run: str | None = None,
        *,
        store: str | os.PathLike[str] | None = None,
        config: Mapping[str, Any] | None = None,
        every: Steps = DEFAULT_NORMS,
        histograms: Steps = DEFAULT_HISTOGRAMS,
        profile: Steps = DEFAULT_PROFILE,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        devices: bool = True,
        mode: Any = None,
    ) -> None:
        super().__init__()
        self._wanted = run
        self._config = dict(config or {})
        self._options: dict[str, Any] = {"store": store, "devices": devices, "mode": mode}
        self._guard = Guard(tell)
        self._run: Run | None = None
        self._cadences = Cadences(every, histograms, profile, include, exclude)
        self._told: Any = None
        self._replaced: Any = None
        self._step = 0

    @property
    def run(self) -> Run | None:
        """The run of the current or last fit; None before the first."""
        return self._run

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin a run."""
        self._guard.call(self._begin)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """The batch is there."""
        self._tell("loader_ends", "forward_begins")

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """The step is over."""
        self._guard.call(self._log, "train/", logs or {})
        self._tell("loader_begins")
        self._step += 1

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """The epoch is over, its validation too."""
        validated = {name[4:]: value for name, value in (logs or {}).items() if name.startswith("val_")}
        self._step -= 1  # what ends an epoch belongs to its last step
        self._guard.call(self._log, "val/", validated)
        self._guard.call(self._log, "", {"epoch": epoch + 1})
        self._step += 1
        self._tell("loader_begins")

    def on_train_end(self, logs: Any = None) -> None:
        """Finish the run, and give the optimizer its own `apply` back."""
        self._guard.call_anyway(self._end)

    def _begin(self) -> None:
        if self._run is not None:
            self._give_back()
            self._run.finish("failed", "fit ended before its end")  # nothing happens to one that is finished
        self._run = start(self._wanted or self.model.name, config=self._settings() | self._config, **self._options)
        self._step = 0
        optimizer = getattr(self.model, "optimizer", None)
        compiled = getattr(self.model, "jit_compile", False) is True
        if isinstance(self.model, nn.Module) and optimizer is not None and not compiled:
            self._told = watch(self._run, self.model, None, self._cadences, hooks=False)
            self._replace(optimizer)

    def _replace(self, optimizer: Any) -> None:
        keras_own = optimizer.apply

        def apply(*arguments: Any, **options: Any) -> Any:
            self._tell("optimizer_begins")
            result = keras_own(*arguments, **options)
            self._tell("optimizer_ends")
            return result

        optimizer.apply = apply
        self._replaced = optimizer

    def _give_back(self) -> None:
        self._told = None
        if self._replaced is not None:
            del self._replaced.apply  # the class's own is behind it
            self._replaced = None

    def _end(self) -> None:
        self._give_back()
        if self._run is not None:
            unwatch(self._run)
            self._run.finish()

    def _log(self, group: str, values: Mapping[str, Any]) -> None:
        if self._run is not None and values:
            self._run.log({f"{group}{name}": _number(value) for name, value in values.items()}, step=self._step)

    def _tell(self, *moments: Moment) -> None:
        if self._told is not None:
            for moment in moments:
                self._told(moment)

    def _settings(self) -> dict[str, Any]:
        optimizer = getattr(self.model, "optimizer", None)
        settings = {f"optimizer/{name}": value for name, value in optimizer.get_config().items()} if optimizer else {}
        return settings | dict(self.params or {})


def _number(value: Any) -> Any:
    """The value as it is, if the run can take it without waiting; of another backend's tensor the number."""
    return value if isinstance(value, int | float | torch.Tensor) else float(value)
