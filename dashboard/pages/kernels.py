"""Kernels: what the operators and kernels of a profiler window cost, why the GPU waited, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
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
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import TILE_PIXELS, Source, draw
from torchglass.dashboard.drawing.listing_table import show_listing
from torchglass.dashboard.ordering.profile_now import offer_profile
from torchglass.dashboard.stepping.window_choice import choose_windows, tell_window, wait_for_windows
from torchglass.language import mark, tr
from torchglass.store import ProfilerWindow, Run, Store
from torchglass.store.records import RowKind, Table

TABLE_ROWS = 500
ALL_ROWS = 1_000_000
KINDS: Mapping[RowKind, str] = {"kernel": mark("GPU kernels"), "operator": mark("Operators")}


class Found(NamedTuple):
    """Chosen windows, their tables added up, how many steps they span, and why tables are missing."""

    store: Store
    run: Run
    windows: Sequence[ProfilerWindow]
    tables: Mapping[str, Table]
    steps: int
    missing: Mapping[str, str]

    def source(self, table: str, imports: str, make: str, drawing: str) -> Source:
        """Where a chart of one of the tables comes from; `make` has `tables`, `windows` and `steps` at hand."""
        ids = [window.id for window in self.windows]
        reading = (
            f"chosen = {ids}\nwindows = [window for window in store.windows(run.id) if window.id in chosen]\n"
            f"tables = read_tables(store, windows)\nsteps = {self.steps}\n{make}"
        )
        code = chart_code(
            self.store, self.run, f"{imports}\nfrom torchglass.charts.windows import read_tables", reading, drawing
        )
        told: dict[str, str | int] = {"run": self.run.id, "ids": ",".join(map(str, ids)), "table": table}
        return Source("windows", told, code)


def show(store: Store, run: Run) -> None:
    """Draw what one window found, or all of them together."""
    notices.run_heading(tr("Kernels"), store, run)
    windows = store.windows(run.id)
    wait_for_windows(store.location, run, windows)
    picker, button = st.columns([3, 1], vertical_alignment="bottom")
    with button:
        offer_profile(store, run)
    if not windows:
        notices.nothing_recorded(tr("This run has no profiler window yet."), notices.PROFILE)
        return
    with picker:
        choice = choose_windows(run, windows, may_add_up=True)
    tell_window(choice)
    chosen = choice.windows
    steps = max(1, sum(window.step_count for window in chosen))
    found = Found(store, run, chosen, read_tables(store, chosen), steps, missing_reasons(chosen))
    _honesty(found)
    _busy(found)
    _tree(found)
    _tops(found)
    _roofline(found)
    _idle(found)
    _rest(found)


def _honesty(found: Found) -> None:
    """Alarms as red badges, the rest in one line."""
    said = remarks(honesty_data(found.windows, found.tables))
    for remark in said:
        if remark.is_alarm:
            st.badge(remark.text, icon=":material/warning:", color="red")
    steps = tr("1 profiled step") if found.steps == 1 else tr("{count} profiled steps", count=found.steps)
    st.caption(" · ".join([steps, *(remark.text for remark in said if not remark.is_alarm)]))
    for note in dict.fromkeys(str(window.facts["note"]) for window in found.windows if window.facts.get("note")):
        st.text(plain_text(note, 300))


def _busy(found: Found) -> None:
    data = breakdown_data(found.tables.get("breakdown"))
    if not data.devices:
        _absent(found, "breakdown", tr("No GPU worked in this window: what follows is about the host."))
        return
    st.subheader(tr("What the GPU did"), anchor=False)
    tiles = st.grid(len(SHORT) + 1, min_column_width=TILE_PIXELS)
    for part, title in SHORT.items():
        share = data.sums[part] / data.total if data.total > 0 else None
        tiles.metric(
            tr(title),
            "–" if share is None else f"{100 * share:.1f} %",
            border=True,
            help=tr(
                "{part} of {whole}: {meaning}.",
                part=quantity(data.sums[part], "s"),
                whole=quantity(data.total, "s"),
                meaning=tr(MEANINGS[part]),
            ),
        )
    core, missed = tensor_core_percent(found.tables.get("kernels"))
    told = tr("Of the kernels' time. No kernel was seen.")
    if missed is not None:
        told = tr(
            "Of the kernels' time. Another {percent} % looks as if it could run on them.", percent=f"{missed:.0f}"
        )
    tiles.metric(tr("On tensor cores"), "N/A" if core is None else f"{core:.0f} %", border=True, help=told)
    draw(
        lambda dark: breakdown_figure(data, dark=dark),
        "breakdown",
        tr("What each GPU did with the time of the window"),
        found.source(
            "breakdown",
            "from torchglass.charts.breakdown import breakdown_data, breakdown_figure",
            'data = breakdown_data(tables.get("breakdown"))',
            "breakdown_figure(data).show()",
        ),
    )


def _tree(found: Found) -> None:
    links = found.tables.get("links")
    sides = sides_of(links)
    st.subheader(tr("From the phase to the kernel"), anchor=False)
    if not sides:
        _absent(found, "links", tr("This window has no links from operators to modules and kernels."))
        return
    side = sides[0]
    if len(sides) > 1:
        side = st.segmented_control(
            tr("Time"), sides, default=side, required=True, format_func=lambda each: tr(ROOTS[each])
        )
    data = icicle_data(links, side)
    draw(
        lambda dark: icicle_figure(data, steps=found.steps, dark=dark),
        "icicle",
        tr("{time} by phase, module, operator and kernel", time=tr(ROOTS[side])),
        found.source(
            "links",
            "from torchglass.charts.icicle import icicle_data, icicle_figure",
            f'data = icicle_data(tables.get("links"), "{side}")',
            "icicle_figure(data, steps=steps).show()",
        ),
    )
    said = [
        tr(
            "{levels}. A click goes into a part, a click on the path above it back.",
            levels=", ".join(data.levels).capitalize(),
        )
    ]
    if data.hidden:
        said.append(tr("{count} small ones are summed up in nodes that say how many.", count=f"{data.hidden:,}"))
    st.caption(" ".join(said))


def _tops(found: Found) -> None:
    kinds = [kind for kind in KINDS if size_of(found.tables.get(f"{kind}s"))]
    st.subheader(tr("Operators and kernels"), anchor=False)
    if not kinds:
        st.info(tr("The profiler ran, and saw no operator."), icon=":material/info:")
        return
    kind = kinds[0]
    if len(kinds) > 1:
        kind = st.segmented_control(
            tr("Kind"), kinds, default=kind, required=True, format_func=lambda each: tr(KINDS[each])
        )
    table = found.tables.get(f"{kind}s")
    data = kernels_data(table, kind, found.windows)
    draw(
        lambda dark: kernels_figure(data, dark=dark),
        "kernels",
        tr("{kind} by their own time a step", kind=tr(KINDS[kind])),
        found.source(
            f"{kind}s",
            "from torchglass.charts.kernels import kernels_data, kernels_figure",
            f'data = kernels_data(tables.get("{kind}s"), "{kind}", windows)',
            "kernels_figure(data).show()",
        ),
    )
    listing = partial(kernels_listing if kind == "kernel" else operators_listing, table, steps=found.steps)
    show_listing(listing(most=TABLE_ROWS), f"table-{kind}", complete=partial(listing, most=ALL_ROWS))


def _roofline(found: Found) -> None:
    """Show how near operators come to the device's peaks, where their work was counted."""
    facts = {fact.key: fact.value for fact in found.store.facts(found.run.id) if fact.rank == found.windows[0].rank}
    work = facts.get("work")
    operators = found.tables.get("operators")
    if isinstance(work, Mapping) and operators is not None and "device_total_seconds" in operators:
        data = roofline_data(operators, work)
        if data.operators:
            st.subheader(tr("How near to the device's peak"), anchor=False)
            reading = (
                "facts = {fact.key: fact.value for fact in store.facts(run.id) "
                f"if fact.rank == {found.windows[0].rank}}}\n"
                'data = roofline_data(tables["operators"], facts["work"])'
            )
            draw(
                lambda dark: roofline_figure(data, dark=dark),
                "roofline",
                tr("Operations a second over operations a byte"),
                found.source(
                    "operators",
                    "from torchglass.charts.roofline import roofline_data, roofline_figure",
                    reading,
                    "roofline_figure(data).show()",
                ),
            )
    for note in work_notes(facts):
        st.text(note)


