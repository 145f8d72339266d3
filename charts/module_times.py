"""How long each module took in a profiler window: the kernels that it launched, and its own time on the host."""

from __future__ import annotations

from collections import defaultdict

from torchglass.charts.listings import Field, Listing
from torchglass.language import tr
from torchglass.store.records import Table


def modules_listing(links: Table | None, *, steps: int, most: int) -> Listing:
    """Modules of the table "links" by their time a step; what was blamed on none, in brackets, is left out.

    Time of kernels is the device's; where no kernel ran the host's own time counts, modules within it apart.
    """
    device: dict[str, float] = defaultdict(float)
    host: dict[str, float] = defaultdict(float)
    if links is not None:
        rows = zip(links["module"], links["kernel"], links["seconds"], strict=True)
        for module, kernel, seconds in rows:
            if not str(module).startswith("(") and str(module):
                (device if str(kernel) else host)[str(module)] += float(seconds) / max(1, steps)
    names = sorted({*device, *host}, key=lambda name: (-device.get(name, 0.0), -host.get(name, 0.0)))
    if not names:
        return Listing(())
    shown = names[:most]
    fields = (
        Field(tr("Module"), "text", tuple(shown)),
        Field(tr("GPU a step"), "s", tuple(device.get(name) for name in shown), tr("of the kernels that it launched")),
        Field(tr("Host a step"), "s", tuple(host.get(name) for name in shown), tr("without the modules within it")),
    )
    known = tuple(field for field in fields if any(value is not None for value in field.values))
    return Listing(known, max(0, len(names) - most))
