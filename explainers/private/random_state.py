"""Borrow the random generators and give them back as they were."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def borrowed_random_state(seed: int) -> Iterator[None]:
    """Seed torch (CPU and CUDA), numpy and Python's random inside; restore all four byte for byte after, come what may.

    The generators are the process's own: no other thread may draw from them meanwhile.
    """
    # An uninitialised CUDA is left alone: torch.manual_seed would queue our seed for the day when training starts it.
    initialized: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count() if initialized else 0)
    cpu = torch.get_rng_state()
    cuda = [torch.cuda.get_rng_state(device) for device in devices]
    legacy_numpy, python = np.random.get_state(), random.getstate()
    try:
        torch.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        # numpy takes 32 bits at most, the others more.
        np.random.seed(seed % 2**32)
        random.seed(seed)
        yield
    finally:
        torch.set_rng_state(cpu)
        for device, state in zip(devices, cuda, strict=True):
            torch.cuda.set_rng_state(state, device)
        np.random.set_state(legacy_numpy)
        random.setstate(python)
