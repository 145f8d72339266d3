"""Pictures in any layout -> uint8 arrays (N, H, W, C), the way TensorBoard's writer scales them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from torchglass.errors import OptionError

Pixels = npt.NDArray[np.uint8]


def as_array(values: Any) -> npt.NDArray[Any]:
    """A tensor (of any device), an array or anything that numpy takes, as an array; bfloat16 widens to float32."""
    if isinstance(values, torch.Tensor):
        plain = values.detach().cpu()
        return np.asarray((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy())
    return np.asarray(values)


def to_pixels(pictures: Any, layout: str) -> Pixels:
    """Return pictures as (N, H, W, C), uint8; values are clipped.

    Args:
        pictures: uint8 (0 to 255), or of any other type (0 to 1).
        layout: a letter for each axis, such as "CHW", "HW" or "NHWC".

    Raises:
        OptionError: the letters do not fit the array.
    """
    array = as_array(pictures)
    letters = layout.upper()
    if sorted(set(letters)) != sorted(letters) or not {"H", "W"} <= set(letters) <= set("NCHW"):
        raise OptionError(f"dataformats={layout!r}: give H, W and perhaps N and C, each once")
    if len(letters) != array.ndim:
        raise OptionError(f"dataformats={layout!r} names {len(letters)} axes, the image has shape {array.shape}")
    for letter in "NC":
        if letter not in letters:
            array, letters = array[..., None], letters + letter
    array = array.transpose([letters.index(letter) for letter in "NHWC"])
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    # Clipped before it is narrowed and scaled: what is infinite or huge would overflow, which numpy may raise.
    scaled = np.nan_to_num(array.clip(0, 1).astype(np.float32), nan=0.0) * 255
    return np.ascontiguousarray(scaled.astype(np.uint8))


def figure_pixels(figure: Any, close: bool) -> Pixels:
    """Draw a matplotlib figure: (1, H, W, 3). Needs matplotlib, which made the figure."""
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba(), np.uint8)[..., :3].copy()
    if close:
        pyplot.close(figure)
    return pixels[None]
