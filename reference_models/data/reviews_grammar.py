"""Write reviews by a small grammar, and read them by the rule that gives each its class.

A review is a handful of clauses. One of them, the verdict, judges the subject itself, and its praising or blaming word,
turned around by a negation, is the review's class. The others are there to mislead: what a friend said, what was
expected, how another product was, and facts that say nothing. They praise and blame as often as the verdict, whatever
the class, so that words counted without their order tell little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from torchglass.reference_models.data.reviews_words import (
    AWAY,
    BEING,
    BLAMING_ADJECTIVES,
    BLAMING_VERBS,
    COLOURS,
    COUNTS,
    DAYS,
    DEGREES,
    DOMAINS,
    END,
    EXPECTING,
    FINDING,
    GOING,
    JOINTS,
    LEADS,
    MIGHT,
    NEGATIONS_OF_ADJECTIVES,
    NEGATIONS_OF_VERBS,
    NEUTRAL_ADJECTIVES,
    OTHERWISE,
    PRAISING_ADJECTIVES,
    PRAISING_VERBS,
    RIVALS,
    SAYING,
    SPEAKERS,
    WHO,
    WHOSE,
    WOULD,
    Domain,
)

NEGATED_SHARE = 1 / 4  # of the clauses that judge
MAX_WORDS = 32  # of a review; its clauses are drawn again until it fits
MIN_CLAUSES, MAX_CLAUSES = 2, 3

_POLARITY = {
    **dict.fromkeys((*PRAISING_ADJECTIVES, *PRAISING_VERBS), True),
    **dict.fromkeys((*BLAMING_ADJECTIVES, *BLAMING_VERBS), False),
}
_NEGATIONS = frozenset((*NEGATIONS_OF_ADJECTIVES, *NEGATIONS_OF_VERBS))
_NOT_THE_VERDICT = frozenset((*SPEAKERS, *SAYING, *RIVALS, *AWAY, *EXPECTING, *WOULD, *OTHERWISE, *MIGHT))
_RESETS = frozenset((*NEUTRAL_ADJECTIVES, *JOINTS, END))


class Clause(NamedTuple):
    """The words of a clause and which of them decide the class (none, unless it is the verdict)."""

    words: tuple[str, ...]
    decides: tuple[bool, ...]

    @property
    def text(self) -> str:
        """The clause as one string."""
        return " ".join(self.words)


@dataclass(frozen=True)
class Review:
    """A review's words, which of them decide, and whether it is positive."""

    words: tuple[str, ...]
    decides: tuple[bool, ...]
    is_positive: bool


def verdict(words: Sequence[str]) -> bool | None:
    """Tell by the rule whether a review is positive; None when nothing in it judges its subject.

    A negation, or a word that says "not the verdict" (of a speaker, a rival, a hope), holds for the next praising,
    blaming or neutral adjective or verb and no further than its clause. Every misleading clause has two words that say
    so, and every clause ends twice, with its adjective or verb and with a joint: no single word that is not marked as
    deciding can change the answer by its absence.
    """
    positive: bool | None = None
    negated = elsewhere = False
    for word in words:
        if word in _NEGATIONS:
            negated = not negated
        elif word in _NOT_THE_VERDICT:
            elsewhere = True
        elif word in _POLARITY or word in _RESETS:
            if word in _POLARITY and not elsewhere:
                positive = _POLARITY[word] != negated
            negated = elsewhere = False
    return positive


def write_review(random: Random, is_positive: bool, is_allowed: Callable[[str], bool]) -> Review:
    """Write a review of the class asked for from clauses whose text is allowed, at most `MAX_WORDS` words."""
    writer = _Writer(random, random.choice(DOMAINS))
    while True:
        count = random.randint(MIN_CLAUSES, MAX_CLAUSES)
        clauses = [_allowed(lambda: writer.verdict(is_positive), is_allowed)]
        clauses += [_allowed(writer.misleading, is_allowed)]  # at least one of them judges something else
        clauses += [_allowed(writer.any_other, is_allowed) for _ in range(count - 2)]
        random.shuffle(clauses)
        review = _join(clauses, is_positive, random)
        if len(review.words) <= MAX_WORDS:
            return review


def _allowed(draw: Callable[[], Clause], is_allowed: Callable[[str], bool]) -> Clause:
    while True:
        clause = draw()
        if is_allowed(clause.text):
            return clause


def _join(clauses: Sequence[Clause], is_positive: bool, random: Random) -> Review:
    words: list[str] = []
    decides: list[bool] = []
    for number, clause in enumerate(clauses, start=1):
        is_last = number == len(clauses)
        words += [*clause.words, END if is_last or random.random() < 0.5 else random.choice(JOINTS)]
        decides += [*clause.decides, False]
    return Review(tuple(words), tuple(decides), is_positive)


