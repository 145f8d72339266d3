"""A comparison of variants as tables for a terminal: training, inference, and what could not run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchglass.reference_models.variants.results import (
        Comparison,
        Inference,
        Memory,
        Row,
        Timing,
        Training,
    )

Cells = tuple[str, ...]

NOT_KNOWN = "N/A"
FAITHFUL = 0.99  # share of equal answers below which the table says so in words
TIME_HEADS: Cells = ("TIME", "QUARTILES", "RATIO", "95 % INTERVAL", "SAMPLES/S", "READY IN", "PEAK MEMORY")
TRAINING_HEADS: Cells = ("VARIANT", *TIME_HEADS, "LOSS", "- FP32'S", "|ΔGRADIENT|")
INFERENCE_HEADS: Cells = (
    "VARIANT", *TIME_HEADS, "SIZE", "COMPRESSED", "ACCURACY", "SAME ANSWERS", "MAX |ΔLOGIT|", "KL",
)  # fmt: skip


def lines_of(comparison: Comparison) -> Iterator[str]:
    """Yield the lines of a comparison."""
    threads = f", {comparison.threads} threads" if comparison.device == "cpu" else ""
    yield (
        f"{comparison.model} on {comparison.dataset}, batches of {comparison.batch_size}, {comparison.device_name} "
        f"({comparison.device}{threads}), torch {comparison.torch}, {comparison.rounds} rounds in random order"
    )
    trained = [(row, row.training) for row in comparison.rows if row.training and row.training.status == "measured"]
    if any(row.training for row in comparison.rows):
        steps = len(trained[0][1].losses) if trained else 0
        yield f"\nTRAINING: a step on a batch in its place; loss at step {steps}, from the same fresh weights"
        yield from _table([TRAINING_HEADS, *(_training(row, found) for row, found in trained)])
        yield from _others(comparison.rows, "training")
    answered = [(row, row.inference) for row in comparison.rows if row.inference and row.inference.status == "measured"]
    if any(row.inference for row in comparison.rows):
        yield f"\nINFERENCE: a batch in its place; accuracy and agreement with fp32 on {comparison.test_images} images"
        yield from _table([INFERENCE_HEADS, *(_inference(row, found) for row, found in answered)])
        yield from _others(comparison.rows, "inference")
    yield from _footnotes(comparison.rows)


def _training(row: Row, found: Training) -> Cells:
    return (
        row.name,
        *_times(found.timing, found.memory),
        _number(found.losses[-1], ".4f"),
        _number(found.last_loss_difference, "+.4f"),
        _number(found.gradient_difference, ".1e"),
    )


def _inference(row: Row, found: Inference) -> Cells:
    agreement = found.agreement
    return (
        row.name,
        *_times(found.timing, found.memory),
        _bytes(found.size.file_bytes),
        _bytes(found.size.compressed_bytes),
        f"{found.accuracy:.2%}",
        f"{agreement.same_answers:.2%}",
        _number(agreement.largest_difference, ".1e"),
        _number(agreement.divergence, ".1e"),
    )


def _times(timing: Timing, memory: Memory) -> Cells:
    return (
        _seconds(timing.median_seconds),
        f"{_seconds(timing.low_seconds)} to {_seconds(timing.high_seconds)}",
        f"{timing.ratio:.2f}",
        f"{timing.ratio_low:.2f} to {timing.ratio_high:.2f}",
        f"{timing.samples_per_second:,.0f}",
        _seconds(timing.ready_seconds),
        _bytes(memory.peak_bytes),
    )


def _others(rows: Sequence[Row], mode: str) -> Iterator[str]:
    for row in rows:
        found = row.training if mode == "training" else row.inference
        if found is not None and found.status == "cannot run":
            yield f"{row.name}: cannot run: {found.reason}"


def _footnotes(rows: Sequence[Row]) -> Iterator[str]:
    yield ""
    measured = [
        (row.name, found)
        for row in rows
        for found in (row.training, row.inference)
        if found is not None and found.status == "measured"
    ]
    notes: dict[str, None] = {}
    for name, found in measured:
        notes.update(dict.fromkeys(f"{name}: {note}" for note in found.notes))
        notes.update(dict.fromkeys(f"{name}: torch says: {said.strip()}" for said in found.warnings))
    for row in rows:
        if row.inference is not None and row.inference.status == "measured":
            notes.update(dict.fromkeys(_doubts(row.name, row.inference)))
    missing = dict.fromkeys(found.memory.missing for _, found in measured if found.memory.missing)
    notes.update(dict.fromkeys(f"peak memory {NOT_KNOWN}: {reason}" for reason in missing))
    sources = dict.fromkeys(found.memory.source for _, found in measured if found.memory.source)
    for source in sources:
        notes[
            f"peak memory: {source} that a fresh process took for model, technique (its libraries too) and calls, once "
            "torch was loaded"
        ] = None
    yield from notes


def _doubts(name: str, found: Inference) -> Iterator[str]:
    agreement = found.agreement
    if agreement.nonfinite_count:
        yield f"{name}: {agreement.nonfinite_count} answers are not finite"
    if agreement.same_answers < FAITHFUL:
        yield f"{name}: {1 - agreement.same_answers:.1%} of its answers differ from the original's"


def _table(rows: Sequence[Cells]) -> Iterator[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        shown = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        yield "  ".join([name.ljust(widths[0]), *shown])


def _seconds(value: float) -> str:
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if value * factor < 999.5:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s"


def _bytes(value: int | None) -> str:
    if value is None:
        return NOT_KNOWN
    for factor, unit in ((1e-3, "kB"), (1e-6, "MB")):
        if value * factor < 999.5:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e-9:.3g} GB"


def _number(value: float | None, form: str) -> str:
    return NOT_KNOWN if value is None else format(value, form)
