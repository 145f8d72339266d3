"""Words and their ids: how a text is split, and which number stands for which word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

PADDING, UNKNOWN, MASK = 0, 1, 2
SPECIAL_WORDS = ("[padding]", "[unknown]", "[mask]")  # brackets: no text splits into them

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[.!?]")


def split_words(text: str) -> list[str]:
    """Return a text's words in lower case, `don't` as one, and its sentence ends; other punctuation is dropped."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class Vocabulary:
    """The word of each id; ids 0, 1 and 2 are padding, an unknown word and a masked word."""

    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, words: Sequence[str], length: int) -> list[int]:
        """Return exactly `length` ids: the text's first words, then padding."""
        ids = [self._id_of.get(word, UNKNOWN) for word in words[:length]]
        return ids + [PADDING] * (length - len(ids))

    @cached_property
    def _id_of(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words) if number >= len(SPECIAL_WORDS)}


def vocabulary_of(texts: Iterable[Sequence[str]], limit: int) -> Vocabulary:
    """Return the vocabulary of texts given as words: at most `limit` ids, the most frequent words first."""
    counts = Counter(word for words in texts for word in words)
    by_frequency = sorted(counts, key=lambda word: (-counts[word], word))
    return Vocabulary(SPECIAL_WORDS + tuple(by_frequency[: limit - len(SPECIAL_WORDS)]))
