"""Which parameters a sampled step reads: all of them, or as many as a byte budget allows, in turns."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from torchglass.instrumentation.layers.shards import local

DEFAULT_BUDGET_BYTES = 1_000_000_000  # a fifth of a second on two cores, a millisecond on a large GPU


class Turns:
    """Parameters in groups of consecutive ones, each of which reads at most the budget; a sample takes one group.

    What a parameter costs is its own bytes and as many of its gradient. One that exceeds the budget alone has a turn to
    itself. Of a parameter that is sharded over processes, its shard on this one counts; an empty one is left out.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], budget_bytes: int) -> None:
        self._groups: list[dict[str, nn.Parameter]] = [{}]
        self._next = 0
        self.read_bytes = 0
        taken = 0
        for name, parameter in parameters.items():
            (held,) = local([parameter])
            size = 2 * held.nbytes
            if not size:
                continue
            if self._groups[-1] and taken + size > budget_bytes:
                self._groups.append({})
                taken = 0
            self._groups[-1][name] = parameter
            self.read_bytes += size
            taken += size

    def __len__(self) -> int:
        return len(self._groups)

    def now(self) -> dict[str, nn.Parameter]:
        """The parameters whose turn it is."""
        return self._groups[self._next]

    def advance(self) -> None:
        """Let the next ones have their turn."""
        self._next = (self._next + 1) % len(self._groups)
