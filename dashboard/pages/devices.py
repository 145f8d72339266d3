"""Devices: processor, memory, disks, network and GPUs, live; what held the GPUs back; what is known and what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from torchglass.charts import device_values, read_throttling, throttling_figure
from torchglass.charts.text import plain_text, sentence
from torchglass.charts.throttling import ThrottlingData
from torchglass.charts.units import quantity
from torchglass.dashboard import notices
from torchglass.dashboard.figures import draw
from torchglass.dashboard.live import live_charts
from torchglass.store import Fact, Run, Store, open_store

VALUES_SECONDS = 5.0  # the driver is read once a second; a table that changes faster cannot be read
REASON_CHARACTERS = 300


def show(store: Store, run: Run) -> None:
    """Draw what held the GPUs back, the device series of a run, and a table of every figure."""
    notices.run_heading("Devices", store, run)
    facts = store.facts(run.id)
    ours = {fact.key: fact.value for fact in facts if fact.rank == 0}
    _host(ours.get("devices/host"))
    _gpus([fact for fact in facts if fact.key == "devices/gpu"])
    if run.status != "running" and not store.series_of(run.id, kind="device"):
        notices.nothing_recorded(
            "This run recorded no device samples.", "torchglass.attach(model, optimizer, devices=True)"
        )
        return
    _throttling(store, run, ours.get("devices/throttling"))
    live_charts(
        run,
        ["device", "self"],
        axis="relative",
        waiting="Waiting for the first sample, about a second after training starts.",
        ended="The run ended before the first sample.",
    )
    _processes([fact for fact in facts if fact.key == "devices/processes"])
    st.subheader("Every figure", anchor=False)
    if run.status == "running":
        location = store.location.address
        st.fragment(lambda: _current_values(location, run), run_every=VALUES_SECONDS)()
    else:
        _values(store, run)


def _host(fact: Any) -> None:
    if not isinstance(fact, Mapping):
        return
    memory = fact.get("memory_total_bytes")
    rows = {
        "Machine": fact.get("name"),
        "Processor cores": fact.get("cpu_count"),
        "Memory": quantity(memory, "B") if isinstance(memory, int | float) else None,
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
        st.info("No GPU was measured.", icon=":material/info:")
    reasons = [str(value["reason"]) for value in told if value.get("reason")]
    if reasons or not gpus:
        st.text(sentence(reasons[0] if reasons else "The run gave no reason.", 500))
    for note in dict.fromkeys(str(value["order_note"]) for value in told if value.get("order_note")):
        st.caption(plain_text(note, REASON_CHARACTERS))


def _gpu_row(gpu: Mapping[str, Any]) -> dict[str, str]:
    memory, power = gpu.get("memory_total_bytes"), gpu.get("power_limit_watts")
    parts = [part for part in gpu.get("instances") or [] if isinstance(part, Mapping)]
    divided = ", ".join(str(part.get("device")) for part in parts) if parts else "on" if gpu.get("mig") else "off"
    return {
        "GPU": str(gpu.get("index", "")),
        "Name": str(gpu.get("name") or gpu.get("reason") or ""),
        "In the process": str(gpu.get("cuda") or "not used"),
        "Memory": quantity(memory, "B") if isinstance(memory, int | float) else "–",
        "Power limit": quantity(power, "W") if isinstance(power, int | float) else "–",
        "MIG": divided,
        "UUID": str(gpu.get("uuid") or ""),
    }


def _throttling(store: Store, run: Run, now: Any) -> None:
    """Step time over what held the GPUs back; nothing where no GPU was read."""
    data = read_throttling(store, run.id)
    if data.share is None:
        return
    st.subheader("Held back", anchor=False)
    if run.status == "running" and isinstance(now, Mapping):
        st.text("Now: " + plain_text("; ".join(f"{gpu}: {words}" for gpu, words in now.items()), REASON_CHARACTERS))
    st.caption(_told(data))
    if data.stretches:
        notices.offer_refresh(run)
        draw(
            lambda dark: throttling_figure(data, dark=dark),
            "throttling",
            "Step time, with the stretches shaded in which a GPU was held back",
        )


def _told(data: ThrottlingData) -> str:
    """How often, and what it cost."""
    if not data.stretches:
        return "No reading found a GPU held back: its clocks were as high as was asked of them."
    often = f"At {100 * (data.share or 0):.3g} % of the readings a GPU ran slower than was asked of it."
    if data.slowdown is None:
        return often
    return f"{often} Steps took {data.slowdown:.3g} times as long there as elsewhere (by the medians)."


def _processes(facts: Sequence[Fact]) -> None:
    """Who used the GPUs when they were last asked."""
    rows = []
    for fact in facts:
        for device, told in fact.value.items() if isinstance(fact.value, Mapping) else ():
            for process in told.get("processes") or () if isinstance(told, Mapping) else ():
                rows.append({"GPU": str(device), **_process_row(process)})
    if rows:
        with st.expander(f"Processes on the GPUs ({len(rows)})"):
            st.dataframe(rows, hide_index=True, width="stretch")


def _process_row(process: Mapping[str, Any]) -> dict[str, str]:
    memory = process.get("memory_bytes")
    return {
        "Process": str(process.get("pid", "")),
        "Name": str(process.get("name") or "unknown"),
        "Memory": quantity(memory, "B") if isinstance(memory, int | float) else "N/A",
        "This run": "yes" if process.get("ours") else "",
        "Note": str(process.get("note") or ""),
    }


def _current_values(location: str, run: Run) -> None:
    with open_store(location, read_only=True) as store:
        _values(store, run)


def _values(store: Store, run: Run) -> None:
    rows = device_values(store.series_of(run.id, kind="device"), store.facts(run.id))
    st.caption("The last reading of each; N/A is never a 0. The command prints the same figure in a terminal.")
    columns = ("Device", "Figure", "Last", "Why, or note", "Window", "Source", "Command")
    st.dataframe(
        {name: [str(row[place]) for row in rows] for place, name in enumerate(columns)},
        hide_index=True,
        width="stretch",
    )