class _Writer:
    """Draws clauses about one domain."""

    def __init__(self, random: Random, domain: Domain) -> None:
        self._random, self._domain = random, domain

    def verdict(self, is_positive: bool) -> Clause:
        """Judge the subject, so that negation and polarity together say `is_positive`."""
        lead = self._pick(LEADS)
        if self._random.random() < 0.5:
            opening = f"{lead} the {self._subject()} {self._pick(BEING)}"
        else:
            opening = f"{lead} {self._pick(WHO)} {self._pick(FINDING)} the {self._subject()}"
        if self._random.random() < 0.75:
            return _clause(opening, self._adjective(is_positive), decides=True)
        ending = f"the {self._subject()}"
        return _clause(f"{lead} {self._pick(WHO)}", self._verb(is_positive), ending, decides=True)

    def misleading(self) -> Clause:
        """Judge, one way or the other, what does not count: hearsay, hopes, another product, another world."""
        judgement = self._adjective(self._random.random() < 0.5)
        opening = self._random.choice(
            (
                f"{self._pick(WHOSE)} {self._pick(SPEAKERS)} {self._pick(SAYING)} the {self._subject()} was",
                f"{self._pick(WHOSE)} {self._pick(SPEAKERS)} {self._pick(SAYING)} it was",
                f"the {self._pick(RIVALS)} {self._subject()} {self._pick(AWAY)} {self._pick(BEING)}",
                f"{self._pick(WHO)} {self._pick(EXPECTING)} that the {self._subject()} {self._pick(WOULD)} be",
                f"{self._pick(OTHERWISE)} the {self._subject()} {self._pick(MIGHT)} have been",
            )
        )
        return _clause(opening, judgement, decides=False)

    def any_other(self) -> Clause:
        """Mislead in two clauses of three, else say something that judges nothing."""
        return self.misleading() if self._random.random() < 2 / 3 else self.neutral()

    def neutral(self) -> Clause:
        """State a fact, negated or not."""
        if self._random.random() < 0.6:
            thing = self._random.choice((self._subject(), self._pick(self._domain.parts)))
            return _clause(f"{self._pick(LEADS)} the {thing} was", self._fact(), decides=False)
        who, going, day = self._pick(WHO), self._pick(GOING), self._pick(DAYS)
        place, count = self._pick(self._domain.places), self._pick(COUNTS)
        part, colour = self._pick(self._domain.parts), self._pick(COLOURS)
        return _clause(
            self._random.choice((f"{who} {going} to the {place} on {day}", f"the {part} had {count} {colour} marks")),
            decides=False,
        )

    def _adjective(self, is_positive: bool) -> tuple[str, str, str]:
        negated = self._random.random() < NEGATED_SHARE
        adjectives = PRAISING_ADJECTIVES if is_positive != negated else BLAMING_ADJECTIVES
        return self._negation(negated, NEGATIONS_OF_ADJECTIVES), self._pick(DEGREES), self._pick(adjectives)

    def _verb(self, is_positive: bool) -> tuple[str, str, str]:
        negated = self._random.random() < NEGATED_SHARE
        verbs = PRAISING_VERBS if is_positive != negated else BLAMING_VERBS
        return self._negation(negated, NEGATIONS_OF_VERBS), "", self._pick(verbs)

    def _fact(self) -> tuple[str, str, str]:
        negated = self._random.random() < NEGATED_SHARE
        return self._negation(negated, NEGATIONS_OF_ADJECTIVES), self._pick(DEGREES), self._pick(NEUTRAL_ADJECTIVES)

    def _negation(self, negated: bool, choices: Sequence[str]) -> str:
        return self._pick(choices) if negated else ""

    def _subject(self) -> str:
        return self._pick(self._domain.subjects)

    def _pick(self, choices: Sequence[str]) -> str:
        return self._random.choice(choices)


def _clause(opening: str, judgement: tuple[str, str, str] = ("", "", ""), ending: str = "", *, decides: bool) -> Clause:
    """Join an opening, a judgement (negation, degree, evaluating word) and an ending; empty parts leave no word."""
    negation, degree, evaluation = judgement
    parts = ((opening, False), (negation, decides), (degree, False), (evaluation, decides), (ending, False))
    marked = [(word, mark) for part, mark in parts for word in part.split()]
    return Clause(tuple(word for word, _ in marked), tuple(mark for _, mark in marked))
