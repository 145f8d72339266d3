"""Find small fixed spots that a classifier judges pictures by, and test each before anybody is warned."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers.changing.regions import Box
from torchglass.explainers.checking.checks import checked_scores, device_of
from torchglass.explainers.checking.inputs import Inputs, checked_inputs
from torchglass.explainers.explanation import Explanation
from torchglass.explainers.front_door import explain
from torchglass.explainers.private.asking import asked_in_private
from torchglass.explainers.shortcuts.evidence import effect_of
from torchglass.explainers.shortcuts.grouping import cell_pixels, groups_of, in_cells
from torchglass.explainers.shortcuts.interventions import Asked, asked, erase, partners, paste, random_places
from torchglass.explainers.shortcuts.spots import is_same_spot, spot_of
from torchglass.explainers.shortcuts.suspect import Suspect

FEWEST_PICTURES = 16
FEWEST_TESTED = 5
"""Pictures below which an effect is no evidence, however large."""
CONCERNED = 0.25
"""Share of a class's pictures that belong to a group from which the spot is tested on that class."""
HOT = 2.0
"""Times the heat that a spot would have by chance, from which a picture of a group counts as judged by it."""
MOST_TESTED = 64
"""Pictures that a spot is tested on, by lot: the bounds are then a few points wide, and more only cost time."""
EXAMPLES = 6
MOST_P = 0.05
MAP_STEPS = 32
"""Of integrated gradients, unless told: enough to see where, and the test needs no more of a map."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def find_shortcuts(
    model: nn.Module,
    pictures: Inputs,
    *,
    method: str = "integrated_gradients",
    explanation: Explanation | None = None,
    background: Inputs | float | None = None,
    controls: int = 39,
    least_effect: float = 0.1,
    most_area: float = 0.06,
    cells: int = 16,
    most_groups: int = 8,
    seed: int = 0,
    **options: Any,
) -> tuple[Suspect, ...]:
    """Group pictures by where their maps are hot, and test the hottest spot of each group by changing it.

    One half of the pictures, by lot, finds the spots; the other half, of the classes concerned, tests them. Heat proves
    nothing: maps are hot on marks that stand out and decide nothing. So each spot is erased, which shows whether a
    prediction needs it, and pasted into pictures of other classes, which shows whether it suffices; both are compared
    with the same change at random spots of the same size. A spot is confirmed where erasing it does more than they do,
    and pasting it so much more that it decides. What is erased gives way to what lies elsewhere in other pictures, so
    that no grey square becomes a mark of its own.

    A confirmed spot is what the model decides by. Whether it should is for a person to say: where objects always stand
    at the same place, their middle decides rightly. What is compared is class probabilities, by softmax where the model
    gives logits, of the predicted class; no label is asked for.

    Args:
        model: a classifier of pictures, scores (N, K) with K of two or more.
        pictures: (N, C, H, W), prepared as for training, 16 or more; those that it was trained on show what it learnt
            from them. Hundreds are better: about half of a class's pictures test its spot.
        method: what explains them, by its name; options go to it.
        explanation: maps made before, of these pictures in this order, instead.
        background: for the method; None is the mean of the pictures.
        controls: random spots that a change is compared with.
        least_effect: what a pasted spot must move a probability by beyond random ones, in the mean, to be confirmed.
        most_area: share of a picture that a spot may cover.
        cells: of the grid, along the longer side, in which maps are compared and spots are cut.
        most_groups: of the clustering.
        seed: repeats the search exactly on the same machine.

    Returns:
        Every spot that was tested, confirmed ones first, then by the heat on them. None where no small spot is twice as
        hot as by chance, or no other pictures of its classes, or of others to paste into, are left to test it on.

    Raises:
        ExplainError: too few pictures, no classifier, or one that answers the same for all.
        OptionError: a number is out of its range.

    Source: Lapuschkin et al. 2019, Unmasking Clever Hans predictors and assessing what machines really learn; that heat
    on a mark is no proof: arXiv 2602.09238.
    """
    _check_options(controls, least_effect, most_area, cells, most_groups)
    batch = checked_inputs(pictures, "pictures", 0, device_of(model))
    if len(batch) < FEWEST_PICTURES:
        raise ExplainError(f"{len(batch)} pictures are too few to group: give {FEWEST_PICTURES} or more")
    draw = np.random.default_rng(seed % 2**32)
    with asked_in_private(model, seed) as private:
        known = _asked_classifier(private, batch)
        finding, held_out = _halves(len(batch), draw)
        background = batch.mean(dim=0, keepdim=True) if background is None else background
        maps = _maps(model, known, finding, explanation, method, background, seed, options)
        spots = _spots(maps, cells, most_groups, most_area, seed)
        found = []
        for box, group in spots:
            group = group[_heat(maps[group], box) >= HOT * box.area / maps[0].size]
            classes = _concerned(known, finding, finding[group])
            at = held_out[np.isin(known.classes.numpy()[held_out], classes)]
            at = np.sort(draw.permutation(at)[:MOST_TESTED])
            suspect = _tested(
                known, maps[group], box, finding[group], classes, at, held_out, controls, len(spots), draw
            )
            if suspect is not None:
                found.append(replace(suspect, confirmed=_is_confirmed(suspect, least_effect)))
    return tuple(sorted(found, key=lambda one: (not one.confirmed, -one.relevance_share)))


def _asked_classifier(model: Any, batch: Tensor) -> Asked:
    classes = checked_scores(model, batch[:1]).shape[1]
    if classes < 2:
        raise ExplainError("the model gives one score per picture: shortcuts are looked for in classifiers")
    checked_scores(model, batch)
    known = asked(model, batch)
    if len(torch.unique(known.classes)) < 2:
        raise ExplainError(
            f"the model takes all {len(batch)} pictures for class {int(known.classes[0])}: no spot can change a "
            "prediction that never changes, so train it further or give other pictures"
        )
    return known


def _maps(
    model: nn.Module,
    known: Asked,
    at: Integers,
    explanation: Explanation | None,
    method: str,
    background: Inputs | float,
    seed: int,
    options: dict[str, Any],
) -> Floats:
    """The positive part of the map of each picture at these indices, scaled to add up to 1, (N, H, W), or zero."""
    if explanation is None:
        chosen = known[at]
        if method == "integrated_gradients":
            options = {"steps": MAP_STEPS, **options}
        explanation = explain(
            model, chosen.pictures, chosen.classes, method, kind="pictures", background=background, seed=seed, **options
        )
        attributions = explanation.attributions
    else:
        shape = explanation.attributions.shape
        if shape[0] != len(known) or shape[2:] != known.pictures.shape[2:]:
            raise ExplainError(
                f"explanation is of shape {shape} and the pictures of {tuple(known.pictures.shape)}: explain these "
                "pictures, all of them and in this order"
            )
        attributions = explanation.attributions[at]
    positive = np.clip(attributions.sum(axis=1, dtype=np.float64), 0, None)
    scaled: Floats = positive / np.maximum(positive.sum(axis=(1, 2), keepdims=True), 1e-30)
    return scaled


def _halves(count: int, draw: np.random.Generator) -> tuple[Integers, Integers]:
    order = draw.permutation(count)
    return np.sort(order[: count // 2]), np.sort(order[count // 2 :])


def _spots(maps: Floats, cells: int, most_groups: int, most_area: float, seed: int) -> list[tuple[Box, Integers]]:
    """Each spot once, as large as any group has it, with the pictures of all groups that it is the hottest of."""
    height, width = maps.shape[1:]
    pixels = cell_pixels(height, width, cells)
    grids = in_cells(maps, pixels)
    found: list[tuple[Box, Integers]] = []
    for group in groups_of(grids.reshape(len(grids), -1), most_groups, seed):
        box = spot_of(grids[group].mean(axis=0), pixels, height, width, most_area)
        if box is None:
            continue
        same = next((place for place, (other, _) in enumerate(found) if is_same_spot(box, other)), None)
        if same is None:
            found.append((box, group))
        else:
            found[same] = (max(found[same][0], box, key=lambda one: one.area), np.union1d(found[same][1], group))
    return found


def _concerned(known: Asked, finding: Integers, members: Integers) -> tuple[int, ...]:
    classes = known.classes.numpy()
    there = np.unique(classes[members])
    shares = [(classes[members] == label).sum() / (classes[finding] == label).sum() for label in there]
    return tuple(int(label) for label, share in zip(there, shares, strict=True) if share >= CONCERNED)


def _tested(
    known: Asked,
    maps: Floats,
    box: Box,
    members: Integers,
    classes: tuple[int, ...],
    at: Integers,
    pool: Integers,
    controls: int,
    suspects: int,
    draw: np.random.Generator,
) -> Suspect | None:
    """Erase and paste the spot in the pictures at these indices; None where there are none, or none to paste into.

    `maps` (M, H, W) are those of the members; the bounds are for two questions about each of all suspects.
    """
    tested = known[at]
    chosen = partners(tested, known[pool], draw)
    if not len(at) or (chosen < 0).any():
        return None
    height, width = maps.shape[1:]
    places = [box, *random_places(box, height, width, controls, draw)]
    heat = _heat(maps, box)
    hottest = np.argsort(-heat, kind="stable")
    return Suspect(
        box=box,
        members=members[hottest],
        classes=classes,
        mean_map=maps.mean(axis=0).astype(np.float32),
        example_maps=maps[hottest[:EXAMPLES]].astype(np.float32),
        relevance_share=float(heat.mean()),
        area_share=box.area / (height * width),
        tested=at,
        erase=effect_of(erase(tested, places, draw), 2 * suspects, draw),
        paste=effect_of(paste(tested, known[pool[chosen]], places), 2 * suspects, draw),
        confirmed=False,
    )


def _heat(maps: Floats, box: Box) -> Floats:
    """The share of each map (N, H, W) that lies within a box: (N,)."""
    shares: Floats = maps[:, box.top : box.bottom, box.left : box.right].sum(axis=(1, 2))
    return shares


def _is_confirmed(suspect: Suspect, least_effect: float) -> bool:
    if len(suspect.tested) < FEWEST_TESTED:
        return False
    # Of erasing no size is asked: the class that a model falls back on is predicted without its mark as well.
    return suspect.paste.exceeds(least_effect, MOST_P) and suspect.erase.exceeds(0.0, MOST_P)


def _check_options(controls: int, least_effect: float, most_area: float, cells: int, most_groups: int) -> None:
    if controls < 1 / MOST_P - 1:
        raise OptionError(f"controls is {controls}: give at least {round(1 / MOST_P - 1)}, or no spot can stand out")
    if not 0 < least_effect < 1:
        raise OptionError(f"least_effect is {least_effect}: give a difference of probabilities between 0 and 1")
    if not 0 < most_area <= 0.5:
        raise OptionError(f"most_area is {most_area}: give a share of the picture above 0, at most 0.5")
    if cells < 2:
        raise OptionError(f"cells is {cells}: give at least 2 along a side")
    if most_groups < 1:
        raise OptionError(f"most_groups is {most_groups}: give at least 1")
