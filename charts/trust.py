"""How far to trust an explanation: a sentence for each of its checks and scores, in words for a newcomer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchglass.charts.units import number, quantity
from torchglass.language import listed, mark, tr

LOOSE_COMPLETENESS = 0.05  # attributions off by more than 5 % of what they should add up to
FINEST = 1e-4  # what is smaller is rounding
NEGATIVE_ACTIVATIONS = 0.3  # of a layer's mass: Grad-CAM reads an activation as "found here", which needs a ReLU
WEAK_SURROGATE = 0.5  # a surrogate that explains less than half of the variance describes something else
ALIKE = 0.5  # rank correlation with the map of a model of random weights, from which on the map shows the input
MOST_CHARACTERS = 160  # a sentence

_HIDING = {
    "pictures": mark("Hiding its hottest pixels first leaves {left}{beside}."),
    "text": mark("Hiding its strongest words first leaves {left}{beside}."),
    "table": mark("Hiding its strongest columns first leaves {left}{beside}."),
}
_HIDING_OTHERS = mark("Hiding its strongest parts first leaves {left}{beside}.")
_BASELINES = {"random": mark("random {share}"), "edges": mark("edges {share}")}


def trust_text(meta: Mapping[str, Any]) -> str:
    """Say all of it in one line: "Adds up to the output within 0.1 %. 500 evaluations, 0.8 s." Not yet escaped."""
    return " ".join(trust_sentences(meta))


def trust_sentences(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """Say how far to trust an explanation, a thought each: checks, tests beside baselines, then cost. Not escaped."""
    checks, scores, kind = meta.get("checks") or {}, meta.get("scores") or {}, str(meta.get("kind", "pictures"))
    possible = (
        _completeness(checks),
        _sampling(checks),
        _surrogate(checks),
        _positive(checks),
        _hiding(meta, scores, kind),
        _showing(meta, scores),
        _randomised(scores),
        _moved(scores),
    )
    said = [sentence for sentence in possible if sentence is not None] or [tr("No numerical check was made.")]
    return tuple(filter(None, (*said, _located(meta, checks, scores, kind), _unjudged(meta), _cost(meta))))


def _completeness(checks: Mapping[str, Any]) -> str | None:
    relative, absolute = _figure(checks, "completeness_error_relative"), _figure(checks, "completeness_error")
    if relative is None:
        return None if absolute is None else tr("Adds up to the output within {bound}.", bound=number(absolute))
    if relative > LOOSE_COMPLETENESS:
        return tr("Does not add up to the output: off by {percent} %.", percent=number(100 * relative))
    bound = number(float(f"{100 * max(relative, FINEST):.2g}"))
    return tr("Adds up to the output within {percent} %.", percent=bound)


def _surrogate(checks: Mapping[str, Any]) -> str | None:
    r2 = _figure(checks, "surrogate_r2")
    if r2 is None:
        return None
    told = {"percent": f"{100 * max(r2, 0.0):.0f}", "r2": f"{r2:.2f}"}
    if r2 < WEAK_SURROGATE:
        return tr("A poor fit: the surrogate follows {percent} % of the model's variance nearby (R² {r2}).", **told)
    return tr("The surrogate follows {percent} % of the model's variance nearby (R² {r2}).", **told)


def _positive(checks: Mapping[str, Any]) -> str | None:
    share = _figure(checks, "positive_share")
    negative = _figure(checks, "negative_activation_share") or 0.0
    if share is None:
        return None
    said = tr("{percent} % of the map speaks for the class.", percent=f"{100 * share:.0f}")
    if negative < NEGATIVE_ACTIVATIONS:
        return said
    doubt = tr("Doubtful: {percent} % of the layer's activation is negative.", percent=f"{100 * negative:.0f}")
    return f"{said} {doubt}"


def _sampling(checks: Mapping[str, Any]) -> str | None:
    share = _figure(checks, "sampling_error_relative")
    if share is None:
        return None
    return tr("Sampling leaves ±{percent} %.", percent=number(float(f"{100 * max(share, FINEST):.2g}")))


def _hiding(meta: Mapping[str, Any], scores: Mapping[str, Any], kind: str) -> str | None:
    """What is left of the class, on average, while more and more is hidden in the order of the map."""
    left, chance = _figure(scores, "deletion"), _baseline(meta, "random", "deletion")
    if left is None:
        return None
    if meta.get("output_space") == "value":
        share = tr("{share} of the effect on average", share=_percent(left))
    else:
        share = tr("{share} probability on average", share=_percent(left))
    said = tr(_HIDING.get(kind, _HIDING_OTHERS), left=share, beside=_beside(meta, "deletion"))
    if chance is None or left < chance:
        return said
    return tr("No better than chance: {told}", told=f"{said[:1].lower()}{said[1:]}")


def _showing(meta: Mapping[str, Any], scores: Mapping[str, Any]) -> str | None:
    back = _figure(scores, "insertion")
    if back is None:
        return None
    beside = _beside(meta, "insertion")
    return tr("Showing them first restores {share}{beside}.", share=_percent(back), beside=beside)


def _randomised(scores: Mapping[str, Any]) -> str | None:
    alike = _figure(scores, "randomisation")
    if alike is None:
        return None
    told = {"correlation": number(round(alike, 2))}
    if alike < ALIKE:
        return tr("With random weights it changes (rank correlation {correlation}).", **told)
    return tr(
        "Doubtful: with random weights it stays alike (rank correlation {correlation}), so it shows the input.", **told
    )


def _moved(scores: Mapping[str, Any]) -> str | None:
    share = _figure(scores, "sensitivity")
    return None if share is None else tr("Noise too small to see moves it by up to {share}.", share=_percent(share))


def _located(meta: Mapping[str, Any], checks: Mapping[str, Any], scores: Mapping[str, Any], kind: str) -> str | None:
    """How much of what speaks for the class lies where the truth is; by chance it would be the truth's own share."""
    share, area = _figure(checks, "truth_share"), _figure(checks, "truth_area")
    if share is None or area is None:
        return None
    told = {
        "share": _percent(share),
        "beside": _beside(meta, "relevance_mass") if "relevance_mass" in scores else "",
        "area": _percent(area),
    }
    if kind == "text":
        return tr("{share} of what speaks for the class lies on what decides it{beside}, {area} of the words.", **told)
    return tr("{share} of what speaks for the class lies on what decides it{beside}, {area} of the picture.", **told)


