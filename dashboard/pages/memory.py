"""Memory: what the allocator handed out at each step, which part of the model holds it, and what filled a peak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from torchglass.charts.memory import PREFIX, apart, memory_data, memory_figure, memory_split_figure, read_memory
from torchglass.charts.memory_peak import KIND, PeakData, peak_data, peak_figure
from torchglass.charts.series_titles import series_title
from torchglass.charts.text import markdown_text, plain_text, sentence
from torchglass.charts.units import quantity
from torchglass.dashboard import notices
from torchglass.dashboard.figures import TILE_PIXELS, draw
from torchglass.dashboard.live import live_charts
from torchglass.store import Artifact, Run, Series, Store

MISSING = "missing/"
RECORD = """with torchglass.attach(model, optimizer) as run:
    for step, batch in enumerate(run.batches(loader)):
        if step == 100:
            run.record_memory(steps=3)
        ..."""
ALARMS = ("warnings/memory", "warnings/memory retries")
SPLIT = "Each storage counts once, as the optimizer is about to step."
ACTIVATIONS = (
    " Activations and other: the highest mark so far less the other parts, which is whatever else was alive at that "
    "peak. Gradients that did not exist yet at the peak make it too small."
)
TABLE_ROWS = 50
REASON_CHARACTERS = 400
FEWEST_COLUMNS = 4  # one tile alone would be as wide as the page
_TILES = (
    ("Peak", "peak_bytes", "The most that tensors held at a time, as torch.cuda.max_memory_allocated() counts."),
    ("Allocated", "allocated_bytes", "What tensors held at the end of the last step."),
    ("Reserved", "reserved_bytes", "What torch had taken from the device by then."),
    ("Fragmentation", "fragmentation_bytes", "Reserved and in no tensor: cached, or in pieces too small to use."),
    ("This process", "process_bytes", "Resident memory on the host, as ps -o rss prints it."),
)


def show(store: Store, run: Run) -> None:
    """Draw the latest figures, the split and the largest allocations of a peak, and below them every step, live."""
    notices.run_heading("Memory", store, run)
    series = store.series_of(run.id, kind="memory")
    peaks = store.artifacts(run.id, kind=KIND)
    if not series and not peaks and run.status != "running":
        notices.nothing_recorded("This run measured no memory.", notices.ATTACH)
        return
    notices.offer_refresh(run)
    rank = _choose_rank(series, peaks)
    facts = {fact.key: fact.value for fact in store.facts(run.id) if fact.rank == rank}
    limit = _limit(facts)
    _alarms(facts)
    if series:
        _tiles({one.key: one for one in series if one.rank == rank})
        _split(store, run, rank, limit, facts)
    _peaks(store, [peak for peak in peaks if peak.rank == rank], facts)
    _reasons(facts)
    st.subheader("Every step", anchor=False)
    live_charts(
        run,
        ["memory"],
        rank=rank,
        waiting="Waiting for the first step to end.",
        ended="The run ended before its first step did.",
    )


def _choose_rank(series: Sequence[Series], peaks: Sequence[Artifact]) -> int:
    ranks = sorted({one.rank for one in series} | {peak.rank for peak in peaks}) or [0]
    if len(ranks) == 1:
        return ranks[0]
    chosen = st.segmented_control("Rank", ranks, default=ranks[0], required=True)
    return ranks[0] if chosen is None else int(chosen)


def _limit(facts: Mapping[str, Any]) -> float | None:
    fact = facts.get("memory")
    if not isinstance(fact, Mapping):
        return None
    total = fact.get("total_bytes")
    limit = float(total) if isinstance(total, int | float) else None
    st.text(plain_text(f"{fact.get('device', '')} · {quantity(limit, 'B')} in all"))
    return limit


def _alarms(facts: Mapping[str, Any]) -> None:
    for key in ALARMS:
        if key in facts:
            st.warning("Memory is running out.", icon=":material/warning:")
            st.text(plain_text(facts[key], REASON_CHARACTERS))


def _tiles(series: Mapping[str, Series]) -> None:
    """Show what was measured; why the rest was not stands below, once for all of it."""
    shown = [(title, series[_key(name)], meaning) for title, name, meaning in _TILES if _key(name) in series]
    if not shown:
        return
    tiles = st.grid(max(len(shown), FEWEST_COLUMNS), min_column_width=TILE_PIXELS)
    for title, found, meaning in shown:
        tiles.metric(title, quantity(found.last, "B"), border=True, help=meaning)


def _split(store: Store, run: Run, rank: int, limit: float | None, facts: Mapping[str, Any]) -> None:
    data = memory_data(read_memory(store, run.id, rank), limit_bytes=limit)
    if not data.parts:
        return
    draw(lambda dark: memory_split_figure(data, dark=dark), "memory_split", "What each part of the model holds")
    together, _ = apart(data)
    draw(lambda dark: memory_figure(together, dark=dark), "memory_steps", "Memory of each part over the steps, stacked")
    st.caption(SPLIT + (ACTIVATIONS if "activations" in data.parts else ""))
    plan = facts.get("memory/split")
    if isinstance(plan, Mapping):
        cost = quantity(_number(plan, "cost_seconds"), "s")
        st.text(plain_text(f"Measured every {plan.get('every')} steps: it takes {cost}, too long for more often."))


def _peaks(store: Store, peaks: Sequence[Artifact], facts: Mapping[str, Any]) -> None:
    st.subheader("Largest allocations of a peak", anchor=False)
    if not peaks:
        reason = facts.get(f"{MISSING}{KIND}")
        notices.nothing_recorded(
            "No history of allocations was recorded in this run: ask for one in the loop, on a CUDA device.",
            RECORD,
            sentence(reason, REASON_CHARACTERS) if reason else None,
        )
        return
    chosen = peaks[-1]
    if len(peaks) > 1:
        named = {peak.id: peak for peak in peaks}
        picked = st.segmented_control(
            "Recording",
            list(named),
            default=chosen.id,
            required=True,
            format_func=lambda number: f"step {named[number].step}",
        )
        chosen = named.get(picked, chosen)
    arrays = store.arrays(chosen.id)
    top = peak_data(chosen.meta, arrays)
    draw(lambda dark: peak_figure(top, dark=dark), "memory_peak", "The largest allocations alive at the peak, by stack")
    st.caption(_told(chosen.meta))
    st.dataframe(
        _rows(peak_data(chosen.meta, arrays, top=TABLE_ROWS)),
        hide_index=True,
        width="stretch",
        column_config={"Share": st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100)},
    )


def _rows(data: PeakData) -> Mapping[str, Any]:
    whole = data.peak_bytes or 1.0
    return {
        "Where": list(data.labels),
        "Part": list(data.parts),
        "Share": (100 * data.sizes / whole).tolist(),
        "Size": [quantity(size, "B") for size in data.sizes.tolist()],
        "Allocations": data.counts.tolist(),
        "Largest": [quantity(size, "B") for size in data.largest.tolist()],
        "Stack, innermost first": list(data.stacks),
    }


def _told(meta: Mapping[str, Any]) -> str:
    """What a recording says of itself."""
    said = [
        f"{quantity(_number(meta, 'peak_bytes'), 'B')} at the peak of {meta.get('steps')} steps from step "
        f"{meta.get('first_step')} on {meta.get('device')}, {quantity(_number(meta, 'end_bytes'), 'B')} at their end; "
        f"sizes as asked for. Reading {meta.get('events')} events took "
        f"{quantity(_number(meta, 'snapshot_seconds'), 's')}."
    ]
    if meta.get("is_cut"):
        said.append("There were more events than are kept: the beginning follows from the end, without its stacks.")
    if meta.get("refused_bytes"):
        free = _number(meta, "free_bytes")
        said.append(
            f"An allocation of {quantity(_number(meta, 'refused_bytes'), 'B')} failed, with {quantity(free, 'B')} free."
        )
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
    with st.expander("What was not measured here, and why"):
        for reason, figures in reasons.items():
            st.text(f"{', '.join(figures)}: {reason}")
        if isinstance(others, Mapping):
            for device, parts in others.items():
                st.text(plain_text(f"On {device}: {_parts_text(parts)}", REASON_CHARACTERS))


def _parts_text(parts: Any) -> str:
    if not isinstance(parts, Mapping):
        return str(parts)
    return ", ".join(f"{name} {quantity(_number(parts, name), 'B')}" for name in parts)


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _key(name: str) -> str:
    return f"{PREFIX}{name}"
