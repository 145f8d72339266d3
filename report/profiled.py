"""What profiler windows found, as a report tells it: those of one rank added up, and the time line of the newest."""

from __future__ import annotations

from collections.abc import Mapping
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
)
from torchglass.charts.roofline import RooflineData, roofline_data
from torchglass.charts.timeline import TABLES, TimelineData, timeline_data
from torchglass.charts.windows import missing_reasons, read_tables
from torchglass.store import Run, Store, Table

# Bounds that keep a report of any run small; what is left out is said in it.
MAX_WINDOWS = 20
MAX_ROWS = 30
MAX_NODES = 300


class Profiled(NamedTuple):
    """Windows of one rank, added up over `steps` steps; `listings` are tables by their title.

    `newest_step` is where the window of the time line begins, None where there is no window. `missing` says why a table
    is not there, by its name.
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
    notes: tuple[str, ...]


def read_profile(store: Store, run: Run) -> Profiled:
    """Read the newest windows of the lowest rank that has one."""
    every = store.windows(run.id)
    rank = min((window.rank for window in every), default=0)
    own = [window for window in every if window.rank == rank]
    windows = own[-MAX_WINDOWS:]
    newest = windows[-1] if windows else None
    tables = read_tables(store, windows)
    steps = max(1, sum(window.step_count for window in windows))
    links = tables.get("links")
    side: Side = next(iter(sides_of(links)), "device")
    listings = {
        "GPU kernels": kernels_listing(tables.get("kernels"), steps=steps, most=MAX_ROWS),
        "Operators": operators_listing(tables.get("operators"), steps=steps, most=MAX_ROWS),
        "Copies": copies_listing(tables.get("copies"), steps=steps, most=MAX_ROWS),
        "Collectives": collectives_listing(tables.get("collectives"), steps=steps, most=MAX_ROWS),
        "When ranks arrived": skew_listing(tables.get("skew"), most=MAX_ROWS),
        "Launches": launches_listing(tables.get("launches"), steps=steps, most=MAX_ROWS),
        "The longest gaps of streams": gaps_listing(tables.get("gaps"), most=MAX_ROWS),
    }
    return Profiled(
        window_count=len(windows),
        left_out=len(own) - len(windows),
        steps=steps if windows else 0,
        rank=rank,
        newest_step=newest.step if newest else None,
        remarks=tuple(remarks(honesty_data(windows, tables))) if windows else (),
        breakdown=breakdown_data(tables.get("breakdown")),
        icicle=icicle_data(links, side, most_nodes=MAX_NODES),
        operators=kernels_data(tables.get("operators"), "operator", windows),
        kernels=kernels_data(tables.get("kernels"), "kernel", windows),
        roofline=_roofline(store, run, rank, tables.get("operators")),
        idle=idle_data(tables.get("idle")),
        timeline=timeline_data(store.window_tables(newest.id, TABLES) if newest else {}),
        listings={title: listing for title, listing in listings.items() if len(listing)},
        missing=missing_reasons(windows),
        notes=tuple(dict.fromkeys(str(window.facts["note"]) for window in windows if window.facts.get("note"))),
    )


def _roofline(store: Store, run: Run, rank: int, operators: Table | None) -> RooflineData | None:
    work = next((fact.value for fact in store.facts(run.id) if fact.key == "work" and fact.rank == rank), None)
    if not isinstance(work, Mapping) or operators is None or "device_total_seconds" not in operators:
        return None
    return roofline_data(operators, work)
