"""Compare a reference model with itself under several techniques."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.exhibit import ReferenceModel
from torchglass.reference_models.learning.threads import cpu_threads
from torchglass.reference_models.progress import Bar, bar
from torchglass.reference_models.recipe import Recipe
from torchglass.reference_models.variants.answering import compare_inference
from torchglass.reference_models.variants.devices import device_name, seeded_on
from torchglass.reference_models.variants.memory import MemoryQuestion, ask_memory, missing, write_question
from torchglass.reference_models.variants.results import Comparison, Inference, Memory, Row, Training
from torchglass.reference_models.variants.studying import compare_training
from torchglass.reference_models.variants.technique import Mode, Variant
from torchglass.reference_models.variants.workplace import Measured, Workplace

MEMORY_OFF = "memory was not asked for"


@dataclass(frozen=True)
class Terms:
    """How to compare: which modes, `rounds` turns of each variant, `steps` of training whose losses are compared.

    `memory` measures each variant once more in a process of its own, which takes a few seconds each.
    """

    modes: tuple[Mode, ...] = ("train", "infer")
    batch_size: int = 64
    rounds: int = 15
    steps: int = 20
    memory: bool = True
    seed: int = 0


def compare_variants(
    exhibit: ReferenceModel,
    dataset: str,
    model: nn.Module,
    split: Split,
    recipe: Recipe,
    variants: Sequence[Variant],
    terms: Terms,
    *,
    progress: bool = False,
) -> Comparison:
    """Compare the variants with the first of them, the original; `model` is trained, on its device, and left as it is.

    Inference is of that model; training begins at fresh weights, drawn by the seed. `progress` draws a bar.
    """
    device = next(model.parameters()).device
    training: Measured[Training] | None = None
    inference: Measured[Inference] | None = None
    with (
        seeded_on(device, terms.seed),
        _threads(device, recipe),
        TemporaryDirectory(prefix="torchglass-variants-") as folder,
        bar("variants", 2 * len(terms.modes) * len(variants), "", show=progress) as shown,
    ):
        fresh = exhibit.build(split.form).to(device)
        place = Workplace(
            model=model,
            split=split,
            recipe=recipe,
            device=device,
            batch_size=terms.batch_size,
            rounds=terms.rounds,
            steps=terms.steps,
            seed=terms.seed,
            tell=partial(_tell, shown),
        )
        recall = _memory_of(exhibit, place, Path(folder)) if terms.memory else _no_memory
        if "train" in terms.modes:
            training = compare_training(place, fresh, variants, recall)
        if "infer" in terms.modes:
            inference = compare_inference(place, variants, recall)
        threads = torch.get_num_threads()
    return Comparison(
        model=exhibit.name,
        dataset=dataset,
        device=str(device),
        device_name=device_name(device),
        torch=torch.__version__,
        threads=threads,
        batch_size=terms.batch_size,
        rounds=terms.rounds,
        calls_per_turn={
            mode: found.calls for mode, found in (("train", training), ("infer", inference)) if found is not None
        },
        test_images=len(split.test.targets),
        rows=tuple(_row(variant, training, inference) for variant in variants),
        seconds={
            **({f"train/{name}": taken for name, taken in training.seconds.items()} if training else {}),
            **({f"infer/{name}": taken for name, taken in inference.seconds.items()} if inference else {}),
        },
    )


def _tell(shown: Bar, text: str) -> None:
    shown.set_postfix_str(text)
    shown.update()


def _row(variant: Variant, training: Measured[Training] | None, inference: Measured[Inference] | None) -> Row:
    return Row(
        variant.name,
        variant.summary,
        training.outcomes[variant.name] if training is not None else None,
        inference.outcomes[variant.name] if inference is not None else None,
    )


def _threads(device: torch.device, recipe: Recipe) -> AbstractContextManager[None]:
    return cpu_threads(recipe.cpu_threads if device.type == "cpu" else None)


def _no_memory(variant: str, mode: Mode) -> Memory:
    return missing(MEMORY_OFF)


def _memory_of(exhibit: ReferenceModel, place: Workplace, folder: Path) -> Callable[[str, Mode], Memory]:
    images, labels = place.batches()[0]
    state = {name: tensor.cpu() for name, tensor in place.model.state_dict().items()}
    write_question(folder, state, (images.cpu(), labels.cpu(), place.calibration))

    def recall(variant: str, mode: Mode) -> Memory:
        return ask_memory(
            MemoryQuestion(
                model=exhibit.name,
                form=place.split.form.to_json(),
                variant=variant,
                mode=mode,
                device=str(place.device),
                folder=str(folder),
                threads=torch.get_num_threads(),
                learning_rate=place.recipe.learning_rate,
                weight_decay=place.recipe.weight_decay,
            )
        )

    return recall
