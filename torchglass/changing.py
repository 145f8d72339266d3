"""The verb `what-if`: change one test sample of a run and see what its model says now, and said at earlier checkpoints.

The change itself is `torchglass.what_if`; here a command's words become one, and every checkpoint that the run kept is
asked about it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torchglass.errors import OptionError
from torchglass.terminal import say

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from torchglass.explainers.changing.changes import Change
    from torchglass.explainers.changing.outcomes import Outcome
    from torchglass.store import Artifact, ArtifactBlock, Store
    from torchglass.trained_runs import Trained

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]

ARTIFACT_KIND = "what_if"
CHANGES = ("erase", "paste", "replace", "set")
KIND_OF = {"erase": "pictures", "paste": "pictures", "replace": "text", "set": "table"}
WORDS = {"pictures": "a picture", "text": "a text", "table": "a row"}


@dataclass(frozen=True)
class Trial:
    """What to change: a test sample of a run, by one of CHANGES and what the command line says of it.

    "erase" and "paste" take a box "10,10,20,20": left, top, right, bottom in pixels; "erase" also a `fill` (None:
    patches of training pictures), "paste" the test sample `source`. "replace" takes "4" or "4=word", "set" takes
    "column=value" by the column's name or number, in its own units; "#3" is a number where a column is named "3".
    `more` are further ones of these, of other columns.
    """

    run: str
    sample: int
    change: str
    told: str
    fill: float | None = None
    source: int | None = None
    target: int | None = None
    seed: int = 0
    more: tuple[str, ...] = ()


def add_what_if(verb: Verb) -> None:
    """Add the verb to a command line whose `verb(name, command, text)` adds one."""
    tried = verb("what-if", _what_if, "Change a test sample and see what a run's model says, at each kept checkpoint.")
    tried.add_argument("run", help="a run of a reference model, or the model's name for its newest run")
    tried.add_argument("--sample", type=int, required=True, metavar="N", help="index of the test sample")
    change = tried.add_mutually_exclusive_group(required=True)
    box = "LEFT,TOP,RIGHT,BOTTOM"
    change.add_argument("--erase", metavar=box, help="hide a box of a picture; right and bottom lie just beyond it")
    change.add_argument("--paste", metavar=box, help="put there what the picture --source shows at the same place")
    change.add_argument("--replace", metavar="PLACE[=WORD]", help="hide a word of a text, or put another in its place")
    change.add_argument(
        "--set",
        action="append",
        metavar="COLUMN=VALUE",
        help="give a column of a row a value, in its own units; may be given again, for another column",
    )
    tried.add_argument("--fill", type=float, help="erase with one value (default: patches of training pictures)")
    tried.add_argument("--source", type=int, metavar="N", help="index of the test sample to paste from")
    tried.add_argument("--target", type=int, help="class whose score is compared (default: the predicted one)")
    tried.add_argument("--seed", type=int, default=0)
    tried.add_argument("--json", action="store_true", help="for a machine to read")


def _what_if(options: argparse.Namespace) -> int:
    change = next(name for name in CHANGES if getattr(options, name) is not None)
    given = getattr(options, change)
    said, *more = given if isinstance(given, list) else [given]
    trial = Trial(
        options.run,
        options.sample,
        change,
        said,
        options.fill,
        options.source,
        options.target,
        options.seed,
        tuple(more),
    )
    block = try_in_run(options.store, trial)
    if options.json:
        say(json.dumps({**block.meta, **{name: block.arrays[name].tolist() for name in ("before", "after")}}, indent=2))
        return 0
    for line in told(block):
        say(line)
    return 0


def try_in_run(location: str | os.PathLike[str] | None, trial: Trial) -> ArtifactBlock:
    """Make the change before each checkpoint that the run kept, store the outcomes and return them.

    Raises:
        OptionError: the change does not suit the sample, or a number is out of its range.
        NoStoreError: there is no store.
        RunNotFoundError: no such run, or it kept no checkpoint of a reference model, or no samples.
    """
    from torchglass.explainers import what_if
    from torchglass.store import open_store
    from torchglass.trained_runs import load_trained

    with open_store(location, read_only=True):
        pass  # of a mistyped address no store is made
    with open_store(location) as store:
        trained = load_trained(store, trial.run)
        change, facts = _change(trained, trial)
        one = trained.inputs("inputs", slice(trial.sample, trial.sample + 1))
        background = trained.inputs("background", slice(None)) if trained.kind == "pictures" else None
        target = trial.target
        checkpoints, outcomes = _checkpoints(store, trained), []
        # The last one first: the class that it predicts is the one that all are asked about.
        for checkpoint in reversed(checkpoints):
            model = _model(store, trained, checkpoint)
            outcome = what_if(model, one, change, target, background=background, seed=trial.seed)
            target = outcome.target
            outcomes.append(outcome)
        block = _to_block(trained, trial, checkpoints, outcomes[::-1], facts, one.numpy())
        store.add_artifact(trained.run.id, block)
        return block


def told(block: ArtifactBlock) -> list[str]:
    """A line for the change, and one for each checkpoint: the target's score and the prediction before and after."""
    meta, before, after = block.meta, block.arrays["shown_before"], block.arrays["shown_after"]
    names, target = meta["class_names"], meta["target"]
    is_shares = meta["shown_as"] == "probability"
    lines = [f"{block.key}: {meta['told']}"]
    for step, first, second in zip(meta["steps"], before, after, strict=True):
        scores = [f"{100 * row[target]:.1f} %" if is_shares else f"{row[target]:.4g}" for row in (first, second)]
        line = f"  step {step:>6}: {_named(names, target) or 'value'} {scores[0]} -> {scores[1]}"
        if len(first) > 1:
            line += f", predicted {_named(names, int(first.argmax()))} -> {_named(names, int(second.argmax()))}"
        lines.append(line)
    return lines


