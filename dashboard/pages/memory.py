"""Memory: what the allocator handed out at each step, which part of the model holds it, and what filled a peak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from torchglass.charts.memory import (
    PREFIX,
    apart,
    memory_data,
    memory_figure,
    memory_split_figure,
    parts_at,
    read_memory,
)
from torchglass.charts.memory_peak import KIND, PeakData, peak_data, peak_figure
from torchglass.charts.records import Recorded
from torchglass.charts.series_titles import series_title
from torchglass.charts.text import markdown_text, plain_text, sentence
from torchglass.charts.units import quantity
from torchglass.dashboard import notices
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import TILE_PIXELS, Source, draw
from torchglass.dashboard.drawing.live import live_charts
from torchglass.dashboard.stepping.cursor import chosen_step
from torchglass.dashboard.stepping.memory_values import show_values
from torchglass.dashboard.stepping.recorded_step import step_told
from torchglass.language import mark, tr
from torchglass.store import Artifact, Run, Series, Store

MISSING = "missing/"
RECORD = """with torchglass.attach(model, optimizer) as run:
    for step, batch in enumerate(run.batches(loader)):
        if step == 100:
            run.record_memory(steps=3)
        ..."""
ALARMS = ("warnings/memory", "warnings/memory retries")
SPLIT = mark("Each storage counts once, as the optimizer is about to step.")
ACTIVATIONS = mark(
    "Activations and other: the highest mark so far less the other parts, which is whatever else was alive at that "
    "peak. Gradients that did not exist yet at the peak make it too small."
)
TABLE_ROWS = 50
REASON_CHARACTERS = 400
FEWEST_COLUMNS = 4  # one tile alone would be as wide as the page
_TILES = (
    (
        mark("Peak"),
        "peak_bytes",
        mark("The most that tensors held at a time, as torch.cuda.max_memory_allocated() counts."),
    ),
    (mark("Allocated"), "allocated_bytes", mark("What tensors held at the end of the last step.")),
    (mark("Reserved"), "reserved_bytes", mark("What torch had taken from the device by then.")),
    (
        mark("Fragmentation"),
        "fragmentation_bytes",
        mark("Reserved and in no tensor: cached, or in pieces too small to use."),
    ),
    (mark("This process"), "process_bytes", mark("Resident memory on the host, as ps -o rss prints it.")),
)


def show(store: Store, run: Run) -> None:
    """Draw the latest figures, the split and the largest allocations of a peak, and below them every step, live."""
    notices.run_heading(tr("Memory"), store, run)
    series = store.series_of(run.id, kind="memory")
    peaks = store.artifacts(run.id, kind=KIND)
    if not series and not peaks and run.status != "running":
        notices.nothing_recorded(tr("This run measured no memory."), notices.ATTACH)
        return
    notices.offer_refresh(run)
    rank = _choose_rank(series, peaks)
    facts = {fact.key: fact.value for fact in store.facts(run.id) if fact.rank == rank}
    limit = _limit(facts)
    _alarms(facts)
    if series:
        ours = [one for one in series if one.rank == rank]
        _tiles({one.key: one for one in ours})
        _split(store, run, rank, limit, facts)
        show_values(store, run, ours, rank)
    _peaks(store, run, [peak for peak in peaks if peak.rank == rank], facts)
    _reasons(facts)
    st.subheader(tr("Every step"), anchor=False)
    live_charts(
        run,
        ["memory"],
        rank=rank,
        waiting=tr("Waiting for the first step to end."),
        ended=tr("The run ended before its first step did."),
    )


def _choose_rank(series: Sequence[Series], peaks: Sequence[Artifact]) -> int:
    ranks = sorted({one.rank for one in series} | {peak.rank for peak in peaks}) or [0]
    if len(ranks) == 1:
        return ranks[0]
    chosen = st.segmented_control(tr("Rank"), ranks, default=ranks[0], required=True)
    return ranks[0] if chosen is None else int(chosen)


def _limit(facts: Mapping[str, Any]) -> float | None:
    fact = facts.get("memory")
    if not isinstance(fact, Mapping):
        return None
    total = fact.get("total_bytes")
    limit = float(total) if isinstance(total, int | float) else None
    st.text(plain_text(tr("{device} · {size} in all", device=fact.get("device", ""), size=quantity(limit, "B"))))
    return limit


def _alarms(facts: Mapping[str, Any]) -> None:
    for key in ALARMS:
        if key in facts:
            st.warning(tr("Memory is running out."), icon=":material/warning:")
            st.text(plain_text(facts[key], REASON_CHARACTERS))


def _tiles(series: Mapping[str, Series]) -> None:
    """Show what was measured; why the rest was not stands below, once for all of it."""
    shown = [(title, series[_key(name)], meaning) for title, name, meaning in _TILES if _key(name) in series]
    if not shown:
        return
    tiles = st.grid(max(len(shown), FEWEST_COLUMNS), min_column_width=TILE_PIXELS)
    for title, found, meaning in shown:
        tiles.metric(tr(title), quantity(found.last, "B"), border=True, help=tr(meaning))


def _split(store: Store, run: Run, rank: int, limit: float | None, facts: Mapping[str, Any]) -> None:
    records = read_memory(store, run.id, rank)
    data = memory_data(records, limit_bytes=limit)
    if not data.parts:
        return
    step = chosen_step()
    split, measured = parts_at(data, records, step) if step is not None else (data, None)
    draw(
        lambda dark: memory_split_figure(split, dark=dark),
        "memory_split",
        tr("What each part of the model holds"),
        _source(store, run, rank, records, limit, step),
    )
    if measured is not None:
        st.caption(step_told(measured))
    together, _ = apart(data)
    draw(
        lambda dark: memory_figure(together, dark=dark),
        "memory_steps",
        tr("Memory of each part over the steps, stacked"),
        _source(store, run, rank, records, limit, None),
    )
    st.caption(tr(SPLIT) + (f" {tr(ACTIVATIONS)}" if "activations" in data.parts else ""))
    plan = facts.get("memory/split")
    if isinstance(plan, Mapping):
        cost = quantity(_number(plan, "cost_seconds"), "s")
        told = tr(
            "Measured every {every} steps: it takes {cost}, too long for more often.",
            every=plan.get("every"),
            cost=cost,
        )
        st.text(plain_text(told))


def _source(
    store: Store, run: Run, rank: int, records: Sequence[Recorded], limit: float | None, step: int | None
) -> Source:
    """Where the split (of a step, if one was chosen) or the curves of all steps come from."""
    reading = f"records = read_memory(store, run.id, {rank})"
    names, drawing = "apart, memory_data, memory_figure, read_memory", "memory_figure(apart(data)[0]).show()"
    data = f"data = memory_data(records, limit_bytes={limit})"
    if step is not None:
        names = "memory_data, memory_split_figure, parts_at, read_memory"
        drawing = f"memory_split_figure(parts_at(data, records, {step})[0]).show()"
    code = chart_code(store, run, f"from torchglass.charts.memory import {names}", reading, f"{data}\n{drawing}")
    return Source("series", {"ids": ",".join(str(record.series.id) for record in records)}, code)


def _peaks(store: Store, run: Run, peaks: Sequence[Artifact], facts: Mapping[str, Any]) -> None:
    st.subheader(tr("Largest allocations of a peak"), anchor=False)
    if not peaks:
        reason = facts.get(f"{MISSING}{KIND}")
        notices.nothing_recorded(
            tr("No history of allocations was recorded in this run: ask for one in the loop, on a CUDA device."),
            RECORD,
            sentence(reason, REASON_CHARACTERS) if reason else None,
        )
        return
    step = chosen_step()
    by_itself = peaks[-1] if step is None else min(peaks, key=lambda peak: (abs(peak.step - step), peak.step))
    chosen = by_itself
    if len(peaks) > 1:
        named = {peak.id: peak for peak in peaks}
        picked = st.segmented_control(
            tr("Recording"),
            list(named),
            default=chosen.id,
            required=True,
            format_func=lambda number: tr("step {step}", step=f"{named[number].step:,}"),
            key=f"recording-{by_itself.id}",  # anew where the cursor came to another one
        )
        chosen = named.get(picked, chosen)
    if step is not None and chosen is by_itself:
        st.caption(step_told(chosen.step))
    arrays = store.arrays(chosen.id)
    top = peak_data(chosen.meta, arrays)
    code = chart_code(
        store,
        run,
        "from torchglass.charts.memory_peak import peak_data, peak_figure",
        f'(found,) = [each for each in store.artifacts(run.id, kind="{KIND}") if each.id == {chosen.id}]\n'
        "data = peak_data(found.meta, store.arrays(found.id))",
        "peak_figure(data).show()",
    )
    alt = tr("The largest allocations alive at the peak, by stack")
    told = Source("artifact_columns", {"id": chosen.id}, code)
    draw(lambda dark: peak_figure(top, dark=dark), "memory_peak", alt, told)
    st.caption(_told(chosen.meta))
    st.dataframe(
        _rows(peak_data(chosen.meta, arrays, top=TABLE_ROWS)),
        hide_index=True,
        width="stretch",
        column_config={tr("Share"): st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100)},
    )


def _rows(data: PeakData) -> Mapping[str, Any]:
    whole = data.peak_bytes or 1.0
    return {
        tr("Where"): list(data.labels),
        tr("Part"): list(data.parts),
        tr("Share"): (100 * data.sizes / whole).tolist(),
        tr("Size"): [quantity(size, "B") for size in data.sizes.tolist()],
        tr("Allocations"): data.counts.tolist(),
        tr("Largest"): [quantity(size, "B") for size in data.largest.tolist()],
        tr("Stack, innermost first"): list(data.stacks),
    }


def _told(meta: Mapping[str, Any]) -> str:
    """What a recording says of itself."""
    said = [
        tr(
            "{peak} at the peak of {count} steps from step {first} on {device}, {end} at their end; sizes as asked "
            "for. Reading {events} events took {time}.",
            peak=quantity(_number(meta, "peak_bytes"), "B"),
            count=meta.get("steps"),
            first=meta.get("first_step"),
            device=meta.get("device"),
            end=quantity(_number(meta, "end_bytes"), "B"),
            events=meta.get("events"),
            time=quantity(_number(meta, "snapshot_seconds"), "s"),
        )
    ]
    if meta.get("is_cut"):
        said.append(tr("There were more events than are kept: the beginning follows from the end, without its stacks."))
    if meta.get("refused_bytes"):
        asked, free = (quantity(_number(meta, name), "B") for name in ("refused_bytes", "free_bytes"))
        said.append(tr("An allocation of {size} failed, with {free} free.", size=asked, free=free))
    return markdown_text(" ".join(said), 600)


def _reasons(facts: Mapping[str, Any]) -> None:
    reasons: dict[str, list[str]] = {}
    for key, reason in facts.items():
        if key.startswith(f"{MISSING}{PREFIX}"):
            figure = series_title("memory", key.removeprefix(MISSING))
            reasons.setdefault(plain_text(reason, REASON_CHARACTERS), []).append(plain_text(figure))
    others = facts.get("memory/other devices")
    if not reasons and not others:
        return
    with st.expander(tr("What was not measured here, and why")):
        for reason, figures in reasons.items():
            st.text(f"{', '.join(figures)}: {reason}")
        if isinstance(others, Mapping):
            for device, parts in others.items():
                told = tr("On {device}: {parts}", device=device, parts=_parts_text(parts))
                st.text(plain_text(told, REASON_CHARACTERS))


def _parts_text(parts: Any) -> str:
    if not isinstance(parts, Mapping):
        return str(parts)
    return ", ".join(f"{name} {quantity(_number(parts, name), 'B')}" for name in parts)


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _key(name: str) -> str:
    return f"{PREFIX}{name}"
