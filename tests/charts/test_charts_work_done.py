"""What a count of operations lacks is named, with its reason."""

from __future__ import annotations

from torchglass.charts.work_done import MOST_OPERATORS, work_notes


def test_a_count_that_failed_says_why() -> None:
    notes = work_notes({"missing/work/flops": "it has hooks.", "missing/work/mfu_percent": "no peak"})
    assert notes == ["The operations of some step were not counted: it has hooks."]


def test_operators_without_a_formula_are_named_with_their_calls() -> None:
    assert work_notes({"work": {"unsupported": {"aten::_fft_c2c": 2, "mine::op": 1}}}) == [
        "Not in the count, for want of a formula: aten::_fft_c2c (2 calls), mine::op (1 call)."
    ]
    many = {f"mine::op{place}": 1 for place in range(MOST_OPERATORS + 3)}
    (note,) = work_notes({"work": {"unsupported": many}})
    assert note.endswith("mine::op7 (1 call) and 3 more.")


def test_a_whole_count_and_strange_facts_say_nothing() -> None:
    assert work_notes({"work": {"unsupported": {}}}) == []
    assert work_notes({"work": "?"}) == work_notes({}) == []
