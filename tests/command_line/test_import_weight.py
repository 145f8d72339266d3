"""What an import costs: the public name loads nothing heavy, and the store loads no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "streamlit", "plotly", "pandas", "captum", "shap", "lime", "sklearn", "matplotlib")


@pytest.mark.parametrize(
    "module",
    [
        "torchglass",
        "torchglass.errors",
        "torchglass.store",
        "torchglass.traces.reading",
        "torchglass.analysis.comparison",
        "torchglass.instrumentation.devices",
    ],
)
def test_importing_loads_nothing_heavy(module: str) -> None:
    script = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == []


@pytest.mark.parametrize("module", ["torchglass.charts", "torchglass.report", "torchglass.dashboard"])
def test_the_page_and_the_report_never_load_torch(module: str) -> None:
    script = f"import sys, {module}; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "False"


def test_every_public_name_is_found_where_the_table_says() -> None:
    import torchglass

    assert sorted(torchglass.__all__) == dir(torchglass)
    for name in ("attach", "every", "start", "Run", "open_store"):
        assert getattr(torchglass, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        torchglass.nothing  # noqa: B018
