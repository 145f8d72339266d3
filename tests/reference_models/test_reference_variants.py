"""LeNet-5 under every technique: what is the same stays the same, what is broken shows, and nothing is left behind."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW

from torchglass.errors import OptionError
from torchglass.reference_models import Split, get
from torchglass.reference_models.data.digits import DIGITS_FORM
from torchglass.reference_models.variants.agreement import logits_of
from torchglass.reference_models.variants.comparing import Terms, compare_variants
from torchglass.reference_models.variants.registry import get_variants, variant_names
from torchglass.reference_models.variants.results import CannotRun, Comparison, Inference, Training
from torchglass.reference_models.variants.technique import (
    Learner,
    Predictor,
    Subject,
    Variant,
    plain_learner,
    saved_weights,
)

QUICK = ("fp32", "amp", "channels_last", "int8", "pruned", "checkpointed", "torchscript")
SLOW = ("compile", "onnx")
STEPS = 12
BATCH = 48  # does not divide the 360 test images


class Compared(NamedTuple):
    """A comparison, the model that was compared, and what could have been disturbed, before and after."""

    found: Comparison
    model: nn.Module
    split: Split
    before: dict[str, Tensor]
    random_states: tuple[Tensor, Tensor]
    threads: tuple[int, int]


def permuted(subject: Subject) -> Predictor:
    return Predictor(lambda images: subject.model(images).roll(1, dims=1), saved_weights(subject.model))


def wrong_gradient(subject: Subject) -> Learner:
    return plain_learner(subject.model, lambda images: 2 * subject.model(images), subject.device)


def failing(subject: Subject) -> Predictor:
    raise ValueError("no such instruction\nin a long trace")


BROKEN = Variant("permuted", "Answers with the class beside.", permuted, wrong_gradient)
FAILING = Variant("failing", "Raises.", failing, None, one_sided="there is nothing to learn here")


@pytest.fixture(scope="module")
def compared() -> Compared:
    exhibit, recipe = get("lenet5"), get("lenet5").defaults
    split = exhibit.load_data("digits")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = exhibit.build(DIGITS_FORM)
        optimizer = AdamW(model.parameters(), lr=3e-3)
        for places in torch.split(torch.arange(12_800) % 1437, 64):
            loss = nn.functional.cross_entropy(model(split.train.inputs[places]), split.train.targets[places])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random_before, threads_before = torch.get_rng_state(), torch.get_num_threads()
    terms = Terms(batch_size=BATCH, rounds=3, steps=STEPS, memory=False)
    variants = (*get_variants(QUICK), BROKEN, FAILING)
    found = compare_variants(exhibit, "digits", model, split, recipe, variants, terms)
    random_states = random_before, torch.get_rng_state()
    return Compared(found, model, split, before, random_states, (threads_before, torch.get_num_threads()))


def inference(compared: Compared, name: str) -> Inference:
    found = next(row.inference for row in compared.found.rows if row.name == name)
    assert isinstance(found, Inference), found
    return found


def training(compared: Compared, name: str) -> Training:
    found = next(row.training for row in compared.found.rows if row.name == name)
    assert isinstance(found, Training), found
    return found


def test_each_file_of_techniques_defines_the_variant_of_its_name() -> None:
    variants = get_variants(variant_names())
    assert tuple(variant.name for variant in variants) == variant_names()
    assert {*QUICK, *SLOW} == set(variant_names())
    for variant in variants:
        both = variant.predictor is not None and variant.learner is not None
        assert both == (variant.one_sided == "")
        assert variant.predictor is not None or variant.learner is not None


def test_the_original_is_measured_whether_it_is_named_or_not_and_unknown_names_are_refused() -> None:
    assert [variant.name for variant in get_variants(("pruned", "amp", "pruned"))] == ["fp32", "pruned", "amp"]
    with pytest.raises(OptionError, match=r"unknown variant 'fp64, int4': choose among fp32, amp, channels_last"):
        get_variants(("fp64", "amp", "int4"))
    with pytest.raises(OptionError, match="choose among"):
        get_variants(())


def test_the_original_agrees_with_itself_to_the_last_bit(compared: Compared) -> None:
    answered, trained = inference(compared, "fp32"), training(compared, "fp32")
    assert answered.agreement.same_answers == 1
    assert (answered.agreement.largest_difference, answered.agreement.divergence) == (0, 0)
    assert (trained.gradient_difference, trained.last_loss_difference) == (0, 0)
    assert answered.timing.ratio == answered.timing.ratio_low == answered.timing.ratio_high == 1
    with torch.no_grad():
        right = compared.model(compared.split.test.inputs).argmax(dim=1) == compared.split.test.targets
    assert answered.accuracy == pytest.approx(float(right.double().mean()), abs=1e-12)
    assert answered.accuracy > 0.9


@pytest.mark.parametrize("name", ["channels_last", "torchscript"])
def test_what_only_moves_numbers_about_gives_the_same_answers(name: str, compared: Compared) -> None:
    agreement = inference(compared, name).agreement
    assert agreement.same_answers == 1
    assert agreement.largest_difference is not None
    assert agreement.largest_difference < 1e-4


def test_a_broken_variant_shows(compared: Compared) -> None:
    agreement = inference(compared, "permuted").agreement
    assert agreement.same_answers == 0  # an argmax one place on is never the same
    assert agreement.divergence is not None
    assert agreement.divergence > 1
    assert inference(compared, "permuted").accuracy < 0.1
    # d/dlogits of cross entropy at twice near-zero logits is about the same, and the chain rule doubles it.
    assert training(compared, "permuted").gradient_difference == pytest.approx(1, abs=0.2)


def test_a_variant_that_raises_says_why_and_the_others_are_measured(compared: Compared) -> None:
    row = next(row for row in compared.found.rows if row.name == "failing")
    assert row.inference == CannotRun("ValueError: no such instruction")
    assert row.training == CannotRun("there is nothing to learn here")
    assert set(compared.found.seconds) == {
        *(f"train/{name}" for name in ("fp32", "amp", "channels_last", "pruned", "checkpointed", "permuted")),
        *(f"infer/{name}" for name in (*QUICK, "permuted") if name != "checkpointed"),
    }
    assert {len(taken) for taken in compared.found.seconds.values()} == {3}


def test_mixed_precision_is_near_and_not_equal(compared: Compared) -> None:
    agreement, trained = inference(compared, "amp").agreement, training(compared, "amp")
    assert agreement.same_answers > 0.98
    assert agreement.largest_difference is not None
    assert 1e-4 < agreement.largest_difference < 1
    assert trained.gradient_difference is not None
    assert 1e-4 < trained.gradient_difference < 0.1
    assert trained.notes == ("products in bfloat16",)


def test_checkpointing_gives_the_gradients_and_the_losses_of_the_original(compared: Compared) -> None:
    trained = training(compared, "checkpointed")
    assert trained.gradient_difference == 0
    assert trained.losses == training(compared, "fp32").losses
    assert trained.notes == ("3 blocks keep their input alone",)
    row = next(row for row in compared.found.rows if row.name == "checkpointed")
    assert isinstance(row.inference, CannotRun)
    assert "no backward pass" in row.inference.reason


@pytest.mark.parametrize("name", ["fp32", "amp", "channels_last", "pruned", "checkpointed"])
def test_what_trains_really_trains_from_the_same_weights(name: str, compared: Compared) -> None:
    losses, originals = training(compared, name).losses, training(compared, "fp32").losses
    assert len(losses) == STEPS
    first, last = losses[0], losses[-1]
    assert first is not None
    assert last is not None
    assert last < first - 0.1
    assert first == pytest.approx(2.303, abs=0.03)  # ln 10: fresh weights know nothing, not those of the trained model
    assert originals[-1] is not None
    assert training(compared, name).last_loss_difference == last - originals[-1]


def test_int8_is_static_a_third_of_the_file_and_passes_on_that_it_is_deprecated(compared: Compared) -> None:
    found = inference(compared, "int8")
    assert found.agreement.same_answers > 0.97
    assert found.size.file_bytes < 0.4 * inference(compared, "fp32").size.file_bytes
    assert found.notes[0].startswith("static, by ")
    assert any("deprecated" in said for said in found.warnings)


def test_pruning_zeroes_half_the_weights_and_only_a_compressed_file_shows_it(compared: Compared) -> None:
    found, original = inference(compared, "pruned"), inference(compared, "fp32")
    assert found.notes == ("30,735 of 61,470 weights are zero (50.0%)",)
    assert found.size.file_bytes == pytest.approx(original.size.file_bytes, rel=0.02)
    assert found.size.compressed_bytes < 0.7 * original.size.compressed_bytes


@pytest.mark.slow
def test_onnx_agrees_or_says_what_to_install(compared: Compared) -> None:
    exhibit, terms = get("lenet5"), Terms(modes=("infer",), batch_size=BATCH, rounds=2, memory=False)
    variants = get_variants(("onnx",))
    found = compare_variants(exhibit, "digits", compared.model, compared.split, exhibit.defaults, variants, terms)
    outcome = found.rows[1].inference
    if isinstance(outcome, CannotRun):
        assert outcome.reason.endswith("is not installed: pip install 'torchglass[onnx]'")
    else:
        assert outcome is not None
        assert outcome.agreement.same_answers == 1
        assert (outcome.agreement.largest_difference or 0) < 1e-4
        assert outcome.size.file_bytes > 61_706 * 4


def test_no_trace_is_left(compared: Compared) -> None:
    after = compared.model.state_dict()
    assert after.keys() == compared.before.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in compared.before.items())
    assert all(parameter.grad is None for parameter in compared.model.parameters())
    for module in compared.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
        assert module.training
    assert torch.equal(*compared.random_states)
    assert compared.threads[0] == compared.threads[1]


def test_all_of_it_is_json_and_missing_memory_says_why(compared: Compared) -> None:
    meta = json.loads(json.dumps(compared.found.to_meta(), allow_nan=False))
    assert (meta["model"], meta["batch_size"], meta["rounds"], meta["test_images"]) == ("lenet5", BATCH, 3, 360)
    row = next(row for row in meta["rows"] if row["name"] == "pruned")
    assert row["inference"]["status"] == "measured"
    assert row["inference"]["memory"]["peak_bytes"] is None
    assert row["inference"]["memory"]["missing"] == "memory was not asked for"
    assert "seconds" not in meta


@pytest.mark.slow
def test_compiling_gives_the_same_answers_and_says_when_there_is_no_compiler(
    compared: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    exhibit, variants = get("lenet5"), get_variants(("compile",))
    terms = Terms(modes=("train", "infer"), batch_size=BATCH, rounds=2, steps=3, memory=False)
    found = compare_variants(exhibit, "digits", compared.model, compared.split, exhibit.defaults, variants, terms)
    _, row = found.rows
    assert isinstance(row.inference, Inference)
    assert isinstance(row.training, Training)
    assert row.inference.agreement.same_answers == 1
    assert (row.training.gradient_difference or 0) < 1e-4

    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")
    with config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}):
        found = compare_variants(exhibit, "digits", compared.model, compared.split, exhibit.defaults, variants, terms)
    outcome = found.rows[1].inference
    assert isinstance(outcome, CannotRun)
    assert "ompiler" in outcome.reason


def test_a_technique_that_fixed_its_batch_size_sees_no_other() -> None:
    sizes: list[int] = []

    def forward(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return images.flatten(1)

    images = torch.arange(14.0).reshape(7, 1, 1, 2)
    logits = logits_of(forward, images, 3, torch.device("cpu"))
    assert sizes == [3, 3, 3]
    assert torch.equal(logits, images.flatten(1))
