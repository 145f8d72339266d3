"""What a comparison of variants found: frozen, and plain enough to become JSON. Missing is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CannotRun:
    """A technique that was not measured, and why."""

    reason: str
    status: Literal["cannot run"] = "cannot run"


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, over turns taken in random order with the others.

    `low_seconds` and `high_seconds` are the quartiles. `ratio` is the median over the original's, and lies between
    `ratio_low` and `ratio_high` with 95 % confidence (bootstrap over rounds). `ready_seconds` is what came before:
    applying the technique and the first call, in which some of them compile.
    """

    median_seconds: float
    low_seconds: float
    high_seconds: float
    ratio: float
    ratio_low: float
    ratio_high: float
    samples_per_second: float
    ready_seconds: float


@dataclass(frozen=True)
class Memory:
    """What a fresh process took for the model, the technique and the calls, above what it held before; None: `missing`.

    `held_bytes` is what stayed once the technique was applied and warm, `peak_bytes` the most at any moment of the
    calls after that. `source` says whose count it is: torch's CUDA allocator, or resident memory on the CPU.
    """

    peak_bytes: int | None
    held_bytes: int | None
    source: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Size:
    """Bytes on disk of what would be shipped, and of the same compressed with deflate (as zip files and wheels do)."""

    file_bytes: int
    compressed_bytes: int


@dataclass(frozen=True)
class Agreement:
    """How near a variant's logits on the test images are to the original's.

    `same_answers` is the share, 0..1, of images with an equal argmax; a row with a value that is not finite has no
    answer and counts as different, and `nonfinite_count` such rows are left out of the other two:
    `largest_difference` of any logit, and `divergence`, the mean Kullback-Leibler divergence KL(original || variant)
    in nats.
    """

    same_answers: float
    largest_difference: float | None
    divergence: float | None
    nonfinite_count: int


@dataclass(frozen=True)
class Inference:
    """A variant that answers: `accuracy`, 0..1, on the test images."""

    timing: Timing
    memory: Memory
    size: Size
    accuracy: float
    agreement: Agreement
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    status: Literal["measured"] = "measured"


@dataclass(frozen=True)
class Training:
    """A variant that was trained: the time is of forward, backward and optimizer step on a batch that is in place.

    `losses` are of the first steps, from the same weights and on the same batches as the original's; None where not
    finite. `last_loss_difference` is this variant's last one less the original's. `gradient_difference` is
    |g - g0| / |g0| over all parameters at the first step, g0 the original's.
    """

    timing: Timing
    memory: Memory
    losses: tuple[float | None, ...]
    last_loss_difference: float | None
    gradient_difference: float | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    status: Literal["measured"] = "measured"


@dataclass(frozen=True)
class Row:
    """One technique; None for a mode that was not asked for."""

    name: str
    summary: str
    training: Training | CannotRun | None
    inference: Inference | CannotRun | None


@dataclass(frozen=True)
class Comparison:
    """A reference model under several techniques, and on what that was measured.

    `seconds` has the turns themselves, by "train/<name>" or "infer/<name>": (rounds,) seconds of one call, in rounds
    that all variants share.
    """

    model: str
    dataset: str
    device: str
    device_name: str
    torch: str
    threads: int
    batch_size: int
    rounds: int
    calls_per_turn: Mapping[str, int]
    test_images: int
    rows: tuple[Row, ...]
    seconds: Mapping[str, Floats]

    def to_meta(self) -> dict[str, Any]:
        """Return all but the turns as JSON takes it."""
        known = asdict(self)
        del known["seconds"]
        return known
