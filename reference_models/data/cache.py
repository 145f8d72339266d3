"""Where downloaded and generated data lie."""

import os
from pathlib import Path


def cache_folder(name: str, chosen: Path | None = None) -> Path:
    """Return the folder of a data set: `chosen`, else under `TORCHGLASS_CACHE`, else under `~/.cache/torchglass`."""
    if chosen is not None:
        return chosen
    root = os.environ.get("TORCHGLASS_CACHE")
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "torchglass") / name
