"""How far to trust an explanation: a sentence for each of its checks and scores, in words for a newcomer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchglass.charts.units import number, quantity

LOOSE_COMPLETENESS = 0.05  # attributions off by more than 5 % of what they should add up to
FINEST = 1e-4  # what is smaller is rounding
NEGATIVE_ACTIVATIONS = 0.3  # of a layer's mass: Grad-CAM reads an activation as "found here", which needs a ReLU
WEAK_SURROGATE = 0.5  # a surrogate that explains less than half of the variance describes something else
ALIKE = 0.5  # rank correlation with the map of a model of random weights, from which on the map shows the input
MOST_CHARACTERS = 160  # a sentence

_PARTS = {"pictures": "hottest pixels", "text": "strongest words", "table": "strongest columns"}


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
    said = [sentence for sentence in possible if sentence is not None] or ["No numerical check was made."]
    return tuple(filter(None, (*said, _located(meta, checks, scores, kind), _unjudged(meta), _cost(meta))))


def _completeness(checks: Mapping[str, Any]) -> str | None:
    relative, absolute = _figure(checks, "completeness_error_relative"), _figure(checks, "completeness_error")
    if relative is None:
        return None if absolute is None else f"Adds up to the output within {number(absolute)}."
    if relative > LOOSE_COMPLETENESS:
        return f"Does not add up to the output: off by {number(100 * relative)} %."
    bound = number(float(f"{100 * max(relative, FINEST):.2g}"))
    return f"Adds up to the output within {bound} %."


def _surrogate(checks: Mapping[str, Any]) -> str | None:
    r2 = _figure(checks, "surrogate_r2")
    if r2 is None:
        return None
    verdict = "A poor fit: the" if r2 < WEAK_SURROGATE else "The"
    return f"{verdict} surrogate follows {100 * max(r2, 0.0):.0f} % of the model's variance nearby (R² {r2:.2f})."


def _positive(checks: Mapping[str, Any]) -> str | None:
    share = _figure(checks, "positive_share")
    negative = _figure(checks, "negative_activation_share") or 0.0
    if share is None:
        return None
    doubt = (
        f" Doubtful: {100 * negative:.0f} % of the layer's activation is negative."
        if negative >= NEGATIVE_ACTIVATIONS
        else ""
    )
    return f"{100 * share:.0f} % of the map speaks for the class.{doubt}"


def _sampling(checks: Mapping[str, Any]) -> str | None:
    share = _figure(checks, "sampling_error_relative")
    return None if share is None else f"Sampling leaves ±{number(float(f'{100 * max(share, FINEST):.2g}'))} %."


def _hiding(meta: Mapping[str, Any], scores: Mapping[str, Any], kind: str) -> str | None:
    """What is left of the class, on average, while more and more is hidden in the order of the map."""
    left, chance = _figure(scores, "deletion"), _baseline(meta, "random", "deletion")
    if left is None:
        return None
    of = " of the effect on average" if meta.get("output_space") == "value" else " probability on average"
    what = f"iding its {_PARTS.get(kind, 'strongest parts')} first leaves {_percent(left)}{of}"
    doubt = "No better than chance: h" if chance is not None and left >= chance else "H"
    return f"{doubt}{what}{_beside(meta, 'deletion')}."


def _showing(meta: Mapping[str, Any], scores: Mapping[str, Any]) -> str | None:
    back = _figure(scores, "insertion")
    return None if back is None else f"Showing them first restores {_percent(back)}{_beside(meta, 'insertion')}."


def _randomised(scores: Mapping[str, Any]) -> str | None:
    alike = _figure(scores, "randomisation")
    if alike is None:
        return None
    figure = f"(rank correlation {number(round(alike, 2))})"
    if alike >= ALIKE:
        return f"Doubtful: with random weights it stays alike {figure}, so it shows the input."
    return f"With random weights it changes {figure}."


def _moved(scores: Mapping[str, Any]) -> str | None:
    share = _figure(scores, "sensitivity")
    return None if share is None else f"Noise too small to see moves it by up to {_percent(share)}."


def _located(meta: Mapping[str, Any], checks: Mapping[str, Any], scores: Mapping[str, Any], kind: str) -> str | None:
    """How much of what speaks for the class lies where the truth is; by chance it would be the truth's own share."""
    share, area = _figure(checks, "truth_share"), _figure(checks, "truth_area")
    if share is None or area is None:
        return None
    whole = "words" if kind == "text" else "picture"
    found = f"{100 * share:.0f} % of what speaks for the class"
    beside = _beside(meta, "relevance_mass") if "relevance_mass" in scores else ""
    return f"{found} lies on what decides it{beside}, {100 * area:.0f} % of the {whole}."


def _unjudged(meta: Mapping[str, Any]) -> str | None:
    why = meta.get("scores_missing")
    return f"Not judged: {why['all']}." if isinstance(why, Mapping) and "all" in why else None


def _beside(meta: Mapping[str, Any], metric: str) -> str:
    """The same figure of maps that know nothing of the model: " (random 45 %, edges 52 %)"."""
    figures = ((name, _baseline(meta, name, metric)) for name in ("random", "edges"))
    known = [f"{name} {_percent(figure)}" for name, figure in figures if figure is not None]
    return f" ({', '.join(known)})" if known else ""


def _baseline(meta: Mapping[str, Any], name: str, metric: str) -> float | None:
    known = (meta.get("baselines") or {}).get(name)
    return _figure(known, metric) if isinstance(known, Mapping) else None


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _cost(meta: Mapping[str, Any]) -> str:
    evaluations, seconds = _figure(meta, "model_evaluations"), _figure(meta, "seconds")
    parts = []
    if evaluations is not None:
        parts.append(f"{number(evaluations)} evaluation{'s' if evaluations != 1 else ''}")
    if seconds is not None:
        parts.append(quantity(seconds, "s"))
    return f"{', '.join(parts)}." if parts else ""


def _figure(values: Mapping[str, Any], key: str) -> float | None:
    value = values.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
