"""A form that starts a sweep over a reference model as a job; the same form again goes on with the same sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from torchglass.dashboard.fragments import fragment
from torchglass.dashboard.ordering import job_panel
from torchglass.dashboard.ordering.switch_words import label
from torchglass.dashboard.ordering.training_command import command_line
from torchglass.language import tr
from torchglass.reference_models.catalogue import available
from torchglass.reference_models.exhibit import ReferenceModel
from torchglass.reference_models.options import MAX_SEED
from torchglass.reference_models.recipe import SWITCHES

MAX_NAME_CHARACTERS = 120
FIRST_MODEL, TRIALS = "lenet5", 20
MOST_TRIALS = 10_000


class SweepChoices(NamedTuple):
    """What a sweep is to search; `switches` empty means all of the model's that have a span."""

    model: str
    dataset: str = ""
    trials: int = TRIALS
    name: str = ""
    epochs: int | None = None
    switches: tuple[str, ...] = ()
    seed: int = 0
    limit: int | None = None


def order_sweep() -> None:
    """Show the form."""
    fragment(_form)()


def arguments_of(choices: SweepChoices) -> list[str]:
    """Arguments of `torchglass` for this sweep; what is as it would be anyway is left out."""
    given = (
        ("dataset", choices.dataset),
        ("name", choices.name),
        ("epochs", choices.epochs),
        ("switches", ",".join(choices.switches)),
        ("seed", choices.seed),
        ("limit", choices.limit),
    )
    said = [f"--{option}={value}" for option, value in given if value]
    return ["sweep", choices.model, f"--trials={choices.trials}", *said]


def _form() -> None:
    models = {model.name: model for model in available() if _can_be_swept(model)}
    names = list(models)
    first, second, third = st.columns(3)
    model = first.selectbox(
        tr("Model"),
        names,
        index=names.index(FIRST_MODEL) if FIRST_MODEL in names else 0,
        format_func=lambda name: f"{models[name].title} ({name})",
        key="sweep-model",
    )
    exhibit = models[model]
    datasets = _datasets(exhibit)
    dataset = second.selectbox(tr("Data set"), datasets, key=f"sweep-{model}-dataset")
    trials = third.number_input(
        tr("Trials"), 1, MOST_TRIALS, TRIALS, 1, help=tr("How many the sweep has in all"), key="sweep-trials"
    )
    first, second, third = st.columns(3)
    name = first.text_input(
        tr("Name of the sweep"), placeholder=f"{model}-{dataset}", max_chars=MAX_NAME_CHARACTERS, key="sweep-name"
    )
    epochs = second.number_input(
        tr("Epochs of each trial"),
        min_value=1,
        value=None,
        step=1,
        placeholder=str(exhibit.source(dataset).recipe.epochs),
        key=f"sweep-{model}-epochs",
    )
    limit = third.number_input(
        tr("Training samples at most"), min_value=1, value=None, step=1, placeholder=tr("all"), key="sweep-limit"
    )
    first, second = st.columns([2, 1])
    switches = first.multiselect(
        tr("Switches"),
        searchable(exhibit, dataset),
        format_func=lambda each: label(SWITCHES[each]),
        placeholder=tr("all with a span"),
        key=f"sweep-{model}-switches",
        help=tr("What is varied"),
    )
    seed = second.number_input(tr("Seed"), min_value=0, max_value=MAX_SEED, value=0, step=1, key="sweep-seed")
    told_dataset = dataset if dataset != exhibit.datasets[0] else ""
    choices = SweepChoices(model, told_dataset, trials, name.strip(), epochs, tuple(switches), seed, limit)
    arguments = arguments_of(choices)
    ordered = st.button(tr("Start the sweep"), type="primary", key="sweep-start")
    st.code(command_line(arguments), language="bash", wrap_lines=True)
    if ordered and job_panel.start(tr("Sweep over {model}", model=model), arguments):
        st.rerun()


def searchable(exhibit: ReferenceModel, dataset: str) -> Sequence[str]:
    """The switches that a sweep can vary."""
    return [
        name
        for name, switch in SWITCHES.items()
        if exhibit.honours(name, dataset) and (switch.search is not None or switch.choices or switch.kind is bool)
    ]


def _can_be_swept(exhibit: ReferenceModel) -> bool:
    """Whether it holds samples out to choose by, and has all that it needs."""
    return exhibit.honours("validation") and not exhibit.needs_path and bool(_datasets(exhibit))


def _datasets(exhibit: ReferenceModel) -> list[str]:
    """Those that need no file of the visitor's."""
    return [name for name in exhibit.datasets if exhibit.source(name).needs != "file"]
