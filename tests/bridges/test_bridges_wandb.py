"""The wandb-shaped module beside the real one, offline: the same script, the same steps, config and summary."""

from __future__ import annotations

import inspect
import json
import logging
import warnings
from argparse import Namespace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bridged import artifacts_of, facts_of, points_of, run_of, run_script
from torch import nn
from torch.optim.optimizer import _global_optimizer_pre_hooks

import torchglass.bridges.wandb as ours
from torchglass.bridges.tracker_run import Run
from torchglass.errors import OptionError, RunNotFoundError
from torchglass.instrumentation import start
from torchglass.store import Store

SHARED = """
import json, os
from argparse import Namespace
import {module} as wandb
steps = []
def log(*arguments, **options):
    wandb.log(*arguments, **options)
    steps.append(wandb.run.step)
refused = []
def refuses(action):
    try:
        action()
        refused.append(False)
    except Exception:
        refused.append(True)
refuses(lambda: wandb.log({{"a": 1}}))
refuses(lambda: wandb.config.lr)
settings = wandb.Settings(x_disable_stats=True)
run = wandb.init(project="p", config={{"lr": 0.1, "deep": {{"er": 1}}}}, tags=["x"], settings=settings)
wandb.define_metric("smallest", summary="min")
wandb.define_metric("train/*", summary="max,mean,first,last")
wandb.define_metric("hidden", summary="none")
log({{"loss": 1.0}})
log({{"loss": 2.0}}, commit=False)
log({{"accuracy": 0.5}})
log({{"loss": 3.0}}, step=7)
log({{"accuracy": 0.6}}, step=7)
log({{"late": 1}})
log({{"smallest": 3, "train/a": 1}})
log({{"smallest": 1, "train/a": 3}})
log({{"smallest": 2, "hidden": 4}})
log({{"nested": {{"a": {{"b": 1}}}}}})
log({{"x": 1}}, step=20, commit=True)
log({{"y": 2}}, step=30)
log({{"z": 1}}, step=30, commit=False)
log({{"end": 1}})
log({{}})
wandb.config.update({{"lr": 0.2}}, allow_val_change=True)
wandb.config.update(Namespace(epochs=3))
wandb.config.momentum = 0.9
wandb.config["seed"] = 1
wandb.config.setdefaults({{"seed": 5, "new": 2}})
refuses(lambda: wandb.config.update({{"lr": 0.3}}))
refuses(lambda: setattr(wandb.config, "lr", 0.3))
wandb.config.update({{"lr": 0.2}})
wandb.run.summary["best"] = 9
wandb.summary.update({{"set": {{"er": 1}}}})
whole = wandb.summary._as_dict() if hasattr(type(wandb.summary), "_as_dict") else wandb.summary.as_dict()
summary = {{key: value for key, value in whole.items() if not key.startswith("_")}}
told = [wandb.run.summary["best"], wandb.summary["train/a"]["max"], wandb.summary.get("nothing"), "lr" in wandb.config,
        wandb.config.get("nothing"), wandb.config.as_dict(), sorted(wandb.config.keys()), list(wandb.run.tags)]
again = wandb.init(config={{"other": 1}}) is run
finished = wandb.init(reinit="finish_previous") is not run
fresh = [wandb.run.step, dict(wandb.config)]
wandb.finish()
gone = wandb.run is None
wandb.finish()
refuses(lambda: wandb.log({{"a": 1}}))
print("\\n" + json.dumps([steps, summary, told, again, finished, fresh, gone, refused], sort_keys=True))
"""


def told_by(module: str, folder: Path) -> Any:
    code, out, errors = run_script(
        SHARED.format(module=module),
        folder,
        WANDB_MODE="offline",
        WANDB_SILENT="true",
        WANDB_CONSOLE="off",
        WANDB_DIR=str(folder),
        PYTHONWARNINGS="ignore",
    )
    assert code == 0, errors
    return json.loads(out.splitlines()[-1])


def test_one_script_has_the_same_steps_summary_and_config_with_both(tmp_path: Path) -> None:
    assert told_by("torchglass.bridges.wandb", tmp_path) == told_by("wandb", tmp_path)
    assert points_of(tmp_path / "store.db")["loss"] == {0: 1.0, 1: 2.0, 7: 3.0}
    assert points_of(tmp_path / "store.db")["nested/a/b"] == {11: 1.0}


@pytest.mark.parametrize("name", ["init", "watch", "unwatch", "define_metric", "alert", "finish", "log"])
def test_functions_take_the_arguments_of_wandb_in_the_same_order(name: str) -> None:
    import wandb

    theirs = getattr(wandb, name) if name in ("init", "finish") else getattr(wandb.sdk.wandb_run.Run, name)
    mine = getattr(ours, name) if name in ("init", "finish") else getattr(Run, name)
    expected = [(each.name, each.kind) for each in inspect.signature(theirs).parameters.values()]
    found = [(each.name, each.kind) for each in inspect.signature(mine).parameters.values()]
    assert found[: len(expected)] == expected


