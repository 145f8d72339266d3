"""What is exported as event files, TensorBoard reads; and what comes back is what went out."""

from __future__ import annotations

import errno
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchanged import START, bits, curve, event, points, record, scalar_event, write_log
from recorded import record_example_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import summary_pb2
from tensorboard.context import RequestContext
from tensorboard.data.provider import RunTagFilter
from tensorboard.data.server_ingester import SubprocessServerDataIngester, get_server_binary
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data
from tensorboard.util.grpc_util import ChannelCredsType
from torch.utils.tensorboard import SummaryWriter

from torchglass.errors import OptionError, TorchglassError
from torchglass.exchange import export_run, import_tensorboard
from torchglass.exchange.exporting import _export_events
from torchglass.store import ArtifactBlock, Batch, Run, Store


def _read(folder: Path) -> EventAccumulator:
    told = EventAccumulator(str(folder), size_guidance=dict.fromkeys(("scalars", "tensors", "histograms", "images"), 0))
    told.Reload()
    return told


@pytest.fixture
def run(store: Store) -> Run:
    """A run of every kind of record, with a text and pictures."""
    made = record_example_run(store, config={"lr": 0.1, "layers": [1, 2], "amp": True, "name": "x"})
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4, 1)
    artifacts = [
        ArtifactBlock("text", "note", 4, made.created_at, {"text": "grüße"}, {}),
        ArtifactBlock("image", "digits", 5, made.created_at, {}, {"images": pixels}),
    ]
    store.write(made.id, 0, Batch(artifacts=artifacts))
    return store.run(made.id)


def test_event_accumulator_reads_plain_scalars_rounded_to_float32(store: Store, tmp_path: Path) -> None:
    made = store.start_run("r", {}, host="here", pid=1)
    values = [0.5, math.nan, -math.inf, 0.1, 1e300, 1e-320]
    record(store, made, "loss", [0, 7, 8, 9, 10, 2**40], values)
    export_run(store, made, tmp_path / "out", format="tensorboard")
    read = _read(tmp_path / "out").Scalars("loss")
    rounded = [0.5, math.nan, -math.inf, float(np.float32(0.1)), math.inf, 0.0]
    assert [each.step for each in read] == [0, 7, 8, 9, 10, 2**40]
    assert [each.wall_time for each in read] == [START + index for index in range(6)]
    np.testing.assert_array_equal([each.value for each in read], rounded)


def test_no_digit_of_a_double_is_lost_on_the_way_out_and_back(store: Store, tmp_path: Path) -> None:
    made = store.start_run("r", {}, host="here", pid=1)
    values = [0.1, 1e300, -1e300, 5e-324, -0.0, math.nan, 1 / 3, math.pi]
    record(store, made, "loss", range(8), values)
    export_run(store, made, tmp_path / "out", format="tensorboard")
    import_tensorboard(tmp_path / "out", store=store.path, run="back")
    assert bits(points(store, "back", "loss").values) == bits(np.array(values))


@pytest.mark.parametrize(("name", "number"), [("0.1", 0.1), ("0.2", 0.5), ("layer/loss", 0.5), ("nan", 0.5), ("", 0.5)])
def test_a_text_that_is_not_the_same_number_is_not_believed(
    name: str, number: float, store: Store, tmp_path: Path
) -> None:
    value = summary_pb2.Summary.Value(tag="loss", node_name=name, simple_value=number)
    write_log(tmp_path / "log", [event(value, 0), event(value, 1)])
    import_tensorboard(tmp_path / "log", store=store.path)
    assert curve(store, "log", "loss") == [(0, number), (1, number)]


def test_tensorboards_server_shows_every_series_histogram_and_session(store: Store, run: Run, tmp_path: Path) -> None:
    """Its data server is a program of its own, which reads less than its Python does: no float64 tensor, for one."""
    (tmp_path / "out").mkdir()
    export_run(store, run, tmp_path / "out" / "r", format="tensorboard")
    server = SubprocessServerDataIngester(
        get_server_binary(),
        str(tmp_path / "out"),
        reload_interval=1,
        channel_creds_type=ChannelCredsType.LOCAL,
        samples_per_plugin={"scalars": 0},
    )
    server.start()
    context, shown = RequestContext(), server.data_provider

    def scalars() -> Any:
        everything = {"experiment_id": "", "plugin_name": "scalars", "downsample": 10_000}
        return shown.read_scalars(context, run_tag_filter=RunTagFilter(), **everything).get("r", {})

    keys = {each.key for each in store.series_of(run.id)}
    deadline = time.monotonic() + 60  # it answers before it has read
    while set(scalars()) != keys and time.monotonic() < deadline:
        time.sleep(0.05)
    read = scalars()
    assert set(read) == keys
    for key in ("loss", "layers/fc1.weight/gradient_norm", "host/memory_used_bytes"):
        stored = points(store, run.name, key)
        assert [each.step for each in read[key]] == stored.steps.tolist()
        np.testing.assert_array_equal([each.value for each in read[key]], stored.values.astype(np.float32))
    histograms = shown.list_tensors(context, experiment_id="", plugin_name="histograms")["r"]
    assert set(histograms) == set(store.histogram_keys(run.id))
    assert "_hparams_/session_start_info" in shown.list_tensors(context, experiment_id="", plugin_name="hparams")["r"]


