"""SummaryWriter beside the real one: the same calls, the same numbers."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from bridged import artifacts_of, facts_of, points_of, run_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils import tensorboard

import torchglass
from torchglass.bridges.summary_writer import SummaryWriter
from torchglass.errors import OptionError
from torchglass.store import Store

Writer = Any  # ours or torch's


def both(path: Path, script: Callable[[Writer], None]) -> EventAccumulator:
    """Run a script with each writer; ours records into the store, torch's events are returned."""
    with torchglass.SummaryWriter("runs/ours") as ours:
        script(ours)
    with tensorboard.SummaryWriter(str(path.parent / "theirs")) as theirs:
        script(theirs)
    events = EventAccumulator(str(path.parent / "theirs"), size_guidance={"tensors": 0, "scalars": 0, "images": 0})
    events.Reload()
    return events


def public(kind: type) -> dict[str, inspect.Signature]:
    methods = {name: value for name, value in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}
    return {name: inspect.signature(value) for name, value in methods.items()} | {
        "__init__": inspect.signature(kind.__init__)  # type: ignore[misc]
    }


def test_every_method_takes_the_arguments_of_torch_in_the_same_order_with_the_same_defaults() -> None:
    def plain(signature: inspect.Signature) -> list[tuple[str, Any, Any]]:
        return [(each.name, each.kind, each.default) for each in signature.parameters.values()]

    ours, theirs = public(torchglass.SummaryWriter), public(tensorboard.SummaryWriter)
    assert set(theirs) <= set(ours)
    assert {name: plain(ours[name]) for name in theirs} == {name: plain(theirs[name]) for name in theirs}


def test_scalars_have_the_steps_times_and_values_that_torch_writes(path: Path) -> None:
    def script(writer: Writer) -> None:
        writer.add_scalar("loss", 0.25, 3, walltime=1_500_000_000.5)
        writer.add_scalar("loss", torch.tensor([0.1]), np.int32(1))
        writer.add_scalar("loss", np.float32(0.7), 2.9)
        writer.add_scalar("exact", 1 / 3, 5, double_precision=True)
        writer.add_scalar("nan", float("nan"), 1)
        writer.add_scalar("nan", float("-inf"), 2)
        writer.add_scalar("no_step", 5)

    events = both(path, script)
    ours = points_of(path)
    for tag in ("loss", "nan", "no_step"):
        theirs = {event.step: event.value for event in events.Scalars(tag)}
        assert list(ours[tag]) == sorted(theirs)
        assert np.allclose(list(ours[tag].values()), [theirs[step] for step in ours[tag]], rtol=1e-7, equal_nan=True)
    assert ours["exact"] == {5: 1 / 3}
    with Store(path) as store:
        series = store.find_series(1, "loss")
        assert series is not None
        assert store.points(series.id).times[2] == 1_500_000_000.5
    assert (run_of(path).name, run_of(path).status) == ("ours", "finished")


def test_a_group_of_scalars_makes_series_of_this_run_and_no_other_run(path: Path) -> None:
    with torchglass.SummaryWriter("runs/group") as writer:
        for step in range(3):
            writer.add_scalars("loss", {"train": step, "valid": 2 * step}, step)
    assert points_of(path) == {"loss/train": {0: 0, 1: 1, 2: 2}, "loss/valid": {0: 0, 1: 2, 2: 4}}
    with Store(path) as store:
        assert len(store.runs()) == 1


def test_hyper_parameters_belong_to_this_run(path: Path) -> None:
    with torchglass.SummaryWriter("runs/tuned") as writer:
        writer.add_hparams({"lr": 0.1, "bias": True}, {"hparam/accuracy": 0.5}, {"lr": [0.1, 0.2]}, global_step=7)
        writer.add_hparams({"lr": 0.2}, {"hparam/accuracy": 0.75}, global_step=8)
    assert run_of(path).config == {"lr": 0.2, "bias": True}
    assert facts_of(path)["hparam_domain_discrete"] == {"lr": [0.1, 0.2]}
    assert points_of(path) == {"hparam/accuracy": {7: 0.5, 8: 0.75}}
    with Store(path) as store:
        assert [run.name for run in store.runs()] == ["tuned"]


