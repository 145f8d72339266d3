"""A form that starts the training of a reference model as a job: its fields are the recipe's switches."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import streamlit as st

from torchglass.dashboard.fragments import fragment
from torchglass.dashboard.ordering import job_panel
from torchglass.dashboard.ordering.switch_words import help_text, label
from torchglass.dashboard.ordering.training_command import arguments_of, changes_from, command_line
from torchglass.errors import OptionError
from torchglass.language import mark, tr
from torchglass.reference_models.catalogue import available
from torchglass.reference_models.exhibit import DataSource, ReferenceModel
from torchglass.reference_models.options import MAX_SEED, Amp, TrainingOptions
from torchglass.reference_models.recipe import SWITCHES, Switch

MAX_NAME_CHARACTERS = 120
MAX_PATH_CHARACTERS = 1000
COLUMNS = 3
DEVICES = ("auto", "cpu", "cuda", "mps")
FIRST_MODEL = "lenet5"
NEEDS = {
    "network": mark("Downloaded at the first time."),
    "file": mark("Read from a file of yours on the machine where this page runs."),
}


def order_training() -> None:
    """Offer the form where a page has nothing to show; its run appears in the store of this page."""
    with st.expander(tr("Train a reference model"), icon=":material/play_arrow:"):
        training_form()


def training_form() -> None:
    """Show the form."""
    fragment(_form)()


def _form() -> None:
    """Draw all fields and the command that they make. They are no `st.form`: each depends on the model chosen."""
    exhibit, source = _choose()
    given = _files(exhibit, source)
    wanted = _switches(exhibit, source, basic=True)
    run = st.text_input(tr("Run name"), placeholder=f"{exhibit.name}-{source.name}", max_chars=MAX_NAME_CHARACTERS)
    with st.expander(tr("More switches")):
        wanted |= _switches(exhibit, source, basic=False)
    with st.expander(tr("Device, precision, seed")):
        given |= _machine(exhibit)
    options = _checked(exhibit, source, wanted, {**given, "run": run.strip() or None})
    if options is None:
        return
    arguments = arguments_of(options)
    # The button stands above the command, whose height changes under a pointer that leaves a field to click.
    ordered = st.button(tr("Train"), type="primary", key="train")
    st.code(command_line(arguments), language="bash", wrap_lines=True)
    if ordered and job_panel.start(tr("Train {model}", model=exhibit.name), arguments):
        st.rerun()


def _choose() -> tuple[ReferenceModel, DataSource]:
    models = {model.name: model for model in available()}
    names = list(models)
    left, right = st.columns(2)
    name = left.selectbox(
        tr("Model"),
        names,
        index=names.index(FIRST_MODEL) if FIRST_MODEL in names else 0,
        format_func=lambda key: f"{models[key].title} ({key})",
    )
    exhibit = models[name]
    dataset = right.selectbox(tr("Data set"), exhibit.datasets, key=f"train-{name}-dataset")
    source = exhibit.source(dataset)
    st.caption(f"{tr(exhibit.summary)} {tr(NEEDS.get(source.needs, ''))}")
    return exhibit, source


def _files(exhibit: ReferenceModel, source: DataSource) -> dict[str, Any]:
    """Paths that only the user can give."""
    given: dict[str, Any] = {}
    if source.needs == "file":
        given["data"] = _path(tr("Data file"), f"train-{exhibit.name}-{source.name}-file")
    if exhibit.needs_path:
        given["model_path"] = _path(tr("Folder of the model"), f"train-{exhibit.name}-path")
    return given


def _path(title: str, key: str) -> Path | None:
    text = st.text_input(title, key=key, max_chars=MAX_PATH_CHARACTERS).strip()
    return Path(text) if text else None


def _switches(exhibit: ReferenceModel, source: DataSource, *, basic: bool) -> dict[str, Any]:
    """Fields of the switches that the model's training heeds, filled in as its recipe for the data set says."""
    heeded = [switch for name, switch in SWITCHES.items() if exhibit.honours(name, source.name)]
    shown = [switch for switch in heeded if switch.basic == basic]
    values = {}
    for place, switch in enumerate(shown):
        if place % COLUMNS == 0:  # a row of its own, so that fields of unequal height stand level
            columns = st.columns(COLUMNS, vertical_alignment="bottom")
        default = getattr(source.recipe, switch.name)
        with columns[place % COLUMNS]:
            key = f"train-{exhibit.name}-{source.name}-{switch.name}"
            values[switch.name] = _field(switch, default, key, _left_empty(exhibit, switch))
    return values


def _left_empty(exhibit: ReferenceModel, switch: Switch) -> str:
    """What an empty number means."""
    if switch.name == "dropout":
        return tr("the model's own, {rate:g}", rate=exhibit.dropout)
    if switch.name == "cpu_threads":
        return tr("torch's choice")
    return tr("off") if switch.optional else ""


def _field(switch: Switch, default: Any, key: str, left_empty: str) -> Any:
    title, told = label(switch), help_text(switch)
    if switch.kind is bool:
        return st.toggle(title, value=default, key=key, help=told)
    if switch.choices:
        choices = [None, *switch.choices] if switch.optional else list(switch.choices)
        index = choices.index(default)
        return st.selectbox(
            title, choices, index=index, key=key, help=told, format_func=lambda choice: choice or tr("the model's own")
        )
    number_type = switch.kind
    lowest = switch.at_least if switch.at_least is not None else switch.above
    highest = switch.at_most if switch.at_most is not None else switch.below
    return st.number_input(
        title,
        min_value=None if lowest is None else number_type(lowest),
        max_value=None if highest is None else number_type(highest),
        value=None if default is None else number_type(default),
        step=1 if number_type is int else None,
        format=None if number_type is int else "%g",
        placeholder=left_empty,
        key=key,
        help=told,
    )


def _machine(exhibit: ReferenceModel) -> dict[str, Any]:
    """What concerns the machine and not the recipe."""
    left, middle, right = st.columns(3)
    given: dict[str, Any] = {
        "device": left.selectbox(tr("Device"), DEVICES, accept_new_options=True, help="auto, cpu, cuda, cuda:1, mps"),
        "seed": middle.number_input(tr("Seed"), min_value=0, max_value=MAX_SEED, value=0, step=1),
        "limit": right.number_input(
            tr("Training samples at most"), min_value=1, value=None, step=1, placeholder=tr("all")
        ),
        "resume": middle.toggle(tr("Resume"), help=tr("go on where the run of that name stopped")),
    }
    if exhibit.honours("amp"):
        choices: list[Amp | None] = [None, *get_args(Amp)]
        given["amp"] = left.selectbox(
            tr("Mixed precision"),
            choices,
            key=f"train-{exhibit.name}-amp",
            format_func=lambda choice: choice or tr("off"),
        )
    if exhibit.honours("compile"):
        given["compile"] = right.toggle(tr("Compile"), key=f"train-{exhibit.name}-compile", help="torch.compile")
    return given


def _checked(
    exhibit: ReferenceModel, source: DataSource, wanted: dict[str, Any], given: dict[str, Any]
) -> TrainingOptions | None:
    """The training that is asked for, or what is wrong with it, said in its place."""
    try:
        return TrainingOptions(
            model=exhibit.name,
            dataset=source.name if source.name != exhibit.datasets[0] else None,
            changes=changes_from(source.recipe, wanted),
            **given,
        )
    except OptionError as error:
        st.warning(tr("This cannot be trained so."), icon=":material/warning:")
        st.text(str(error))
        return None
