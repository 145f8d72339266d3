"""Random numbers that depend on the seed alone, and leave the caller's as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's generators of the CPU and of a CUDA device for a while; afterwards they are as before."""
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        for each in devices:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(seed)
        yield


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """Return a seed for one process in one epoch: what is drawn there depends on nothing drawn before.

    A training that resumes at an epoch therefore draws what an uninterrupted one does.
    """
    return (seed * 1_000_003 + epoch * 1_009 + rank) % 2**63


def reseed(seed: int, epoch: int, rank: int, device: torch.device) -> None:
    """Seed torch's generators for an epoch."""
    found = epoch_seed(seed, epoch, rank)
    torch.default_generator.manual_seed(found)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(found)