@pytest.mark.parametrize(
    "values", [[np.nan] * 3, [1.0, np.inf, np.nan, 0.0], [], torch.randn(5).bfloat16(), torch.tensor([True])]
)
def test_no_value_of_a_histogram_makes_it_raise_and_each_is_counted(path: Path, values: Any) -> None:
    with torchglass.SummaryWriter("h") as writer:
        writer.add_histogram("weights", values, 4)
        writer.add_histogram("timed", values, 4, walltime=1_600_000_000.0)
    tensor = torch.as_tensor(values).float()
    with Store(path) as store:
        found = store.histograms(1, "weights") + store.histograms(1, "timed")
    assert len(found) == (2 if tensor.numel() else 0)
    for each in found:
        assert (each.step, each.count, each.nan_count) == (4, tensor.numel(), int(tensor.isnan().sum()))
    assert [each.time for each in found[1:]] == [1_600_000_000.0] * len(found[1:])


def test_a_raw_histogram_keeps_its_buckets_and_refuses_uneven_ones(path: Path) -> None:
    with torchglass.SummaryWriter("h") as writer:
        writer.add_histogram_raw("raw", -1, 3, 6, 4, 20, [0.0, 1.0, 3.0], [1, 2, 3], 9)
        writer.add_histogram_raw("empty", np.nan, np.nan, 0, 0, 0, [], [])
        with pytest.warns(RuntimeWarning, match="its limits must ascend"), np.errstate(all="raise"):
            writer.add_histogram_raw("crossed", 0, 3, 2, 2, 2, [3.0, 1.0], [1, 1])
        with pytest.raises(OptionError, match="2 limits and 1 counts"):
            writer.add_histogram_raw("raw", 0, 1, 1, 1, 1, [0.0, 1.0], [1])
    arrays, meta = artifacts_of(path, "histogram_raw")["raw", 9]
    assert (arrays["bucket_limits"].tolist(), arrays["bucket_counts"].tolist()) == ([0, 1, 3], [1, 2, 3])
    assert meta["sum_squares"] == 20
    with Store(path) as store:
        assert [each.count for each in store.histograms(1, "raw")] == [6]
        assert [each.count for each in store.histograms(1, "empty")] == [0]


@pytest.mark.parametrize(
    ("layout", "shape"), [("CHW", (3, 4, 6)), ("HWC", (4, 6, 3)), ("HW", (4, 6)), ("WH", (6, 4)), ("CHW", (1, 4, 6))]
)
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_picture_has_the_pixels_that_torch_writes(path: Path, layout: str, shape: tuple[int, ...], kind: Any) -> None:
    from PIL import Image

    noise = np.random.default_rng(0).uniform(-0.2, 1.2, shape)
    given = (noise.clip(0, 1) * 255).astype(kind) if kind is np.uint8 else noise.astype(kind)
    events = both(path, lambda writer: writer.add_image("picture", given, 2, dataformats=layout))
    (ours,) = artifacts_of(path, "image")["picture", 2][0]["images"]
    theirs = np.asarray(Image.open(_file(events.Images("picture")[0].encoded_image_string)))
    assert np.array_equal(np.broadcast_to(ours, theirs.shape), theirs)


def _file(content: bytes) -> Any:
    import io

    return io.BytesIO(content)


def test_several_pictures_boxes_and_pictures_with_holes_are_kept(path: Path) -> None:
    with torchglass.SummaryWriter("p") as writer:
        writer.add_images("batch", torch.rand(5, 3, 4, 6), 1)
        writer.add_image_with_boxes("boxed", torch.rand(3, 8, 8), torch.tensor([[1, 2, 3, 4]]), 1, labels="cat")
        writer.add_image("holes", torch.full((1, 2, 2), torch.nan), 1)
        with np.errstate(all="raise"):
            writer.add_image("beyond", np.array([[[np.inf, -np.inf], [1e300, 0.5]]]), 1)
        with pytest.raises(OptionError, match="names 3 axes"):
            writer.add_image("flat", np.zeros((2, 2)), 1)
        with pytest.raises(OptionError, match="dataformats='XYZ'"):
            writer.add_image("flat", np.zeros((2, 2, 3)), 1, dataformats="XYZ")
    images = artifacts_of(path, "image")
    assert images["batch", 1][0]["images"].shape == (5, 4, 6, 3)
    assert images["boxed", 1][0]["boxes"].tolist() == [[1, 2, 3, 4]]
    assert images["boxed", 1][1]["labels"] == ["cat"]
    assert images["holes", 1][0]["images"].max() == 0
    assert images["beyond", 1][0]["images"].ravel().tolist() == [255, 0, 255, 127]


