"""Let a network that predicts a number answer in the number's own units."""

from __future__ import annotations

from torch import Tensor, nn

from torchglass.reference_models.data.form import DataForm


class OwnUnits(nn.Module):
    """y = x deviation + mean: (N, 1) around 0 to (N, 1) around the target's mean.

    The layers before it keep weights of ordinary size whatever the target is counted in, and what is predicted,
    scored and explained can be read as it stands. It has nothing to learn and nothing to save: the form says it.
    """

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self._mean = mean
        self._deviation = deviation

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the inputs in own units."""
        return inputs * self._deviation + self._mean

    def extra_repr(self) -> str:
        """Show both numbers."""
        return f"mean={self._mean:g}, deviation={self._deviation:g}"


def own_units(form: DataForm) -> dict[str, nn.Module]:
    """Return what follows the last layer: nothing where classes are scored, else `own_units`, by its name."""
    return {} if form.class_names else {"own_units": OwnUnits(form.target_mean, form.target_deviation)}
