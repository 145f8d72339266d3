"""Which runs the table shows: a condition and an order in the language of `torchglass runs`, both in the address."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from torchglass.charts.text import markdown_text
from torchglass.errors import OptionError
from torchglass.language import mark, tr
from torchglass.store import Series, Store
from torchglass.store.filters import MOST_CHARACTERS, Expression, filtered, sorted_by
from torchglass.store.subject import STATISTICS, STEPS, Subject

# Widgets that keep themselves in the address under these names.
FILTER, SORT, ARCHIVED = "filter", "sort", "archived"
EXAMPLES = (
    "lr < 0.01 and test/accuracy.max > 0.9",
    "status == 'failed'",
    "'baseline' in tags",
    "created > '2026-11-01'",
)
LANGUAGE = mark(
    "As in `torchglass runs --filter`: fields of a run (name, status, tags, note, created, duration, steps, host), "
    "entries of its configuration, and its series, whose last value counts or, behind a dot, another: min, max, mean, "
    "last_step. For example: {examples}"
)
ORDERS = mark("As in `torchglass runs --sort`: the same names, a minus for the largest first. Empty: the newest first")
REFUSAL_CHARACTERS = 400


class Question(NamedTuple):
    """What a visitor wants to see: runs that meet a condition, in an order, of those in use or of those archived."""

    condition: str = ""
    order: str = ""
    archived: bool = False


class Answer(NamedTuple):
    """Ids of the runs, in order; why not all of the question was heeded, in one sentence of the store's."""

    ids: list[int]
    refusal: str | None = None


def ask(store: Store) -> Question:
    """Draw the boxes; where every run is archived, those are meant."""
    left, middle, right = st.columns([6, 3, 2], vertical_alignment="bottom")
    condition = left.text_input(
        tr("Filter"),
        key=FILTER,
        bind="query-params",
        placeholder=EXAMPLES[0],
        max_chars=MOST_CHARACTERS,
        icon=":material/filter_alt:",
        help=tr(LANGUAGE, examples="; ".join(f"`{example}`" for example in EXAMPLES)),
    )
    order = middle.text_input(
        tr("Sort by"),
        key=SORT,
        bind="query-params",
        placeholder="-test/accuracy.max",
        max_chars=MOST_CHARACTERS,
        icon=":material/sort:",
        help=tr(ORDERS),
    )
    archived = right.toggle(tr("Archived runs"), key=ARCHIVED, bind="query-params")
    return Question((condition or "").strip(), (order or "").strip(), archived or not store.count_runs())


def show_refusal(refusal: str | None) -> None:
    """Say below the boxes what could not be read."""
    if refusal is not None:
        st.error(markdown_text(refusal, REFUSAL_CHARACTERS), icon=":material/filter_alt_off:")


def answer(store: Store, question: Question) -> Answer:
    """Find the runs; a condition or an order that cannot be read is left out, and the answer says why."""
    if not question.condition and not question.order:
        return Answer(store.run_ids(archived=question.archived))
    runs = store.runs(archived=question.archived)
    summaries = _Summaries(store, [run.id for run in runs], question)
    subjects = [Subject(run, summaries) for run in runs]
    try:
        if question.condition:
            subjects = filtered(subjects, question.condition)
        if question.order:
            subjects = sorted_by(subjects, question.order)
    except OptionError as error:
        return Answer([run.id for run in runs], str(error))
    return Answer([subject.run.id for subject in subjects])


class _Summaries:
    """The series that a question names, of all runs, read at the first look: a query for each would take seconds."""

    def __init__(self, store: Store, run_ids: list[int], question: Question) -> None:
        self._store, self._run_ids, self._question = store, run_ids, question
        self._found: dict[int, list[Series]] | None = None

    def __call__(self, run_id: int) -> list[Series]:
        if self._found is None:
            self._found = self._store.series_of_runs(self._run_ids, endings=_endings(self._question))
        return self._found[run_id]


def _endings(question: Question) -> list[str] | None:
    """What the keys of series that a question may mean end in; None for every series."""
    texts = [text for text in (question.condition, question.order.removeprefix("-")) if text]
    names = [name for text in texts for name in Expression(text).names]
    if any(name in (STEPS, f"run.{STEPS}") for name in names):
        return None
    plain = [name.removeprefix("series.") for name in names]
    without = [head for head, dot, tail in (name.rpartition(".") for name in plain) if dot and tail in STATISTICS]
    return list(dict.fromkeys([*plain, *without]))
