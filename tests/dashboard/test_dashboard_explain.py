"""The page Explain: several samples at the cursor's checkpoint, and an input of the visitor's own, hostile or not."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
import pytest
from browsing import Watched
from driving import Server, wait_until
from explained import FORMS, METHODS, explanation, record_run, samples_of
from overviewed import record_overviews
from PIL import Image
from plotly.io.json import to_json_plotly
from shown import figures, settled, show, texts
from streamlit.testing.v1 import AppTest

from torchglass.dashboard.answering.query import Query
from torchglass.dashboard.answering.tables import TABLES
from torchglass.dashboard.explaining import own_input
from torchglass.dashboard.explaining.side_by_side import ALL_METHODS, methods_for
from torchglass.store import ArtifactBlock, Store, open_store

if TYPE_CHECKING:
    from playwright.sync_api import Page

KEYS = ("test/0", "test/2", "probe/0", "probe/1", "own/1")
NOTE = ["It was {before} pixels and is {after} to the model.", {"before": "9 × 9", "after": "16 × 16"}]
JOB_MS = 60_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explained") / "runs.db"
    with open_store(path) as store:
        for name in FORMS:
            run = record_run(store, name, explained=KEYS)
            store.add_artifact(run.id, trial(name))
        record_overviews(store)
    return path


def trial(name: str) -> ArtifactBlock:
    """A change that was tried: the class "star", "yes" or "good" gained."""
    one = samples_of(FORMS[name])["inputs"][0]
    before, after = np.array([[0.5, 0.5], [0.4, 0.6]]), np.array([[0.5, 0.5], [0.1, 0.9]])
    arrays = {"shown_before": before, "shown_after": after, "input": one, "changed": one}
    meta = {
        "told": "a change",
        "target": 1,
        "steps": [5, 10],
        "shown_as": "probability",
        "kind": FORMS[name].kind,
        "class_names": list(FORMS[name].class_names),
    }
    return ArtifactBlock("what_if", "test/0", 10, 0.0, meta, arrays)


def chart(app: AppTest, part: str) -> Any:
    """The figure whose name holds a part."""
    return next(json.loads(data["figure"]) for name, data in figures(app).items() if part in name)


@pytest.mark.parametrize("name", [*FORMS, "overviewed"])
@pytest.mark.parametrize("step", [None, 6], ids=["no cursor", "cursor"])
def test_every_chart_is_drawn_again_by_its_own_code_and_hands_out_its_numbers(
    path: Path, name: str, step: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {key: data for key, data in figures(show(path, "explain", name, step)).items() if "figure" in data}
    assert len(drawn) >= 4
    for key, data in drawn.items():
        source, again = data["source"], []
        monkeypatch.setattr(go.Figure, "show", lambda figure, again=again: again.append(to_json_plotly(figure)))
        exec(compile(source["code"], key, "exec"), {"__name__": "__main__"})
        assert again == [data["figure"]], key
        with open_store(path, read_only=True) as store:
            query = Query({name: str(value) for name, value in source["query"].items()})
            columns = TABLES[source["table"]](store, query)
        assert len(next(iter(columns.values()))) > 0, key


def test_the_cursor_chooses_the_checkpoint_whose_explanations_are_shown_and_says_so(path: Path) -> None:
    last = show(path, "explain", "linear")
    assert "Step 10." in texts(last)
    early = show(path, "explain", "linear", step=6)
    assert "Step 5, the recorded one nearest to 6." in texts(early)
    lengths = [max(map(abs, chart(app, "explanations-").get("data")[0]["x"])) for app in (early, last)]
    assert lengths == [2.0, 4.0]


def test_the_film_strip_frames_the_cursor_s_step_and_enlarges_it(path: Path) -> None:
    assert not any("enlarged" in name for name in figures(show(path, "explain", "simple_cnn")))
    app = show(path, "explain", "simple_cnn", step=9)
    (box,) = chart(app, "over-training").get("layout")["shapes"]
    assert (box["x0"], box["x1"]) == (1.51, 2.49)  # the input, step 5, step 10
    assert len(chart(app, "enlarged")["layout"]["images"]) == 4


@pytest.mark.parametrize(
    ("name", "drawn"), [("simple_cnn", 1), ("linear", 2), ("bilstm", 4)], ids=["pictures", "rows", "texts"]
)
def test_several_samples_stand_below_each_other_with_one_scale_a_method(path: Path, name: str, drawn: int) -> None:
    app = show(path, "explain", name)
    beside = next(box for box in app.multiselect if box.label == "Beside it")
    beside.set_value([2, 3])
    app = settled(app.run())
    assert "Not explained yet: test/3." in texts(app)
    assert sum(each.startswith("grid-") for each in figures(app)) == drawn
    if name == "simple_cnn":
        bars = [each["marker"]["cmax"] for each in chart(app, "grid-")["data"]]
        assert bars == [34.0, 34.0]  # the largest of both: 2 * (15 + 2)
    if name == "linear":
        assert np.shape(_values(chart(app, "grid-")["data"][0]["z"])) == (2, 3)


def _values(packed: Any) -> Any:
    if not isinstance(packed, dict):
        return packed
    import base64

    kinds = {"f4": np.float32, "f8": np.float64}
    flat = np.frombuffer(base64.b64decode(packed["bdata"]), kinds[packed["dtype"]])
    return flat.reshape([int(each) for each in str(packed.get("shape", flat.size)).split(",")])


def test_scores_stand_in_a_table_with_a_verdict_and_an_own_input_says_what_was_done_to_it(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    hostile = ["{missing:>9999999999}", {"a": 1}]
    with open_store(path) as store:
        run = record_run(store, "simple_cnn", explained=("test/0",))
        arrays = samples_of(FORMS["simple_cnn"])
        for own in ([NOTE], [NOTE, hostile, "odd"]):
            store.add_artifact(run.id, explanation("simple_cnn", arrays, "own/1", 10, "gradcam", own=own))
    app = show(path, "explain", "simple_cnn")
    verdicts = [frame.value["Verdict"].tolist() for frame in app.dataframe if "Verdict" in frame.value]
    assert verdicts[0] == ["better than chance", "better than chance"]
    told = [text.value for text in app.text]
    assert told.count("It was 9 × 9 pixels and is 16 × 16 to the model.") == 1
    assert not any("missing" in each for each in told)


class Ordered:
    """Jobs that were ordered, in the place of the board: what they were given, and what lay in their file."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.contents: list[bytes] = []
        self.path = Path()
        self.ends = threading.Event()

    def start(self, label: str, arguments: Sequence[str]) -> Ordered:
        self.commands.append(list(arguments))
        self.path = Path(next(each for each in arguments if each.startswith("--input=")).removeprefix("--input="))
        self.contents.append(self.path.read_bytes())
        return self

    def wait(self) -> None:
        self.ends.wait(10)


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch) -> Ordered:
    board = Ordered()
    monkeypatch.setattr(own_input.BOARD, "start", board.start)
    return board


