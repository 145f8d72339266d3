"""The lanes of a time line as a table: how busy each thread and stream was, and with what; a picture told in words."""

from __future__ import annotations

import numpy as np

from torchglass.charts.listings import Field, Listing
from torchglass.charts.timeline import TimelineData
from torchglass.language import tr

ANNOTATION = 1


def lanes_listing(data: TimelineData) -> Listing:
    """A row a lane: busy while one of its outermost slices was, and the name whose slices took most of its time."""
    titles, shares, counts, names, seconds = [], [], [], [], []
    for lane, (title, _) in enumerate(data.lanes):
        rows = [row for row in data.rows if row.lane == lane]
        if not rows:
            continue  # its rows were too deep to be kept
        outermost, every = slice(rows[0].first, rows[0].last), slice(rows[0].first, rows[-1].last)
        lengths = data.end_ns - data.start_ns
        # Annotations span whatever they name: what is in them tells more.
        works = data.kind[every] != ANNOTATION
        works = works if works.any() else np.ones_like(works)
        sums = np.bincount(data.name[every][works], lengths[every][works])
        longest = int(np.argmax(sums))
        titles.append(title)
        shares.append(100 * float(lengths[outermost].sum()) / max(data.span_ns, 1))
        counts.append(sum(row.last - row.first for row in rows))
        names.append(data.names[longest])
        seconds.append(float(sums[longest]) / 1e9)
    if not titles:
        return Listing(())
    return Listing(
        (
            Field(tr("Lane"), "text", tuple(titles)),
            Field(tr("Busy"), "share", tuple(shares), tr("of the time that the window spans")),
            Field(tr("Slices"), "count", tuple(counts)),
            Field(tr("Mostly with"), "text", tuple(names)),
            Field(tr("Time in it"), "s", tuple(seconds)),
        )
    )
