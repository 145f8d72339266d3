"""Hugging Face classifiers from a local folder: renumbered ids, the same logits, trained and explained."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_folder import WORDS, save_texts, save_tiny_bert
from torch import nn

from torchglass.errors import DataError, OptionError
from torchglass.explainers import explain
from torchglass.reference_models import TrainingOptions, get, model_from_checkpoint, train
from torchglass.reference_models.data.csv_text_tokenized import id_order, load_tokenizer
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.weights import state_arrays

pytest.importorskip("transformers", reason="transformers is not installed")

WITHOUT_TRANSFORMERS = """
import sys
sys.modules["transformers"] = None
from pathlib import Path
from torchglass.errors import MissingExtraError
from torchglass.reference_models import get
from torchglass.reference_models.data.request import DataRequest
try:
    get("hf_classifier").load_data("csv", DataRequest(path=Path("t.csv"), model_path=Path(".")))
except MissingExtraError as error:
    assert "torchglass[huggingface]" in str(error), error
else:
    raise AssertionError("loaded without transformers")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_texts(tmp_path_factory.mktemp("texts") / "texts.csv")


@pytest.fixture(scope="module")
def split(folder: Path, texts: Path) -> Split:
    return get("hf_classifier").load_data("csv", DataRequest(path=texts, model_path=folder))


def test_ids_are_renumbered_so_that_padding_unknown_and_mask_come_first(folder: Path, split: Split) -> None:
    special = ("[padding]", "[unknown]", "[mask]", "[CLS]", "[SEP]")
    assert split.vocabulary == (*special, *WORDS)
    assert id_order(load_tokenizer(folder))[:5] == [14, 2, 13, 0, 1]
    words = [split.vocabulary[number] for number in split.train.inputs[0]]
    assert words[0] == "[CLS]"
    assert words[-1] == "[SEP]"
    assert words[-2] == ("superb" if split.form.class_names[split.train.targets[0]] == "good" else "dull")


