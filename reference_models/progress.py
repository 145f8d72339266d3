"""Progress bars on stderr by tqdm; silent when not asked for and when stderr is no terminal."""

from types import TracebackType
from typing import Protocol, Self, cast

from torchglass.errors import MissingExtraError


class Bar(Protocol):
    """The part of a tqdm bar that this room uses."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def update(self, n: int = 1) -> bool | None: ...
    def set_postfix_str(self, s: str) -> None: ...


def bar(title: str, total: int | None, unit: str, *, show: bool, stays: bool = True) -> Bar:
    """Open a bar of `total` units (None where unknown); `stays` leaves it on the screen when it closes.

    Raises:
        MissingExtraError: when tqdm is not installed.
    """
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise MissingExtraError("tqdm", "models") from error
    hidden = None if show else True  # tqdm reads None as: hide where stderr is no terminal
    scaled = unit == "B"
    return cast(
        "Bar", tqdm(desc=title, total=total, unit=unit, unit_scale=scaled, disable=hidden, leave=stays, mininterval=0.2)
    )
