"""How each tracker records ten scalars of a step, ends, and reads them back: the same four verbs for all of them.

Each is used as its own documentation says, with nothing switched on but scalars: no device sampling, no console
capture, no network. Libraries load when they are used, so that a process holds one tracker only.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Protocol

PROJECT = "peers"
RUN = "bench"


class Recorder(Protocol):
    """One tracker. `count` runs in a process of its own, after the recording one has ended."""

    reads_with: tuple[str, ...]  # modules to load before a read is timed

    def start(self, folder: Path) -> None:
        """Open a run that keeps everything below this folder."""

    def log(self, values: dict[str, float], step: int) -> None:
        """Record the values of one step: what is timed."""

    def finish(self) -> None:
        """Do what the tracker's users do at the end, and return when everything is on disk."""

    def count(self, folder: Path) -> int:
        """Read every value back and return how many there are."""


class Torchglass:
    """A run without a model; read back point by point."""

    reads_with = ("torchglass.store",)

    def start(self, folder: Path) -> None:
        import torchglass

        self.run = torchglass.start(run=RUN, store=folder / "torchglass.db", devices=False)

    def log(self, values: dict[str, float], step: int) -> None:
        self.run.log(values, step=step)

    def finish(self) -> None:
        self.run.finish()

    def count(self, folder: Path) -> int:
        import torchglass

        with torchglass.open_store(folder / "torchglass.db", read_only=True) as store:
            series = store.series_of(store.run(RUN).id, kind="scalar")
            return sum(len(store.points(each.id).values) for each in series)


class TensorBoard:
    """`SummaryWriter` of torch, one `add_scalar` for each value; read back by TensorBoard's own accumulator."""

    reads_with = ("tensorboard.backend.event_processing.event_accumulator",)

    def start(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder))

    def log(self, values: dict[str, float], step: int) -> None:
        for key, value in values.items():
            self.writer.add_scalar(key, value, step)

    def finish(self) -> None:
        self.writer.close()

    def count(self, folder: Path) -> int:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        events.Reload()
        return sum(len(events.Scalars(key)) for key in events.Tags()["scalars"])


class Wandb:
    """Offline; wandb cannot read its own offline file without a server, so its log is scanned with its own messages."""

    reads_with = ("wandb.proto.wandb_internal_pb2",)

    def start(self, folder: Path) -> None:
        import wandb

        settings = wandb.Settings(x_disable_stats=True, x_disable_meta=True, console="off", silent=True)
        self.run = wandb.init(project=PROJECT, dir=str(folder), mode="offline", settings=settings)

    def log(self, values: dict[str, float], step: int) -> None:
        self.run.log(values, step=step)

    def finish(self) -> None:
        self.run.finish()

    def count(self, folder: Path) -> int:
        from wandb.proto.wandb_internal_pb2 import Record
        from wandb_log import payloads

        (path,) = folder.glob("wandb/offline-run-*/*.wandb")
        total = 0
        for payload in payloads(path.read_bytes()):
            items = Record.FromString(payload).history.item
            total += sum(not (item.key or item.nested_key[0]).startswith("_") for item in items)
        return total


class Trackio:
    """Local project; read back by trackio's own storage, which its page uses too."""

    reads_with = ("trackio.sqlite_storage",)

    def start(self, folder: Path) -> None:
        import trackio

        self.run = trackio.init(project=PROJECT, name=RUN, auto_log_gpu=False, auto_log_cpu=False, embed=False)

    def log(self, values: dict[str, float], step: int) -> None:
        self.run.log(values, step=step)

    def finish(self) -> None:
        self.run.finish()

    def count(self, folder: Path) -> int:
        from trackio.sqlite_storage import SQLiteStorage

        logs = SQLiteStorage.get_logs(PROJECT, RUN, max_points=None)
        return sum(isinstance(value, float) for row in logs for value in row.values())


class MLflow:
    """`log_metrics` into SQLite; read back with `get_metric_history`."""

    reads_with = ("mlflow",)

    def start(self, folder: Path) -> None:
        import mlflow

        self.mlflow = mlflow
        mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        mlflow.create_experiment(PROJECT, artifact_location=(folder / "artifacts").as_uri())
        mlflow.set_experiment(PROJECT)
        mlflow.start_run(run_name=RUN, log_system_metrics=False)

    def log(self, values: dict[str, float], step: int) -> None:
        self.mlflow.log_metrics(values, step=step)

    def finish(self) -> None:
        self.mlflow.end_run()

    def count(self, folder: Path) -> int:
        import mlflow

        client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
        (run,) = client.search_runs([client.get_experiment_by_name(PROJECT).experiment_id])
        return sum(len(client.get_metric_history(run.info.run_id, key)) for key in run.data.metrics)


class Aim:
    """`track` of a dictionary; its page's server indexes a run before it can be read, here `aim storage reindex`."""

    reads_with = ("aim",)

    def start(self, folder: Path) -> None:
        from aim import Repo, Run

        Repo.from_path(str(folder), init=True)
        self.run = Run(repo=str(folder), experiment=PROJECT, system_tracking_interval=None, capture_terminal_logs=False)

    def log(self, values: dict[str, float], step: int) -> None:
        self.run.track(values, step=step)

    def finish(self) -> None:
        self.run.close()

    def count(self, folder: Path) -> int:
        from aim import Repo

        aim = Path(sys.executable).with_name("aim")
        subprocess.run([aim, "storage", "--repo", folder, "reindex", "--yes"], check=True)
        metrics = (metric for run in Repo(str(folder)).iter_runs() for metric in run.metrics())
        return sum(len(metric.values.sparse_numpy()[0]) for metric in metrics)


class PlainSqlite:
    """What a careful script would do: a row for each value, kept in a list and inserted 10,000 at a time."""

    reads_with: tuple[str, ...] = ()

    BATCH = 10_000

    def start(self, folder: Path) -> None:
        self.connection = sqlite3.connect(folder / "plain.db")
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("CREATE TABLE metrics (key INTEGER, step INTEGER, time REAL, value REAL)")
        self.connection.commit()
        self.rows: list[tuple[int, int, float, float]] = []

    def log(self, values: dict[str, float], step: int) -> None:
        now = time.time()
        self.rows.extend((key, step, now, value) for key, value in enumerate(values.values()))
        if len(self.rows) >= self.BATCH:
            self._insert()

    def finish(self) -> None:
        self._insert()
        self.connection.close()

    def count(self, folder: Path) -> int:
        connection = sqlite3.connect(folder / "plain.db")
        return len(connection.execute("SELECT step, time, value FROM metrics").fetchall())

    def _insert(self) -> None:
        with self.connection:
            self.connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?)", self.rows)
        self.rows.clear()


class ListAppend:
    """The floor: nothing is kept beyond the process."""

    reads_with: tuple[str, ...] = ()

    def start(self, folder: Path) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []

    def log(self, values: dict[str, float], step: int) -> None:
        self.rows.append((step, values))

    def finish(self) -> None:
        """Nothing is written."""

    def count(self, folder: Path) -> int:
        return 0


RECORDERS: dict[str, type[Any]] = {
    "torchglass": Torchglass,
    "tensorboard": TensorBoard,
    "wandb": Wandb,
    "trackio": Trackio,
    "mlflow": MLflow,
    "aim": Aim,
    "sqlite3": PlainSqlite,
    "list": ListAppend,
}
