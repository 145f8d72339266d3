"""Ask a model about inputs with hidden parts: fused fill, passes that fit, repeats asked once, half precision."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchglass.explainers.perturbation.fill import Fill
from torchglass.explainers.perturbation.half import HalfPrecision
from torchglass.explainers.perturbation.masks import Masks, Rows
from torchglass.explainers.private.scored_model import NUMBERS_PER_TOKEN, in_passes
from torchglass.explainers.problem import Problem

NUMBERS_PER_PASS = {"cpu": 2**19, "cuda": 2**25}
"""Input numbers in one pass: on a CPU a layer's maps of so many stay in the cache, which is three times faster than
thousands of pictures at once; a device is fed as much as its memory is likely to hold, and less once it does not."""

Scores = npt.NDArray[np.float64]
Seen = Callable[[Rows, Tensor, Tensor], None]
"""Given (m,) inputs' numbers, their masks (m, ...) and their scores (m,) on the device, pass by pass."""


class Engine:
    """Scores masked inputs of one problem, each for its input's target, and remembers the answers to repeated masks."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._inputs = problem.inputs
        self._half = HalfPrecision(problem.inputs.device)
        self._known: dict[tuple[int, int, bytes], float] = {}
        if problem.kind == "pictures":
            _prefer_channels_last(problem)

    def ask(
        self, masks: Masks, fill: Fill, tell: Callable[[int], None] | None = None, seen: Seen | None = None
    ) -> Scores:
        """Score the M masked inputs, (M,). `tell` hears how many masks were answered after each pass.

        Masks of an input that repeat are asked once, as long as the same reference hides in them; those without keys
        cannot, and `seen` is given them with their scores while they are at hand.
        """
        keys = masks.keys()
        if keys is None:
            return self._answers(masks, fill, np.arange(len(masks.rows)), tell, seen)
        behind = np.full(len(keys), -1) if fill.drawn is None else fill.drawn
        named = list(zip(masks.rows.tolist(), behind.tolist(), keys, strict=True))
        fresh: dict[tuple[int, int, bytes], int] = {}
        for i, name in enumerate(named):
            if name not in self._known:
                fresh.setdefault(name, i)
        if fresh:
            asked = np.fromiter(fresh.values(), dtype=np.int64, count=len(fresh))
            answers = self._answers(masks, fill, asked, tell)
            self._known.update(zip(fresh, answers.tolist(), strict=True))
        return np.fromiter((self._known[name] for name in named), dtype=np.float64, count=len(named))

    def _answers(
        self,
        masks: Masks,
        fill: Fill,
        asked: npt.NDArray[np.int64],
        tell: Callable[[int], None] | None,
        seen: Seen | None = None,
    ) -> Scores:
        """Score the masks of these numbers, which rise."""
        each, references = fill.each, fill.references
        targets = self.problem.targets.tolist()
        per_pass = max(1, NUMBERS_PER_PASS.get(references.device.type, 2**21) // _numbers(references[0]))

        def answer(start: int, end: int) -> Tensor:
            questions = np.arange(start, end)
            which = asked[questions // each]
            behind = questions % each if fill.drawn is None else fill.drawn[which]
            rows = masks.rows[which]
            first = int(which[0])
            mask = masks.chunk(first, int(which[-1]) + 1)
            if len(mask) != len(which):
                mask = mask[torch.as_tensor(which - first, device=mask.device)]
            inputs = _painted(mask, _picked(self._inputs, rows), _picked(references, behind))
            wanted = torch.as_tensor(np.array([targets[row] for row in rows]), device=inputs.device)
            column = self._half.scores(self.problem.model, inputs, wanted, rows)
            if seen is not None:
                seen(rows, mask, column)
            if tell is not None:
                tell(end // each)
            return column

        columns = in_passes(self.problem.model, len(asked) * each, per_pass, answer)
        means = columns.double().reshape(len(asked), each).mean(dim=1)
        found: Scores = means.cpu().numpy()
        return found


def _numbers(one: Tensor) -> int:
    return one.numel() if one.is_floating_point() else one.numel() * NUMBERS_PER_TOKEN


def _picked(batch: Tensor, rows: npt.NDArray[np.int64]) -> Tensor:
    # One and the same row is broadcast by what comes next, which saves a copy per mask.
    if (rows == rows[0]).all():
        return batch[int(rows[0])][None]
    return batch[torch.as_tensor(rows, device=batch.device)]


def _painted(mask: Tensor, shown: Tensor, hidden: Tensor) -> Tensor:
    if mask.dtype is torch.bool:
        return torch.where(mask, shown, hidden)
    return torch.lerp(hidden.expand(len(mask), *hidden.shape[1:]), shown, mask)


def _prefer_channels_last(problem: Problem) -> None:
    """Lay the convolutions' weights out by channels, three times faster on CPUs, unless the model would not run so.

    A `view` over the channels and what follows is refused by torch in that layout; the scores must stay what they were.
    """
    convolutions = [m for m in problem.model.network.modules() if isinstance(m, nn.Conv2d) and m.in_channels > 1]
    if not convolutions:
        return
    probe = problem.inputs[:1].repeat(2, 1, 1, 1)
    with torch.no_grad():
        before = problem.model(probe)
        for convolution in convolutions:
            convolution.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        try:
            after = problem.model(probe.contiguous(memory_format=torch.channels_last))
            stays = torch.allclose(after, before, rtol=1e-4, atol=1e-5 * float(before.abs().max()))
        except RuntimeError:
            stays = False
    if not stays:
        for convolution in convolutions:
            convolution.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