def _shown(scores: npt.NDArray[Any], *, as_probability: bool, space: str) -> npt.NDArray[np.float64]:
    """Scores (S, K) as a person reads them: probabilities 0..1 where classes exclude each other, else as they are."""
    import numpy as np

    table = np.asarray(scores, np.float64)
    if not as_probability or space == "probability":
        return table
    powers = np.exp(table - table.max(axis=1, keepdims=True))
    found: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return found


def _named(names: list[str], label: int) -> str:
    return names[label] if 0 <= label < len(names) else ""


def _checkpoints(store: Store, trained: Trained) -> list[Artifact]:
    """Those of the model, by step; of several at one step the newest."""
    kept = [one for one in store.artifacts(trained.run.id, kind="checkpoint") if "model" in one.meta]
    return [one for _, one in sorted({one.step: one for one in kept}.items())]


def _model(store: Store, trained: Trained, checkpoint: Artifact) -> Any:
    from torchglass.reference_models import model_from_checkpoint

    network = model_from_checkpoint(store.arrays(checkpoint.id), checkpoint.meta)
    scorer = trained.exhibit.explain.scorer
    return network if scorer is None else scorer(network).eval()


def _change(trained: Trained, trial: Trial) -> tuple[Change, dict[str, Any]]:
    """The change that the words ask for, and facts about it: `told` in words, and what a page needs to draw it."""
    from torchglass.explainers import Erase, Paste, Replace

    samples = len(trained.arrays["inputs"])
    _check_range("sample", trial.sample, samples)
    if trial.change not in KIND_OF or KIND_OF[trial.change] != trained.kind:
        suitable = " or ".join(f"--{name}" for name in CHANGES if KIND_OF[name] == trained.kind)
        raise OptionError(f"--{trial.change} does not change {WORDS[trained.kind]}: use {suitable}")
    if trial.change == "replace":
        place, token, words = _word(trained, trial)
        becomes = f"becomes {words[1]!r}" if words[1] else "is hidden"
        facts = {"told": f"word {place}, {words[0]!r}, {becomes}", "place": place, "words": list(words)}
        return Replace(place, token), facts
    if trial.change == "set":
        return _set_columns(trained, trial)
    box = _box(trial.told)
    where = f"columns {box[0]} to {box[2] - 1}, rows {box[1]} to {box[3] - 1}"
    if trial.change == "erase":
        how = "patches of training pictures" if trial.fill is None else f"the value {trial.fill:g}"
        return Erase(box, fill=trial.fill), {"told": f"{where} erased with {how}", "box": list(box)}
    if trial.source is None:
        raise OptionError("--paste needs --source: give the index of the test sample to paste from")
    _check_range("source", trial.source, samples)
    source = trained.inputs("inputs", slice(trial.source, trial.source + 1))
    return Paste(box, source), {"told": f"{where} pasted from test/{trial.source}", "box": list(box)}


