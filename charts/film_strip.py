"""What a model looked at while it learnt: the same inputs at several steps, on one colour scale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.analysis.rank_correlation import rank_correlation
from torchglass.charts.explanations_words import Explained, class_name, kind_of, names_of
from torchglass.charts.pictures import rgb
from torchglass.charts.theme import Picture
from torchglass.language import tr
from torchglass.store.records import Artifact, Floats

MOST_FRAMES = 12  # beside each other; on a phone still a finger wide
MOST_ROWS = 8  # probes below each other
MOST_PARTS = 40  # words or columns of one input: those that count most at any of the steps
DECIDES = (0, 230, 120)


class Frame(NamedTuple):
    """One input at one step: `relevance` (h, w), (T,) or (F,), raw; the explained class and its score.

    `whole` is the relevance of all named parts, also of those that are not shown.
    """

    step: int
    relevance: Floats
    whole: Floats
    target: int | None
    score: float | None


class Strip(NamedTuple):
    """One input over the steps, its frames in their order. Names are not escaped.

    `picture` (H, W, 3) is the input with what decides outlined, None of words and columns; these have `names` and
    `decides` (P,).
    """

    name: str
    picture: Picture | None
    names: tuple[str, ...]
    decides: npt.NDArray[np.bool_] | None
    frames: tuple[Frame, ...]


class FilmStripData(NamedTuple):
    """All strips of one method in one scale: colours span -limit (or 0) to limit, in units of the score.

    `steps` are those of all strips in order. `notes` say what is not shown as it is.
    """

    method: str
    kind: str
    strips: tuple[Strip, ...]
    steps: tuple[int, ...]
    signed: bool
    limit: float
    notes: tuple[str, ...]

    @property
    def largest(self) -> float:
        """The largest magnitude in any map, in units of the score."""
        return max(float(np.abs(frame.relevance).max(initial=0.0)) for strip in self.strips for frame in strip.frames)


def chosen_steps(steps: Iterable[int], most: int = MOST_FRAMES) -> tuple[int, ...]:
    """At most so many of the steps: the first and the last, and between them those nearest to an even spacing."""
    known = np.unique(np.fromiter(steps, np.int64))
    if len(known) <= most:
        return tuple(known.tolist())
    wanted = np.linspace(known[0], known[-1], most)
    nearest = {int(known[np.abs(known - each).argmin()]) for each in wanted}
    return tuple(sorted(nearest))


def histories(artifacts: Sequence[Artifact], method: str) -> dict[str, list[Artifact]]:
    """Stored explanations by this method of each input, by key, in order of step; of one step the newest."""
    found: dict[str, dict[int, Artifact]] = {}
    for artifact in artifacts:
        if artifact.meta.get("method") == method:
            found.setdefault(artifact.key, {})[artifact.step] = artifact
    return {key: [one[step] for step in sorted(one)] for key, one in sorted(found.items(), key=_place)}


def _place(item: tuple[str, Any]) -> tuple[str, int]:
    group, _, number = item[0].rpartition("/")
    return group, int(number) if number.isdecimal() else -1


def film_strip_data(strips: Mapping[str, Sequence[Explained]], *, left_out: int = 0) -> FilmStripData | None:
    """Put explanations of several inputs by one method, each in order of step, into one scale; None of nothing.

    A run that was resumed with other probes has explanations of another kind or length: the newest ones' are drawn.
    """
    given = [one for frames in strips.values() for one in frames]
    if not given:
        return None
    kind = kind_of(max(given, key=lambda one: one.artifact.step).artifact)
    alike = [[one for one in frames if _is_like(one, frames[-1], kind)] for frames in strips.values() if frames]
    explained = [one for frames in alike for one in frames]
    drawn = tuple(_strip(frames) for frames in alike if frames)
    shown = [frame.relevance for strip in drawn for frame in strip.frames]
    method = str(explained[0].artifact.meta.get("method", "explanation"))
    largest = max(float(np.abs(each).max(initial=0.0)) for each in shown)
    return FilmStripData(
        method=method,
        kind=kind,
        strips=drawn,
        steps=tuple(sorted({frame.step for strip in drawn for frame in strip.frames})),
        # A class activation map ends in a ReLU: its zero means "no evidence for", not "neutral".
        signed="cam" not in method.lower() or any(bool((each < 0).any()) for each in shown),
        limit=largest or 1.0,
        notes=tuple(_notes(explained, left_out, len(given) - len(explained))),
    )


def _is_like(one: Explained, newest: Explained, kind: str) -> bool:
    is_of_kind = kind_of(one.artifact) == kind_of(newest.artifact) == kind
    shapes = [each.arrays["attributions"].shape for each in (one, newest)]
    return is_of_kind and (kind == "pictures" or shapes[0] == shapes[1])


def _notes(explained: Sequence[Explained], left_out: int, unlike: int) -> Iterator[str]:
    if left_out:
        yield tr("{count} more inputs are not shown.", count=left_out)
    if unlike:
        yield tr(
            "{count} explanations of inputs of another kind or length than the newest are not shown.", count=unlike
        )
    shrunk = [one for one in explained if one.artifact.meta.get("shrunk_from")]
    if shrunk:
        was, is_now = shrunk[0].artifact.meta["shrunk_from"], shrunk[0].arrays["attributions"].shape[-2:]
        yield tr(
            "Maps of {was} were kept as {now}, each pixel a mean.",
            was=f"{was[0]} × {was[1]}",
            now=f"{is_now[0]} × {is_now[1]}",
        )
    parts = max(one.arrays["attributions"].shape[-1] for one in explained)
    if kind_of(explained[0].artifact) != "pictures" and parts > MOST_PARTS:
        yield tr("Of each input the {most} parts are shown that count most at any step.", most=MOST_PARTS)


def distance_to_last(data: FilmStripData) -> tuple[tuple[int, ...], Floats]:
    """1 - rank correlation of each step's maps with the last ones, the mean over the inputs: steps, values (s,)."""
    found: dict[int, list[float]] = {}
    for strip in data.strips:
        last = strip.frames[-1]
        for frame in strip.frames:
            if frame.whole.shape == last.whole.shape and frame.target == last.target:
                alike = rank_correlation(frame.whole, last.whole)
                if alike is not None:
                    found.setdefault(frame.step, []).append(1 - alike)
    steps = tuple(sorted(found))
    return steps, np.array([np.mean(found[step]) for step in steps], np.float64)


