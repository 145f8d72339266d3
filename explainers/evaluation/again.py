"""Explain again as the explanation was made, within what a budget leaves."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from torchglass.explainers.evaluation.case import ExplainAgain, UndefinedError
from torchglass.explainers.explanation import Explanation, FloatArray
from torchglass.explainers.front_door import explain
from torchglass.explainers.registry import load_frame, method_names


class Again:
    """Repeat an explanation on other inputs or another model, and count what it costs."""

    def __init__(self, explanation: Explanation, given: Mapping[str, Any], seconds_left: Callable[[], float]) -> None:
        self._own = explanation
        self._given = dict(given)
        self._seconds_left = seconds_left
        self.evaluations = 0

    def for_one_metric(self) -> ExplainAgain:
        """Give the function that a metric calls; its first call foretells the time of all.

        It raises UndefinedError where the budget leaves too little, and ExplainError as `explain` does.
        """
        foretold = False

        def explained(model: nn.Module, inputs: Tensor, targets: Tensor, in_all: int) -> FloatArray:
            nonlocal foretold
            if frame_of(self._own) is not None:
                raise UndefinedError(
                    f"method {self._own.method!r} explains what its options name in these inputs alone"
                )
            if not foretold:
                self._refuse_what_takes_too_long(in_all)
                foretold = True
            found = explain(
                model,
                inputs,
                targets,
                self._own.method,
                kind=self._own.kind,
                seed=self._own.seed,
                **{**self._own.options, **self._given, "layer": self._own.layer},
            )
            self.evaluations += found.model_evaluations
            return found.attributions

        return explained

    def _refuse_what_takes_too_long(self, inputs: int) -> None:
        needed, left = self._own.seconds / len(self._own.targets) * inputs, self._seconds_left()
        if needed > left:
            raise UndefinedError(
                f"explaining {inputs} times would take {needed:.2g} s, and the budget leaves {left:.2g} s"
            )


def frame_of(explanation: Explanation) -> Callable[..., nn.Module] | None:
    """Give what makes the explained network one that has scores, where its method is for networks without."""
    known = explanation.method in method_names(explanation.kind)
    return load_frame(explanation.kind, explanation.method) if known else None
