"""Learning to paint by being found out: a generator against a discriminator (Goodfellow et al. 2014).

In every step the discriminator learns to tell a batch of real pictures from a generated one, then the generator learns
to pass. With `augment` the discriminator sees all pictures jittered, so that it cannot learn the few real ones by
heart; the generator's gradient passes through the jitter, so what it paints is not (Zhao et al. 2020, DiffAugment).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW, Optimizer

from torchglass.reference_models.data.samples import Samples
from torchglass.reference_models.learning.augmentation import Jitter
from torchglass.reference_models.learning.averaging import averaged
from torchglass.reference_models.learning.batches import Batches
from torchglass.reference_models.learning.schedule import scheduled
from torchglass.reference_models.learning.seeding import reseed
from torchglass.reference_models.lesson import Epoch, Gallery, Setup
from torchglass.reference_models.loops.likeness import likeness
from torchglass.reference_models.loops.rivalry import discriminator_loss, generator_loss
from torchglass.reference_models.networks.dcgan import Adversaries, Generator
from torchglass.reference_models.progress import Bar, bar
from torchglass.reference_models.recorder import Recorder
from torchglass.reference_models.tasks.scores import Scores

DISCRIMINATOR_SHARE = 0.25  # of the learning rate: as fast as the generator it learns a small data set by heart
MOMENTUM, SQUARE_MOMENTUM = 0.5, 0.999  # of Adam: 0.9 made training oscillate (Radford et al. 2015)
SHOWN_PICTURES = 64
KEPT_EPOCHS = 10  # of which pictures are kept: of one set of latent vectors, so that a page shows how each one grows
TEST_SEED = 1_000_000  # of the latent vectors that are tested and shown, the same for every run
GALLERY_PICTURES = 100  # of either kind
BACKGROUND_PICTURES = 64


class AdversarialLesson:
    """Two networks and their optimizers; a step of the run is one step of each, the generator's last.

    With `ema` the averaged generator is tested and kept, beside the discriminator as it is.
    """

    def __init__(self, setup: Setup) -> None:
        recipe, split = setup.recipe, setup.split
        self.model = cast("Adversaries", setup.model)
        self.form = replace(split.form, task="generation", class_names=("generated", "real"))
        self.epochs = recipe.epochs
        self._setup, self._recipe, self._precision = setup, recipe, setup.precision
        self._batches = Batches(
            split.train,
            recipe.batch_size,
            seed=setup.seed,
            workers=setup.workers,
            placement=setup.placement,
            pinned=setup.device.type == "cuda",
        )
        self._jitter = Jitter(setup.seed) if recipe.augment else None
        self._of_discriminator = self._optimizer(self.model.discriminator, DISCRIMINATOR_SHARE)
        self._of_generator = self._optimizer(self.model.generator, 1.0)
        self.optimizer = (self._of_discriminator, self._of_generator)
        steps = recipe.epochs * len(self._batches)
        self._schedules = [scheduled(optimizer, recipe, steps) for optimizer in self.optimizer]
        self._average = averaged(self.model.generator, recipe.ema)
        painter = self.model.generator if self._average is None else cast("Generator", self._average.module)
        self.trained = Adversaries(painter, self.model.discriminator)
        generator = torch.Generator().manual_seed(TEST_SEED)
        self._test_latents = torch.randn(len(split.test), self.model.generator.latent, generator=generator)

    def fit(self, run: Recorder, *, done: int = 0) -> Iterator[Epoch]:
        """Train epoch by epoch and yield each one's scores."""
        show = self._setup.progress
        with bar("training", self.epochs, "epoch", show=show) as epochs_bar:
            epochs_bar.update(done)
            for number in range(done + 1, self.epochs + 1):
                with bar(f"epoch {number}", len(self._batches), "batch", show=show, stays=False) as batches_bar:
                    self.train_epoch(number, run, batches_bar)
                pictures = self.paint(self._test_latents)
                scores = self.evaluate(pictures)
                if number == self.epochs or number % -(-self.epochs // KEPT_EPOCHS) == 0:
                    shown = as_bytes(pictures[:SHOWN_PICTURES]).numpy()
                    run.save_arrays("generated", "samples", {"pictures": shown}, {"epoch": number}, run.current_step)
                epochs_bar.set_postfix_str(f"test likeness {scores['test/likeness']:.3f}")
                epochs_bar.update()
                yield Epoch(number, run.current_step, scores)

    def train_epoch(self, number: int, run: Recorder, batches_bar: Bar) -> None:
        """Take a step of both networks for each batch of real pictures; latent vectors depend on seed and epoch."""
        device, scaler = self._precision.device, self._precision.scaler
        generator, discriminator = self.model.generator, self.model.discriminator
        reseed(self._setup.seed, number, 0, torch.device("cpu"))
        if self._jitter is not None:
            self._jitter.begin(number)
        self.model.train()
        for real, _ in run.batches(self._batches.of_epoch(number)):
            latents = torch.randn(len(real), generator.latent).to(device, non_blocking=True)
            with self._precision.autocast():
                generated = generator(latents)
                of_real = discriminator(self._seen(real.to(device, non_blocking=True)))
                of_generated = discriminator(self._seen(generated.detach()))
            loss = discriminator_loss(of_real.float(), of_generated.float(), self._recipe.label_smoothing)
            self._step(self._of_discriminator, discriminator, loss)

            discriminator.requires_grad_(False)  # the generator's turn: gradients pass through it and stay nowhere
            with self._precision.autocast():
                deceived = discriminator(self._seen(generated))
            passing = generator_loss(deceived.float())
            self._step(self._of_generator, generator, passing)
            discriminator.requires_grad_(True)

            scaler.update()
            for schedule in self._schedules:
                schedule.step()
            if self._average is not None:
                self._average.update_parameters(generator)
            run.log(
                {
                    "loss/discriminator": loss.detach(),
                    "loss/generator": passing.detach(),
                    "score/real": of_real.detach().float().sigmoid().mean(),
                    "score/generated": of_generated.detach().float().sigmoid().mean(),
                }
            )
            batches_bar.update()

    @torch.no_grad()
    def paint(self, latents: Tensor) -> Tensor:
        """Return the trained generator's pictures (N, C, H, W) for latent vectors (N, latent), on the CPU."""
        with evaluating(self.trained.generator) as generator:
            pictures: Tensor = generator(latents.to(self._precision.device)).float().cpu()
        return pictures

    def evaluate(self, pictures: Tensor) -> Scores:
        """Score generated pictures against the real ones, and what the discriminator makes of both."""
        split = self._setup.split
        found = likeness(pictures, split.train, split.test, split.form.outputs)
        return Scores(
            {
                "test/likeness": found.likeness,
                "test/recognised": found.recognised,
                "test/covered": found.covered,
                "test/rarest_class": found.rarest_class,
                "test/score_real": self._mean_score(split.test.inputs),
                "test/score_generated": self._mean_score(pictures),
            }
        )

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizer],
            "schedules": [schedule.state_dict() for schedule in self._schedules],
            "scaler": self._precision.scaler.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was called."""
        self.model.load_state_dict(state["model"])
        for optimizer, found in zip(self.optimizer, state["optimizers"], strict=True):
            optimizer.load_state_dict(found)
        for schedule, found in zip(self._schedules, state["schedules"], strict=True):
            schedule.load_state_dict(found)
        self._precision.scaler.load_state_dict(state["scaler"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])

    def gallery(self) -> Gallery:
        """Choose generated pictures and real test pictures in turns, with which of both they are as their class."""
        real = self._setup.split.test.inputs[:GALLERY_PICTURES]
        generated = self.paint(self._test_latents[: len(real)])
        pictures = torch.stack([generated, real], dim=1).flatten(0, 1)
        kinds = torch.tensor([0, 1]).repeat(len(real))
        order = torch.Generator().manual_seed(self._setup.seed)
        chosen = torch.randperm(len(self._setup.split.train), generator=order)[:BACKGROUND_PICTURES]
        return Gallery(Samples(pictures, kinds), self._setup.split.train.inputs[chosen])

    def _optimizer(self, network: nn.Module, share: float) -> Optimizer:
        recipe = self._recipe
        return AdamW(
            network.parameters(),
            lr=share * recipe.learning_rate,
            betas=(MOMENTUM, SQUARE_MOMENTUM),
            weight_decay=recipe.weight_decay,
        )

    def _step(self, optimizer: Optimizer, network: nn.Module, loss: Tensor) -> None:
        scaler = self._precision.scaler
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self._recipe.clip_norm is not None:
            scaler.unscale_(optimizer)
            clip_grad_norm_(network.parameters(), self._recipe.clip_norm)
        scaler.step(optimizer)
        optimizer.zero_grad()

    def _seen(self, pictures: Tensor) -> Tensor:
        return pictures if self._jitter is None else self._jitter(pictures)

    @torch.no_grad()
    def _mean_score(self, pictures: Tensor) -> float:
        """Return the mean probability that pictures are real, by the discriminator in eval mode."""
        with evaluating(self.trained.discriminator) as discriminator:
            return float(discriminator(pictures.to(self._precision.device)).sigmoid().mean())


class DiscriminatorScorer(nn.Module):
    """What of two adversaries is explained: pictures to scores (N, 2) whose softmax is (generated, real)."""

    def __init__(self, adversaries: Adversaries) -> None:
        super().__init__()
        self.discriminator = adversaries.discriminator

    def forward(self, pictures: Tensor) -> Tensor:
        logits = self.discriminator(pictures) / 2
        return torch.cat([-logits, logits], dim=1)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Put a network into eval mode for a while."""
    was_training = network.training
    network.eval()
    try:
        yield network
    finally:
        network.train(was_training)


def as_bytes(pictures: Tensor) -> Tensor:
    """Return pictures in 0..1 as whole numbers 0..255 (uint8)."""
    return pictures.mul(255).round().to(torch.uint8)