def test_a_figure_is_drawn_as_torch_draws_it_and_closed(path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from torch.utils.tensorboard._utils import figure_to_image

    figure, axes = pyplot.subplots(figsize=(2, 1))
    axes.plot([1, 3, 2])
    expected = figure_to_image(figure, close=False)  # type: ignore[no-untyped-call]
    with torchglass.SummaryWriter("f") as writer:
        writer.add_figure("curve", figure, 3, close=False)
        writer.add_figure("two", [figure, figure], 3)
    images = artifacts_of(path, "image")
    assert np.array_equal(images["curve", 3][0]["images"][0], expected.transpose(1, 2, 0))
    assert ("two/0", 3) in images
    assert ("two/1", 3) in images
    assert not pyplot.fignum_exists(figure.number)


def test_a_precision_recall_curve_is_counted_as_torch_counts_it(path: Path) -> None:
    random = np.random.default_rng(3)
    labels, chances = random.integers(0, 2, 500), random.random(500).astype(np.float32)
    chances[:3] = [0.0, 1.0, 0.5]
    weights = random.random(500)

    def script(writer: Writer) -> None:
        writer.add_pr_curve("plain", torch.from_numpy(labels), torch.from_numpy(chances), 1)
        writer.add_pr_curve("weighted", labels, chances, 1, num_thresholds=11, weights=weights)
        writer.add_pr_curve("many", labels, chances, 1, num_thresholds=500)
        writer.add_pr_curve_raw("raw", *(np.arange(6.0).reshape(6, 1) + np.zeros(4)), global_step=1)

    events = both(path, script)
    names = ("true_positive", "false_positive", "true_negative", "false_negative")
    for tag in ("plain", "weighted", "many", "raw"):
        (event,) = events.Tensors(tag)
        shape = [each.size for each in event.tensor_proto.tensor_shape.dim]
        theirs: npt.NDArray[Any] = np.array(event.tensor_proto.float_val).reshape(shape)
        curve = artifacts_of(path, "pr_curve")[tag, 1][0]
        ours = np.stack([*(curve[f"{name}_counts"] for name in names), curve["precision"], curve["recall"]])
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    with torchglass.SummaryWriter("nan") as writer:
        writer.add_pr_curve("holes", np.array([1, 0]), np.array([np.nan, 0.5]), 1)
    assert artifacts_of(path, "pr_curve", "nan")["holes", 1][0]["false_positive_counts"][0] == 1


def test_text_tensors_and_layouts_are_kept(path: Path) -> None:
    with torchglass.SummaryWriter("t") as writer:
        writer.add_text("note", "it *works*", 2)
        writer.add_tensor("x", torch.arange(3), 2, walltime=5.0)
        writer.add_custom_scalars({"A": {"one": ["Multiline", ["a", "b"]]}})
        writer.add_custom_scalars_multilinechart(["c"], "A", "two")
        writer.add_custom_scalars_marginchart(["x", "y", "z"])
        with pytest.raises(OptionError, match="got 2 tags"):
            writer.add_custom_scalars_marginchart(["x", "y"])
    assert artifacts_of(path, "text")["note", 2] == ({}, {"text": "it *works*"})
    arrays, meta = artifacts_of(path, "tensor")["x", 2]
    assert (arrays["tensor"].tolist(), meta) == ([0, 1, 2], {})
    with Store(path) as store:
        assert [each.time for each in store.artifacts(1, kind="tensor")] == [5.0]
    assert facts_of(path)["custom_scalars"] == {
        "A": {"one": ["Multiline", ["a", "b"]], "two": ["Multiline", ["c"]]},
        "default": {"untitled": ["Margin", ["x", "y", "z"]]},
    }


def test_what_is_not_kept_is_accepted_and_told_once_a_kind(path: Path) -> None:
    with torchglass.SummaryWriter("n") as writer, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            writer.add_graph(torch.nn.Linear(1, 1), torch.ones(1, 1))
            writer.add_onnx_graph("model.onnx")
            writer.add_embedding(torch.ones(2, 2), metadata=["a", "b"])
            writer.add_video("v", torch.zeros(1, 2, 3, 4, 4))
            writer.add_audio("a", torch.zeros(1, 100))
            writer.add_mesh("m", torch.zeros(1, 3, 3))
            writer.add_scalar("s", 1.0)
    assert len(told) == 6
    kinds = {key.removeprefix("warnings/") for key in facts_of(path) if key.startswith("warnings/")}
    assert kinds == {f"not_kept/{what}" for what in ("graphs", "embeddings", "videos", "sounds", "meshes")} | {
        "no_step"
    }


@pytest.mark.parametrize(
    ("log_dir", "name"),
    [
        ("runs/lenet", "lenet"),
        ("runs/lenet/lr0.1", "lenet/lr0.1"),
        ("out/deep/er/tb", "er/tb"),
        ("./logs/x/", "x"),
        ("runs", "runs"),
        (".", "run"),
    ],
)
def test_the_folder_names_the_run_and_is_there_for_the_scripts_own_files(path: Path, log_dir: str, name: str) -> None:
    with torchglass.SummaryWriter(log_dir, comment="ignored") as writer:
        (Path(writer.log_dir) / "model.pt").write_text("a checkpoint of the script's")
        assert writer.get_logdir() == log_dir
    assert run_of(path).name == name
    assert facts_of(path)["log_dir"] == log_dir


def test_without_a_folder_the_run_is_named_after_date_host_and_comment(path: Path) -> None:
    with torchglass.SummaryWriter(comment="_lr0.1") as writer:
        pass
    with tensorboard.SummaryWriter(comment="_lr0.1") as theirs:
        pass
    ours, real = writer.log_dir.split("_"), theirs.log_dir.split("_")
    assert (ours[0], ours[2:]) == (real[0], real[2:])
    assert run_of(path).name == writer.log_dir.removeprefix("runs/")


def test_an_exception_fails_the_run_and_a_closed_writer_says_so_once(path: Path) -> None:
    def fail() -> None:
        with torchglass.SummaryWriter("f") as writer:
            writer.add_scalar("a", 1.0, 0)
            raise ValueError("no more data")

    with pytest.raises(ValueError, match="no more data"):
        fail()
    assert (run_of(path).status, run_of(path).error) == ("failed", "ValueError: no more data")


def test_a_closed_writer_goes_on_when_more_is_added_and_closing_twice_is_harmless(path: Path) -> None:
    writer = SummaryWriter("g")
    writer.add_scalar("a", 1.0, 0)
    writer.flush()
    assert points_of(path) == {"a": {0: 1.0}}
    writer.close()
    writer.close()
    assert run_of(path).status == "finished"
    writer.add_scalar("a", 2.0, 1)
    writer.flush()
    assert run_of(path).status == "running"
    writer.close()
    assert (run_of(path).status, points_of(path)) == ("finished", {"a": {0: 1.0, 1: 2.0}})
    with Store(path) as store:
        assert len(store.runs()) == 1


def test_purge_step_lets_the_run_of_that_folder_go_on_and_hides_its_old_tail(path: Path) -> None:
    for purge_step, values in ((None, [0.0, 1.0, 2.0, 3.0]), (2, [2.5, 3.5])):
        with torchglass.SummaryWriter("runs/again", purge_step=purge_step) as writer:
            for step, value in enumerate(values, purge_step or 0):
                writer.add_scalar("loss", value, step)
    assert points_of(path) == {"loss": {0: 0.0, 1: 1.0, 2: 2.5, 3: 3.5}}
    with torchglass.SummaryWriter("runs/fresh", purge_step=7) as writer:
        writer.add_scalar("loss", 1.0, 7)
    with torchglass.SummaryWriter("runs/again"):
        pass
    with Store(path) as store:
        assert sorted(run.name for run in store.runs()) == ["again", "again-2", "fresh"]


def test_a_disabled_writer_takes_every_call_and_makes_no_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHGLASS_MODE", "disabled")
    with torchglass.SummaryWriter("runs/off") as writer:
        writer.add_scalar("a", 1.0)
        writer.add_histogram("h", [1.0], 0, walltime=1.0)
        writer.add_histogram_raw("r", 0, 1, 1, 1, 1, [1.0], [1])
        writer.add_image("i", torch.zeros(3, 2, 2))
        writer.add_hparams({"lr": 1}, {"m": 1})
        writer.flush()
    assert not path.exists()
