"""A Hugging Face Trainer, watched by a callback: python examples/hugging_face.py, then torchglass ui.

Nothing is downloaded: the BERT is small and untrained, and its sentences are digits, read pixel by pixel: 64 words of
a vocabulary of 17 greys.
"""

import tempfile
from typing import Any

import torch
from sklearn.datasets import load_digits
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

from torchglass.bridges.transformers import TorchglassCallback

set_seed(0)
digits = load_digits()
sentences: list[dict[str, Any]] = [
    {"input_ids": torch.tensor(picture, dtype=torch.long).flatten(), "labels": int(label)}
    for picture, label in zip(digits.images, digits.target, strict=True)
]
model = BertForSequenceClassification(
    BertConfig(
        vocab_size=17,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        initializer_range=0.2,  # as small a model learns nothing in time from the 0.02 that suits a large one
        num_labels=10,
    )
)

with tempfile.TemporaryDirectory() as folder:
    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir=folder,
            learning_rate=5e-3,
            num_train_epochs=4,
            per_device_train_batch_size=50,
            logging_steps=1,
            eval_strategy="epoch",
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=sentences[:1500],
        eval_dataset=sentences[1500:],
        compute_metrics=lambda told: {"accuracy": float((told.predictions.argmax(1) == told.label_ids).mean())},
        callbacks=[TorchglassCallback("hugging-face")],
    )
    trainer.train()
    print(f"accuracy {trainer.evaluate()['eval_accuracy']:.1%}")

print("look at the run 'hugging-face': torchglass ui")
