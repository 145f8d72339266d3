"""A run recorded into a database: its server goes away, comes back, or stands still, and training never notices."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
import torch
from postgresql import Server
from training import batches, read, recorded, seeded, train_step, wait_until

import torchglass
from torchglass.instrumentation import run as run_module
from torchglass.instrumentation import writer as writer_module
from torchglass.instrumentation.buffer import Buffer
from torchglass.instrumentation.front_door import start_rank
from torchglass.instrumentation.identity import Identity
from torchglass.instrumentation.run import Run

pytestmark = [pytest.mark.postgresql, pytest.mark.filterwarnings("ignore:torchglass cannot save for now")]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses, so that no test has to sit through the real ones."""
    monkeypatch.setattr(writer_module, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr(writer_module, "LONGEST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(run_module, "FINISH_SECONDS", 5.0)


@contextmanager
def away(server: Server, *, crash: bool) -> Iterator[None]:
    """Have no server for the length of the block."""
    server.stop(crash=crash)
    try:
        yield
    finally:
        server.start()


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Have a server that takes connections and answers nobody."""
    (postmaster,) = [each for each in psutil.Process().children() if each.name() == "postgres"]
    everybody = [postmaster, *postmaster.children()]
    for process in everybody:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in everybody:
            process.send_signal(signal.SIGCONT)


def met_trouble(run: Run) -> None:
    wait_until(lambda: run._writer._warned, "the writer met the fault")


@pytest.mark.parametrize("crash", [False, True], ids=["restarted", "crashed"])
def test_a_server_restarted_mid_run_costs_no_value_and_doubles_none(postgresql: Server, crash: bool) -> None:
    url = postgresql.url()
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = torchglass.attach(model, optimizer, store=url, run="r", every=1, histograms=2, profile=None, devices=False)
    losses: dict[int, float] = {}

    def train(inputs: torch.Tensor) -> None:
        loss = train_step(model, optimizer, inputs).detach()
        run.log(loss=loss)
        losses[run.current_step] = float(loss)

    before, during, after = batches(60)[:20], batches(60)[20:30], batches(60)[30:]
    for inputs in before:
        train(inputs)
    assert run.flush()
    with away(postgresql, crash=crash):
        for inputs in during:
            train(inputs)
        met_trouble(run)
    for inputs in after:
        train(inputs)
    run.finish()
    assert recorded(url, "loss") == losses
    assert len(losses) == 60
    store, stored = read(url)
    with store:
        assert stored.status == "finished"
        counts = {series.key: series.count for series in store.series_of(stored.id) if series.kind != "self"}
        steps = {key: len(recorded(url, key)) for key in counts}
        assert counts == steps, "a point was stored twice"
        assert counts["layers/first.weight/gradient_norm"] == 60
        assert len(store.histograms(stored.id, "weights/first.weight")) == 30
        assert not [fact for fact in store.facts(stored.id) if fact.key == "warnings/lost"]


def test_logging_goes_on_while_the_server_stands_still(postgresql: Server) -> None:
    url = postgresql.url()
    run = torchglass.start("r", store=url, devices=False)
    assert run.flush()
    with frozen(postgresql):
        for step in range(1000):
            run.log(loss=float(step), step=step)
        assert not run.flush(0.1)
    run.finish()
    assert recorded(url, "loss") == {step: float(step) for step in range(1000)}


def test_what_a_full_buffer_lost_while_the_server_was_away_is_counted_and_shown(
    postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchglass.instrumentation.front_door.Buffer", lambda: Buffer(20_000))
    url = postgresql.url()
    run = torchglass.start("r", store=url, devices=False)
    assert run.flush()
    with away(postgresql, crash=False):
        run.log(loss=-1.0, step=0)
        met_trouble(run)
        for step in range(1, 5000):
            run.log(loss=float(step), step=step)
    with pytest.warns(RuntimeWarning, match="records could not be saved") as told:
        run.finish()
    kept = recorded(url, "loss")
    (lost,) = recorded(url, "torchglass/dropped_records").values()
    assert 0 < lost == 5000 - len(kept)
    assert any(f"{int(lost)} records could not be saved" in str(each.message) for each in told)
    store, stored = read(url)
    with store:
        facts = {fact.key: fact.value for fact in store.facts(stored.id)}
        assert facts["warnings/lost"] == f"{int(lost)} records could not be saved"


def test_a_server_that_never_comes_back_costs_a_bounded_wait_and_the_loss_is_told(
    postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "FINISH_SECONDS", 0.5)
    monkeypatch.setattr(run_module, "CLOSING_SECONDS", 0.1)
    url = postgresql.url()
    run = torchglass.start("r", store=url, devices=False)
    run.log(loss=1.0, step=1)
    assert run.flush()
    with away(postgresql, crash=False), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for step in range(2, 9):
            run.log(loss=1.0, step=step)
        run.finish()
    messages = [str(each.message) for each in told]
    assert sum("7 records could not be saved" in each for each in messages) == 1
    assert sum("could not close the run" in each for each in messages) == 1
    assert not [each for each in messages if "p@ss" in each or "p%40ss" in each]
    assert recorded(url, "loss") == {1: 1.0}
    assert read(url)[1].status == "running"


def test_ranks_on_several_machines_share_a_run(postgresql: Server) -> None:
    url = postgresql.url()
    machines = [Identity(f"machine{rank}", 7, rank, 2, "launch") for rank in range(2)]
    ranks = [start_rank("r", each, store=url, config={}, devices=False, mode=None) for each in machines]
    assert ranks[0].id == ranks[1].id
    for rank, run in enumerate(ranks):
        run.log(loss=10.0 + rank, step=3)
    for run in ranks:
        run.finish()
    assert [recorded(url, "loss", rank) for rank in (0, 1)] == [{3: 10.0}, {3: 11.0}]
    assert read(url)[1].status == "finished"
