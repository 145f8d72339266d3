"""A sequence classifier of Hugging Face's as a module like the others here: ids in, logits out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from torchglass.errors import DataError
from torchglass.reference_models.data.csv_text_tokenized import id_order, load_part, load_tokenizer, model_folder
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.words import PADDING
from torchglass.reference_models.networks.encoder import visible

TOLERANCE = 1e-3  # between logits by ids and by vectors; a model that reads its ids otherwise differs by far more


class HuggingFaceClassifier(nn.Module):
    """Classify texts: ids (N, T) int64 in our numbering, 0 where there is no word, to logits (N, classes).

    The vectors of the words live here, in the order of our ids and under the name that explainers look for; the
    classifier is given vectors.
    """

    def __init__(self, classifier: Any, order: Sequence[int]) -> None:
        super().__init__()
        vectors = classifier.get_input_embeddings().weight.detach()[torch.tensor(order)]
        self.embedding = nn.Embedding(len(vectors), vectors.shape[1], padding_idx=PADDING)
        self.embedding.weight = nn.Parameter(vectors.clone())
        classifier.set_input_embeddings(nn.Identity())  # else each checkpoint would hold the vectors twice
        self.classifier = classifier

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits (N, classes)."""
        seen = visible(ids)[:, 0, 0].long()
        logits: Tensor = self.classifier(inputs_embeds=self.embedding(ids), attention_mask=seen).logits
        return logits


def load_classifier(path: Path | None, form: DataForm) -> HuggingFaceClassifier:
    """Load the classifier of a folder; its last layer is drawn anew where it answers another number of classes.

    Raises:
        DataError: the folder holds no such model, or one that does more with its ids than look up their vectors.
        MissingExtraError: transformers is not installed.
    """
    folder = model_folder(path)
    order = id_order(load_tokenizer(folder))
    classifier = load_part(
        folder,
        "AutoModelForSequenceClassification",
        num_labels=form.outputs,
        id2label=dict(enumerate(form.class_names)),
        label2id={name: number for number, name in enumerate(form.class_names)},
        ignore_mismatched_sizes=True,
    )
    rows = classifier.get_input_embeddings().num_embeddings
    if max(order) >= rows or len(order) != form.vocabulary_size:
        raise DataError(
            f"the tokenizer in {folder} has {len(order)} words, the data {form.vocabulary_size} and the model {rows}: "
            "save a model with its own tokenizer"
        )
    ids = torch.tensor([[3, 3, 3, 3], [3, 3, PADDING, PADDING]])
    expected = _logits_by_ids(classifier, ids, order, folder)
    module = HuggingFaceClassifier(classifier, order).eval()
    with torch.no_grad():
        if not torch.allclose(module(ids), expected, atol=TOLERANCE):
            raise _no_encoder(classifier, folder)
    return module.train()


def _logits_by_ids(classifier: Any, ids: Tensor, order: Sequence[int], folder: Path) -> Tensor:
    classifier.eval()
    theirs = torch.tensor(order)[ids]
    try:
        with torch.no_grad():
            logits: Tensor = classifier(input_ids=theirs, attention_mask=(ids != PADDING).long()).logits
    except ValueError as error:  # decoders that know no padding
        raise _no_encoder(classifier, folder) from error
    return logits


def _no_encoder(classifier: Any, folder: Path) -> DataError:
    return DataError(
        f"{folder} holds a {type(classifier).__name__}, which does more with a text's ids than look up their vectors, "
        "as decoders do to find the last word: only encoders such as BERT can be trained and explained here"
    )
