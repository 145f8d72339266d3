"""Compare variants that answer: how fast, how large, how right, and how near to the original."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from torchglass.reference_models.variants.agreement import accuracy, agreement, logits_of
from torchglass.reference_models.variants.devices import waiting_for
from torchglass.reference_models.variants.preparing import prepare
from torchglass.reference_models.variants.results import CannotRun, Inference, Size
from torchglass.reference_models.variants.shipping import shipped_size
from torchglass.reference_models.variants.technique import Forward, Predictor, Variant
from torchglass.reference_models.variants.timing import reason, summarize
from torchglass.reference_models.variants.workplace import Measured, Recall, Workplace


class Ready(NamedTuple):
    """A predictor that has answered the test images: logits (N, classes)."""

    predictor: Predictor
    seconds: float
    warnings: tuple[str, ...]
    logits: Tensor
    size: Size


def compare_inference(place: Workplace, variants: Sequence[Variant], recall: Recall) -> Measured[Inference]:
    """Measure each variant that answers, in turns, and compare its logits with the original model's.

    Raises:
        OptionError: the first variant, with which the others are compared, cannot run.
    """
    found = {variant.name: _ready(place, variant) for variant in variants}
    ready = {name: each for name, each in found.items() if isinstance(each, Ready)}
    images, _ = place.batches()[0]
    tasks = {name: _task(each.predictor.forward, images) for name, each in ready.items()}
    turns, calls = place.take_turns(tasks, variants[0].name, found)
    test_images, labels = place.split.test.inputs, place.split.test.targets
    original = logits_of(copy.deepcopy(place.model).eval(), test_images, place.batch_size, place.device)
    outcomes: dict[str, Inference | CannotRun] = {}
    for variant in variants:
        name, each = variant.name, found[variant.name]
        place.tell(f"inference, memory of {name}")
        if isinstance(each, CannotRun) or name in turns.failed:
            outcomes[name] = each if isinstance(each, CannotRun) else turns.failed[name]
            continue
        seconds = turns.seconds[name]
        outcomes[name] = Inference(
            timing=summarize(seconds, turns.seconds[variants[0].name], place.batch_size, each.seconds),
            memory=recall(name, "infer"),
            size=each.size,
            accuracy=accuracy(each.logits, labels),
            agreement=agreement(each.logits, original),
            notes=each.predictor.notes,
            warnings=each.warnings,
        )
    return Measured(outcomes, turns.seconds, calls)


def _ready(place: Workplace, variant: Variant) -> Ready | CannotRun:
    """Make the predictor, let it answer the test images, and weigh it."""
    place.tell(f"inference, {variant.name}")
    if variant.predictor is None:
        return CannotRun(variant.one_sided)
    subject = place.subject(place.model, training=False)

    def first_call(predictor: Predictor) -> None:
        with torch.no_grad():
            predictor.forward(subject.images)

    prepared = prepare(variant.predictor, first_call, subject, waiting_for(place.device))
    if isinstance(prepared, CannotRun):
        return prepared
    try:
        logits = logits_of(prepared.made.forward, place.split.test.inputs, place.batch_size, place.device)
        size = shipped_size(prepared.made)
    except Exception as error:  # a model that cannot be saved, or fails on other data: of whatever class
        return CannotRun(reason(error))
    return Ready(prepared.made, prepared.seconds, prepared.warnings, logits, size)


def _task(forward: Forward, images: Tensor) -> Callable[[], object]:
    @torch.no_grad()
    def answer() -> None:
        forward(images)

    return answer
