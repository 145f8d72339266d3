"""Look at the probes once more: explain them with each method and compare the maps with those of the look before."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import nn

from torchglass.errors import TorchglassError
from torchglass.explainers.checking.checks import first_line
from torchglass.explainers.explanation import Explanation
from torchglass.explainers.front_door import explain
from torchglass.explainers.probing import figures
from torchglass.explainers.probing.frames import Frame, frame, relevances, shrunk_truth

if TYPE_CHECKING:
    from torchglass.explainers.probes import Probes

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Look:
    """What one look found: numbers by "<method>/<figure>", a frame for each method and probe, and what went wrong."""

    values: Mapping[str, float]
    frames: tuple[Frame, ...]
    notices: tuple[str, ...]


class Looks:
    """The looks of one run: each knows the maps of the one before."""

    def __init__(self, probes: "Probes") -> None:
        self._probes = probes
        self._methods = list(probes.methods)
        self._truth = None if probes.truth is None else shrunk_truth(np.asarray(probes.truth, dtype=bool))
        self._before: dict[str, tuple[Array, Array]] = {}
        self._layers: dict[str, str] = {}

    def look(self, model: nn.Module) -> Look:
        """Explain all probes; a method that fails is told of and leaves the others be.

        One that fails by an error of another library, or for want of memory, is not tried again; the last one's error
        comes out here.

        Values, each the mean over the probes that have one: `drift`, 1 - rank correlation with the look before, of
        probes whose class is still the same; `size`, the raw sum of magnitudes; `entropy`, 0 for one place to 1 for an
        even map; `truth_share` where the truth is known; `completeness_error`, relative, where the method has one.
        """
        values: dict[str, float] = {}
        frames: list[Frame] = []
        notices: list[str] = []
        for method in tuple(self._methods):
            try:
                explanation = self._explained(model, method)
            except TorchglassError as error:
                self._before.pop(method, None)
                notices.append(f"{method}: {error}")
                continue
            except Exception as error:
                self._methods.remove(method)
                if not self._methods:
                    raise
                notices.append(f"{method}: {type(error).__name__}: {first_line(error)}; the others go on without it")
                continue
            maps = relevances(explanation)
            values |= {f"{method}/{name}": value for name, value in self._figures(explanation, maps)}
            frames += self._frames(explanation, maps)
            self._before[method] = (maps, explanation.targets)
        return Look(values, tuple(frames), tuple(notices))

    def _explained(self, model: nn.Module, method: str) -> Explanation:
        probes = self._probes
        found = explain(
            model,
            probes.inputs,
            probes.targets,
            method,
            kind=probes.kind,
            layer=probes.layer or self._layers.get(method),
            background=probes.background,
            padding=probes.padding,
            seed=probes.seed,
            **probes.methods[method],
        )
        # The layer that was found first stays: a map of another layer would look like a change of the model.
        if found.layer is not None:
            self._layers[method] = found.layer
        return found

    def _figures(self, explanation: Explanation, maps: Array) -> Iterator[tuple[str, float]]:
        before, targets = self._before.get(explanation.method, (maps, None))
        count = len(maps)
        parts = self._parts(explanation)
        if targets is not None:
            same = [i for i in range(count) if targets[i] == explanation.targets[i]]
            yield from _mean("drift", [figures.drift(before[i][parts[i]], maps[i][parts[i]]) for i in same])
        yield from _mean("size", [figures.size(explanation.relevance(i)) for i in range(count)])
        yield from _mean("entropy", [figures.entropy(maps[i][parts[i]]) for i in range(count)])
        if self._truth is not None:
            truth = self._truth
            yield from _mean("truth_share", [figures.truth_share(maps[i], truth[i]) for i in range(count)])
        missed = explanation.checks.get("completeness_error_relative")
        if missed is not None:
            yield "completeness_error", missed

    def _parts(self, explanation: Explanation) -> Sequence[Any]:
        """What there is to rank of each map: its words alone, for all padding stands at nought and would agree."""
        if explanation.kind == "text":
            return [tokens != self._probes.padding for tokens in explanation.inputs]
        return [...] * len(explanation.inputs)

    def _frames(self, explanation: Explanation, maps: Array) -> Iterator[Frame]:
        for i in range(len(maps)):
            yield frame(explanation, maps, i, truth=self._truth, facts=self._probes.facts(i, explanation))


def _mean(name: str, found: list[float | None]) -> Iterator[tuple[str, float]]:
    known = [value for value in found if value is not None]
    if known:
        yield name, float(np.mean(known))
