"""The scores of explanations as a table: each beside those of maps that know nothing, and a verdict in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from torchglass.charts.explanations_words import method_name
from torchglass.charts.listings import Field, Listing
from torchglass.charts.trust import ALIKE, LOOSE_COMPLETENESS
from torchglass.charts.units import number
from torchglass.language import mark, tr
from torchglass.store.records import Artifact

SETTLED = 0.1  # a share by which a map may move under noise that nobody sees


class Measure(NamedTuple):
    """A metric as a person reads it: `better` says which end speaks for an explanation, None where it only tells.

    With a `limit` no baseline counts: up to it (or, high, from it) the words are `for_it`, else `against`.
    """

    title: str
    meaning: str
    better: Literal["high", "low"] | None
    limit: float | None = None
    for_it: str = ""
    against: str = ""


_MEASURES: Mapping[str, Measure] = {
    "deletion": Measure(
        mark("Deletion"), mark("score that is left, on average, while the strongest parts are hidden first"), "low"
    ),
    "insertion": Measure(
        mark("Insertion"), mark("score that is back, on average, while the strongest parts are shown first"), "high"
    ),
    "relevance_mass": Measure(
        mark("Relevance mass"), mark("share of what speaks for the class that lies on what is known to decide"), "high"
    ),
    "relevance_rank": Measure(
        mark("Relevance rank"), mark("share of the strongest parts that are among those known to decide"), "high"
    ),
    "pointing_game": Measure(
        mark("Pointing game"), mark("1 where the strongest part is one that is known to decide, else 0"), "high"
    ),
    "completeness_error": Measure(
        mark("Completeness error"),
        mark("how far the parts are from adding up to the score, as a share of it"),
        "low",
        LOOSE_COMPLETENESS,
        mark("it adds up"),
        mark("it does not add up"),
    ),
    "agreement": Measure(
        mark("Agreement"),
        mark("rank correlation with the other methods' maps"),
        "high",
        ALIKE,
        mark("the methods agree"),
        mark("the methods disagree"),
    ),
    "randomisation": Measure(
        mark("Randomisation"),
        mark("rank correlation with the map of the same model with random weights"),
        "low",
        ALIKE,
        mark("it depends on what was learnt"),
        mark("it shows the input, whatever was learnt"),
    ),
    "sensitivity": Measure(
        mark("Sensitivity"),
        mark("how far noise too small to see moves the map"),
        "low",
        SETTLED,
        mark("it stands still"),
        mark("it moves by itself"),
    ),
    "infidelity": Measure(
        mark("Infidelity"), mark("how wrongly the map foretells what changes of the input do to the score"), "low"
    ),
    "sparseness": Measure(mark("Sparseness"), mark("0 where all parts count alike, 1 where one alone does"), None),
}


class TrustRow(NamedTuple):
    """One score of one method; the figures are None where nothing was measured. Texts are in the reader's language."""

    method: str
    metric: str
    meaning: str
    value: float
    random: float | None
    edges: float | None
    verdict: str


def trust_rows(artifacts: Sequence[Artifact]) -> list[TrustRow]:
    """Every score of these explanations, method by method, what is compared with chance first."""
    return [row for artifact in artifacts for row in _rows(artifact.meta)]


def _rows(meta: Mapping[str, Any]) -> Iterator[TrustRow]:
    scores = meta.get("scores")
    scores = scores if isinstance(scores, Mapping) else {}
    for metric, measure in _MEASURES.items():
        value = _figure(scores, metric)
        if value is not None:
            random, edges = (_baseline(meta, name, metric) for name in ("random", "edges"))
            verdict = _verdict(measure, value, random, edges)
            name = method_name(meta.get("method", "explanation"))
            yield TrustRow(name, tr(measure.title), tr(measure.meaning), value, random, edges, verdict)


def _verdict(measure: Measure, value: float, random: float | None, edges: float | None) -> str:
    if measure.better is None:
        return ""
    sign = 1 if measure.better == "high" else -1
    if measure.limit is not None:
        return tr(measure.for_it if sign * value >= sign * measure.limit else measure.against)
    if random is None:
        return ""
    if sign * value <= sign * random:
        return tr("no better than chance")
    if edges is not None and sign * value <= sign * edges:
        return tr("better than chance, not than edges")
    return tr("better than chance") if edges is None else tr("better than chance and than edges")


def trust_listing(artifacts: Sequence[Artifact]) -> Listing:
    """The rows as columns; nothing of explanations that were not judged."""
    rows = trust_rows(artifacts)
    if not rows:
        return Listing(())
    fields = (
        Field(tr("Method"), "text", tuple(row.method for row in rows)),
        Field(tr("Score"), "text", tuple(row.metric for row in rows)),
        Field(tr("Value"), "text", tuple(_said(row.value) for row in rows)),
        Field(tr("Random order"), "text", tuple(_said(row.random) for row in rows), tr("the same of a random map")),
        Field(tr("Edges"), "text", tuple(_said(row.edges) for row in rows), tr("the same of an edge detector")),
        Field(tr("Verdict"), "text", tuple(row.verdict for row in rows)),
        Field(tr("What it measures"), "text", tuple(row.meaning for row in rows)),
    )
    return Listing(tuple(field for field in fields if any(field.values)))


def _said(value: float | None) -> str:
    return "" if value is None else number(float(f"{value:.3g}"))


def _baseline(meta: Mapping[str, Any], name: str, metric: str) -> float | None:
    known = (meta.get("baselines") or {}).get(name)
    return _figure(known, metric) if isinstance(known, Mapping) else None


def _figure(values: Mapping[str, Any], key: str) -> float | None:
    value = values.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
