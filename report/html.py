"""Contents -> one HTML file: no address in it leads anywhere, and no script in it but the two that it names by hash."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from torchglass.charts import PicturesData, plain_text
from torchglass.charts.explanations_pictures import MethodPanel
from torchglass.charts.over_training import LEGEND
from torchglass.charts.pictures import png_data_uri
from torchglass.charts.theme import DIVERGING, SEQUENTIAL, colorscale
from torchglass.charts.units import number
from torchglass.report.contents import Contents
from torchglass.report.figures import Drawing, drawings, figures_json
from torchglass.report.overviews import overview_notes
from torchglass.report.tables import listing_table, moment, phase_rows, scalar_rows, setting_rows, tiles

POLICY = (
    "default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
SECTIONS = {
    "summary": "Summary",
    "curves": "Curves",
    "phases": "Where the time goes",
    "ranks": "Ranks",
    "memory": "Memory",
    "layers": "Gradient flow",
    "histograms": "Histograms",
    "devices": "Devices",
    "kernels": "Operators and kernels",
    "variants": "Techniques side by side",
    "model": "The model",
    "quality": "What it gets right",
    "explanations": "What the model looks at",
    "over_training": "What it looked at over training",
    "shortcuts": "Shortcuts",
    "overview": "Over many rows",
    "settings": "Configuration and environment",
}


def render(contents: Contents) -> str:
    """The report as text."""
    drawn = drawings(contents)
    scripts = (_script(get_plotlyjs()), _script(_part("boot.js")))
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"plain": plain_text, "png": png_data_uri, "number": number}
    environment.globals |= {"scale_of": _scale, "limit_of": _limit}
    return environment.from_string(_part("report.html")).render(
        contents=contents,
        run=contents.run,
        sections=SECTIONS,
        drawings=list(enumerate(drawn)),
        explained=_explained(contents, drawn),
        policy=POLICY.format(hashes=" ".join(f"'{_hash(script)}'" for script in scripts)),
        style=Markup(_part("report.css")),
        plotly=scripts[0],
        boot=scripts[1],
        figures=Markup(figures_json([drawing.figure for drawing in drawn])),
        tiles=tiles(contents),
        scalars=scalar_rows(contents),
        phases=phase_rows(contents.phases),
        listings=[listing_table(title, listing) for title, listing in contents.profile.listings.items()],
        judged_listings={
            section: [listing_table(title, listing) for title, listing in listings.items()]
            for section, listings in contents.judged.listings.items()
        },
        notes=_notes(contents),
        settings=setting_rows(contents.run.config),
        environment=setting_rows(_facts(contents)),
        film_legend=LEGEND,
        begun=moment(contents.run.created_at),
        written=moment(contents.written_at),
        error_lines=[plain_text(line, 400) for line in (contents.run.error or "").splitlines()],
    )


def _explained(contents: Contents, drawn: list[Drawing]) -> list[tuple[Any, list[int]]]:
    """Each explained sample with the numbers of its panels' figures; none for a picture."""
    numbers = (number for number, drawing in enumerate(drawn) if drawing.section == "explanations")
    return [
        (sample, [] if isinstance(sample, PicturesData) else [next(numbers) for _ in sample.panels])
        for sample in contents.explanations
    ]


@cache
def _part(name: str) -> str:
    return files("torchglass.report").joinpath(name).read_text(encoding="utf-8")


def _script(source: str) -> Markup:
    """Script text as a browser will hash it: with plain line ends, and nothing in it that would end the element."""
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    assert "</script" not in text.lower()
    return Markup(text)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _facts(contents: Contents) -> Mapping[str, Any]:
    """What the run ran on. A report is made to be handed on: it names no machine."""
    told = {key: value for key, value in contents.environment.items() if key != "host"}
    if contents.model:
        told["model"] = dict(contents.model)
    told |= {key: value for key, value in contents.device_facts.items() if key != "name"}
    for place, gpu in enumerate(contents.gpus):
        told[f"gpu{place}"] = {key: value for key, value in gpu.items() if key not in ("uuid", "index")}
    return told


def _notes(contents: Contents) -> dict[str, list[str]]:
    """Sentences under the headings: how things were measured, and what is not here."""
    notes: dict[str, list[str]] = {section: [] for section in SECTIONS}
    for section, sentence in contents.left_out.items():
        notes[section].append(sentence)
    if contents.rank_count > 1:
        told = f"The run had {contents.rank_count} ranks; charts show rank 0."
        for section in ("curves", "phases", "memory"):
            notes[section].append(told)
    clocks = {"host": "the host's clock", "cuda": "CUDA events"}
    clock = contents.phase_facts.get("clock")
    if clock:
        notes["phases"].append(f"Timed with {clocks.get(str(clock), plain_text(clock))}.")
    for key, reason in contents.missing_devices:
        notes["devices"].append(f"{plain_text(key)}: {plain_text(reason, 300).rstrip('.')}.")
    notes["kernels"] += _profile_notes(contents)
    notes["over_training"] += sorted(
        {plain_text(note, 200) for read in contents.over_training for note in read.strip.notes}
    )
    notes["phases"] += contents.work_notes
    notes["overview"] += overview_notes(contents.overviews)
    notes["quality"] += contents.judged.texts["quality"]
    if contents.phase_facts.get("note"):
        notes["phases"].append(plain_text(contents.phase_facts["note"], 300))
    return notes


def _profile_notes(contents: Contents) -> list[str]:
    """What was profiled, and why a part of it is missing; how far to trust it stands apart."""
    profile = contents.profile
    if not profile.window_count:
        return []
    windows = f"{profile.window_count} window{'s' if profile.window_count != 1 else ''}"
    notes = [f"{profile.steps} steps were profiled in {windows}{f' of rank {profile.rank}' if profile.rank else ''}."]
    if profile.left_out:
        notes.append(f"{profile.left_out} earlier windows are left out.")
    by_reason: dict[str, list[str]] = {}
    for name, reason in profile.missing.items():
        by_reason.setdefault(plain_text(reason, 300).rstrip("."), []).append(plain_text(name))
    notes += [f"No {', '.join(names)}: {reason}." for reason, names in by_reason.items()]
    return [*notes, *(plain_text(note, 300) for note in profile.notes)]


def _scale(panel: MethodPanel) -> str:
    """The colours of a map as a CSS gradient."""
    stops = ", ".join(color for _, color in colorscale(DIVERGING if panel.signed else SEQUENTIAL))
    return f"linear-gradient(to right, {stops})"


def _limit(panel: MethodPanel) -> str:
    return number(float(f"{panel.limit:.2g}"))
