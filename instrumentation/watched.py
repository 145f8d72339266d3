"""What a run watches: a model and its optimizers, held weakly: a forgotten run keeps no weights alive."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from torchglass.instrumentation.activations import ActivationReader
from torchglass.instrumentation.buffer import Buffer
from torchglass.instrumentation.graph import GraphReader
from torchglass.instrumentation.layers.statistics import LayerStatistics, select_parameters
from torchglass.instrumentation.meters import Meters
from torchglass.instrumentation.options import Options
from torchglass.instrumentation.probing import ProbeTurns
from torchglass.instrumentation.profiling.windows import ProfilerWindows
from torchglass.instrumentation.transfer import Transfer


class Watched:
    """A model, its optimizers in the order in which the loop steps them, and what is read around each of their steps.

    The last optimizer's step ends the run's step. Each optimizer answers for the parameters in its groups, the last one
    also for those in no group. Parameters may come, go, freeze and thaw: they are chosen anew at each sample.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        options: Options,
        profiler: ProfilerWindows,
        *,
        transfer: Transfer,
        buffer: Buffer,
        rank: int,
        clock: Callable[[], float],
        probes: ProbeTurns | None = None,
    ) -> None:
        self.norms = options.norms
        self.histograms = options.histograms
        self.profiler = profiler
        self.probes = probes
        self.name = type(model).__name__
        self._optimizers = [weakref.ref(optimizer) for optimizer in optimizers]
        self._include = options.include
        self._exclude = options.exclude
        statistics = [
            LayerStatistics(
                lambda index=index: self._select(index),  # type: ignore[misc]
                transfer,
                buffer.put,
                rank=rank,
                budget_bytes=options.budget_bytes,
            )
            for index in range(max(1, len(optimizers)))
        ]
        self._statistics = statistics
        self.graphs = GraphReader(buffer.put, rank, clock)
        self.activations = ActivationReader(options.activations, transfer, buffer.put, rank, clock)
        self.meters = Meters(self, options.norms, buffer, rank, clock)
        # Not weakref.finalize: a model that is attached again and again would keep what every run had read of it.
        self._model = weakref.ref(model, lambda _model: _let_go(statistics))

    @property
    def model(self) -> nn.Module | None:
        """The model; None once nobody else holds it."""
        return self._model()

    @property
    def device(self) -> torch.device:
        """Where the model is now."""
        model = self._model()
        parameters = model.parameters() if model is not None else iter(())
        return next((parameter.device for parameter in parameters), torch.device("cpu"))

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Those of its optimizers that are alive."""
        return [optimizer for each in self._optimizers if (optimizer := each()) is not None]

    def add(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the optimizer of a model that was watched without one."""
        self._optimizers.append(weakref.ref(optimizer))

    def groups(self) -> list[dict[str, Any]]:
        """The parameter groups of all optimizers."""
        if len(self._optimizers) == 1:  # asked at every step
            only = self._optimizers[0]()
            return only.param_groups if only is not None else []
        return [group for each in self.optimizers for group in each.param_groups]

    def is_last(self, optimizer: torch.optim.Optimizer | None) -> bool:
        """Tell whether this optimizer's step ends the run's step; None stands for the only one."""
        return len(self._statistics) == 1 or self._index(optimizer) == len(self._statistics) - 1

    def statistics(self, optimizer: torch.optim.Optimizer | None) -> LayerStatistics:
        """The statistics that are taken around this optimizer's step."""
        return self._statistics[0 if len(self._statistics) == 1 else self._index(optimizer)]

    def _index(self, optimizer: torch.optim.Optimizer | None) -> int:
        return next(index for index, each in enumerate(self._optimizers) if each() is optimizer)

    def _select(self, index: int) -> dict[str, nn.Parameter]:
        model = self._model()
        if model is None:
            return {}
        chosen = select_parameters(model, self._include, self._exclude)
        if len(self._statistics) == 1:
            return chosen
        owners = {
            id(parameter): position
            for position, reference in enumerate(self._optimizers)
            if (optimizer := reference()) is not None
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        last = len(self._statistics) - 1
        return {name: each for name, each in chosen.items() if owners.get(id(each), last) == index}


def _let_go(statistics: Sequence[LayerStatistics]) -> None:
    for each in statistics:
        each.forget()