def test_the_logits_are_those_of_the_classifier_itself(folder: Path, split: Split) -> None:
    from transformers import BertForSequenceClassification

    model = get("hf_classifier").build(split.form, path=folder).eval()
    theirs = BertForSequenceClassification.from_pretrained(folder).eval()
    ids = torch.tensor([[3, 11, 12, 6, 7, 9, 4], [3, 11, 5, 4, 0, 0, 0]])
    their_ids = torch.tensor(id_order(load_tokenizer(folder)))[ids]
    expected = theirs(input_ids=their_ids, attention_mask=(ids != 0).long()).logits
    torch.testing.assert_close(model(ids), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(model(ids[1:, :4]), expected[1:], atol=1e-6, rtol=1e-5)  # padding changes nothing
    assert bool(model(torch.zeros(1, 4, dtype=torch.int64)).isfinite().all())


def test_it_trains_is_kept_once_and_is_explained(folder: Path, texts: Path, split: Split) -> None:
    options = TrainingOptions(
        model="hf_classifier",
        data=texts,
        model_path=folder,
        device="cpu",
        mode="disabled",
        progress=False,
        changes={"epochs": 12, "learning_rate": 1e-2, "batch_size": 8},
    )
    result = train(options)
    losses = [epoch.scores["test/loss"] for epoch in result.epochs]
    assert losses[-1] < 0.5 * losses[0]
    arrays = state_arrays(result.model)
    assert len([name for name, array in arrays.items() if array.shape == (15, 16)]) == 1
    meta = {"model": "hf_classifier", "model_path": str(folder), "form": split.form.to_json(), "dropout": None}
    again = model_from_checkpoint(arrays, meta)
    assert torch.equal(again(split.test.inputs), result.model(split.test.inputs))
    # Made from nothing and never shown a mask, this BERT knows no better "nothing" than padding.
    found = explain(again, split.test.inputs[:4], method="integrated_gradients", baseline="padding")
    assert [split.vocabulary[split.test.inputs[i, abs(found.attributions[i]).argmax()]] for i in range(4)] == [
        "superb" if split.test.targets[i] == 1 else "dull" for i in range(4)
    ]


def test_a_long_text_is_cut_where_the_tokenizer_or_the_model_ends(folder: Path, tmp_path: Path) -> None:
    texts = tmp_path / "long.csv"
    long = "the film was " * 10
    texts.write_text("text,label\n" + f"{long}superb,good\n{long}dull,bad\n" * 2)
    unbounded = shutil.copytree(folder, tmp_path / "unbounded")
    tokenizer = load_tokenizer(unbounded)
    tokenizer.model_max_length = 10**9
    tokenizer.save_pretrained(unbounded)
    for each, longest in ((folder, 12), (unbounded, 14)):  # of the model's 16 positions a RoBERTa's reads two fewer
        split = get("hf_classifier").load_data("csv", DataRequest(path=texts, model_path=each))
        assert split.form.shape == (longest,)
        assert get("hf_classifier").build(split.form, path=each)(split.test.inputs).isfinite().all()


def test_the_gradient_reaches_the_vectors_of_the_words_that_occur(folder: Path, split: Split) -> None:
    model = get("hf_classifier").build(split.form, path=folder)
    model(torch.tensor([[3, 11, 12, 4, 0]])).sum().backward()
    assert isinstance(model.embedding, nn.Embedding)
    assert model.embedding.weight.grad is not None
    assert model.embedding.weight.grad.any(dim=1).nonzero().flatten().tolist() == [3, 4, 11, 12]


def test_a_model_that_knows_the_labels_gives_the_classes_their_order(tmp_path: Path, texts: Path) -> None:
    knowing = save_tiny_bert(tmp_path / "bert", labels=("good", "mixed", "bad"))
    split = get("hf_classifier").load_data("csv", DataRequest(path=texts, model_path=knowing))
    assert split.form.class_names == ("good", "mixed", "bad")
    assert set(split.train.targets.tolist()) == {0, 2}


def test_a_label_that_the_model_does_not_know_is_told_with_its_line(tmp_path: Path) -> None:
    knowing = save_tiny_bert(tmp_path / "bert", labels=("good", "mixed", "bad"))
    path = save_texts(tmp_path / "texts.csv", labels=("bad", "great"))
    with pytest.raises(DataError, match=r"line \d+ of .* is labelled 'great' and the model knows good, mixed, bad"):
        get("hf_classifier").load_data("csv", DataRequest(path=path, model_path=knowing))


def test_other_labels_begin_with_a_fresh_head_of_their_number(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "three.csv"
    path.write_text(
        "text,label\n" + "".join(f"the film was {word},{word}\n" * 4 for word in ("dull", "very", "superb"))
    )
    split = get("hf_classifier").load_data("csv", DataRequest(path=path, model_path=folder))
    assert get("hf_classifier").build(split.form, path=folder)(split.test.inputs).shape == (3, 3)


def test_a_folder_without_a_model_is_told(tmp_path: Path, texts: Path) -> None:
    request = DataRequest(path=texts, model_path=tmp_path)
    with pytest.raises(DataError, match="holds no Tokenizer that transformers can load") as raised:
        get("hf_classifier").load_data("csv", request)
    assert "\n" not in str(raised.value)
    with pytest.raises(DataError, match="bert-base-uncased is no folder"):
        get("hf_classifier").load_data("csv", DataRequest(path=texts, model_path=Path("bert-base-uncased")))
    with pytest.raises(OptionError, match="--model-path"):
        TrainingOptions(model="hf_classifier", data=texts)


def test_a_decoder_is_refused(tmp_path: Path, folder: Path, split: Split) -> None:
    from transformers import GPT2Config, GPT2ForSequenceClassification

    load_tokenizer(folder).save_pretrained(tmp_path)
    config = GPT2Config(vocab_size=15, n_positions=16, n_embd=16, n_layer=1, n_head=2, pad_token_id=14)
    torch.manual_seed(0)
    GPT2ForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(DataError, match="GPT2ForSequenceClassification, which does more with a text's ids"):
        get("hf_classifier").build(split.form, path=tmp_path)


def test_without_transformers_the_missing_extra_is_named() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_TRANSFORMERS], check=True)
