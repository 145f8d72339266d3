"""What profiler windows found, as a report tells it: those of one rank added up, and the time line of the newest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from torchglass.charts.breakdown import BreakdownData, breakdown_data
from torchglass.charts.honesty import Remark, honesty_data, remarks
from torchglass.charts.icicle import IcicleData, Side, icicle_data, sides_of
from torchglass.charts.idle import IdleData, idle_data
from torchglass.charts.kernels import KernelsData, kernels_data
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
from torchglass.charts.module_times import modules_listing
from torchglass.charts.roofline import RooflineData, roofline_data
from torchglass.charts.timeline import TABLES, TimelineData, timeline_data
from torchglass.charts.windows import Tables, missing_reasons, read_tables
from torchglass.language import mark, tr
from torchglass.report.bounds import FULL, Bounds
from torchglass.store import ProfilerWindow, Run, Store, Table


class Profiled(NamedTuple):
    """Windows of one rank, added up over `steps` steps; `listings` are tables by their title.

    `newest_step` is where the window of the time line begins, None where there is no window. `missing` says why a table
    is not there, by its name. `said` are our sentences, `notes` the run's.
    """

    window_count: int
    left_out: int
    steps: int
    rank: int
    newest_step: int | None
    remarks: tuple[Remark, ...]
    breakdown: BreakdownData
    icicle: IcicleData
    operators: KernelsData
    kernels: KernelsData
    roofline: RooflineData | None
    idle: IdleData
    timeline: TimelineData
    listings: Mapping[str, Listing]
    missing: Mapping[str, str]
    said: tuple[str, ...]
    notes: tuple[str, ...]


def read_profile(store: Store, run: Run, bounds: Bounds = FULL) -> Profiled:
    """Read the newest windows of the lowest rank that has one."""
    every = store.windows(run.id)
    rank = min((window.rank for window in every), default=0)
    own = [window for window in every if window.rank == rank]
    windows = own[max(0, len(own) - bounds.windows) :]
    newest = windows[-1] if windows else None
    tables = read_tables(store, windows)
    steps = max(1, sum(window.step_count for window in windows))
    links = tables.get("links")
    side: Side = next(iter(sides_of(links)), "device")
    most = bounds.rows
    listings = {
        mark("GPU kernels"): kernels_listing(tables.get("kernels"), steps=steps, most=most),
        mark("Operators"): operators_listing(tables.get("operators"), steps=steps, most=most),
        mark("Modules"): modules_listing(links, steps=steps, most=most),
        mark("Copies"): copies_listing(tables.get("copies"), steps=steps, most=most),
        mark("Collectives"): collectives_listing(tables.get("collectives"), steps=steps, most=most),
        mark("When ranks arrived"): skew_listing(tables.get("skew"), most=most),
        mark("Launches"): launches_listing(tables.get("launches"), steps=steps, most=most),
        mark("The longest gaps of streams"): gaps_listing(tables.get("gaps"), most=most),
    }
    return Profiled(
        window_count=len(windows),
        left_out=len(own) - len(windows),
        steps=steps if windows else 0,
        rank=rank,
        newest_step=newest.step if newest else None,
        remarks=tuple(remarks(honesty_data(windows, tables))) if windows else (),
        breakdown=breakdown_data(tables.get("breakdown")),
        icicle=icicle_data(links, side, most_nodes=bounds.nodes),
        operators=kernels_data(tables.get("operators"), "operator", windows),
        kernels=kernels_data(tables.get("kernels"), "kernel", windows),
        roofline=_roofline(store, run, rank, tables.get("operators")),
        idle=idle_data(tables.get("idle")),
        timeline=timeline_data(store.window_tables(newest.id, TABLES) if newest and bounds.nodes else {}),
        listings={title: listing for title, listing in listings.items() if len(listing)},
        missing=missing_reasons(windows),
        said=tuple(_said(windows, tables)),
        notes=tuple(dict.fromkeys(str(window.facts["note"]) for window in windows if window.facts.get("note"))),
    )


def _said(windows: Sequence[ProfilerWindow], tables: Tables) -> Iterator[str]:
    """How much ran on tensor cores, and how much of the communication cost no time."""
    core, missed = tensor_core_percent(tables.get("kernels"))
    if core is not None and missed is not None:
        yield tr(
            "{core} % of the kernels' time ran on tensor cores; another {missed} % looks as if it could.",
            core=f"{core:.0f}",
            missed=f"{missed:.0f}",
        )
    overlaps = [window.facts.get("overlap_percent") for window in windows]
    hidden = [float(told) for told in overlaps if isinstance(told, int | float)]
    if hidden:
        share = f"{sum(hidden) / len(hidden):.1f}"
        yield tr("{share} % of the communication was hidden behind computing.", share=share)


def _roofline(store: Store, run: Run, rank: int, operators: Table | None) -> RooflineData | None:
    work = next((fact.value for fact in store.facts(run.id) if fact.key == "work" and fact.rank == rank), None)
    if not isinstance(work, Mapping) or operators is None or "device_total_seconds" not in operators:
        return None
    return roofline_data(operators, work)
