"""Statistics of each parameter around an optimizer step: norms, update ratio, histograms."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from torchglass.instrumentation.buffer import Deferred, Record
from torchglass.instrumentation.histograms.sample import Histograms
from torchglass.instrumentation.layers.copies import Pool
from torchglass.instrumentation.layers.norms import row_of
from torchglass.instrumentation.layers.sampling import DeviceSample, Plan
from torchglass.instrumentation.layers.shards import is_sharded, local
from torchglass.instrumentation.layers.turns import DEFAULT_BUDGET_BYTES, Turns
from torchglass.instrumentation.transfer import Transfer
from torchglass.store import Batch, Fact, RowBlock


def select_parameters(
    model: nn.Module, include: Sequence[str] | None, exclude: Sequence[str]
) -> dict[str, nn.Parameter]:
    """Parameters that train, by name, whose names match a pattern of `include` (all) and none of `exclude`.

    A parameter shared by several modules appears once. Wrappers' prefixes (`module.`, `_orig_mod.`) are left out.
    """
    selected = {}
    all_wanted = include is None and not exclude
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            plain = name.replace("_orig_mod.", "").removeprefix("module.")
            if all_wanted or _matches(plain, include, exclude):
                selected[plain] = parameter
    return selected


def _matches(name: str, include: Sequence[str] | None, exclude: Sequence[str]) -> bool:
    wanted = include is None or any(fnmatch.fnmatchcase(name, pattern) for pattern in include)
    return wanted and not any(fnmatch.fnmatchcase(name, pattern) for pattern in exclude)


class LayerStatistics:
    """Reads gradients before an optimizer step and weights after it; results reach the buffer through `Transfer`.

    Norms are Euclidean. The update ratio is |w after - w before| / |w before|: 0.001 is a healthy order of magnitude.
    A sampled step reads at most `budget_bytes` of weights and gradients: what exceeds it is sampled in turns, norms
    and histograms each in their own. `select` is asked at each sample which parameters train then.
    """

    def __init__(
        self,
        select: Callable[[], Mapping[str, nn.Parameter]],
        transfer: Transfer,
        put: Callable[[Record], None],
        *,
        rank: int = 0,
        budget_bytes: int = DEFAULT_BUDGET_BYTES,
    ) -> None:
        self._select = select
        self._parameters: Mapping[str, nn.Parameter] = {}
        self._transfer = transfer
        self._put = put
        self._rank = rank
        self._budget_bytes = budget_bytes
        self._pool = Pool()
        self._histograms = Histograms(transfer, put, self._pool)
        self._turns: dict[str, Turns] = {}
        self._plans: dict[int, Plan] = {}
        self._samples: list[DeviceSample] = []
        self._stated: dict[str, object] = {}

    @torch.no_grad()
    def read_gradients(
        self, step: int, time: float, *, norms: bool, histograms: bool, scale: torch.Tensor | None = None
    ) -> None:
        """Read what only exists between backward and the update: gradients, divided by `scale` where there is one."""
        self._choose()
        if norms:
            plan = self._plan_of(self._turn_of("norms", time))
            groups = [group for group in plan.groups if self._transfer.accepts(group.device)]
            self._samples = [group.sample(scale, self._pool) for group in groups]
        if histograms:
            gradients = {
                f"gradients/{name}": parameter.grad
                for name, parameter in self._turn_of("histograms", time).items()
                if parameter.grad is not None and parameter.grad.layout is torch.strided
            }
            if scale is not None:
                gradients = {key: gradient / scale.to(gradient.device) for key, gradient in gradients.items()}
            self._send_histograms(gradients, step, time)

    @torch.no_grad()
    def read_weights(self, step: int, time: float, *, norms: bool, histograms: bool) -> None:
        """Read the weights after the update, and how far it moved them."""
        if norms:
            samples, self._samples = self._samples, []  # let go of whatever comes: they may be as large as the model
            for each in samples:
                self._send_norms(each, step, time)
            self._advance("norms")
        if histograms:
            turn = self._turn_of("histograms", time)
            self._send_histograms({f"weights/{name}": parameter for name, parameter in turn.items()}, step, time)
            self._advance("histograms")

    def forget(self) -> None:
        """Let go of all parameters, until the next sample."""
        self._parameters, self._samples = {}, []
        self._turns.clear()
        self._plans.clear()

    def _choose(self) -> None:
        """Take the parameters that train now; what was thought out for others is void."""
        chosen = self._select()
        if list(map(id, chosen.values())) != list(map(id, self._parameters.values())):
            self.forget()
            self._parameters = chosen

    def _turn_of(self, what: str, time: float) -> dict[str, nn.Parameter]:
        """The parameters whose turn it is; grouped at the first sample, when a lazy module knows its shapes."""
        turns = self._turns.get(what)
        if turns is None:
            turns = self._turns[what] = Turns(self._parameters, self._budget_bytes)
            if len(turns) > 1:
                text = (
                    f"{turns.read_bytes:,} bytes of weights and gradients exceed the budget of "
                    f"{self._budget_bytes:,} for a sampled step: parameters take {len(turns)} turns"
                )
                self._state(f"layers/{what}", text, time)
            if any(is_sharded(parameter) for parameter in self._parameters.values()):
                self._state("sharded", "norms and histograms are of this rank's shard of each parameter", time)
        return turns.now()

    def _advance(self, what: str) -> None:
        if what in self._turns:  # unless nothing was read before the step, as while a CUDA graph was captured
            self._turns[what].advance()

    def _plan_of(self, turn: Mapping[str, nn.Parameter]) -> Plan:
        """How to read these parameters: thought out once, and again when they were moved or converted."""
        plan = self._plans.get(id(turn))
        if plan is None or not plan.holds():
            plan = self._plans[id(turn)] = Plan(turn)
        return plan

    def _send_norms(self, sample: DeviceSample, step: int, time: float) -> None:
        def put(arrived: npt.NDArray[np.floating]) -> None:
            made: list[RowBlock] = []

            def add_to(batch: Batch) -> None:
                if not made:  # a batch that the store refuses is put together again
                    made.append(row_of(sample.norms(arrived), step, time))
                    sample.release()
                batch.rows += made

            self._put(Deferred(add_to, sample.held_bytes + arrived.nbytes))

        there = sample.end()
        if there is None:
            put(np.empty(0))
        else:
            self._transfer.submit(there, put)

    def _send_histograms(self, tensors: Mapping[str, torch.Tensor], step: int, time: float) -> None:
        self._histograms.send(dict(zip(tensors, local(list(tensors.values())), strict=True)), step, time)
        self._state("histograms", dict(self._histograms.ways), time)

    def _state(self, key: str, value: object, time: float) -> None:
        """State a fact, unless it is the last one of that key."""
        if self._stated.get(key) != value:
            self._stated[key] = value
            self._put(Fact(self._rank, key, value, time))
