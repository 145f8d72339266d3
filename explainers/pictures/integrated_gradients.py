"""Integrated gradients of pictures: as of rows, from the mean of the background's pictures."""

from torchglass.explainers.table.integrated_gradients import attribute

__all__ = ["attribute"]
