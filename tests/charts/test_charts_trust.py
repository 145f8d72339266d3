"""The sentences of trust: each figure beside those of maps that know nothing, in words, and none where none is."""

from typing import Any

import pytest

from torchglass.charts.trust import MOST_CHARACTERS, trust_sentences, trust_text

COST = {"model_evaluations": 7, "seconds": 0.5}
SAID = " 7 evaluations, 500 ms."


def meta(scores: dict[str, Any], random: dict[str, Any], edges: dict[str, Any] | None = None, **more: Any) -> Any:
    baselines = {"random": random} | ({} if edges is None else {"edges": edges})
    return {"scores": scores, "baselines": baselines, **COST, **more}


def test_hiding_and_showing_stand_beside_a_random_map_and_the_edges() -> None:
    stored = meta(
        {"deletion": 0.312, "insertion": 0.704},
        {"deletion": 0.449, "insertion": 0.5},
        {"deletion": 0.52, "insertion": 0.61},
    )
    assert trust_text(stored) == (
        "Hiding its hottest pixels first leaves 31 % probability on average (random 45 %, edges 52 %). "
        "Showing them first restores 70 % (random 50 %, edges 61 %)." + SAID
    )


@pytest.mark.parametrize(
    ("left", "doubted"), [(0.44, False), (0.45, True), (0.6, True)], ids=["less", "as much", "more"]
)
def test_a_map_that_a_random_one_equals_is_no_better_than_chance(left: float, doubted: bool) -> None:
    text = trust_text(meta({"deletion": left}, {"deletion": 0.45}, {"deletion": 0.1}))
    assert text.startswith("No better than chance: hiding its hottest pixels") is doubted


@pytest.mark.parametrize(
    ("kind", "parts"), [("text", "strongest words"), ("table", "strongest columns")], ids=["text", "table"]
)
def test_words_and_columns_have_no_edges(kind: str, parts: str) -> None:
    text = trust_text(meta({"deletion": -0.2}, {"deletion": 0.5}, kind=kind, output_space="value"))
    assert text == f"Hiding its {parts} first leaves -20 % of the effect on average (random 50 %)." + SAID


def test_what_lies_on_the_truth_stands_beside_both_baselines() -> None:
    checks = {"truth_share": 0.62, "truth_area": 0.058}
    stored = meta({"relevance_mass": 0.62}, {"relevance_mass": 0.06}, {"relevance_mass": 0.04}, checks=checks)
    assert trust_text(stored) == (
        "No numerical check was made. 62 % of what speaks for the class lies on what decides it "
        "(random 6 %, edges 4 %), 6 % of the picture." + SAID
    )


@pytest.mark.parametrize(
    ("alike", "sentence"),
    [
        (-0.004, "With random weights it changes (rank correlation 0)."),
        (0.124, "With random weights it changes (rank correlation 0.12)."),
        (0.49, "With random weights it changes (rank correlation 0.49)."),
        (0.5, "Doubtful: with random weights it stays alike (rank correlation 0.5), so it shows the input."),
    ],
    ids=["none", "some", "much", "alike"],
)
def test_a_map_that_survives_random_weights_is_doubtful(alike: float, sentence: str) -> None:
    assert trust_text(meta({"randomisation": alike}, {})) == sentence + SAID


@pytest.mark.parametrize(
    ("missed", "sentence"),
    [(0.05, "Adds up to the output within 5 %."), (0.051, "Does not add up to the output: off by 5.1 %.")],
    ids=["just", "not quite"],
)
def test_one_part_in_twenty_may_be_missing_from_the_sum(missed: float, sentence: str) -> None:
    assert trust_text({"checks": {"completeness_error_relative": missed}, **COST}) == sentence + SAID


def test_sensitivity_is_said_as_a_share() -> None:
    assert trust_text(meta({"sensitivity": 0.081}, {})).startswith("Noise too small to see moves it by up to 8 %.")


@pytest.mark.parametrize(
    "stored",
    [{}, {"scores": None, "baselines": None}, {"scores": {"deletion": None}}, {"scores_missing": ["all"]}],
    ids=["old", "null", "undefined", "strange"],
)
def test_explanations_without_scores_still_have_their_words(stored: dict[str, Any]) -> None:
    checks = {"checks": {"completeness_error_relative": 0.001}}
    assert trust_text(stored | checks | COST) == "Adds up to the output within 0.1 %." + SAID


def test_baselines_of_another_shape_are_left_out() -> None:
    stored = {"scores": {"deletion": 0.3}, "baselines": {"random": 3, "edges": {"deletion": "much"}}, **COST}
    assert trust_text(stored) == "Hiding its hottest pixels first leaves 30 % probability on average." + SAID


def test_all_that_can_be_said_fits() -> None:
    scores = {"deletion": 0.99, "insertion": 0.99, "randomisation": 0.99, "sensitivity": 0.99, "relevance_mass": 0.99}
    checks = {
        "completeness_error_relative": 1.234567,
        "sampling_error_relative": 0.12345,
        "surrogate_r2": 0.1,
        "positive_share": 0.99,
        "negative_activation_share": 0.99,
        "truth_share": 0.99,
        "truth_area": 0.99,
    }
    sentences = trust_sentences(meta(scores, dict(scores), dict(scores), checks=checks))
    assert len(sentences) == 10
    assert max(len(sentence) for sentence in sentences) <= MOST_CHARACTERS
    assert max(len(sentence) for sentence in sentences[4:6]) <= 120


def test_what_could_not_be_judged_says_why() -> None:
    stored = {"scores_missing": {"all": "the model cannot run"}, **COST}
    assert trust_sentences(stored)[1] == "Not judged: the model cannot run."
