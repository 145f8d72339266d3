"""The switches of a recipe as the page calls and explains them, by name; their English is the command line's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torchglass.language import mark, tr
from torchglass.reference_models.recipe import Switch


class Words(NamedTuple):
    """Label of a switch's field, and what it does."""

    label: str
    help: str


SWITCH_WORDS: Mapping[str, Words] = {
    "epochs": Words(mark("Epochs"), mark("passes over the training set")),
    "batch_size": Words(mark("Batch size"), mark("samples in a batch")),
    "learning_rate": Words(mark("Learning rate"), mark("highest learning rate")),
    "optimizer": Words(mark("Optimizer"), mark("adamw, or sgd with momentum 0.9")),
    "weight_decay": Words(mark("Weight decay"), mark("weight decay (decoupled with adamw)")),
    "schedule": Words(mark("Schedule"), mark("how the learning rate falls")),
    "warm_up": Words(mark("Warm up"), mark("share of the steps in which the learning rate rises")),
    "augment": Words(mark("Augment"), mark("jitter pictures by small random shifts, turns and scales")),
    "dropout": Words(mark("Dropout"), mark("dropout rate of models that have one")),
    "label_smoothing": Words(mark("Label smoothing"), mark("share of the target spread over all classes")),
    "clip_norm": Words(mark("Clip norm"), mark("largest norm of all gradients together")),
    "accumulate": Words(mark("Accumulate"), mark("batches whose gradients make one step")),
    "checkpointing": Words(mark("Checkpointing"), mark("recompute activations in backward to save memory")),
    "early_stopping": Words(
        mark("Early stopping"),
        mark("epochs without a better validation score before stopping with the best weights"),
    ),
    "validation": Words(mark("Validation"), mark("share of the training set held out to choose by")),
    "initialization": Words(mark("Initialization"), mark("initial weights, other than the model's own")),
    "ema": Words(mark("EMA"), mark("decay of an average of the weights, which is tested and kept")),
    "cpu_threads": Words(mark("CPU threads"), mark("threads that share an operation on the CPU")),
}


def label(switch: Switch) -> str:
    """What the switch's field is called."""
    words = SWITCH_WORDS.get(switch.name)
    return tr(words.label) if words is not None else switch.name.replace("_", " ").capitalize()


def help_text(switch: Switch) -> str:
    """What the switch does."""
    words = SWITCH_WORDS.get(switch.name)
    return tr(words.help) if words is not None else switch.help
