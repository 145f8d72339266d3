"""Batches of a set of samples, in an order that depends on the seed and the epoch alone, dealt out to all processes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from torchglass.errors import OptionError
from torchglass.reference_models.data.samples import Samples
from torchglass.reference_models.learning.placement import Placement
from torchglass.reference_models.learning.seeding import epoch_seed

Batch = tuple[Tensor, Tensor]


class Batches:
    """The training batches of one process.

    Together the i-th batches of two processes hold the samples of the i-th batch of one process whose batch is twice
    as large.
    """

    def __init__(
        self, samples: Samples, batch_size: int, *, seed: int, workers: int, placement: Placement, pinned: bool
    ) -> None:
        dataset = TensorDataset(samples.inputs, samples.targets)
        self._order: DistributedSampler[Batch] = DistributedSampler(
            dataset, num_replicas=placement.world, rank=placement.rank, shuffle=True, seed=epoch_seed(seed, 0)
        )  # torch adds the epoch: of neighbouring seeds one would repeat the other's orders
        self.batch_size = batch_size
        self.samples = len(self._order)
        self.loader: DataLoader[Batch] = DataLoader(
            dataset,  # type: ignore[arg-type]  # its samples are pairs here
            batch_size=batch_size,
            sampler=self._order,
            generator=torch.Generator().manual_seed(seed),  # else each epoch would draw from torch's own
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pinned,
        )

    def __len__(self) -> int:
        return len(self.loader)

    def of_epoch(self, number: int) -> DataLoader[Batch]:
        """Return the loader with the order of an epoch."""
        self._order.set_epoch(number)
        return self.loader


def held_out(samples: Samples, share: float, seed: int) -> tuple[Samples, Samples | None]:
    """Part a share of the samples from the others, at random by the seed; None where the share is 0.

    Raises:
        OptionError: the share comes to no sample.
    """
    if share == 0:
        return samples, None
    count = round(share * len(samples))
    if count == 0:
        raise OptionError(
            f"validation is {share:g} of {len(samples)} training samples, which is none of them: "
            "give a larger share, or train on more"
        )
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    return samples[order[count:]], samples[order[:count]]
