"""The wheel puts one name into site-packages and works beside folders named like our rooms."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = """
import torch, torchglass, torchglass.instrumentation, torchglass.report
from torch import nn
assert "site-packages" in torchglass.instrumentation.__file__, torchglass.instrumentation.__file__
import instrumentation, dashboard
assert instrumentation.MINE and dashboard.MINE
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with torchglass.attach(model, optimizer, run="wheel", store="w.db") as run:
    for _ in range(20):
        loss = model(torch.ones(4, 2)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        run.log(loss=loss)
with torchglass.open_store("w.db", read_only=True) as store:
    print(store.find_series(store.run("wheel").id, "loss").count)
    torchglass.export_report(store, "wheel", "w.html")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the tree so that nothing is left in it."""
    folder = tmp_path_factory.mktemp("wheel")
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listing.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "tree" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(folder / "tree")]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def test_only_one_name_lands_in_site_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        names = set(archive.namelist())
    assert {top for top in tops if not top.endswith(".dist-info")} == {"torchglass"}
    sources = {
        f"torchglass/{path.relative_to(ROOT)}" for room in ("store", "charts") for path in (ROOT / room).glob("*.py")
    }
    assert sources <= names
    assert "torchglass/py.typed" in names
    assert not any(name.startswith("torchglass/tests") for name in names)


def test_the_wheel_logs_and_reports_beside_a_users_own_rooms(wheel: Path, tmp_path: Path) -> None:
    """In an environment that sees our dependencies through a path, but not the clone's own editable install."""
    environment = tmp_path / "env"
    venv.create(environment, with_pip=False)
    site = next((environment / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True)
    _run_script(environment, tmp_path)


@pytest.mark.slow
def test_the_wheel_works_in_an_environment_that_pip_filled(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venv.create(environment, with_pip=True)
    pins = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and line[0] not in "-#"]
    (tmp_path / "pins.txt").write_text("\n".join(pins))
    pip = [str(environment / "bin/python"), "-m", "pip", "install", "--quiet", "-c", str(tmp_path / "pins.txt")]
    subprocess.run([*pip, f"{wheel}[report]"], check=True)
    _run_script(environment, tmp_path)


def _run_script(environment: Path, folder: Path) -> None:
    project = folder / "project"
    for room in ("instrumentation", "dashboard"):
        (project / room).mkdir(parents=True)
        (project / room / "__init__.py").write_text("MINE = True\n")
    (project / "train.py").write_text(SCRIPT)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TORCHGLASS"))}
    done = subprocess.run(
        [str(environment / "bin/python"), "train.py"], cwd=project, env=clean, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["20"]
    assert (project / "w.html").stat().st_size > 1_000_000