def png(picture: Image.Image, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form)
    return stream.getvalue()


def explain_it(app: AppTest) -> AppTest:
    next(button for button in app.button if button.label == "Explain it").click()
    return settled(app.run())


def test_an_uploaded_picture_reaches_the_job_under_a_name_of_ours_in_a_folder_that_goes_with_it(
    path: Path, ordered: Ordered
) -> None:
    app = show(path, "explain", "simple_cnn")
    content = png(Image.new("RGB", (40, 20), (9, 9, 9)))
    app.file_uploader[0].upload("../../etc/passwd --help.png", content, "image/png")
    app = settled(app.run())
    assert "It was 40 × 20 pixels and is 16 × 16 to the model." in [text.value for text in app.text]
    app.toggle(key="own-invert").set_value(True)
    explain_it(app.run())
    (command,) = ordered.commands
    assert command[:2] == ["explain", "simple_cnn"]
    assert command[3:] == ["--methods", "gradcam,shap,lime", "--invert"] or command[-1] == "--invert"
    assert ordered.contents == [content]
    assert ordered.path.name == "input"
    assert ordered.path.parent.stat().st_mode & 0o077 == 0
    threads = [each for each in threading.enumerate() if each.name.startswith("own-input")]
    ordered.ends.set()
    for thread in threads:
        thread.join(10)
    assert not ordered.path.parent.exists()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "text": (lambda: b"#!/bin/sh\nrm -rf /", "no PNG, JPEG or WebP"),
    "GIF": (lambda: png(Image.new("P", (4, 4)), "GIF"), "no PNG, JPEG or WebP"),
    "huge": (lambda: png(Image.new("1", (9000, 9000))), "9,000 x 9,000 pixels"),
    "npy": (lambda: npy(np.zeros((3, 9, 9), np.float32)), "shape (3, 9, 9): give (3, 16, 16)"),
    "NaN": (lambda: npy(np.full((3, 16, 16), np.nan)), "NaN or infinite"),
}


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_a_hostile_upload_is_refused_in_one_sentence_and_starts_nothing(path: Path, ordered: Ordered) -> None:
    app = show(path, "explain", "simple_cnn")
    for kind, (make, said) in HOSTILE.items():
        app.file_uploader[0].upload(f"{kind}.png", make(), "image/png")
        app = settled(app.run())
        assert "This cannot be explained." in [warning.value for warning in app.warning], kind
        assert any(said in text.value for text in app.text), kind
        assert not [button for button in app.button if button.label == "Explain it"], kind
    assert ordered.commands == []