def _box(text: str) -> tuple[int, int, int, int]:
    try:
        left, top, right, bottom = (int(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"{text!r} is no box: give left,top,right,bottom in pixels, such as 10,10,20,20") from None
    return left, top, right, bottom


def _word(trained: Trained, trial: Trial) -> tuple[int, int, tuple[str, str]]:
    """The place, the token id that goes there, and the words before and after, "" for a hidden one."""
    import numpy as np

    first, _, word = trial.told.partition("=")
    ids = trained.arrays["inputs"]
    words = trained.arrays.get("words", ids.astype(np.str_))
    if not first.isdecimal() or int(first) >= int((ids[trial.sample] != 0).sum()):
        raise OptionError(f"{first!r} is no place of a word in test sample {trial.sample}: count from 0, as in 4=word")
    place = int(first)
    before = str(words[trial.sample, place])
    if not word:
        return place, int(trained.exhibit.explain.baseline) or 1, (before, "")
    known = np.argwhere((words == word) & (ids != 0))
    if not len(known):
        raise OptionError(f"the word {word!r} is in none of the texts that the run kept: give one that is")
    return place, int(ids[tuple(known[0])]), (before, word)


def _set_columns(trained: Trained, trial: Trial) -> tuple[Change, dict[str, Any]]:
    """One change of a column, or of several; each may be told once."""
    from torchglass.explainers import SetColumn, SetColumns

    found = [_column(trained, told) for told in (trial.told, *trial.more)]
    if len({column for column, *_ in found}) < len(found):
        raise OptionError("--set names a column twice: give each a single value")
    told = ", ".join(f"{name} becomes {raw:g}" for _, _, name, raw in found)
    column, value, _, raw = found[0]
    if len(found) == 1:
        return SetColumn(column, value), {"told": told, "column": column, "value": raw}
    change = SetColumns({column: value for column, value, *_ in found})
    return change, {"told": told, "columns": [one[0] for one in found], "values": [one[3] for one in found]}


def _column(trained: Trained, told: str) -> tuple[int, float, str, float]:
    """The column's number, its value as the model takes it, its name and its value in its own units."""
    name, found, text = told.rpartition("=")
    count = trained.arrays["inputs"].shape[1]
    names = list(trained.form.feature_names) or [f"column {i}" for i in range(count)]
    numbered = name[1:] if name.startswith("#") else "" if name in names else name
    column = int(numbered) if numbered.isdecimal() else names.index(name) if name in names else -1
    if not found or not 0 <= column < count:
        raise OptionError(f"{told!r} names no column: give COLUMN=VALUE with one of {', '.join(names)}")
    try:
        raw = float(text)
    except ValueError:
        raise OptionError(f"{text!r} is no number: give COLUMN=VALUE") from None
    scale = trained.meta.get("scale")
    value = raw if scale is None else (raw - scale["means"][column]) / (scale["deviations"][column] or 1.0)
    return column, value, names[column], raw


def _check_range(what: str, value: int, size: int) -> None:
    if not 0 <= value < size:
        raise OptionError(f"{what} {value} is out of range: give a number from 0 to {size - 1}")


def _to_block(
    trained: Trained,
    trial: Trial,
    checkpoints: list[Artifact],
    outcomes: list[Outcome],
    facts: dict[str, Any],
    one: npt.NDArray[Any],
) -> ArtifactBlock:
    import numpy as np

    from torchglass.store import ArtifactBlock

    arrays = {
        "before": np.stack([outcome.before for outcome in outcomes]),
        "after": np.stack([outcome.after for outcome in outcomes]),
        "deviations": np.stack([outcome.deviations for outcome in outcomes]),
        "input": one[0],
        "changed": outcomes[-1].changed,
    }
    exclusive = trained.form.task in ("classification", "control") and arrays["before"].shape[1] > 1
    space = outcomes[-1].output_space
    arrays["shown_before"] = _shown(arrays["before"], as_probability=exclusive, space=space)
    # The mean of the probabilities: those of the mean logits would be surer than the answers were.
    shown = [_shown(outcome.each, as_probability=exclusive, space=space) for outcome in outcomes]
    arrays["shown_after"] = np.stack([each.mean(axis=0) for each in shown])
    meta = {
        **facts,
        "change": trial.change,
        "argument": trial.told,
        "more": list(trial.more),
        "sample": trial.sample,
        "source": trial.source,
        "target": outcomes[-1].target,
        "ways": outcomes[-1].ways,
        "output_space": space,
        "shown_as": "probability" if exclusive else "score",
        "steps": [checkpoint.step for checkpoint in checkpoints],
        "kind": trained.kind,
        "task": trained.form.task,
        "class_names": list(trained.form.class_names),
        "model": trained.exhibit.name,
        "dataset": trained.meta.get("dataset"),
        "seed": trial.seed,
    }
    return ArtifactBlock(ARTIFACT_KIND, f"test/{trial.sample}", checkpoints[-1].step, time.time(), meta, arrays)
