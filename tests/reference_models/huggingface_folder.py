"""A tiny BERT and its tokenizer in a folder, made here: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import torch

WORDS = ("film", "meal", "was", "is", "dull", "superb", "the", "a", "not", "very")
TEXTS = {"bad": "the {} was dull", "good": "the {} was superb"}


def save_tiny_bert(folder: Path, labels: tuple[str, ...] = ("LABEL_0", "LABEL_1"), width: int = 16) -> Path:
    """Save a BERT of one layer whose tokenizer has [PAD] as its last word, so that our ids are not its own."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    names = ("[CLS]", "[SEP]", "[UNK]", *WORDS, "[MASK]", "[PAD]")
    number = {name: place for place, name in enumerate(names)}
    words = Tokenizer(WordLevel(number, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", number["[CLS]"]), ("[SEP]", number["[SEP]"])]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="[UNK]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=12,
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=16,
        initializer_range=0.2,  # BERT's 0.02 is for a width of 768: so narrow a model would not begin to learn
        pad_token_id=number["[PAD]"],
        id2label=dict(enumerate(labels)),
        label2id={label: place for place, label in enumerate(labels)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def save_texts(path: Path, count: int = 40, labels: tuple[str, str] = ("bad", "good")) -> Path:
    """Save texts whose last word decides, half of each label."""
    lines = ["text,label"]
    for place in range(count):
        label = ("bad", "good")[place % 2]
        subject = " ".join(("film", "meal", "very film", "a meal")[place // 2 % 4 :][:1])
        lines.append(f"{TEXTS[label].format(subject)},{labels[place % 2]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
