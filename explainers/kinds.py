"""The three kinds of input that can be explained."""

from typing import Literal

Kind = Literal["pictures", "text", "table"]

KINDS: tuple[Kind, ...] = ("pictures", "text", "table")
SHAPES: dict[Kind, str] = {"pictures": "(N, C, H, W)", "text": "(N, T)", "table": "(N, F)"}
NAMES: dict[Kind, str] = {"pictures": "pictures", "text": "token ids", "table": "rows"}
RANKS: dict[Kind, int] = {"pictures": 4, "text": 2, "table": 2}
