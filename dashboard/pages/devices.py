"""Devices: processor, memory, disks, network and GPUs, live; what held the GPUs back; what is known and what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from torchglass.analysis.at_step import readings_near
from torchglass.analysis.steps import WHOLE
from torchglass.charts import device_values, read_throttling, throttling_figure
from torchglass.charts.text import plain_text, sentence
from torchglass.charts.throttling import PREFIX as THROTTLE
from torchglass.charts.throttling import ThrottlingData
from torchglass.charts.units import duration, quantity
from torchglass.dashboard import notices
from torchglass.dashboard.answering.tables import MAX_SERIES
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.dashboard.drawing.live import live_charts
from torchglass.dashboard.fragments import fragment
from torchglass.dashboard.stepping.cursor import chosen_step
from torchglass.language import tr
from torchglass.store import Fact, Location, Run, Store, open_store

VALUES_SECONDS = 5.0  # the driver is read once a second; a table that changes faster cannot be read
REASON_CHARACTERS = 300


def show(store: Store, run: Run) -> None:
    """Draw what held the GPUs back, the device series of a run, and a table of every figure."""
    notices.run_heading(tr("Devices"), store, run)
    facts = store.facts(run.id)
    ours = {fact.key: fact.value for fact in facts if fact.rank == 0}
    _host(ours.get("devices/host"))
    _gpus([fact for fact in facts if fact.key == "devices/gpu"])
    if run.status != "running" and not store.series_of(run.id, kind="device"):
        notices.nothing_recorded(
            tr("This run recorded no device samples."), "torchglass.attach(model, optimizer, devices=True)"
        )
        return
    _throttling(store, run, ours.get("devices/throttling"))
    live_charts(
        run,
        ["device", "self"],
        axis="relative",
        waiting=tr("Waiting for the first sample, about a second after training starts."),
        ended=tr("The run ended before the first sample."),
    )
    _processes([fact for fact in facts if fact.key == "devices/processes"])
    st.subheader(tr("Every figure"), anchor=False)
    step = chosen_step()
    if run.status == "running":
        fragment(_current_values, run_every=VALUES_SECONDS)(store.location, run, step)
    else:
        _values(store, run, step)


def _host(fact: Any) -> None:
    if not isinstance(fact, Mapping):
        return
    memory = fact.get("memory_total_bytes")
    rows = {
        tr("Machine"): fact.get("name"),
        tr("Processor cores"): fact.get("cpu_count"),
        tr("Memory"): quantity(memory, "B") if isinstance(memory, int | float) else None,
    }
    st.text(" · ".join(f"{label}: {plain_text(value)}" for label, value in rows.items() if value is not None))


def _gpus(facts: Sequence[Fact]) -> None:
    """The GPUs that any rank was shown, each once, and what CUDA calls them there."""
    told = [fact.value for fact in sorted(facts, key=lambda fact: fact.rank) if isinstance(fact.value, Mapping)]
    if not told:
        return
    gpus: dict[str, Mapping[str, Any]] = {}
    for value in told:
        for gpu in value.get("gpus") or []:
            if isinstance(gpu, Mapping):
                known = gpus.setdefault(str(gpu.get("uuid") or gpu.get("index", "")), gpu)
                if not known.get("cuda") and gpu.get("cuda"):
                    gpus[str(gpu.get("uuid") or gpu.get("index", ""))] = gpu
    if gpus:
        st.dataframe([_gpu_row(gpu) for gpu in gpus.values()], hide_index=True, width="stretch")
    else:
        st.info(tr("No GPU was measured."), icon=":material/info:")
    reasons = [str(value["reason"]) for value in told if value.get("reason")]
    if reasons or not gpus:
        st.text(sentence(reasons[0] if reasons else tr("The run gave no reason."), 500))
    for note in dict.fromkeys(str(value["order_note"]) for value in told if value.get("order_note")):
        st.caption(plain_text(note, REASON_CHARACTERS))


def _gpu_row(gpu: Mapping[str, Any]) -> dict[str, str]:
    memory, power = gpu.get("memory_total_bytes"), gpu.get("power_limit_watts")
    parts = [part for part in gpu.get("instances") or [] if isinstance(part, Mapping)]
    divided = (
        ", ".join(str(part.get("device")) for part in parts) if parts else tr("on") if gpu.get("mig") else tr("off")
    )
    return {
        tr("GPU"): str(gpu.get("index", "")),
        tr("Name"): str(gpu.get("name") or gpu.get("reason") or ""),
        tr("In the process"): str(gpu.get("cuda") or tr("not used")),
        tr("Memory"): quantity(memory, "B") if isinstance(memory, int | float) else "–",
        tr("Power limit"): quantity(power, "W") if isinstance(power, int | float) else "–",
        tr("MIG"): divided,
        tr("UUID"): str(gpu.get("uuid") or ""),
    }


def _throttling(store: Store, run: Run, now: Any) -> None:
    """Step time over what held the GPUs back; nothing where no GPU was read."""
    data = read_throttling(store, run.id)
    if data.share is None:
        return
    st.subheader(tr("Held back"), anchor=False)
    if run.status == "running" and isinstance(now, Mapping):
        reasons = plain_text("; ".join(f"{gpu}: {words}" for gpu, words in now.items()), REASON_CHARACTERS)
        st.text(tr("Now: {reasons}", reasons=reasons))
    st.caption(_told(data))
    if data.stretches:
        notices.offer_refresh(run)
        ids = [
            one.id
            for one in [*store.series_of(run.id, kind="phase", rank=0), *store.series_of(run.id, kind="device")]
            if one.key == WHOLE or f"/{THROTTLE}" in one.key
        ]
        code = chart_code(
            store,
            run,
            "from torchglass.charts import read_throttling, throttling_figure",
            "data = read_throttling(store, run.id)",
            "throttling_figure(data).show()",
        )
        draw(
            lambda dark: throttling_figure(data, dark=dark),
            "throttling",
            tr("Step time, with the stretches shaded in which a GPU was held back"),
            Source("series", {"ids": ",".join(map(str, ids[:MAX_SERIES]))}, code),
        )


def _told(data: ThrottlingData) -> str:
    """How often, and what it cost."""
    if not data.stretches:
        return tr("No reading found a GPU held back: its clocks were as high as was asked of them.")
    percent = f"{100 * (data.share or 0):.3g}"
    often = tr("At {percent} % of the readings a GPU ran slower than was asked of it.", percent=percent)
    if data.slowdown is None:
        return often
    times = f"{data.slowdown:.3g}"
    cost = tr("Steps took {times} times as long there as elsewhere (by the medians).", times=times)
    return f"{often} {cost}"


def _processes(facts: Sequence[Fact]) -> None:
    """Who used the GPUs when they were last asked."""
    rows = []
    for fact in facts:
        for device, told in fact.value.items() if isinstance(fact.value, Mapping) else ():
            for process in told.get("processes") or () if isinstance(told, Mapping) else ():
                rows.append({tr("GPU"): str(device), **_process_row(process)})
    if rows:
        with st.expander(tr("Processes on the GPUs ({count})", count=len(rows))):
            st.dataframe(rows, hide_index=True, width="stretch")


def _process_row(process: Mapping[str, Any]) -> dict[str, str]:
    memory = process.get("memory_bytes")
    return {
        tr("Process"): str(process.get("pid", "")),
        tr("Name"): str(process.get("name") or tr("unknown")),
        tr("Memory"): quantity(memory, "B") if isinstance(memory, int | float) else "N/A",
        tr("This run"): tr("yes") if process.get("ours") else "",
        tr("Note"): str(process.get("note") or ""),
    }


def _current_values(location: Location, run: Run, step: int | None) -> None:
    with open_store(location, read_only=True) as store:
        _values(store, run, step)


def _values(store: Store, run: Run, step: int | None) -> None:
    series = store.series_of(run.id, kind="device")
    near = readings_near(store, series, step) if step is not None else None
    rows = device_values(series, store.facts(run.id), near, step)
    st.caption(tr("The last reading of each; N/A is never a 0. The command prints the same figure in a terminal."))
    titles = {
        "device": tr("Device"),
        "figure": tr("Figure"),
        "value": tr("Last"),
        "at_step": tr("At step {step}", step=f"{step:,}") if step is not None else "",
        "reason": tr("Why, or note"),
        "window": tr("Window"),
        "source": tr("Source"),
        "command": tr("Command"),
    }
    if step is not None:
        st.caption(_when(store, run, step))
    st.dataframe(
        {title: [str(getattr(row, name)) for row in rows] for name, title in titles.items() if title},
        hide_index=True,
        width="stretch",
    )


def _when(store: Store, run: Run, step: int) -> str:
    """When a step was, as devices are read by the clock."""
    told = tr(
        "Devices are read by the clock: beside the last reading stands the one nearest to step {step}.",
        step=f"{step:,}",
    )
    whole = store.find_series(run.id, WHOLE)
    points = store.points(whole.id, window=(step, step)) if whole is not None else None
    if points is None or not len(points.times):
        return told
    after = duration(max(0.0, float(points.times[0]) - run.created_at))
    return told + " " + tr("That step ended {time} after the run began.", time=after)
