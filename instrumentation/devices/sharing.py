"""Which of the processes that train together on one machine reads what, so that nothing is read by each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# As torchrun, Slurm and Open MPI name a process's place on its machine, and how many there are.
_VARIABLES = (
    ("LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"),
    ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
)


@dataclass(frozen=True)
class Share:
    """A process's place among those of one launch on this machine."""

    place: int = 0
    of: int = 1

    @property
    def has_host(self) -> bool:
        """Whether this process reads the host: the first does."""
        return self.place == 0

    def has_gpu(self, number: int, count: int) -> bool:
        """Whether this process reads cuda:`number` of the `count` that it may use.

        Where there are fewer than processes, each was given its own or several share one: each reads what it sees.
        """
        return count < self.of or number % self.of == self.place


def share_of(environment: Mapping[str, str]) -> Share:
    """Read the place from what the launcher set; a process on its own reads everything."""
    for place, count in _VARIABLES:
        told, of = environment.get(place, ""), environment.get(count, "")
        if told.isdecimal() and of.isdecimal() and int(told) < int(of):
            return Share(int(told), int(of))
    return Share()