def _strip(frames: Sequence[Explained]) -> Strip:
    first, relevances = frames[0], [_relevance(one) for one in frames]
    truth = first.arrays.get("truth")
    made = tuple(_frame(one, relevance) for one, relevance in zip(frames, relevances, strict=True))
    if kind_of(first.artifact) == "pictures":
        return Strip(_name(frames), _input(first.arrays["inputs"][0], truth), (), None, made)
    names = np.array(names_of(first.artifact, len(relevances[0])), dtype=object)
    decides = truth[0].astype(bool) if truth is not None else np.zeros(len(names), dtype=bool)
    named = np.array([bool(str(name).strip()) for name in names])
    kept = _counting(np.stack(relevances), named)
    return Strip(
        _name(frames),
        None,
        tuple(names[kept].tolist()),
        decides[kept] if decides.any() else None,
        tuple(frame._replace(relevance=frame.whole[kept], whole=frame.whole[named]) for frame in made),
    )


def _counting(relevances: Floats, named: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Places of the words or columns to show, in their own order: those with a name that count most at any step."""
    largest = np.where(named, np.abs(relevances).max(axis=0), -1.0)
    most = np.argsort(-largest, kind="stable")[: min(MOST_PARTS, int(named.sum()))]
    return np.sort(most)


def _relevance(one: Explained) -> Floats:
    own: Floats = np.nan_to_num(one.arrays["attributions"][0].astype(np.float64))
    relevance: Floats = own.sum(axis=0) if own.ndim == 3 else own
    return relevance


def _frame(one: Explained, relevance: Floats) -> Frame:
    target = one.artifact.meta.get("target")
    score = float(one.arrays["outputs"][0]) if "outputs" in one.arrays else None
    return Frame(one.artifact.step, relevance, relevance, target if isinstance(target, int) else None, score)


def _name(frames: Sequence[Explained]) -> str:
    artifact = frames[-1].artifact
    targets = {one.artifact.meta.get("target") for one in frames}
    label = artifact.meta.get("label")
    if isinstance(label, int):
        return f"{artifact.key}: {class_name(artifact.meta, label)}"
    if len(targets) == 1 and artifact.meta.get("output_space") != "value":
        return f"{artifact.key}: {class_name(artifact.meta, targets.pop())}"
    return artifact.key


def _input(picture: npt.NDArray[Any], truth: npt.NDArray[Any] | None) -> Picture:
    shown = rgb(picture)
    if truth is None or truth.shape[1:] != shown.shape[:2]:
        return shown
    decides = np.pad(truth[0].astype(bool), 1)
    near = decides[:-2, 1:-1] | decides[2:, 1:-1] | decides[1:-1, :-2] | decides[1:-1, 2:]
    outlined = shown.copy()
    outlined[near & ~truth[0].astype(bool)] = DECIDES
    return outlined