def _idle(found: Found) -> None:
    data = idle_data(found.tables.get("idle"))
    if not data.streams:
        return
    st.subheader(tr("Why streams waited"), anchor=False)
    draw(
        lambda dark: idle_figure(data, steps=found.steps, dark=dark),
        "idle",
        tr("Idle time of each stream by its cause"),
        found.source(
            "idle",
            "from torchglass.charts.idle import idle_data, idle_figure",
            'data = idle_data(tables.get("idle"))',
            "idle_figure(data, steps=steps).show()",
        ),
    )
    if size_of(found.tables.get("gaps")):
        st.caption(tr("The longest gaps"))
        show_listing(gaps_listing(found.tables["gaps"], most=TABLE_ROWS), "table-gaps")


def _rest(found: Found) -> None:
    """Tables that concern some windows only; one that is missing says why if the window does."""
    tables, steps = found.tables, found.steps
    overlaps = [window.facts.get("overlap_percent") for window in found.windows]
    hidden = [float(told) for told in overlaps if isinstance(told, int | float)]
    sections: list[tuple[str, str, Listing]] = [
        (tr("Copies"), "copies", copies_listing(tables.get("copies"), steps=steps, most=TABLE_ROWS)),
        (
            tr("Collectives"),
            "collectives",
            collectives_listing(tables.get("collectives"), steps=steps, most=TABLE_ROWS),
        ),
        (tr("When ranks arrived"), "skew", skew_listing(tables.get("skew"), most=TABLE_ROWS)),
        (tr("Launches"), "launches", launches_listing(tables.get("launches"), steps=steps, most=TABLE_ROWS)),
    ]
    for title, name, listing in sections:
        if len(listing):
            st.subheader(title, anchor=False)
            if name == "collectives" and hidden:
                percent = f"{sum(hidden) / len(hidden):.1f}"
                st.caption(tr("{percent} % of the communication was hidden behind computing.", percent=percent))
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
        st.caption(tr("Not in this window: {tables}.", tables=", ".join(titles)))
        st.text(sentence(reason, 300))


def _absent(found: Found, name: str, what: str) -> None:
    """Say that something is missing, in our words, and why, in the window's."""
    st.info(what, icon=":material/info:")
    if name in found.missing:
        st.text(sentence(found.missing[name], 300))
