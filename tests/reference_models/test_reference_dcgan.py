"""The loop of two adversaries: what each step moves, the same by seed and across a resumption, and what a run keeps."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from own_lessons import Notebook, fitted, painters_lesson, setup_of, state_bits
from torch import Tensor

from torchglass.errors import DataError, OptionError
from torchglass.reference_models.catalogue import get
from torchglass.reference_models.front_door import train
from torchglass.reference_models.learning.precision import choose_precision
from torchglass.reference_models.loops.adversarial import AdversarialLesson
from torchglass.reference_models.options import TrainingOptions
from torchglass.reference_models.weights import model_from_checkpoint
from torchglass.store import Store

pytest.importorskip("sklearn")


def test_a_run_counts_one_step_for_both_optimizers_and_keeps_pictures_of_the_same_latent_vectors(
    tmp_path: Path,
) -> None:
    path, batches, epochs = tmp_path / "s.db", 4, 3
    options = TrainingOptions(
        model="dcgan", changes={"epochs": epochs}, limit=128, store=path, device="cpu", progress=False
    )
    found = train(options)
    store = Store(path, read_only=True)
    run = store.run("dcgan-digits")
    series = {each.key: each for each in store.series_of(run.id, rank=0)}
    steps = batches * epochs
    assert found.epochs[-1].step == steps - 1
    for key in ("loss/generator", "loss/discriminator", "score/real", "score/generated", "phase/step"):
        assert store.points(series[key].id).steps.tolist() == list(range(steps)), key
    for phase in ("data", "forward", "backward", "optimizer"):
        assert min(store.points(series[f"phase/{phase}"].id).values.tolist()) > 0, phase
    rates = {"learning_rate", "learning_rate/group1"}
    assert rates <= series.keys()
    norms = [key for key in series if key.endswith("/gradient_norm")]
    assert any("generator" in key for key in norms)
    assert any("discriminator" in key for key in norms)
    pictures = [each for each in store.artifacts(run.id) if each.kind == "generated"]
    assert [each.key for each in pictures] == ["samples"] * epochs
    assert [each.meta["epoch"] for each in pictures] == [1, 2, 3]
    assert [each.step for each in pictures] == [batches - 1, 2 * batches - 1, steps - 1]
    arrays = [store.arrays(each.id)["pictures"] for each in pictures]
    assert all(array.dtype == "uint8" and array.shape[1:] == (1, 32, 32) for array in arrays)
    assert not (arrays[0] == arrays[-1]).all()
    samples = next(each for each in store.artifacts(run.id) if each.kind == "samples")
    assert samples.meta["class_names"] == ["generated", "real"]
    assert set(store.arrays(samples.id)["targets"].tolist()) == {0, 1}


def test_both_losses_move_and_the_discriminator_learns_before_the_generator_catches_up() -> None:
    _, notebook = fitted(painters_lesson(limit=320, epochs=3, ema=None))
    losses = notebook.series("loss/discriminator")
    assert losses[0] > 1.2  # it guesses: about 2 ln 2
    assert sum(losses[-5:]) / 5 < losses[0] - 0.15
    scores = [
        real - made
        for real, made in zip(notebook.series("score/real"), notebook.series("score/generated"), strict=True)
    ]
    assert sum(scores[-5:]) / 5 > scores[0] + 0.15
    assert max(notebook.series("loss/generator")) > min(notebook.series("loss/generator")) + 0.1


def test_each_network_moves_only_in_its_own_turn() -> None:
    lesson = painters_lesson(epochs=1)
    seen: list[tuple[str, bool, bool]] = []

    def grads(network: torch.nn.Module) -> bool:
        return any(parameter.grad is not None for parameter in network.parameters())

    for name, optimizer in zip(("discriminator", "generator"), lesson.optimizer, strict=True):
        optimizer.register_step_pre_hook(
            lambda *_, name=name: seen.append((name, grads(lesson.model.discriminator), grads(lesson.model.generator)))
        )
    fitted(lesson)
    assert seen == [("discriminator", True, False), ("generator", False, True)] * 3
    assert all(parameter.requires_grad for parameter in lesson.model.parameters())


def test_equal_seeds_give_equal_weights_bit_for_bit_and_others_do_not() -> None:
    bits = []
    for seed in (0, 0, 1):
        lesson = AdversarialLesson(setup_of("dcgan", seed=seed, limit=96, epochs=1))
        fitted(lesson)
        bits.append(state_bits(lesson))
    assert bits[0] == bits[1]
    assert bits[0] != bits[2]


@pytest.mark.parametrize("changes", [{}, {"ema": None, "augment": True}])
def test_going_on_after_an_epoch_equals_an_uninterrupted_run(changes: dict[str, Any]) -> None:
    whole = painters_lesson(epochs=3, **changes)
    epochs, _ = fitted(whole)
    first, second = painters_lesson(epochs=3, **changes), painters_lesson(epochs=3, **changes)
    fitted(first, until=1)
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    second.load_state(torch.load(file, weights_only=True))
    rest, _ = fitted(second, done=1)
    assert [epoch.number for epoch in rest] == [2, 3]
    assert state_bits(second) == state_bits(whole)
    assert rest[-1].scores.values == epochs[-1].scores.values


def test_the_averaged_generator_is_kept_beside_the_discriminator_as_it_is() -> None:
    lesson = painters_lesson(epochs=1, ema=0.9)
    seen: list[Tensor] = []
    of_generator = lesson.optimizer[1]
    of_generator.register_step_post_hook(lambda *_: seen.append(lesson.model.generator.up3.weight.detach().clone()))
    fitted(lesson)
    average = seen[0]
    for weight in seen[1:]:
        average = 0.9 * average + 0.1 * weight
    torch.testing.assert_close(lesson.trained.generator.up3.weight, average)
    assert lesson.trained.discriminator is lesson.model.discriminator
    assert painters_lesson(ema=None).trained.generator is not lesson.trained.generator
    without = painters_lesson(ema=None)
    assert without.trained.generator is without.model.generator


def test_the_clip_bounds_each_network_by_itself_and_the_schedule_drives_both() -> None:
    lesson = painters_lesson(clip_norm=1e-3, schedule="cosine", warm_up=0.0)
    norms = []
    for optimizer in lesson.optimizer:
        optimizer.register_step_pre_hook(
            lambda given, *_: norms.append(
                torch.stack([parameter.grad.norm() for parameter in given.param_groups[0]["params"]]).norm().item()
            )
        )
    fitted(lesson)
    assert len(norms) == 2 * 2 * 3
    assert all(norm == pytest.approx(1e-3, rel=1e-2) for norm in norms)
    assert [optimizer.param_groups[0]["lr"] for optimizer in lesson.optimizer] == pytest.approx([0, 0], abs=1e-9)


def test_label_smoothing_asks_for_less_than_certainty_of_real_pictures() -> None:
    judged: list[float] = []
    losses = []
    for share in (0.0, 0.4):
        lesson = painters_lesson(epochs=1, label_smoothing=share)
        lesson.model.discriminator.register_forward_hook(lambda *given: judged.append(given[-1].mean().item()))
        losses.append(fitted(lesson)[1].series("loss/discriminator")[0])
    assert abs(judged[0]) > 0.01  # of the real pictures, which are judged first
    assert losses[1] - losses[0] == pytest.approx(0.4 * judged[0], abs=1e-5)


def test_the_discriminator_learns_at_a_quarter_of_the_rate_with_little_momentum() -> None:
    of_discriminator, of_generator = (each.param_groups[0] for each in painters_lesson(learning_rate=0.02).optimizer)
    assert (of_discriminator["initial_lr"], of_generator["initial_lr"]) == (0.005, 0.02)
    assert of_discriminator["betas"] == of_generator["betas"] == (0.5, 0.999)


def test_jitter_reaches_the_discriminator_and_its_gradient_the_generator() -> None:
    plain, jittered = (painters_lesson(epochs=1, augment=augment) for augment in (False, True))
    for lesson in (plain, jittered):
        fitted(lesson)
    assert state_bits(plain) != state_bits(jittered)
    before = painters_lesson().model.generator.project.weight
    assert not torch.equal(jittered.model.generator.project.weight, before)


def test_mixed_precision_trains_both_in_bf16_with_losses_in_float32() -> None:
    dtypes = set()
    setup = replace(setup_of("dcgan", limit=64, epochs=1), precision=choose_precision(torch.device("cpu"), "bf16"))
    lesson = AdversarialLesson(setup)
    lesson.model.discriminator.judge.register_forward_hook(lambda *given: dtypes.add(given[-1].dtype))
    lesson.model.discriminator.train()
    for _ in lesson.fit(Notebook()):
        pass
    assert torch.bfloat16 in dtypes
    assert all(parameter.dtype == torch.float32 for parameter in lesson.model.parameters())


def test_painting_and_scoring_leave_the_networks_in_training_and_their_statistics_alone() -> None:
    lesson = painters_lesson(ema=None)
    lesson.model.train()
    before = state_bits(lesson)
    lesson.evaluate(lesson.paint(torch.randn(19, 32)))
    assert lesson.model.generator.training
    assert lesson.model.discriminator.training
    assert state_bits(lesson) == before


def test_the_scorer_gives_two_classes_whose_softmax_is_the_discriminators_answer() -> None:
    lesson = painters_lesson()
    scorer = get("dcgan").explain.scorer
    assert scorer is not None
    gallery = lesson.gallery()
    pictures = gallery.samples.inputs
    assert gallery.samples.targets.tolist()[:4] == [0, 1, 0, 1]
    lesson.trained.eval()
    with torch.no_grad():
        shares = scorer(lesson.trained).eval()(pictures).softmax(-1)
        wanted = lesson.trained.discriminator(pictures).sigmoid().squeeze(-1)
    torch.testing.assert_close(shares[:, 1], wanted)
    torch.testing.assert_close(shares.sum(-1), torch.ones(len(pictures)))
    assert lesson.form.class_names == ("generated", "real")
    assert dict(scorer(lesson.trained).named_modules())[str(get("dcgan").explain.layer)]


def test_a_checkpoint_gives_back_generator_and_discriminator(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    changes = {"epochs": 1}
    found = train(TrainingOptions(model="dcgan", changes=changes, limit=64, store=path, device="cpu", progress=False))
    store = Store(path, read_only=True)
    kept = next(each for each in store.artifacts(store.run("dcgan-digits").id) if each.kind == "checkpoint")
    again = model_from_checkpoint(store.arrays(kept.id), kept.meta)
    assert {name: tensor.tolist() for name, tensor in again.state_dict().items()} == {
        name: tensor.tolist() for name, tensor in found.model.state_dict().items()
    }


def test_what_two_adversaries_have_no_use_for_is_refused() -> None:
    with pytest.raises(OptionError, match="dcgan does not take accumulate"):
        TrainingOptions(model="dcgan", changes={"accumulate": 2})
    with pytest.raises(DataError, match="to compare generated ones with them"):
        fitted(painters_lesson(limit=16))