def _unjudged(meta: Mapping[str, Any]) -> str | None:
    why = meta.get("scores_missing")
    return tr("Not judged: {reason}.", reason=why["all"]) if isinstance(why, Mapping) and "all" in why else None


def _beside(meta: Mapping[str, Any], metric: str) -> str:
    """The same figure of maps that know nothing of the model: " (random 45 %, edges 52 %)"."""
    figures = ((said, _baseline(meta, name, metric)) for name, said in _BASELINES.items())
    known = [tr(said, share=_percent(figure)) for said, figure in figures if figure is not None]
    return tr(" ({told})", told=listed(known)) if known else ""


def _baseline(meta: Mapping[str, Any], name: str, metric: str) -> float | None:
    known = (meta.get("baselines") or {}).get(name)
    return _figure(known, metric) if isinstance(known, Mapping) else None


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _cost(meta: Mapping[str, Any]) -> str:
    evaluations, seconds = _figure(meta, "model_evaluations"), _figure(meta, "seconds")
    parts = []
    if evaluations is not None:
        count = number(evaluations)
        parts.append(tr("1 evaluation") if evaluations == 1 else tr("{count} evaluations", count=count))
    if seconds is not None:
        parts.append(quantity(seconds, "s"))
    return tr("{told}.", told=listed(parts)) if parts else ""


def _figure(values: Mapping[str, Any], key: str) -> float | None:
    value = values.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
