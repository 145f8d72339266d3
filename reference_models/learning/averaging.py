"""A running average of the weights (Polyak and Juditsky 1992): it is tested and kept in the place of the last ones."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged(model: nn.Module, decay: float | None) -> AveragedModel | None:
    """Return an average that `update_parameters` moves: average = decay * average + (1 - decay) * weights.

    The first update copies the weights. Buffers, such as batch norm's running means, are averaged too.
    """
    if decay is None:
        return None
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]
    return average.eval()