def test_a_text_is_checked_against_the_run_s_vocabulary_and_given_to_the_job_as_a_file(
    path: Path, ordered: Ordered
) -> None:
    app = show(path, "explain", "bilstm")
    for text, said in (("xyzzy", "knows none of the 1 words"), ("\u202e …", "holds no word")):
        app.text_area(key="own-text").set_value(text)
        app = settled(app.run())
        assert any(said in each.value for each in app.text), said
    app.text_area(key="own-text").set_value("The FILM was --great, שלום")
    app = explain_it(settled(app.run()))
    assert any("does not know: 1 (שלום)" in each.value for each in app.text)
    assert ordered.contents == ["The FILM was --great, שלום".encode()]
    ordered.ends.set()


def test_a_row_starts_from_the_sample_in_its_own_units(path: Path, ordered: Ordered) -> None:
    app = show(path, "explain", "linear")
    age = app.number_input(key="own-0-0")
    standardised = float(samples_of(FORMS["linear"])["inputs"][0, 0])
    assert age.value == pytest.approx(standardised * 10 + 40, rel=1e-4)
    app.number_input(key="own-0-1").set_value(9.5)
    explain_it(settled(app.run()))
    row = json.loads(ordered.contents[0])
    assert list(row) == ["age", "size", "height"]
    assert row["size"] == 9.5
    ordered.ends.set()


def test_a_class_without_a_method_and_a_full_board_start_nothing(
    path: Path, ordered: Ordered, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchglass.errors import OptionError

    def full(label: str, arguments: Sequence[str]) -> None:
        ordered.path = Path(next(each for each in arguments if each.startswith("--input=")).removeprefix("--input="))
        raise OptionError("2 jobs are running already")

    monkeypatch.setattr(own_input.BOARD, "start", full)
    app = explain_it(show(path, "explain", "linear"))
    assert "The job was not started." in [warning.value for warning in app.warning]
    assert not ordered.path.parent.exists()
    app.multiselect(key="own-methods").set_value([])
    app = explain_it(app)
    assert "Choose at least one method." in [warning.value for warning in app.warning]


def test_several_columns_are_tried_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchglass.dashboard.explaining import what_if

    commands: list[list[str]] = []
    monkeypatch.setattr(what_if.job_panel, "start", lambda label, arguments: commands.append(arguments))
    app = show(path, "explain", "linear")
    sliders = {slider.key: slider for slider in app.slider}
    assert set(sliders) == {f"what-if-value-0-{place}" for place in range(3)}
    for place in (0, 2):
        slider = sliders[f"what-if-value-0-{place}"]
        slider.set_value(slider.max if slider.value != slider.max else slider.min)
    app = settled(app.run())
    app.button(key="what-if-try").click()
    settled(app.run())
    (command,) = commands
    assert command[:4] == ["what-if", "linear", "--sample", "0"]
    assert [each.partition("=#")[2].partition("=")[0] for each in command[4:]] == ["0", "2"]


def test_methods_for_a_model_that_the_catalogue_does_not_know_are_those_of_pictures() -> None:
    assert methods_for("of my own") == ALL_METHODS
    assert set(METHODS["linear"]) <= set(methods_for("linear"))


@pytest.mark.browser
def test_a_picture_of_the_visitor_s_own_is_explained_by_a_job_and_drawn(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_run(store, "simple_cnn", weights=True)
    visit(f"{server.url}/explain?run=simple_cnn")
    photograph = png(Image.effect_noise((90, 60), 80))
    page.locator('input[type="file"]').set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": photograph})
    page.get_by_text("It was 90 × 60 pixels and is 16 × 16 to the model.").wait_for()
    page.get_by_role("button", name="Explain it").click()
    page.get_by_text("own/1, step 10").wait_for(timeout=JOB_MS)
    wait_until(page, "document.querySelectorAll('.js-plotly-plot').length > 0", "its maps")
    with Store(server.store_path) as store:
        found = store.artifacts(store.run("simple_cnn").id, kind="explanation", key="own/1")
    assert {one.meta["method"] for one in found} == set(methods_for("simple_cnn"))
    assert watched.errors == watched.dialogs == []
    assert watched.foreign_requests == []
