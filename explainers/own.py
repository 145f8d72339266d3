"""Name an explanation method that is our own, as the libraries' are named."""

from importlib.metadata import PackageNotFoundError, version


def own_implementation(name: str) -> str:
    """Say who made it: "torchglass 0.1.0 LayerCAM"."""
    try:
        return f"torchglass {version('torchglass')} {name}"
    except PackageNotFoundError:
        return f"torchglass {name}"