@pytest.fixture(autouse=True)
def none_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without an active run, and may be told everything again."""
    monkeypatch.setattr(ours, "_current", None)
    monkeypatch.setattr(ours, "_told", set())


def test_an_earlier_step_is_recorded_and_does_not_move_the_steps_back(path: Path) -> None:
    with ours.init() as run:
        run.log({"loss": 5.0}, step=5)
        run.log({"loss": 2.0}, step=2)
        run.log({"loss": 6.0})
        run.log({"loss": 7.0})
        assert run.step == 7
    assert points_of(path)["loss"] == {2: 2.0, 5: 6.0, 6: 7.0}


def test_what_a_run_is_told_about_itself_is_stored(path: Path) -> None:
    run = ours.init(
        project="cats", name="first", group="g", job_type="train", tags=["a"], notes="n", id="abc", config={"lr": 0.1}
    )
    assert (run.name, run.id, run.project, run.group, run.tags) == ("first", "abc", "cats", "g", ("a",))
    run.tags += ("b",)
    run.notes = "more"
    run.name = "renamed"
    run.config.batch = 3
    run.summary["best"] = torch.tensor(0.5)
    Path(run.dir, "model.pt").write_text("the script's own")
    run.define_metric("valid/*", step_metric="epoch")
    run.define_metric("valid/*", summary="best", goal="maximize")
    run.log({"valid/accuracy": 0.5, "epoch": 1})
    run.log({"valid/accuracy": 0.25, "epoch": 2})
    assert run.summary["valid/accuracy"] == {"best": 0.5}
    run.finish()
    facts = facts_of(path)
    stored = run_of(path)
    assert (stored.name, stored.config) == ("renamed", {"lr": 0.1, "batch": 3})
    assert (stored.tags, stored.note) == (("a", "b"), "more")
    assert facts["tracker"] == {"project": "cats", "group": "g", "job_type": "train", "id": "abc"}
    assert facts["summary"] == {"best": 0.5}
    assert facts["metrics"] == {"valid/*": {"step_metric": "epoch", "summary": "best", "goal": "maximize"}}


def test_a_name_that_is_taken_is_told_and_tags_can_be_taken_away(path: Path) -> None:
    ours.init(name="one").finish()
    with ours.init(name="two", tags=["a", "b"]) as run:
        with pytest.warns(RuntimeWarning, match="there is a run 'one' already"):
            run.name = "one"
        run.tags = ("b", "c")
        assert (run.name, run.tags) == ("two", ("b", "c"))
    assert run_of(path, "two").tags == ("b", "c")


def test_a_disabled_run_takes_every_call_and_makes_no_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    run = ours.init(config={"lr": 1})
    model = nn.Linear(2, 1)
    run.watch(model)
    run.log({"loss": 1.0, "h": ours.Histogram([1.0]), "t": "text"})
    run.alert("a", "b")
    run.name, run.tags, run.notes = "n", ("t",), "more"
    assert (run.name, run.tags, run.notes) == ("n", ("t",), "more")
    assert (run.config.lr, run.summary["loss"], run.step) == (1, 1.0, 1)
    ours.finish()
    assert not path.exists()
    assert not model._forward_hooks


def test_a_second_init_returns_replaces_or_joins_the_active_run(path: Path) -> None:
    first = ours.init(name="one")
    with pytest.warns(RuntimeWarning, match="that run is returned"):
        assert ours.init(name="two") is first
    beside = ours.init(name="beside", reinit="create_new")
    assert ours.__getattr__("run") is first
    first.log({"a": 1.0})
    beside.log({"a": 2.0})
    third = ours.init(name="three", reinit=True)
    assert ours.__getattr__("run") is third
    beside.finish(exit_code=3)
    ours.finish()
    ours.finish()
    with Store(path) as store:
        found = {run.name: (run.status, run.error) for run in store.runs()}
    assert found == {
        "one": ("finished", None),
        "beside": ("failed", "exit code 3"),
        "three": ("finished", None),
    }


def test_an_exception_fails_the_run_with_its_text(path: Path) -> None:
    with pytest.raises(ValueError, match="bad batch"), ours.init():
        raise ValueError("bad batch")
    assert (run_of(path).status, run_of(path).error) == ("failed", "ValueError: bad batch")
    assert ours.__getattr__("run") is None


def test_settings_and_the_environment_count_where_an_argument_is_left_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "from-environment")
    monkeypatch.setenv("WANDB_TAGS", "a,b")
    run = ours.init(
        settings=ours.Settings(run_group="g", silent=True),
        config=Namespace(lr=1, secret=2),
        config_exclude_keys=["secret"],
    )
    assert (run.project, run.group, run.tags, dict(run.config)) == ("from-environment", "g", ("a", "b"), {"lr": 1})
    assert run.name == "from-environment"
    ours.finish()


def test_what_is_unknown_is_accepted_with_one_notice_each(path: Path) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert ours.login(key="secret")
        ours.setup()
        run = ours.init(brand_new=1, fork_from="abc?_step=5")
        for _ in range(2):
            run.log({"sound": ours.Audio(np.zeros(3)), "video": ours.Video("x.mp4"), "object": object()})
            run.log({"nothing": None, "mixed": [1, "a"]})
            run.log({"curve": ours.plot.roc_curve([0, 1], [[0.5, 0.5], [0.1, 0.9]])})
            artifact = ours.Artifact("model", type="model")
            artifact.add_file("model.pt")
            assert run.log_artifact(artifact) is artifact
            run.save("model.pt")
    run.finish()
    assert len(told) == 2 + 4 + 3
    kinds = {key.removeprefix("warnings/not_kept/") for key in facts_of(path) if key.startswith("warnings/not_kept/")}
    assert kinds == {"Audio", "Video", "object", "list", "plot", "save", "log_artifact"}
    with pytest.raises(AttributeError, match="no 'nonsense'"):
        _ = run.nonsense
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = ours.nonsense


def test_a_run_goes_on_by_its_id_or_name_after_its_last_step_or_where_it_is_told(path: Path) -> None:
    def train(**options: Any) -> tuple[bool, int]:
        with ours.init(**options) as run:
            first = run.resumed, run.step
            for value in (1.0, 2.0, 3.0):
                run.log({"loss": value})
        return first

    assert train(id="abc", resume="allow", config={"lr": 1}) == (False, 0)
    assert train(id="abc", resume="allow", config={"seed": 2}) == (True, 3)
    assert train(resume_from="abc?_step=2") == (True, 2)
    assert train(name="abc", resume="must") == (True, 5)
    assert points_of(path, "abc")["loss"] == {0: 1.0, 1: 2.0, 2: 1.0, 3: 2.0, 4: 3.0, 5: 1.0, 6: 2.0, 7: 3.0}
    assert run_of(path, "abc").config == {"lr": 1, "seed": 2}
    assert train(id="abc", resume="never") == (False, 0)
    with pytest.raises(RunNotFoundError, match="no run 'gone'"):
        ours.init(name="gone", resume="must")
    with pytest.raises(OptionError, match="resume_from='abc'"):
        ours.init(resume_from="abc")


def test_misuse_is_refused_in_the_callers_words(path: Path) -> None:
    with ours.init() as run:
        anything: Any = run
        for action, words in (
            (lambda: anything.log([1.0]), "log got a list"),
            (lambda: anything.log({1: 1.0}), "log got 1 as a name"),
            (lambda: run.define_metric("a*b"), r"define_metric\('a\*b'\)"),
            (lambda: run.define_metric("a", summary="median"), "summary='median'"),
            (lambda: run.alert("a", "b", level="LOUD"), "level='LOUD'"),
            (lambda: run.config.update(5), "config is a int"),
            (lambda: anything.watch(None), "NoneType"),
            (lambda: ours.Histogram(), "Histogram needs values"),
            (lambda: ours.Histogram(np_histogram=([1], [0])), "1 counts and 1 edges"),
            (lambda: ours.Image(np.zeros(3)), "of shape"),
            (lambda: ours.Table(["a"]).add_data(1, 2), "got 2 cells"),
        ):
            with pytest.raises(OptionError, match=words):
                action()


def test_histograms_images_tables_texts_and_arrays_are_kept(path: Path) -> None:
    from PIL import Image

    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    counts, edges = np.histogram([1.0, 2.0, 2.5], bins=4)
    with ours.init() as run:
        run.log(
            {
                "h": ours.Histogram([1.0, 2.0, np.nan]),
                "counted": ours.Histogram(np_histogram=(counts, edges)),
                "tensor": torch.arange(6.0).reshape(2, 3),
                "list": [1, 2],
                "bytes": ours.Image(picture, caption="a cat"),
                "pil": [ours.Image(Image.fromarray(picture)), ours.Image(Image.fromarray(picture))],
                "unlike": [ours.Image(np.zeros((2, 2))), ours.Image(np.zeros((3, 3)))],
                "chw": ours.Image(torch.linspace(-1, 1, 24).reshape(3, 2, 4)),
                "text": "good",
            }
        )
        table = ours.Table(columns=["id", "score"])
        table.add_data(1, 0.5)
        table.add_data(2, float("nan"))
        table.add_column("word", ["a", "b"])
        run.log({"deep": {"table": table}})
        assert run.summary["text"] == "good"
    with Store(path) as store:
        found = {key: store.histograms(1, key)[0] for key in store.histogram_keys(1)}
    assert {key: each.count for key, each in found.items()} == {"h": 3, "counted": 3, "tensor": 6, "list": 2}
    assert found["h"].nan_count == 1
    images = artifacts_of(path, "image")
    assert np.array_equal(images["bytes", 0][0]["images"][0], picture)
    assert images["bytes", 0][1] == {"captions": ["a cat"]}
    assert np.array_equal(images["pil", 0][0]["images"], [picture, picture])
    assert images["unlike/1", 0][0]["images"].shape == (1, 3, 3, 1)
    assert images["chw", 0][0]["images"].shape == (1, 2, 4, 3)
    assert (images["chw", 0][0]["images"].min(), images["chw", 0][0]["images"].max()) == (0, 255)
    assert artifacts_of(path, "text")["text", 0][1] == {"text": "good"}
    assert artifacts_of(path, "table")["deep/table", 1][1] == {
        "columns": ["id", "score", "word"],
        "rows": [[1, 0.5, "a"], [2, "nan", "b"]],
    }


def test_a_data_frame_and_plain_rows_make_the_same_table() -> None:
    import pandas

    frame = ours.Table(dataframe=pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    rows = ours.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]])
    assert (frame.columns, frame.data) == (rows.columns, rows.data)
    assert rows.get_column("b") == ["x", "y"]
    alone = ours.Table(columns=[])
    alone.add_column("c", [1, 2])
    assert (alone.columns, alone.data) == (["c"], [[1], [2]])


def test_the_summary_holds_last_smallest_largest_and_mean_and_forgets_what_is_deleted(path: Path) -> None:
    with ours.init() as run:
        run.define_metric("all", summary="min,max,mean,first,last")
        for value in (3.0, float("nan"), torch.tensor(1.0), 8):
            run.log({"all": value, "plain": value})
        whole = run.summary["all"]
        assert (whole["min"], whole["max"], whole["first"], whole["last"]) == (1.0, 8, 3.0, 8)
        assert np.isnan(whole["mean"])
        run.summary["plain"] = 5
        assert run.summary.plain == 5
        run.log({"plain": 6})
        assert (run.summary["plain"], len(run.summary)) == (6, 2)
        del run.summary["plain"]
        assert list(run.summary) == ["all"]
        with pytest.raises(KeyError):
            run.summary["plain"]


def test_a_watched_models_optimizer_is_found_at_its_first_step(path: Path) -> None:
    model, other = nn.Linear(4, 2), nn.Linear(4, 2)
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1) for each in (other, model)]
    with ours.init() as run:
        run.watch(model, log_freq=2)
        for _ in range(4):
            for each in (other, model):
                each(torch.ones(3, 4)).sum().backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            run.log({"loss": 1.0})
        with pytest.warns(RuntimeWarning, match="the first is watched, the Linear"):
            run.watch(other)  # as a GAN's script does: wandb watches both
        run.unwatch()
        model(torch.ones(3, 4)).sum().backward()
        optimizers[1].step()
    with Store(path) as store:
        norms = store.find_series(1, "layers/weight/gradient_norm")
        assert norms is not None
        assert store.points(norms.id).steps.tolist() == [0, 2]
        assert [each.step for each in store.histograms(1, "gradients/weight")] == [0, 2]
        phases = store.find_series(1, "phase/forward")
        assert phases is not None
        assert phases.count == 4
    assert facts_of(path)["model"] == {"class": "Linear", "parameters": 10}
    for each in (model, other):
        assert not each._forward_hooks
    for optimizer in optimizers:
        assert not optimizer._optimizer_step_pre_hooks
    assert not _global_optimizer_pre_hooks


def test_an_alert_is_stated_logged_and_not_repeated_too_soon(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    run = Run(start(devices=False), {}, clock=lambda: now[0])
    with caplog.at_level(logging.INFO, "torchglass"):
        run.log({"loss": 1.0}, step=4)
        run.alert("Loss", "it rose", level=ours.AlertLevel.WARN)
        now[0] = 59.0
        run.alert("Loss", "it rose again", level="WARN")
        run.alert("Other", "once")
        now[0] = 60.0
        run.alert("Loss", "still", level="ERROR", wait_duration=timedelta(minutes=2))
        run.alert("Loss", "still", level="ERROR", wait_duration=5)
    run.finish()
    alerts = {key: value for key, value in facts_of(path).items() if key.startswith("alerts/")}
    assert alerts == {
        "alerts/1": {"title": "Loss", "text": "it rose", "level": "WARN", "step": 4},
        "alerts/2": {"title": "Other", "text": "once", "level": "INFO", "step": 4},
        "alerts/3": {"title": "Loss", "text": "still", "level": "ERROR", "step": 4},
    }
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "ERROR"]
