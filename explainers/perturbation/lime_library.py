"""Run lime's own explainer of pictures as its authors ship it, on our segments: the judge of ours, and a choice."""

import io
from collections.abc import Mapping
from contextlib import redirect_stderr
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lime.lime_image import LimeImageExplainer
from torch import Tensor

from torchglass.explainers.perturbation.ridge import Ridge
from torchglass.explainers.private.scored_model import scores
from torchglass.explainers.problem import Problem


def library_surrogates(
    problem: Problem, places: Mapping[int, Tensor], samples: int, kernel_width: float
) -> tuple[str, list[Ridge], dict[str, Any]]:
    """Fit each picture's surrogate by LimeImageExplainer with its own masking and its defaults besides.

    Returns who made it, the surrogates, whose errors lime does not tell (NaN), and the settings that are lime's own.
    """
    colour = _one_colour(problem.background)
    found = [_surrogate(problem, row, place, samples, kernel_width, colour) for row, place in places.items()]
    fill = "mean colour of the segment" if colour is None else f"constant {colour:g}"
    own = {"keep_rate": 0.5, "background": fill, "samples": [samples] * len(found), "backend": "library"}
    return f"lime {version('lime')} LimeImageExplainer", found, own


def _surrogate(
    problem: Problem, row: int, place: Tensor, samples: int, kernel_width: float, colour: float | None
) -> Ridge:
    picture, target = problem.inputs[row], int(problem.targets[row])
    segments = place[0].cpu().numpy()

    def score(images: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        batch = torch.as_tensor(np.asarray(images), dtype=torch.float32).permute(0, 3, 1, 2).to(picture.device)
        column: npt.NDArray[np.float64] = scores(problem.model, batch)[:, target].double().cpu().numpy()
        return column[:, None]

    explainer = LimeImageExplainer(
        kernel_width=kernel_width,
        feature_selection="none",
        random_state=np.random.RandomState(problem.seed % 2**32),
    )
    with redirect_stderr(io.StringIO()):  # its progress bar cannot be switched off
        one = explainer.explain_instance(
            picture.permute(1, 2, 0).double().cpu().numpy(),
            score,
            labels=(0,),
            top_labels=None,
            hide_color=colour,
            num_samples=samples,
            segmentation_fn=lambda _: segments,
            random_seed=0,
        )
    weights = np.zeros(int(segments.max()) + 1)
    for number, weight in one.local_exp[0]:
        weights[number] = weight
    return Ridge(weights, np.full_like(weights, np.nan), float(one.intercept[0]), float(one.score))


def _one_colour(background: Tensor) -> float | None:
    first = float(background.flatten()[0])
    return first if bool((background == first).all()) else None
