"""Everything that the template says of one run: plain text that it escapes, and the numbers of its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchglass.charts import PicturesData, plain_text
from torchglass.charts.dead_units import dead_units_listing
from torchglass.language import mark, tr
from torchglass.report.contents import Contents
from torchglass.report.figures import Drawing
from torchglass.report.notes import section_notes
from torchglass.report.options import SECTIONS, Options
from torchglass.report.tables import (
    READING_COLUMNS,
    ListingTable,
    Row,
    listing_table,
    moment,
    phase_rows,
    reading_rows,
    scalar_rows,
    setting_rows,
    tiles,
)

STATUSES = {
    "running": mark("running"),
    "finished": mark("finished"),
    "failed": mark("failed"),
    "interrupted": mark("interrupted"),
    "lost": mark("lost"),
}
SCALAR_COLUMNS = (
    mark("scalar"),
    mark("last"),
    mark("best, at step"),
    mark("smallest, at step"),
    mark("largest, at step"),
    mark("mean"),
    mark("values"),
    mark("NaN or infinite"),
)
PHASE_COLUMNS = (mark("phase"), mark("share"), mark("mean a step"), mark("last 200 steps"), mark("total"))
FIRST_ROWS = 12  # of a table before the first chart: the rest is folded away
ERROR_LINE = 400  # characters


@dataclass(frozen=True)
class Page:
    """One run in a report. `prefix` stands before the ids of its sections, which are `sections` by key with titles.

    `drawings` are the numbers of figures in the file, with the figures; `explained` and `tried` pair what a section
    shows with the numbers of its figures.
    """

    prefix: str
    letter: str
    contents: Contents
    drawings: Sequence[tuple[int, Drawing]]
    sections: Mapping[str, str]
    absent: Sequence[str]
    tiles: Sequence[tuple[str, str]]
    scalars: Sequence[Row]
    more_scalars: Sequence[Row]
    phases: Sequence[Row]
    readings: Sequence[Row]
    listings: Sequence[ListingTable]
    dead_units: Sequence[ListingTable]
    judged_listings: Mapping[str, Sequence[ListingTable]]
    notes: Mapping[str, Sequence[str]]
    settings: Sequence[Row]
    environment: Sequence[Row]
    explained: Sequence[tuple[Any, Sequence[int]]]
    tried: Sequence[tuple[Any, Sequence[int]]]
    error_lines: Sequence[str]
    status: str
    begun: str
    scalar_columns: Sequence[str]
    phase_columns: Sequence[str]
    reading_columns: Sequence[str]


def page_of(
    contents: Contents,
    drawn: Sequence[tuple[int, Drawing]],
    options: Options,
    *,
    prefix: str = "",
    letter: str = "",
    present_only: bool = False,
) -> Page:
    """Say what there is to say of a run; with `present_only` sections without content are only named."""
    notes = section_notes(contents)
    scalars = scalar_rows(contents)
    found = _found(contents, drawn)
    wanted = [section for section in SECTIONS if options.wants(section)]
    shown = [section for section in wanted if section in found or not present_only]
    return Page(
        prefix=prefix,
        letter=letter,
        contents=contents,
        drawings=drawn,
        sections={section: tr(SECTIONS[section]) for section in shown},
        absent=[tr(SECTIONS[section]) for section in wanted if section not in shown],
        tiles=tiles(contents),
        scalars=scalars[:FIRST_ROWS],
        more_scalars=scalars[FIRST_ROWS:],
        phases=phase_rows(contents.phases),
        readings=reading_rows(contents),
        listings=[listing_table(title, listing) for title, listing in contents.profile.listings.items()],
        dead_units=_dead_units(contents),
        judged_listings={
            section: [listing_table(title, listing) for title, listing in listings.items()]
            for section, listings in contents.judged.listings.items()
        },
        notes=notes,
        settings=setting_rows(contents.run.config),
        environment=setting_rows(facts_of(contents)),
        explained=_explained(contents, drawn) if options.wants("explanations") else (),
        tried=_tried(contents, drawn) if options.wants("what_if") else (),
        error_lines=[plain_text(line, ERROR_LINE) for line in (contents.run.error or "").splitlines()],
        status=tr(STATUSES[contents.run.status]),
        begun=moment(contents.run.created_at),
        scalar_columns=[tr(column) for column in SCALAR_COLUMNS],
        phase_columns=[tr(column) for column in PHASE_COLUMNS],
        reading_columns=[tr(column) for column in READING_COLUMNS],
    )


def _dead_units(contents: Contents) -> list[ListingTable]:
    """The layers with the most dead units, where what layers return was recorded."""
    if contents.dead_now is None:
        return []
    title = tr("Dead units at step {step}", step=f"{contents.dead_now.step:,}")
    return [listing_table(title, dead_units_listing(contents.dead_now, FIRST_ROWS))]


def _found(contents: Contents, drawn: Sequence[tuple[int, Drawing]]) -> set[str]:
    """The sections of a run that hold something."""
    found = {"summary", "settings", *(drawing.section for _, drawing in drawn)}
    found |= {section for section, listings in contents.judged.listings.items() if listings}
    found |= {"explanations"} if contents.explanations else set()
    found |= {"what_if"} if contents.what_ifs else set()
    found |= {"shortcuts"} if contents.shortcuts else set()
    found |= {"kernels"} if contents.profile.window_count else set()
    return found


def _explained(contents: Contents, drawn: Sequence[tuple[int, Drawing]]) -> list[tuple[Any, list[int]]]:
    """Each explained sample with the numbers of its panels' figures; none for a picture."""
    numbers = (number for number, drawing in drawn if drawing.section == "explanations")
    return [
        (sample, [] if isinstance(sample, PicturesData) else [next(numbers) for _ in sample.panels])
        for sample in contents.explanations
    ]


def _tried(contents: Contents, drawn: Sequence[tuple[int, Drawing]]) -> list[tuple[Any, list[int]]]:
    """Each change of a sample with the numbers of its two figures."""
    numbers = (number for number, drawing in drawn if drawing.section == "what_if")
    return [(data, [next(numbers), next(numbers)]) for data in contents.what_ifs]


def facts_of(contents: Contents) -> Mapping[str, Any]:
    """What the run ran on. A report is made to be handed on: it names no machine."""
    told = {key: value for key, value in contents.environment.items() if key != "host"}
    if contents.model:
        told["model"] = dict(contents.model)
    told |= {key: value for key, value in contents.device_facts.items() if key != "name"}
    for place, gpu in enumerate(contents.gpus):
        told[f"gpu{place}"] = {key: value for key, value in gpu.items() if key not in ("uuid", "index")}
    return told
