"""The layers of a model as a table: what each is, how many numbers it learns, and how it learns them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torchglass.charts.layer_health import health
from torchglass.charts.listings import Field, Listing
from torchglass.language import mark, tr
from torchglass.store.records import Series, Table

MODEL = mark("(the model itself)")
PREFIX = "layers/"


def layers_listing(
    table: Table,
    *,
    series: Sequence[Series] = (),
    at: Mapping[str, float] | None = None,
    outputs: Mapping[str, Any] | None = None,
    flops: Mapping[str, int] | None = None,
    most: int,
) -> Listing:
    """Modules that hold parameters of their own or no other module, in the order of the model.

    Args:
        table: the arrays of the artifact "graph"/"layers".
        series: those of kind "layer" of one rank: their last values, of a module's own parameters taken together.
        at: values by the series' keys that stand in the place of the last ones: those of a chosen step.
        flops: floating-point operations of a forward and backward pass, by the modules' paths.
        outputs: shapes of what modules returned, by their path, as the run counted its work.
    """
    names = [str(name) for name in table.get("names", ())]
    own = [int(count) for count in table.get("parameters", ())]
    holders = {name.rpartition(".")[0] for name in names if name}
    rows = [place for place, name in enumerate(names) if own[place] or name not in holders]
    if not rows:
        return Listing(())
    rows, left_out = rows[:most], max(0, len(rows) - most)
    whole = sum(own)
    last = _by_module({one.key: one.last for one in series} if at is None else at)
    shown = [names[place] for place in rows]
    norms = [_norms(last.get(name, {})) for name in shown]
    trainable = [int(table["trainable"][place]) for place in rows]
    fields = (
        Field(tr("Module"), "text", tuple(name or tr(MODEL) for name in shown)),
        Field(tr("Type"), "text", tuple(str(table["types"][place]) for place in rows)),
        Field(
            tr("Result"),
            "text",
            tuple(_shape((outputs or {}).get(name)) for name in shown),
            tr("shape of what it returned"),
        ),
        Field(tr("Parameters"), "count", tuple(own[place] for place in rows), tr("of its own, each counted once")),
        Field(tr("Share"), "share", tuple(100 * own[place] / whole if whole else None for place in rows)),
        Field(
            tr("Trains"), "text", tuple(_trains(own[place], some) for place, some in zip(rows, trainable, strict=True))
        ),
        Field(tr("Gradient norm"), "count", tuple(each[0] for each in norms), tr("at the last step that was sampled")),
        Field(tr("Weight norm"), "count", tuple(each[1] for each in norms), tr("at the last step that was sampled")),
        Field(
            tr("Update ratio"),
            "count",
            tuple(each[2] for each in norms),
            tr("norm of the update over norm of the weight"),
        ),
        Field(
            tr("FLOPs"), "count", tuple((flops or {}).get(name) for name in shown), tr("forward and backward, a step")
        ),
        Field(
            tr("Health"),
            "text",
            tuple(health(each[0], each[2], _dead_percent(last, name)) for name, each in zip(shown, norms, strict=True)),
            tr("what its gradients, updates and dead units say"),
        ),
    )
    return Listing(tuple(field for field in fields if any(value not in (None, "") for value in field.values)), left_out)


def _by_module(values: Mapping[str, float | None]) -> dict[str, dict[str, dict[str, float]]]:
    """Values by module, parameter and quantity."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for key, value in values.items():
        path, _, quantity = key.removeprefix(PREFIX).rpartition("/")
        module, _, parameter = path.rpartition(".")
        if value is not None:
            found.setdefault(module, {}).setdefault(parameter, {})[quantity] = value
    return found


def _dead_percent(values: Mapping[str, Mapping[str, Mapping[str, float]]], module: str) -> float | None:
    """Dead units of what a module returned; it is recorded by the module's path, where parameters have theirs."""
    parent, _, own = module.rpartition(".")
    return values.get(parent, {}).get(own, {}).get("dead_percent")


def _norms(parameters: Mapping[str, Mapping[str, float]]) -> tuple[float | None, float | None, float | None]:
    """Gradient norm, weight norm and update ratio of some parameters together: norms add up as squares do."""
    gradient = _together([each.get("gradient_norm") for each in parameters.values()])
    weight = _together([each.get("weight_norm") for each in parameters.values()])
    moved = _together(
        [
            each["update_ratio"] * each["weight_norm"] if {"update_ratio", "weight_norm"} <= set(each) else None
            for each in parameters.values()
        ]
    )
    return gradient, weight, moved / weight if moved is not None and weight else None


def _together(norms: Sequence[float | None]) -> float | None:
    known = [norm for norm in norms if norm is not None]
    return math.hypot(*known) if known else None


def _trains(own: int, trainable: int) -> str:
    if not own:
        return ""
    if trainable == own:
        return tr("yes")
    return tr("{count} of them", count=f"{trainable:,}") if trainable else tr("frozen")


def _shape(value: object) -> str:
    if not isinstance(value, list | tuple):
        return ""
    return f"({', '.join(map(str, value))}{',' if len(value) == 1 else ''})"
