"""A float64 in a scalar summary, whose value is a float32.

TensorBoard's server reads no scalar but in float32: one written as a float64 tensor, torch's own `double_precision`
included, it shows nowhere. So the value is rounded as everywhere, and where that loses digits the whole number stands
beside it as text, in the summary's `node_name`: a field that no reader looks at for scalars.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from torchglass.store.records import Floats


def texts_beside(values: Floats) -> list[str]:
    """Return what is to stand beside each value (n,): the number in full, or nothing where float32 holds it."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        held = (values.astype(np.float32) == values) | np.isnan(values)
    return ["" if fits else repr(value) for fits, value in zip(held.tolist(), values.tolist(), strict=True)]


def read_number(value: Any) -> float:
    """Return a scalar summary's number, in full where a text beside it gives more digits of the same."""
    rounded: float = value.simple_value
    if not value.node_name:
        return rounded
    try:
        full = float(value.node_name)
    except ValueError:
        return rounded  # an old log's graph node
    with np.errstate(over="ignore", under="ignore"):
        return full if np.float64(full).astype(np.float32) == rounded else rounded
