"""Kernels: what the operators and kernels of a profiler window cost, why the GPU waited, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import streamlit as st

from torchglass.charts.breakdown import MEANINGS, SHORT, breakdown_data, breakdown_figure
from torchglass.charts.honesty import honesty_data, remarks
from torchglass.charts.icicle import ROOTS, icicle_data, icicle_figure, sides_of
from torchglass.charts.idle import idle_data, idle_figure
from torchglass.charts.kernels import kernels_data, kernels_figure
from torchglass.charts.listings import (
    Listing,
    collectives_listing,
    copies_listing,
    gaps_listing,
    kernels_listing,
    launches_listing,
    operators_listing,
    skew_listing,
    tensor_core_percent,
)
from torchglass.charts.roofline import roofline_data, roofline_figure
from torchglass.charts.text import plain_text, sentence
from torchglass.charts.units import quantity
from torchglass.charts.windows import missing_reasons, read_tables, size_of
from torchglass.charts.work_done import work_notes
from torchglass.dashboard import notices
from torchglass.dashboard.figures import TILE_PIXELS, draw
from torchglass.dashboard.listing_table import show_listing
from torchglass.dashboard.profile_now import offer_profile
from torchglass.dashboard.window_choice import choose_windows, wait_for_windows
from torchglass.store import ProfilerWindow, Run, Store
from torchglass.store.records import RowKind, Table

TABLE_ROWS = 500
KINDS: Mapping[RowKind, str] = {"kernel": "GPU kernels", "operator": "Operators"}


class Found(NamedTuple):
    """Chosen windows, their tables added up, how many steps they span, and why tables are missing."""

    windows: Sequence[ProfilerWindow]
    tables: Mapping[str, Table]
    steps: int
    missing: Mapping[str, str]


def show(store: Store, run: Run) -> None:
    """Draw what one window found, or all of them together."""
    notices.run_heading("Kernels", store, run)
    windows = store.windows(run.id)
    wait_for_windows(store.location, run, windows)
    picker, button = st.columns([3, 1], vertical_alignment="bottom")
    with button:
        offer_profile(store, run)
    if not windows:
        notices.nothing_recorded("This run has no profiler window yet.", notices.PROFILE)
        return
    with picker:
        chosen = choose_windows(run, windows, may_add_up=True)
    steps = max(1, sum(window.step_count for window in chosen))
    found = Found(chosen, read_tables(store, chosen), steps, missing_reasons(chosen))
    _honesty(found)
    _busy(found)
    _tree(found)
    _tops(found)
    _roofline(store, run, found)
    _idle(found)
    _rest(found)


def _honesty(found: Found) -> None:
    """Alarms as red badges, the rest in one line."""
    said = remarks(honesty_data(found.windows, found.tables))
    for remark in said:
        if remark.is_alarm:
            st.badge(remark.text, icon=":material/warning:", color="red")
    steps = f"{found.steps} profiled step{'s' if found.steps != 1 else ''}"
    st.caption(" · ".join([steps, *(remark.text for remark in said if not remark.is_alarm)]))
    for note in dict.fromkeys(str(window.facts["note"]) for window in found.windows if window.facts.get("note")):
        st.text(plain_text(note, 300))


def _busy(found: Found) -> None:
    data = breakdown_data(found.tables.get("breakdown"))
    if not data.devices:
        _absent(found, "breakdown", "No GPU worked in this window: what follows is about the host.")
        return
    st.subheader("What the GPU did", anchor=False)
    tiles = st.grid(len(SHORT) + 1, min_column_width=TILE_PIXELS)
    for part, title in SHORT.items():
        share = data.sums[part] / data.total if data.total > 0 else None
        tiles.metric(
            title,
            "–" if share is None else f"{100 * share:.1f} %",
            border=True,
            help=f"{quantity(data.sums[part], 's')} of {quantity(data.total, 's')}: {MEANINGS[part]}.",
        )
    core, missed = tensor_core_percent(found.tables.get("kernels"))
    tiles.metric(
        "On tensor cores",
        "N/A" if core is None else f"{core:.0f} %",
        border=True,
        help="Of the kernels' time. "
        + ("No kernel was seen." if missed is None else f"Another {missed:.0f} % looks as if it could run on them."),
    )
    draw(lambda dark: breakdown_figure(data, dark=dark), "breakdown", "What each GPU did with the time of the window")


def _tree(found: Found) -> None:
    links = found.tables.get("links")
    sides = sides_of(links)
    st.subheader("From the phase to the kernel", anchor=False)
    if not sides:
        _absent(found, "links", "This window has no links from operators to modules and kernels.")
        return
    side = sides[0]
    if len(sides) > 1:
        side = st.segmented_control("Time", sides, default=side, required=True, format_func=ROOTS.__getitem__)
    data = icicle_data(links, side)
    draw(
        lambda dark: icicle_figure(data, steps=found.steps, dark=dark),
        "icicle",
        f"{ROOTS[side]} by phase, module, operator and kernel",
    )
    hidden = f" {data.hidden:,} small ones are summed up in nodes that say how many." if data.hidden else ""
    st.caption(
        f"{', '.join(data.levels).capitalize()}. A click goes into a part, a click on the path above it back.{hidden}"
    )


def _tops(found: Found) -> None:
    kinds = [kind for kind in KINDS if size_of(found.tables.get(f"{kind}s"))]
    st.subheader("Operators and kernels", anchor=False)
    if not kinds:
        st.info("The profiler ran, and saw no operator.", icon=":material/info:")
        return
    kind = kinds[0]
    if len(kinds) > 1:
        kind = st.segmented_control("Kind", kinds, default=kind, required=True, format_func=KINDS.__getitem__)
    table = found.tables.get(f"{kind}s")
    data = kernels_data(table, kind, found.windows)
    draw(lambda dark: kernels_figure(data, dark=dark), "kernels", f"{KINDS[kind]} by their own time a step")
    listing = kernels_listing if kind == "kernel" else operators_listing
    show_listing(listing(table, steps=found.steps, most=TABLE_ROWS), f"table-{kind}")


def _roofline(store: Store, run: Run, found: Found) -> None:
    """Show how near operators come to the device's peaks, where their work was counted."""
    facts = {fact.key: fact.value for fact in store.facts(run.id) if fact.rank == found.windows[0].rank}
    work = facts.get("work")
    operators = found.tables.get("operators")
    if isinstance(work, Mapping) and operators is not None and "device_total_seconds" in operators:
        data = roofline_data(operators, work)
        if data.operators:
            st.subheader("How near to the device's peak", anchor=False)
            alt = "Operations a second over operations a byte"
            draw(lambda dark: roofline_figure(data, dark=dark), "roofline", alt)
    for note in work_notes(facts):
        st.text(note)


