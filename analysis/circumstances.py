"""Under which circumstances two runs were measured: what differs beside the code itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torchglass.analysis.measured import Measured
from torchglass.language import tr
from torchglass.store import Run

CONFIG = "config."  # before the names of a configuration's entries
MOST_CHARACTERS = 200  # of a value; a configuration may hold whole texts


class Circumstance(NamedTuple):
    """Something that differs between run A (`base`) and run B (`new`); None where one does not say."""

    name: str
    base: str | None
    new: str | None


def differing(base: Measured, new: Measured) -> tuple[Circumstance, ...]:
    """What two runs say differently of their machine, their software and their configuration."""
    first, second = (stated(each.run, each.facts) for each in (base, new))
    return tuple(
        Circumstance(name, first.get(name), second.get(name))
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    )


def stated(run: Run, facts: Mapping[str, Any]) -> Mapping[str, str]:
    """What a run says of its machine, its software and, as `config.…`, its configuration."""
    return dict(_stated(run, facts))


def _stated(run: Run, facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    devices, machine = _mapping(facts.get("devices/gpu")), _mapping(facts.get("devices/host"))
    gpus = Counter(str(_mapping(gpu).get("name", "unknown")) for gpu in devices.get("gpus") or [])
    if "devices/gpu" in facts:
        yield tr("GPUs"), ", ".join(f"{count} x {name}" for name, count in sorted(gpus.items())) or tr("none")
    for name, key in ((tr("processor"), "name"), (tr("processor cores"), "cpu_count")):
        if machine.get(key) is not None:
            yield name, _short(machine[key])
    yield tr("host"), _short(run.host)
    environment = _mapping(facts.get("environment"))
    for key in sorted(environment):
        if key != "host":
            yield (tr("processes") if key == "world_size" else str(key)), _short(environment[key])
    phases = _mapping(facts.get("phases"))
    for name, key in ((tr("device of the phases"), "device"), (tr("clock of the phases"), "clock")):
        if phases.get(key) is not None:
            yield name, _short(phases[key])
    yield from _flat(run.config, CONFIG)


def _flat(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _short(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"
