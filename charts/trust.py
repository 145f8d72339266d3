"""How far to trust an explanation, in one line made of its own checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchglass.charts.units import number, quantity

LOOSE_COMPLETENESS = 0.05  # attributions off by more than 5 % of what they should add up to
FINEST = 1e-4  # what is smaller is rounding
NEGATIVE_ACTIVATIONS = 0.3  # of a layer's mass: Grad-CAM reads an activation as "found here", which needs a ReLU
WEAK_SURROGATE = 0.5  # a surrogate that explains less than half of the variance describes something else


def trust_text(meta: Mapping[str, Any]) -> str:
    """Checks, then cost: "Adds up to the output within 0.1 %. 500 evaluations, 0.8 s." Not yet escaped."""
    checks = meta.get("checks") or {}
    said = [
        sentence
        for sentence in (_completeness(checks), _sampling(checks), _surrogate(checks), _positive(checks))
        if sentence is not None
    ] or ["No numerical check exists for this method."]
    located = _located(checks, str(meta.get("kind", "pictures")))
    return " ".join([*said, *([located] if located else []), _cost(meta)]).strip()


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


def _located(checks: Mapping[str, Any], kind: str) -> str | None:
    """How much of what speaks for the class lies where the truth is; by chance it would be the truth's own share."""
    share, area = _figure(checks, "truth_share"), _figure(checks, "truth_area")
    if share is None or area is None:
        return None
    whole = "words" if kind == "text" else "picture"
    found = f"{100 * share:.0f} % of what speaks for the class"
    return f"{found} lies on what decides it, {100 * area:.0f} % of the {whole}."


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