def test_tensorboard_reads_the_counts_of_our_histograms(store: Store, run: Run, tmp_path: Path) -> None:
    export_run(store, run, tmp_path / "out", format="tensorboard")
    stored = store.histograms(run.id, "gradients/conv1.weight")
    read = _read(tmp_path / "out").Histograms("gradients/conv1.weight")
    assert [each.step for each in read] == [each.step for each in stored]
    assert [each.histogram_value.num for each in read] == [2000.0] * len(stored)
    first = read[0].histogram_value
    assert (first.min, first.max) == (stored[0].minimum, stored[0].maximum)
    zeros = [count for limit, count in zip(first.bucket_limit, first.bucket, strict=True) if limit == 1e-12]
    assert zeros == [stored[0].zero_count]


def test_the_configuration_is_a_session_of_the_hparams_plugin(store: Store, run: Run, tmp_path: Path) -> None:
    export_run(store, run, tmp_path / "out", format="tensorboard")
    content = _read(tmp_path / "out").PluginTagToContent("hparams")
    session = parse_session_start_info_plugin_data(content["_hparams_/session_start_info"])
    assert session.hparams["lr"].number_value == 0.1
    assert session.hparams["amp"].bool_value is True
    assert session.hparams["layers"].string_value == "[1, 2]"
    end = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/session_end_info"])
    assert end.session_end_info.end_time_secs == run.ended_at


def test_what_went_out_comes_back(store: Store, run: Run, tmp_path: Path) -> None:
    done = export_run(store, run, tmp_path / "out", format="tensorboard")
    assert done.left_out == {"artifacts": 7, "profiler windows": 1}
    import_tensorboard(tmp_path / "out", store=store.path, run="back")
    back = store.run("back")
    assert (back.created_at, back.status, back.host) == (run.created_at, run.status, run.host)
    assert back.config == {"lr": 0.1, "layers": "[1, 2]", "amp": True, "name": "x"}
    assert [each.key for each in store.series_of(back.id)] == [each.key for each in store.series_of(run.id)]
    for series in store.series_of(run.id, kind="scalar"):
        before, after = points(store, run.name, series.key), points(store, "back", series.key)
        np.testing.assert_array_equal(after.steps, before.steps)
        np.testing.assert_array_equal(after.times, before.times)
        np.testing.assert_array_equal(after.values, before.values)
    for key in store.histogram_keys(run.id):
        for went, came in zip(store.histograms(run.id, key), store.histograms(back.id, key), strict=True):
            assert (came.step, came.bins.tolist(), came.counts.tolist()) == (
                went.step,
                went.bins.tolist(),
                went.counts.tolist(),
            )
            assert (came.zero_count, came.minimum, came.maximum) == (went.zero_count, went.minimum, went.maximum)
    (text,) = store.artifacts(back.id, kind="text")
    assert (text.key, text.step, text.meta["text"]) == ("note", 4, "grüße")
    images = store.artifacts(back.id, kind="image")
    assert [each.key for each in images] == ["digits/0", "digits/1"]
    assert store.arrays(images[1].id)["images"].ravel().tolist() == list(range(12, 24))


def test_a_log_of_torch_survives_the_way_through_the_store(store: Store, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    with SummaryWriter(tmp_path / "log") as writer:
        for step in range(50):
            writer.add_scalar("loss", rng.normal(), step)
            writer.add_scalars("both", {"a": rng.random(), "b": rng.random()}, step)
    import_tensorboard(tmp_path / "log", store=store.path)
    for name, key, folder in (("log", "loss", "log"), ("both_b", "both", "log/both_b")):
        export_run(store, name, tmp_path / f"out-{name}", format="tensorboard")
        before, after = _read(tmp_path / folder).Scalars(key), _read(tmp_path / f"out-{name}").Scalars(key)
        assert [(each.step, each.value) for each in after] == [(each.step, each.value) for each in before]
        # The store keeps times to the microsecond.
        assert [each.wall_time for each in after] == pytest.approx([each.wall_time for each in before], abs=1e-6, rel=0)


def test_each_rank_is_a_run_of_its_own_to_tensorboard(store: Store, tmp_path: Path) -> None:
    made = store.start_run("ranks", {}, host="here", pid=1)
    for rank in (0, 1):
        record(store, made, "loss", [0, 1], [float(rank)] * 2, rank=rank)
    done = export_run(store, made, tmp_path / "out", format="tensorboard")
    assert (done.path, done.point_count) == (tmp_path / "out", 4)
    assert [each.value for each in _read(tmp_path / "out" / "rank1").Scalars("loss")] == [1.0, 1.0]
    import_tensorboard(tmp_path / "out", store=store.path, run="back")
    assert curve(store, "back/rank1", "loss") == [(0, 1.0), (1, 1.0)]


def test_a_second_export_replaces_the_first_and_spares_other_files(store: Store, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_run(store, run, out, format="tensorboard")
    (out / "notes.txt").write_text("mine")
    export_run(store, run, out, format="tensorboard")
    assert len(list(out.iterdir())) == 2
    with pytest.raises(OptionError, match="holds this run already"):
        export_run(store, run, out, format="tensorboard", overwrite=False)


def test_an_export_that_fails_leaves_no_folder(store: Store, run: Run, tmp_path: Path) -> None:
    record(store, run, "loss", [0], [1.0], rank=1)

    def stop(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(TorchglassError, match="No space left on device"):
        _export_events(store, run, store.series_of(run.id), tmp_path / "out", True, stop)
    assert not (tmp_path / "out").exists()


def test_two_runs_never_share_a_folder_of_event_files(store: Store, run: Run, tmp_path: Path) -> None:
    write_log(tmp_path / "logs", [scalar_event("loss", 1.0, 0)])
    before = sorted((tmp_path / "logs").iterdir())
    with pytest.raises(OptionError, match="event files of another run"):
        export_run(store, run, tmp_path / "logs", format="tensorboard")
    assert sorted((tmp_path / "logs").iterdir()) == before
