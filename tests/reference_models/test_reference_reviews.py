"""The generated reviews: the rule decides, the marks say by which words, and counting words does not find it."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from random import Random

import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from torchglass.reference_models.data import reviews_words
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.reviews import CLASS_NAMES, is_for_test, load_reviews, write_reviews
from torchglass.reference_models.data.reviews_grammar import MAX_WORDS, Review, verdict, write_review
from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.data.words import PADDING, UNKNOWN, split_words

NEGATIONS = {*reviews_words.NEGATIONS_OF_ADJECTIVES, *reviews_words.NEGATIONS_OF_VERBS}
JOINTS = re.compile(r" (?:\.|and|but|while)(?: |$)")


@pytest.fixture(scope="module")
def train() -> list[Review]:
    return write_reviews(0, for_test=False)


@pytest.fixture(scope="module")
def test() -> list[Review]:
    return write_reviews(0, for_test=True)


@pytest.fixture(scope="module")
def split() -> Split:
    return load_reviews(DataRequest(seed=0))


def marked(review: Review) -> list[str]:
    return [word for word, decides in zip(review.words, review.decides, strict=True) if decides]


def without(review: Review, place: int) -> tuple[str, ...]:
    return review.words[:place] + review.words[place + 1 :]


@pytest.mark.parametrize(
    ("text", "positive"),
    [
        ("the film was superb .", True),
        ("the film was not superb .", False),
        ("we hardly loathed the stay .", True),
        ("the film was not long and it was superb .", True),
        ("my brother said it was superb but the film was dull .", False),
        ("the rival phone abroad was not bad . the phone is scarcely good .", False),
        ("i hoped that the meal would be great .", None),
        ("we walked to the market on monday .", None),
    ],
)
def test_the_rule_reads_negation_and_passes_over_what_is_no_verdict(text: str, positive: bool | None) -> None:
    assert verdict(text.split()) is positive


def test_the_rule_gives_every_review_its_class(train: list[Review], test: list[Review]) -> None:
    assert all(verdict(review.words) is review.is_positive for review in train + test)


def test_removing_any_word_that_is_not_marked_leaves_the_class_as_it_is(test: list[Review]) -> None:
    for review in test:
        for place, decides in enumerate(review.decides):
            assert decides or verdict(without(review, place)) is review.is_positive, (review, place)


def test_removing_the_marked_negation_or_giving_one_turns_the_class_around(test: list[Review]) -> None:
    negated = 0
    for review in test:
        places = [place for place, decides in enumerate(review.decides) if decides]
        if len(places) == 2:
            negated += 1
            assert review.words[places[0]] in NEGATIONS
            assert verdict(without(review, places[0])) is not review.is_positive
        else:
            words = (*review.words[: places[0]], "not", *review.words[places[0] :])
            assert verdict(words) is not review.is_positive
    assert 0.21 < negated / len(test) < 0.29  # a quarter


def test_without_its_marked_judgement_a_review_says_nothing(test: list[Review]) -> None:
    for review in test:
        place = max(place for place, decides in enumerate(review.decides) if decides)
        assert verdict(without(review, place)) is None


def test_every_review_marks_one_judgement_and_at_most_one_negation(train: list[Review]) -> None:
    judgements = {
        *reviews_words.PRAISING_ADJECTIVES,
        *reviews_words.PRAISING_VERBS,
        *reviews_words.BLAMING_ADJECTIVES,
        *reviews_words.BLAMING_VERBS,
    }
    for review in train:
        *negations, judgement = marked(review)
        assert judgement in judgements
        assert len(negations) <= 1
        assert set(negations) <= NEGATIONS


def test_words_counted_without_their_order_do_not_tell_the_class(train: list[Review], test: list[Review]) -> None:
    counts = CountVectorizer(token_pattern=r"\S+")
    seen = counts.fit_transform([" ".join(review.words) for review in train])
    linear = LogisticRegression(max_iter=300).fit(seen, [review.is_positive for review in train])
    new = counts.transform([" ".join(review.words) for review in test])
    assert linear.score(new, [review.is_positive for review in test]) < 0.7


def test_training_and_test_share_no_clause(train: list[Review], test: list[Review]) -> None:
    parts = [{clause for review in part for clause in JOINTS.split(" ".join(review.words))} for part in (train, test)]
    seen, new = (part - {""} for part in parts)
    assert not seen & new
    assert all(is_for_test(clause) for clause in new)
    assert not any(is_for_test(clause) for clause in seen)


def test_both_classes_are_equally_frequent_and_in_mixed_order(train: list[Review]) -> None:
    assert sum(review.is_positive for review in train) == len(train) // 2
    assert 30 < sum(review.is_positive for review in train[:100]) < 70


def test_samples_hold_the_reviews_word_for_word(split: Split, test: list[Review]) -> None:
    assert split.form.class_names == CLASS_NAMES
    assert split.form.shape == (MAX_WORDS,) == tuple(split.test.inputs.shape[1:])
    assert split.test.truth is not None
    for ids, target, truth, review in zip(split.test.inputs, split.test.targets, split.test.truth, test, strict=True):
        words = [split.vocabulary[number] for number in ids if number != PADDING]
        assert words == list(review.words) == split_words(" ".join(review.words))
        assert truth.tolist() == [*review.decides, *[False] * (MAX_WORDS - len(words))]
        assert bool(target) is review.is_positive


def test_the_vocabulary_is_the_training_words_and_knows_the_test(split: Split, train: list[Review]) -> None:
    assert set(split.vocabulary[3:]) == {word for review in train for word in review.words}
    assert len(split.vocabulary) == split.form.vocabulary_size == int(split.train.inputs.max()) + 1
    assert not bool((split.test.inputs == UNKNOWN).any())


def test_another_seed_gives_other_reviews_and_the_same_seed_the_same_in_any_process(test: list[Review]) -> None:
    found = hashlib.sha256(repr(test).encode()).hexdigest()
    again = "import hashlib; from torchglass.reference_models.data.reviews import write_reviews as w; "
    again += "print(hashlib.sha256(repr(w(0, for_test=True)).encode()).hexdigest())"
    told = subprocess.run([sys.executable, "-c", again], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == found
    assert write_reviews(1, for_test=True) != test


def test_a_review_is_written_from_allowed_clauses_only() -> None:
    def is_short(clause: str) -> bool:
        return len(clause) < 36

    review = write_review(Random(5), True, is_short)
    assert all(is_short(clause) for clause in JOINTS.split(" ".join(review.words)))


def test_no_word_belongs_to_two_groups_that_the_rule_reads() -> None:
    groups = [
        {*reviews_words.PRAISING_ADJECTIVES, *reviews_words.PRAISING_VERBS},
        {*reviews_words.BLAMING_ADJECTIVES, *reviews_words.BLAMING_VERBS},
        set(reviews_words.NEUTRAL_ADJECTIVES),
        NEGATIONS,
        {*reviews_words.SPEAKERS, *reviews_words.SAYING, *reviews_words.RIVALS, *reviews_words.AWAY},
        {*reviews_words.EXPECTING, *reviews_words.WOULD, *reviews_words.OTHERWISE, *reviews_words.MIGHT},
        {*reviews_words.JOINTS, reviews_words.END},
        {word for domain in reviews_words.DOMAINS for group in domain for word in group},
        {*reviews_words.BEING, *reviews_words.FINDING, *reviews_words.WHO, *reviews_words.GOING},
    ]
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_the_tensors_are_what_the_contract_says(split: Split) -> None:
    assert split.train.inputs.dtype == split.train.targets.dtype == torch.int64
    assert split.train.truth is not None
    assert split.train.truth.dtype == torch.bool
