"""What TensorBoard's writers logged is in the store, every point of it."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchanged import START, curve, event, points, scalar_event, tensor_event, write_log
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from torch.utils.tensorboard import SummaryWriter

from torchglass.exchange import ImportedRun, import_tensorboard
from torchglass.exchange.folders import find_runs
from torchglass.exchange.importing import _Import, _LogClock
from torchglass.store import Store


def _import(store: Store, logdir: Path, **options: Any) -> dict[str, ImportedRun]:
    return {run.name: run for run in import_tensorboard(logdir, store=store.path, **options)}


def test_a_log_of_torch_is_kept_point_by_point_where_tensorboard_samples(store: Store, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with SummaryWriter(tmp_path / "log") as writer:
        for step in range(3000):  # TensorBoard keeps 1000 of a tag
            writer.add_scalar("loss", rng.normal(), step, walltime=START + 0.25 * step)
            writer.add_scalar("train/accuracy", rng.random(), 7 * step, new_style=True)
    told = EventAccumulator(str(tmp_path / "log"), size_guidance={"scalars": 0, "tensors": 0})
    told.Reload()
    done = _import(store, tmp_path / "log")["log"]
    assert (done.point_count, done.series_count, done.late_count, done.left_out) == (6000, 2, 0, {})
    loss = points(store, "log", "loss")
    assert loss.steps.tolist() == [each.step for each in told.Scalars("loss")]
    assert loss.values.tolist() == [each.value for each in told.Scalars("loss")]
    np.testing.assert_array_equal(loss.times, START + 0.25 * np.arange(3000))
    accuracy = points(store, "log", "train/accuracy")
    assert accuracy.values.tolist() == [each.tensor_proto.float_val[0] for each in told.Tensors("train/accuracy")]


def test_nan_infinity_and_double_precision_survive(store: Store, tmp_path: Path) -> None:
    with SummaryWriter(tmp_path / "log") as writer:
        for step, value in enumerate((math.nan, math.inf, -math.inf, -0.0)):
            writer.add_scalar("single", value, step)
        writer.add_scalar("double", 0.1, 0, new_style=True, double_precision=True)
    _import(store, tmp_path / "log")
    found = points(store, "log", "single").values
    np.testing.assert_array_equal(found, [math.nan, math.inf, -math.inf, 0.0])
    assert math.copysign(1, found[3]) == -1
    assert points(store, "log", "double").values.tolist() == [0.1]


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int8, np.int32, np.int64, np.uint8, np.uint16])
def test_a_scalar_tensor_of_any_type_is_a_point(kind: type[np.generic], store: Store, tmp_path: Path) -> None:
    listed = tensor_event("listed", 3, 5, "scalars", dtype=kind)
    packed = tensor_event("packed", 3, 5, "scalars", dtype=kind)
    value = packed.summary.value[0].tensor
    for field in ("half_val", "float_val", "double_val", "int_val", "int64_val"):
        value.ClearField(field)
    value.tensor_content = np.array(3, kind).tobytes()
    write_log(tmp_path / "log", [listed, packed])
    _import(store, tmp_path / "log")
    assert curve(store, "log", "listed") == [(5, 3.0)]
    assert curve(store, "log", "packed") == [(5, 3.0)]


def test_bfloat16_is_the_upper_half_of_a_float32(store: Store, tmp_path: Path) -> None:
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_BFLOAT16, half_val=[0x4049])  # 3.140625, of 0x40490fdb
    write_log(tmp_path / "log", [event(summary_pb2.Summary.Value(tag="pi", tensor=tensor), 1)])
    _import(store, tmp_path / "log")
    assert curve(store, "log", "pi") == [(1, 3.140625)]


def test_what_a_tag_is_needs_to_be_said_only_once(store: Store, tmp_path: Path) -> None:
    first = tensor_event("h", [[0.0, 1.0, 4.0]], 1, "histograms")
    second = tensor_event("h", [[0.0, 1.0, 9.0]], 2, "histograms")
    second.summary.value[0].ClearField("metadata")
    write_log(tmp_path / "log", [first, second])
    _import(store, tmp_path / "log")
    assert [each.count for each in store.histograms(store.run("log").id, "h")] == [4, 9]


def test_a_tensor_that_lies_about_its_size_is_left_out(store: Store, tmp_path: Path) -> None:
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=10**12)])
    bomb = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=shape, float_val=[1.0])
    odd = tensor_pb2.TensorProto(dtype=types_pb2.DT_DOUBLE, tensor_content=b"12345")
    values = [summary_pb2.Summary.Value(tag="t", tensor=tensor) for tensor in (bomb, odd)]
    write_log(tmp_path / "log", [*(event(value, 0) for value in values), scalar_event("loss", 1.0, 0)])
    assert _import(store, tmp_path / "log")["log"].left_out == {"tensor": 2}
    assert curve(store, "log", "loss") == [(0, 1.0)]


def test_each_folder_is_a_run_and_a_second_import_makes_others(store: Store, tmp_path: Path) -> None:
    for folder, value in ((".", 1.0), ("a", 2.0), ("a/b", 3.0)):
        write_log(tmp_path / "logs" / folder, [scalar_event("loss", value, 0)])
    (tmp_path / "logs" / "empty").mkdir()
    assert set(_import(store, tmp_path / "logs")) == {"logs", "a", "a/b"}
    assert set(_import(store, tmp_path / "logs")) == {"logs-2", "a-2", "a/b-2"}
    assert set(_import(store, tmp_path / "logs", run="sweep")) == {"sweep", "sweep/a", "sweep/a/b"}
    assert set(_import(store, tmp_path / "logs" / "a" / "b", run="one")) == {"one"}
    assert curve(store, "sweep/a", "loss") == [(0, 2.0)]
    assert curve(store, "one", "loss") == [(0, 3.0)]


def test_linked_folders_are_followed_once(store: Store, tmp_path: Path) -> None:
    write_log(tmp_path / "far", [scalar_event("loss", 1.0, 0)])
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "chosen").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "logs")
    assert set(_import(store, tmp_path / "logs")) == {"chosen"}


def test_after_a_restart_every_point_is_stored_and_the_last_write_counts(store: Store, tmp_path: Path) -> None:
    write_log(tmp_path / "log", [scalar_event("loss", float(step), step) for step in (0, 1, 2, 3)], ".1")
    again = event_pb2.Event(step=2, wall_time=START, session_log=event_pb2.SessionLog(status=1))
    write_log(tmp_path / "log", [again, *(scalar_event("loss", 10.0 + step, step) for step in (2, 4))], ".2")
    assert _import(store, tmp_path / "log")["log"].late_count == 1
    assert curve(store, "log", "loss") == [(0, 0.0), (1, 1.0), (2, 12.0), (3, 3.0), (4, 14.0)]
    series = store.find_series(store.run("log").id, "loss")
    assert series is not None
    assert store.tail(series.id, 0).values.tolist() == [0.0, 1.0, 2.0, 3.0, 12.0, 14.0]


def test_a_run_began_and_ended_when_its_log_says_so(store: Store, tmp_path: Path) -> None:
    with SummaryWriter(tmp_path / "log") as writer:
        for step in range(3):
            writer.add_scalar("loss", 1.0, step, walltime=START + 60 * step)
    _import(store, tmp_path / "log")
    run = store.run("log")
    assert (run.created_at, run.status) == (START, "finished")
    assert run.ended_at is not None
    assert run.ended_at >= START + 120  # the file's own first event is of now


def test_hyper_parameters_become_the_configuration(store: Store, tmp_path: Path) -> None:
    with SummaryWriter(tmp_path / "log") as writer:
        hyper = {"lr": 0.1, "batch_size": 64, "nesterov": True, "name": "sgd"}
        writer.add_hparams(hyper, {"hparam/accuracy": 0.9}, run_name="trial")
    _import(store, tmp_path / "log")
    run = store.run("trial")
    assert run.config == hyper
    assert isinstance(run.config["batch_size"], int)
    assert run.status == "finished"
    assert curve(store, "trial", "hparam/accuracy") == [(0, float(np.float32(0.9)))]


def test_a_run_takes_over_the_one_session_that_torch_put_below_it(store: Store, tmp_path: Path) -> None:
    for trial in ("a", "b"):
        with SummaryWriter(tmp_path / "sweep" / trial) as writer:
            writer.add_scalar("loss", 1.0, 0)
            writer.add_hparams({"lr": 0.5, "trial": trial}, {"hparam/accuracy": 0.9})
    write_log(tmp_path / "sweep", [scalar_event("note", 1.0, 0)])
    _import(store, tmp_path / "sweep")
    assert store.run("a").config == {"lr": 0.5, "trial": "a"}
    assert store.run("b").config == {"lr": 0.5, "trial": "b"}
    assert store.run("sweep").config == {}


def test_two_sessions_below_a_run_are_trials_and_not_its_own(store: Store, tmp_path: Path) -> None:
    with SummaryWriter(tmp_path / "log") as writer:
        writer.add_scalar("loss", 1.0, 0)
        for lr in (0.1, 0.2):
            writer.add_hparams({"lr": lr}, {"hparam/accuracy": 0.9}, run_name=str(lr))
    _import(store, tmp_path / "log")
    assert store.run("log").config == {}
    assert store.run("0.2").config == {"lr": 0.2}


def test_images_texts_and_curves_become_artifacts(store: Store, tmp_path: Path) -> None:
    pixels = np.arange(2 * 5 * 4 * 3, dtype=np.uint8).reshape(2, 5, 4, 3)
    with SummaryWriter(tmp_path / "log") as writer:
        writer.add_image("colour", pixels[0], 3, dataformats="HWC")
        writer.add_image("grey", pixels[0, :, :, 0], 3, dataformats="HW")
        writer.add_text("note", "grüße", 4)
        writer.add_pr_curve("pr", np.array([0, 1, 1]), np.array([0.2, 0.6, 0.9]), 5, num_thresholds=11)
    write_log(tmp_path / "log", [event_pb2.Event(graph_def=b"any"), event_pb2.Event(log_message={"message": "hello"})])
    done = _import(store, tmp_path / "log")["log"]
    assert (done.artifact_count, done.left_out) == (4, {"graph_def": 1})
    kept = {each.key: each for each in store.artifacts(store.run("log").id)}
    assert {key: (each.kind, each.step) for key, each in kept.items()} == {
        "colour": ("image", 3),
        "grey": ("image", 3),
        "note/text_summary": ("text", 4),
        "pr": ("pr_curve", 5),
    }
    np.testing.assert_array_equal(store.arrays(kept["colour"].id)["images"], pixels[:1])
    assert kept["note/text_summary"].meta["text"] == "grüße"
    assert store.arrays(kept["pr"].id)["recall"][0] == 1.0


def test_pictures_in_tensor_form_are_kept_one_by_one(store: Store, tmp_path: Path) -> None:
    from torchglass.exchange.pictures import encode

    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4, 1)
    strings = [b"4", b"3", *encode(pixels), b"no picture"]
    write_log(tmp_path / "log", [tensor_event("p", np.array(strings), 1, "images")])
    assert _import(store, tmp_path / "log")["log"].left_out == {"images": 1}
    kept = store.artifacts(store.run("log").id, kind="image")
    assert [each.key for each in kept] == ["p/0", "p/1"]
    np.testing.assert_array_equal(store.arrays(kept[1].id)["images"], pixels[1:])


def test_batches_change_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = [scalar_event(f"s{step % 3}", float(step), 100 - step) for step in range(100)]
    write_log(tmp_path / "log", log)
    monkeypatch.setattr("torchglass.exchange.gathering.MAX_POINTS", 7)
    done = _import(store, tmp_path / "log")["log"]
    assert (done.point_count, done.series_count, done.late_count) == (100, 3, 97)
    assert curve(store, "log", "s1") == [(100 - step, float(step)) for step in range(97, 0, -3)]


def test_a_clock_gone_wrong_costs_the_time_and_not_the_value(store: Store, tmp_path: Path) -> None:
    times = (math.nan, math.inf, -5.0, START)
    write_log(tmp_path / "log", [scalar_event("loss", 1.0, step, time) for step, time in enumerate(times)])
    _import(store, tmp_path / "log")
    found = points(store, "log", "loss")
    assert found.values.tolist() == [1.0] * 4
    assert found.times.tolist() == [0.0, 0.0, 0.0, START]


def test_an_interrupted_import_reads_as_interrupted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchglass.exchange.gathering.MAX_POINTS", 50)
    write_log(tmp_path / "log", [scalar_event("loss", float(step), step) for step in range(60)])

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _Import(store, _LogClock(), find_runs(tmp_path / "log")[0], stop).run()
    run = store.run("log")
    assert (run.status, run.error) == ("interrupted", "the import was interrupted")
    assert points(store, "log", "loss").total == 50


def test_nothing_logged_makes_no_run(store: Store, tmp_path: Path) -> None:
    SummaryWriter(tmp_path / "log").close()
    assert _import(store, tmp_path / "log")["log"].run_id is None
    assert store.runs() == []


def test_importing_loads_neither_torch_nor_tensorflow(tmp_path: Path) -> None:
    write_log(tmp_path / "log", [scalar_event("loss", 1.0, 0), tensor_event("t", 1.0, 0, "scalars")])
    script = (
        "import sys; from torchglass.exchange import import_tensorboard\n"
        "print('tensorboard' in sys.modules)\n"
        f"import_tensorboard({str(tmp_path / 'log')!r}, store={str(tmp_path / 's.db')!r})\n"
        "print(*sorted({'torch', 'tensorflow', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told == "False\n\n"
