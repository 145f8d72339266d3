"""What a server keeps for its visitors does not carry one visitor's language to another."""

from __future__ import annotations

from pathlib import Path

from torchglass.dashboard.comparing.kept import compared
from torchglass.language import spoken
from torchglass.store import Store


def test_a_kept_comparison_says_why_in_the_language_of_whoever_asks(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        first, second = (store.start_run(name, {}, host="h", pid=1) for name in ("one", "two"))
        told = {}
        for code in ("en", "zh", "en"):
            with spoken(code):
                (comparison,) = compared(store, first, [second], 0)
                told[code] = {each.reason for each in comparison.step}
    assert told == {"en": {"no step was timed in A and B"}, "zh": {"A 和 B 中没有任何一步被计时"}}
