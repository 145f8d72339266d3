"""The generated reviews as a data set: two classes, the deciding words known, no clause in both parts.

Nothing is cached: nine thousand reviews are written in less time than a file of them would take to check.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING
from zlib import crc32

from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.reviews_grammar import MAX_WORDS, Review, write_review
from torchglass.reference_models.data.words import Vocabulary, vocabulary_of

if TYPE_CHECKING:
    from torchglass.reference_models.data.request import DataRequest
    from torchglass.reference_models.data.samples import Samples, Split

CLASS_NAMES = ("negative", "positive")
TRAINING_REVIEWS, TEST_REVIEWS = 8000, 1000
TEST_CLAUSES = 5  # one clause in five is the test's own
VOCABULARY_LIMIT = 1000  # far more than the grammar has: nothing is cut


def load_reviews(request: DataRequest) -> Split:
    """Return 8,000 training and 1,000 test reviews, half of each positive; `truth` marks the deciding words."""
    from torchglass.reference_models.data.samples import Split

    training, test = (write_reviews(request.seed, for_test=for_test) for for_test in (False, True))
    vocabulary = vocabulary_of((review.words for review in training), VOCABULARY_LIMIT)
    form = DataForm(
        kind="text",
        task="classification",
        shape=(MAX_WORDS,),
        class_names=CLASS_NAMES,
        vocabulary_size=len(vocabulary),
    )
    return Split(
        form=form,
        train=_as_samples(training, vocabulary),
        test=_as_samples(test, vocabulary),
        vocabulary=vocabulary.words,
    )


def write_reviews(seed: int, *, for_test: bool) -> list[Review]:
    """Write one part's reviews by the seed alone; a clause, whatever the seed, belongs to one of the two parts."""
    random = Random(f"{'test' if for_test else 'training'} reviews {seed}")
    count = TEST_REVIEWS if for_test else TRAINING_REVIEWS
    reviews = [
        write_review(random, number % 2 == 1, lambda text: is_for_test(text) == for_test) for number in range(count)
    ]
    random.shuffle(reviews)
    return reviews


def is_for_test(clause: str) -> bool:
    """Tell which part a clause belongs to, by its text: the same for every seed and on every machine."""
    return crc32(clause.encode()) % TEST_CLAUSES == 0


def _as_samples(reviews: Sequence[Review], vocabulary: Vocabulary) -> Samples:
    import torch

    from torchglass.reference_models.data.samples import Samples

    return Samples(
        inputs=torch.tensor([vocabulary.encode(review.words, MAX_WORDS) for review in reviews]),
        targets=torch.tensor([int(review.is_positive) for review in reviews]),
        truth=torch.tensor([_padded(review.decides) for review in reviews]),
    )


def _padded(marks: Sequence[bool]) -> list[bool]:
    return [*marks, *[False] * (MAX_WORDS - len(marks))]
