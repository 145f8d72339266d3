"""SmoothGrad: the score's gradient, averaged over noisy copies of the picture."""

import torch
from torch import Tensor

from torchglass.errors import OptionError
from torchglass.explainers.own import own_implementation
from torchglass.explainers.private.scored_model import inputs_per_pass
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem, *, samples: int = 50, noise: float = 0.15, absolute: bool = False) -> Attribution:
    """Add noise to the picture many times and average the gradients of the score.

    Values (N, C, H, W) in score units per unit of a pixel; `standard_errors` are those of the average. Check:
    `sampling_error_relative`, the root mean square of the standard errors over that of the values. captum's NoiseTunnel
    averages as well, but with one deviation for all pictures, and says nothing of the error.

    Args:
        samples: noisy copies of each picture, each a forward and a backward pass of it.
        noise: standard deviation, as a share of the span from a picture's least to its greatest value; the paper
            recommends 0.1 to 0.2.
        absolute: average the gradients' sizes instead.

    Raises:
        OptionError: samples are fewer than 2, or the noise is not above 0.

    Source: Smilkov et al. 2017 (arXiv 1706.03825).
    """
    if samples < 2:
        raise OptionError(f"samples is {samples}: give at least 2, of one alone no error can be told")
    if not 0 < noise < float("inf"):
        raise OptionError(f"noise is {noise}: give a share of the picture's span above 0")
    total = torch.zeros_like(problem.inputs, dtype=torch.float64)
    squares = torch.zeros_like(total)
    per_pass = inputs_per_pass(problem.inputs[0])
    for rows in torch.split(torch.arange(len(total), device=total.device), per_pass):
        for copies in _parts(samples, max(1, per_pass // len(rows))):
            slopes = _slopes_of_noisy(problem, rows, copies, noise)
            slopes = slopes.abs() if absolute else slopes
            total[rows] += slopes.sum(dim=0)
            squares[rows] += slopes.square().sum(dim=0)
    mean = total / samples
    variance = (squares / samples - mean.square()).clamp(min=0) / (samples - 1)
    size = max(float(mean.square().mean()), 1e-24)
    return Attribution(
        values=mean.float().cpu().numpy(),
        implementation=own_implementation("SmoothGrad"),
        parameters={"samples": samples, "noise": noise, "absolute": absolute},
        checks={"sampling_error_relative": (float(variance.mean()) / size) ** 0.5},
        standard_errors=variance.sqrt().float().cpu().numpy(),
    )


def _parts(whole: int, most: int) -> list[int]:
    return [min(most, whole - done) for done in range(0, whole, most)]


def _slopes_of_noisy(problem: Problem, rows: Tensor, copies: int, noise: float) -> Tensor:
    """Differentiate the scores of noisy copies of some pictures: (copies, rows, C, H, W) in double precision."""
    clean = problem.inputs[rows]
    spread = noise * (clean.amax(dim=(1, 2, 3), keepdim=True) - clean.amin(dim=(1, 2, 3), keepdim=True))
    shape = (copies, *clean.shape)
    noisy = (clean + spread * torch.randn(shape, device=clean.device)).flatten(0, 1).requires_grad_()
    table = problem.model(noisy)
    explained = table.gather(1, problem.targets[rows].repeat(copies)[:, None]).sum()
    (slopes,) = torch.autograd.grad(explained, noisy)
    return slopes.double().reshape(shape)