def _idle(found: Found) -> None:
    data = idle_data(found.tables.get("idle"))
    if not data.streams:
        return
    st.subheader("Why streams waited", anchor=False)
    draw(lambda dark: idle_figure(data, steps=found.steps, dark=dark), "idle", "Idle time of each stream by its cause")
    if size_of(found.tables.get("gaps")):
        st.caption("The longest gaps")
        show_listing(gaps_listing(found.tables["gaps"], most=TABLE_ROWS), "table-gaps")


def _rest(found: Found) -> None:
    """Tables that concern some windows only; one that is missing says why if the window does."""
    tables, steps = found.tables, found.steps
    overlaps = [window.facts.get("overlap_percent") for window in found.windows]
    hidden = [float(told) for told in overlaps if isinstance(told, int | float)]
    sections: list[tuple[str, str, Listing]] = [
        ("Copies", "copies", copies_listing(tables.get("copies"), steps=steps, most=TABLE_ROWS)),
        ("Collectives", "collectives", collectives_listing(tables.get("collectives"), steps=steps, most=TABLE_ROWS)),
        ("When ranks arrived", "skew", skew_listing(tables.get("skew"), most=TABLE_ROWS)),
        ("Launches", "launches", launches_listing(tables.get("launches"), steps=steps, most=TABLE_ROWS)),
    ]
    for title, name, listing in sections:
        if len(listing):
            st.subheader(title, anchor=False)
            if name == "collectives" and hidden:
                st.caption(f"{sum(hidden) / len(hidden):.1f} % of the communication was hidden behind computing.")
            show_listing(listing, f"table-{name}")
    _not_here(found, {title: name for title, name, listing in sections if not len(listing)})


def _not_here(found: Found, names: Mapping[str, str]) -> None:
    """Say why tables are missing, once for each reason that was not said above."""
    by_reason: dict[str, list[str]] = {}
    for title, name in names.items():
        reason = found.missing.get(name)
        if reason and reason != found.missing.get("breakdown"):
            by_reason.setdefault(reason, []).append(title.lower())
    for reason, titles in by_reason.items():
        st.caption(f"Not in this window: {', '.join(titles)}.")
        st.text(sentence(reason, 300))


def _absent(found: Found, name: str, what: str) -> None:
    """Say that something is missing, in our words, and why, in the window's."""
    st.info(what, icon=":material/info:")
    if name in found.missing:
        st.text(sentence(found.missing[name], 300))
