"""What the compared runs look at: one sample explained by one method, run beside run on one scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import streamlit as st

from torchglass.analysis.at_step import nearest
from torchglass.charts import Explained, ExplanationsData, PicturesData, explanation_figures, explanations_data
from torchglass.charts.explanations_words import method_name
from torchglass.charts.text import markdown_text, plain_text
from torchglass.charts.trust import MOST_CHARACTERS
from torchglass.dashboard.comparing.runs import label
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.dashboard.stepping.cursor import chosen_step
from torchglass.language import tr
from torchglass.store import Artifact, Run, Store

KIND = "explanation"
SIDE_BY_SIDE = 3  # on a line; a picture narrower than a third of the page shows nothing


class Subject(NamedTuple):
    """A sample and the method that explained it."""

    key: str
    method: str


def show(store: Store, runs: Sequence[Run]) -> None:
    """Let a sample and a method be chosen among those that two runs have, and draw what each run found."""
    found = [_by_subject(store.artifacts(run.id, kind=KIND)) for run in runs]
    subjects = shared(found)
    if not subjects:
        return
    st.subheader(tr("Explanations"), anchor=False)
    left, right = st.columns(2)
    samples = list(dict.fromkeys(subject.key for subject in subjects))
    sample = left.selectbox(tr("Sample"), samples, key="compared_sample")
    methods = [subject.method for subject in subjects if subject.key == sample]
    method = right.selectbox(tr("Method"), methods, format_func=method_name, key=f"compared_method_{sample}")
    chosen = [at_step(each.get(Subject(sample, method), []), chosen_step()) for each in found]
    data = _on_one_scale(store, chosen)
    st.caption(tr("All are coloured on one scale, that of the largest value."))
    columns = st.columns(min(SIDE_BY_SIDE, len(runs)))
    for place, (run, artifact, each) in enumerate(zip(runs, chosen, data, strict=True)):
        with columns[place % len(columns)].container(border=True):
            st.markdown(f"**{markdown_text(label(place, run))}**")
            if artifact is None or each is None:
                st.caption(tr("Not explained in this run. On the page Explain it can be."))
            else:
                _draw(store, run, artifact, each)


def shared(found: Sequence[Mapping[Subject, Sequence[Artifact]]]) -> list[Subject]:
    """Subjects that two runs or more have."""
    known = dict.fromkeys(subject for each in found for subject in each)
    return [subject for subject in known if sum(subject in each for each in found) > 1]


def at_step(artifacts: Sequence[Artifact], step: int | None) -> Artifact | None:
    """The newest, or the newest of the step nearest to a chosen one."""
    if not artifacts or step is None:
        return artifacts[-1] if artifacts else None
    near = nearest((each.step for each in artifacts), step)
    return next(each for each in reversed(artifacts) if each.step == near)


def _by_subject(artifacts: Iterable[Artifact]) -> dict[Subject, list[Artifact]]:
    found: dict[Subject, list[Artifact]] = {}
    for each in artifacts:
        found.setdefault(Subject(each.key, str(each.meta.get("method"))), []).append(each)
    return found


def _on_one_scale(store: Store, chosen: Sequence[Artifact | None]) -> list[ExplanationsData | None]:
    """Prepare each, coloured up to the largest value of any of them."""
    explained = [None if one is None else Explained(one, store.arrays(one.id)) for one in chosen]
    alone = [None if one is None else explanations_data([one]) for one in explained]
    limits = [limit for each in alone if each is not None for limit in (_limit(each),) if limit is not None]
    if not limits:
        return alone
    largest = max(limits)
    return [
        None if one is None else explanations_data([one], limits={str(one.artifact.meta.get("method")): largest})
        for one in explained
    ]


def _limit(data: ExplanationsData) -> float | None:
    limit = getattr(data.panels[0], "limit", None)
    return limit if isinstance(limit, float) else None


def _draw(store: Store, run: Run, artifact: Artifact, data: ExplanationsData) -> None:
    st.caption(markdown_text(data.heading, 200))
    draw(
        lambda dark: explanation_figures(data, dark=dark)[0],
        f"compared-explanation-{run.id}",
        tr("What {run} looks at", run=plain_text(run.name)),
        Source(
            "explanations",
            {"run": run.id, "ids": str(artifact.id)},
            chart_code(
                store,
                run,
                "from torchglass.charts import Explained, explanation_figures, explanations_data",
                f'found = store.artifacts(run.id, kind="explanation", key={artifact.key!r})\n'
                f"shown = [Explained(one, store.arrays(one.id)) for one in found if one.id == {artifact.id}]\n"
                "data = explanations_data(shown)",
                "explanation_figures(data)[0].show()",
            ),
        ),
    )
    if not isinstance(data, PicturesData):  # whose figure says it
        st.caption("  \n".join(markdown_text(said, MOST_CHARACTERS) for said in data.panels[0].trust))
