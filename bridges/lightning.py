"""Lightning: a logger for its metrics, a callback for what happens inside a step.

    from torchglass.bridges.lightning import TorchglassCallback, TorchglassLogger

    Trainer(logger=TorchglassLogger("resnet"), callbacks=[TorchglassCallback()])

Either serves alone; together they record one run. Both fit `lightning` and `pytorch_lightning`: whichever the script
has imported when this file is, `lightning` if neither or both.
"""

from __future__ import annotations

import sys
from typing import Any

from torchglass.bridges.lightning_parts import CallbackParts, LoggerParts


def _framework() -> Any:
    """The Lightning that the script uses; it and the other have base classes of their own."""
    old = "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules
    if not old:
        try:
            import lightning.pytorch

            return lightning.pytorch
        except ModuleNotFoundError:
            pass  # there is only the other, or none: then its own error says so
    import pytorch_lightning

    return pytorch_lightning


_lightning = _framework()
_Logger: Any = _lightning.loggers.Logger
_Callback: Any = _lightning.Callback


class TorchglassLogger(LoggerParts, _Logger):
    """Record what modules `log`, and their hyper-parameters, on rank 0.

    Args:
        name: of the run; default "lightning".
        store, config, devices, mode: as for `torchglass.start`.
        prefix: goes before every metric's name, as it is: end it with a slash to make a group.
    """

    @property
    def experiment(self) -> Any:
        """The `torchglass.Run`: `self.logger.experiment.log_histogram(...)`; elsewhere than on rank 0 a dummy."""
        return self.run if self._is_first_rank() else _lightning.loggers.logger.DummyExperiment()

    def _is_first_rank(self) -> bool:
        return int(getattr(_lightning.utilities.rank_zero_only, "rank", 0)) == 0


class TorchglassCallback(CallbackParts, _Callback):
    """Record phases of each step, layers' norms and histograms, profiler windows and devices, on every rank.

    With a `TorchglassLogger` in the same trainer it records into that run, else into one of its own. Nothing that it
    does raises into training.

    Args:
        run: name of its own run; default is the module's class.
        store, config, devices, mode: as for `torchglass.start`; the module's `hparams` are added to the config.
        every, histograms, profile, include, exclude: as for `torchglass.attach`.
    """
