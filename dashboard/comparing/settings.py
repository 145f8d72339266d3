"""What the compared runs were told and where they ran: only what differs, unless all of it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from torchglass.analysis.circumstances import CONFIG, stated
from torchglass.analysis.settings import Change, Setting, side_by_side
from torchglass.charts.text import plain_text
from torchglass.charts.units import MISSING
from torchglass.dashboard.comparing.runs import label
from torchglass.language import mark, tr
from torchglass.store import Run, Store

VALUE_CHARACTERS = 200
# A sign and not a colour alone tells what a run has otherwise than the first.
SIGNS: dict[Change, str] = {"same": "", "changed": "≠ ", "added": "+ ", "removed": "− "}
LEGEND = mark("≠ other than in A · + not in A · − only in A")


def show(store: Store, runs: Sequence[Run]) -> None:
    """Draw the table."""
    found = side_by_side([stated(run, _facts(store, run)) for run in runs])
    st.subheader(tr("Settings"), anchor=False)
    everything = st.toggle(
        tr("Show what is the same, too"), key="compared_settings_all", help=tr("Configuration, software and machine")
    )
    shown = [each for each in _in_order(found) if everything or each.differs]
    if not shown:
        st.info(tr("All of these runs were told the same, on the same machine."), icon=":material/info:")
        return
    columns = {
        tr("Setting"): [plain_text(each.name.removeprefix(CONFIG)) for each in shown],
        tr("Of"): [tr("configuration") if each.name.startswith(CONFIG) else tr("machine, software") for each in shown],
        **{plain_text(label(place, run)): [cell(each, place) for each in shown] for place, run in enumerate(runs)},
    }
    st.dataframe(columns, hide_index=True, width="stretch", key="compared_settings", alt=tr("Settings of each run"))
    same = sum(not each.differs for each in found)
    st.caption(f"{tr(LEGEND)} · {tr('{count} settings are the same', count=same)}")


def cell(setting: Setting, place: int) -> str:
    """What a run says, with a sign of how that differs from the first one."""
    value, change = setting.values[place], setting.change(place)
    told = (
        plain_text(value, VALUE_CHARACTERS) if value is not None else tr("not set") if change == "removed" else MISSING
    )
    return f"{SIGNS[change]}{told}"


def _in_order(found: Sequence[Setting]) -> list[Setting]:
    """The configuration first."""
    return sorted(found, key=lambda each: not each.name.startswith(CONFIG))


def _facts(store: Store, run: Run) -> dict[str, object]:
    return {fact.key: fact.value for fact in store.facts(run.id) if fact.rank == 0}
