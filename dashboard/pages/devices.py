"""Devices: processor, memory and GPUs, live, and what is known about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from torchglass.charts.text import plain_text
from torchglass.charts.units import quantity
from torchglass.dashboard import notices
from torchglass.dashboard.live import live_charts
from torchglass.store import Run, Store


def show(store: Store, run: Run) -> None:
    """Draw the device series of a run above what it said about its devices."""
    notices.run_heading("Devices", store, run)
    facts = {fact.key: fact.value for fact in store.facts(run.id) if fact.rank == 0}
    _host(facts.get("devices/host"))
    _gpus(facts.get("devices/gpu"))
    if run.status != "running" and not store.series_of(run.id, kind="device"):
        notices.nothing_recorded(
            "This run recorded no device samples.", "torchglass.attach(model, optimizer, devices=True)"
        )
        return
    live_charts(
        run,
        ["device", "self"],
        axis="relative",
        waiting="Waiting for the first sample, about a second after training starts.",
        ended="The run ended before the first sample.",
    )


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


def _gpus(fact: Any) -> None:
    if not isinstance(fact, Mapping):
        return
    gpus = [gpu for gpu in fact.get("gpus") or [] if isinstance(gpu, Mapping)]
    if gpus:
        st.dataframe([_gpu_row(gpu) for gpu in gpus], hide_index=True, width="stretch")
    else:
        st.info("No GPU was measured.", icon=":material/info:")
        st.text(plain_text(fact.get("reason") or "The run gave no reason.", 500))
    missing = fact.get("missing")
    if isinstance(missing, Mapping) and missing:
        with st.expander("Readings that this machine does not give"):
            st.dataframe(
                {"Reading": [str(key) for key in missing], "Reason": [str(reason) for reason in missing.values()]},
                hide_index=True,
                width="stretch",
            )


def _gpu_row(gpu: Mapping[str, Any]) -> dict[str, str]:
    memory = gpu.get("memory_total_bytes")
    return {
        "GPU": str(gpu.get("index", "")),
        "Name": str(gpu.get("name", "")),
        "Memory": quantity(memory, "B") if isinstance(memory, int | float) else "–",
        "UUID": str(gpu.get("uuid", "")),
    }
