"""Device panels: gaps stay gaps, units stand on the axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recorded import DEVICE_GAP_SECONDS, record_example_run

from torchglass.charts.devices import PANELS, curve_name, devices_data, devices_figure, with_gaps
from torchglass.charts.records import Recorded, read_series
from torchglass.instrumentation.devices.quantities import GPU, HOST, quantity_of
from torchglass.store import Store
from torchglass.store.records import Points, Series


def test_a_stretch_without_samples_gets_one_nan_in_its_middle() -> None:
    times = np.array([0.0, 1.0, 2.0, 7.0, 8.0])
    points = with_gaps(Points(np.arange(5), times, np.ones(5), 5, 5))
    assert points.times.tolist() == [0, 1, 2, 4.5, 7, 8]
    assert np.isnan(points.values).tolist() == [False, False, False, True, False, False]


def test_evenly_spaced_samples_stay_as_they_are() -> None:
    points = Points(np.arange(4), np.arange(4.0), np.ones(4), 4, 4)
    assert with_gaps(points) is points


def test_panels_of_a_recorded_run_have_units_and_show_the_gap(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        run = record_example_run(store, gpu=True)
        panels = devices_data(read_series(store, run.id, kind="device"), start=run.created_at)
    assert [(panel.title, panel.lines.unit) for panel in panels] == [
        ("Utilization", "%"),
        ("Memory", "GB"),
        ("Temperature", "°C"),
        ("Clocks", "MHz"),
    ]
    busy = panels[0].lines.lines[0]
    gap = busy.x[np.isnan(busy.values)]
    assert gap == pytest.approx([sum(DEVICE_GAP_SECONDS) / 2], abs=1e-3)
    figure = devices_figure(panels[1])
    assert figure.layout.yaxis.title.text == "GB"
    assert [trace.mode for trace in figure.data] == ["lines"] * 3
    assert not figure.layout.shapes


def test_a_missing_sample_is_not_drawn_as_an_alarm() -> None:
    points = Points(np.arange(3), np.arange(3.0), np.array([1.0, np.nan, 2.0]), 3, 3)
    (panel,) = devices_data([_recorded("gpu0/power_watts", "W", points)])
    assert panel.lines.lines[0].mark_x.size == 0
    assert np.isnan(panel.lines.lines[0].values[1])


def test_a_quantity_nobody_foresaw_gets_a_panel_of_its_own() -> None:
    points = Points(np.arange(2), np.arange(2.0), np.ones(2), 2, 2)
    panels = devices_data([_recorded("npu0/fan_rpm", "rpm", points), _recorded("npu0/volts", "V", points)])
    assert [(panel.title, panel.lines.unit) for panel in panels] == [("Other", "rpm"), ("Other", "V")]


def test_names_say_device_and_quantity() -> None:
    assert curve_name("gpu0/sm_clock_mhz") == "gpu0 SM clock"
    assert curve_name("npu0/fan_speed_rpm") == "npu0 fan speed rpm"


def _recorded(key: str, unit: str, points: Points) -> Recorded:
    return Recorded(Series(1, 1, 0, key, "device", unit, 2, 0, None, None, None, None, None, None, None), points)


def test_every_figure_that_training_records_has_a_panel() -> None:
    keys = [f"gpu0/{name}" for name in GPU] + [f"host/{name.replace('*', '3')}" for name in HOST]
    points = Points(np.arange(2), np.arange(2.0), np.ones(2), 2, 2)
    panels = devices_data([_recorded(key, quantity_of(key).unit, points) for key in keys])
    assert {panel.title for panel in panels} == set(PANELS)
    assert len(panels) == len(PANELS)  # one unit each


def test_what_stays_at_nothing_is_not_drawn_and_what_does_not_is() -> None:
    nothing = Points(np.arange(3), np.arange(3.0), np.zeros(3), 3, 3)
    once = Points(np.arange(3), np.arange(3.0), np.array([0.0, 1.0, 0.0]), 3, 3)
    idle, capped = (_recorded(f"gpu0/throttle_{name}", "", nothing) for name in ("idle", "software_power_cap"))
    assert devices_data([idle, capped]) == ()
    (panel,) = devices_data([idle, capped._replace(points=once)])
    assert (panel.title, [line.name for line in panel.lines.lines]) == (
        "Throttling",
        ["gpu0 throttled: software power cap"],
    )


def test_rates_and_joules_have_units_that_suit_them() -> None:
    points = Points(np.arange(2), np.arange(2.0), np.array([1e9, 2.5e9]), 2, 2)
    (links,) = devices_data([_recorded("gpu0/pcie_sent_bytes_per_second", "B/s", points)])
    assert (links.lines.unit, links.lines.lines[0].values[1], links.lines.lines[0].name) == (
        "GB/s",
        2.5,
        "gpu0 PCIe sent",
    )
    (energy,) = devices_data([_recorded("gpu0/energy_joules", "J", points._replace(values=np.array([0.0, 3500.0])))])
    assert (energy.lines.unit, energy.lines.lines[0].values[1]) == ("kJ", 3.5)
