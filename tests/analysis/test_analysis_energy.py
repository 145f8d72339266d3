"""Energy a step and a sample, from what a rank's GPUs told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compared import record

from torchglass.analysis.energy import read_step_energy
from torchglass.store import Store

JOULES = ("device", "J")
RATE = ("work/samples_per_second", "work", "1/s")


def test_a_samples_share_is_of_the_energy_of_all_gpus_and_of_the_samples_of_a_step(tmp_path: Path) -> None:
    seconds = np.array([0.5, 0.25, 0.25])
    series = {
        ("gpu0/energy_per_step_joules", *JOULES): [10.0, 14.0],
        ("gpu1/energy_per_step_joules", *JOULES): [20.0],
        ("gpu1/energy_joules", *JOULES): [9000.0],
        RATE: [64.0, 128.0, 64.0],
    }
    with Store(tmp_path / "store.db") as store:
        energy = read_step_energy(store, record(store, "run", {"forward": seconds}, series=series).id)
    assert energy is not None
    assert (energy.step_joules, energy.gpus) == (32.0, 2)
    assert energy.samples == pytest.approx((32 + 32 + 16) / 3)
    assert energy.sample_joules == pytest.approx(32 / ((32 + 32 + 16) / 3))


def test_without_samples_there_is_energy_a_step_alone_and_without_a_gpu_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store:
        bare = record(store, "bare", {"forward": np.ones(3)}, series={RATE: [1.0, 1.0, 1.0]})
        told = record(store, "told", {"forward": np.ones(3)}, series={("gpu0/energy_per_step_joules", *JOULES): [3.0]})
        energy = read_step_energy(store, told.id)
        assert read_step_energy(store, bare.id) is None
    assert energy is not None
    assert (energy.step_joules, energy.samples, energy.sample_joules) == (3.0, None, None)
