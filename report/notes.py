"""Sentences under the headings of a run's sections: how things were measured, and what is not here."""

from __future__ import annotations

from torchglass.charts import plain_text
from torchglass.charts.dead_units import dead_units_text
from torchglass.charts.theme import MAX_LINES
from torchglass.charts.throttling import ThrottlingData
from torchglass.charts.units import number
from torchglass.language import mark, tr
from torchglass.report.contents import Contents
from torchglass.report.options import SECTIONS
from torchglass.report.overviews import overview_notes

CLOCKS = {"host": mark("the host's clock"), "cuda": mark("CUDA events")}
OF_RANK_0 = ("curves", "phases", "memory")
REASON = 300  # characters


def section_notes(contents: Contents) -> dict[str, list[str]]:
    """The sentences of each section, plain text."""
    notes: dict[str, list[str]] = {section: [] for section in SECTIONS}
    for section, sentence in contents.left_out.items():
        notes[section].append(sentence)
    if contents.rank_count > 1:
        told = tr("The run had {count} ranks; charts show rank 0.", count=contents.rank_count)
        for section in OF_RANK_0:
            notes[section].append(told)
    crowded = [name for name, data in contents.curves if data.left_out]
    if crowded:
        notes["curves"].append(tr("A chart has at most {count} curves.", count=MAX_LINES))
    notes["phases"] += _phase_notes(contents)
    notes["layers"] += [plain_text(dead_units_text(contents.dead_now), REASON)] if contents.dead_now else []
    notes["memory"] += _memory_notes(contents)
    notes["devices"] += _device_notes(contents)
    notes["kernels"] += _profile_notes(contents)
    notes["over_training"] += sorted(
        {plain_text(note, 200) for read in contents.over_training for note in read.strip.notes}
    )
    notes["overview"] += overview_notes(contents.overviews)
    notes["quality"] += contents.judged.texts["quality"]
    return notes


def _phase_notes(contents: Contents) -> list[str]:
    notes = []
    clock = contents.phase_facts.get("clock")
    if clock:
        known = CLOCKS.get(str(clock))
        notes.append(tr("Timed with {clock}.", clock=tr(known) if known else plain_text(clock)))
    notes += contents.work_notes
    if contents.phase_facts.get("note"):
        notes.append(plain_text(contents.phase_facts["note"], REASON))
    return notes


def _memory_notes(contents: Contents) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for figure, reason in contents.resources.memory_missing:
        by_reason.setdefault(reason.rstrip("."), []).append(plain_text(figure))
    notes = [
        tr("Not measured: {figures}: {reason}.", figures=", ".join(figures), reason=reason)
        for reason, figures in by_reason.items()
    ]
    return [*(peak.told for peak in contents.resources.peaks), *notes]


def _device_notes(contents: Contents) -> list[str]:
    notes = [
        tr("{what}: {reason}.", what=plain_text(key), reason=plain_text(reason, REASON).rstrip("."))
        for key, reason in contents.missing_devices
    ]
    return notes + _throttling_notes(contents.resources.throttling)


def _throttling_notes(data: ThrottlingData) -> list[str]:
    if data.share is None:
        return []
    if not data.stretches:
        return [tr("No reading found a GPU held back: its clocks were as high as was asked of them.")]
    share = number(float(f"{100 * data.share:.3g}"))
    notes = [tr("At {share} % of the readings a GPU ran slower than was asked of it.", share=share)]
    if data.slowdown is not None:
        times = number(float(f"{data.slowdown:.3g}"))
        notes.append(tr("Steps took {times} times as long there as elsewhere, by the medians.", times=times))
    return notes


def _profile_notes(contents: Contents) -> list[str]:
    """What was profiled, and why a part of it is missing; how far to trust it stands apart."""
    profile = contents.profile
    if not profile.window_count:
        return []
    if profile.window_count == 1:
        told = tr("{steps} steps were profiled in 1 window{rank}.", steps=profile.steps, rank=_of(profile.rank))
    else:
        told = tr(
            "{steps} steps were profiled in {windows} windows{rank}.",
            steps=profile.steps,
            windows=profile.window_count,
            rank=_of(profile.rank),
        )
    notes = [told]
    if profile.left_out:
        notes.append(tr("{count} earlier windows are left out.", count=profile.left_out))
    notes += profile.said
    by_reason: dict[str, list[str]] = {}
    for name, reason in profile.missing.items():
        by_reason.setdefault(plain_text(reason, REASON).rstrip("."), []).append(plain_text(name))
    notes += [tr("No {names}: {reason}.", names=", ".join(names), reason=reason) for reason, names in by_reason.items()]
    return [*notes, *(plain_text(note, REASON) for note in profile.notes)]


def _of(rank: int) -> str:
    return tr(" of rank {rank}", rank=rank) if rank else ""
