"""The verb `shortcuts`: which small fixed spots a run's classifier decides by, found in maps and proved by changes."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from torchglass.errors import OptionError
from torchglass.terminal import say, say_json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from torchglass.explainers.shortcuts.suspect import Effect, Suspect
    from torchglass.store import ArtifactBlock
    from torchglass.trained_runs import Trained

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]

ARTIFACT_KIND = "shortcuts"
METHOD = "integrated_gradients"
LISTED_CLASSES = 4


@dataclass(frozen=True)
class Hunt:
    """What to search: a run, the method whose maps are grouped, and how much an effect must be (see find_shortcuts)."""

    run: str
    method: str = METHOD
    least_effect: float = 0.1
    controls: int = 39
    seed: int = 0


def add_shortcuts(verb: Verb) -> None:
    """Add the verb to a command line whose `verb(name, command, text)` adds one."""
    hunted = verb(
        "shortcuts", _shortcuts, "Find small fixed spots that a run's picture classifier decides by, and prove each."
    )
    hunted.add_argument("run", help="a run of a reference model, or the model's name for its newest run")
    hunted.add_argument("--method", default=METHOD, help=f"whose maps are grouped ({METHOD})")
    hunted.add_argument(
        "--least-effect",
        type=float,
        default=Hunt.least_effect,
        metavar="X",
        help=f"what a pasted spot must move a probability by, beyond random spots ({Hunt.least_effect})",
    )
    hunted.add_argument("--controls", type=int, default=Hunt.controls, metavar="N", help="random spots compared with")
    hunted.add_argument("--seed", type=int, default=0)
    hunted.add_argument("--json", action="store_true", help="for a machine to read")
    hunted.epilog = (
        "Heat on a spot proves nothing. Each suspected spot is erased, and pasted into pictures of other classes; "
        "it is confirmed where both move predictions more than random spots of its size do. "
        "The samples that the run kept, of training and test, are searched: one half finds the spots, the other half "
        "tests them."
    )


def _shortcuts(options: argparse.Namespace) -> int:
    hunt = Hunt(options.run, options.method, options.least_effect, options.controls, options.seed)
    found = find_in_run(options.store, hunt)
    if options.json:
        say_json(found)
        return 0
    for line in told(found):
        say(line)
    return 0


def find_in_run(location: str | os.PathLike[str] | None, hunt: Hunt) -> dict[str, Any]:
    """Search the samples that a run kept, store what was found and return its facts.

    Raises:
        OptionError: the run's model is no classifier of pictures, or an option is out of its range.
        ExplainError: its samples are too few, or its model answers the same for all.
        NoStoreError: there is no store.
        RunNotFoundError: no such run, or it kept no checkpoint of a reference model, or no samples.
    """
    import torch

    from torchglass.explainers import find_shortcuts
    from torchglass.store import open_store
    from torchglass.trained_runs import load_trained

    with open_store(location, read_only=True):
        pass  # of a mistyped address no store is made
    with open_store(location) as store:
        trained = load_trained(store, hunt.run)
        if trained.kind != "pictures" or trained.form.task != "classification":
            raise OptionError(
                f"{trained.run.name!r} is a run of {trained.form.task} of {trained.form.kind}: shortcuts are looked "
                "for in classifiers of pictures"
            )
        pictures = torch.cat([trained.inputs(name, slice(None)) for name in ("background", "inputs")])
        started = time.perf_counter()
        suspects = find_shortcuts(
            trained.model,
            pictures,
            method=hunt.method,
            controls=hunt.controls,
            least_effect=hunt.least_effect,
            seed=hunt.seed,
        )
        seconds = time.perf_counter() - started
        block = _to_block(trained, suspects, pictures.numpy(), hunt, seconds)
        store.add_artifact(trained.run.id, block)
        return {"run": trained.run.name, **block.meta}


def told(found: dict[str, Any]) -> list[str]:
    """Say what was found, a sentence for each spot after one for all."""
    spots, confirmed = len(found["suspects"]), sum(one["confirmed"] for one in found["suspects"])
    return [
        f"{found['run']}: {spots} suspected spot{'s' if spots != 1 else ''} tested in {found['pictures']} pictures, "
        f"{confirmed or 'none'} confirmed ({found['seconds']:.0f} s)",
        *(one["sentence"] for one in found["suspects"]),
    ]


def _to_block(
    trained: Trained, suspects: Sequence[Suspect], pictures: npt.NDArray[np.float32], hunt: Hunt, seconds: float
) -> ArtifactBlock:
    import numpy as np

    from torchglass.store import ArtifactBlock

    training = len(trained.arrays["background"])
    names = trained.form.class_names
    arrays: dict[str, npt.NDArray[Any]] = {"mean_picture": pictures.mean(axis=0, dtype=np.float64).astype(np.float32)}
    facts = []
    for place, one in enumerate(suspects):
        shown = one.members[: len(one.example_maps)]
        arrays[f"mean_map_{place}"] = one.mean_map.astype(np.float16)
        arrays[f"examples_{place}"] = np.rint(np.clip(pictures[shown], 0, 1) * 255).astype(np.uint8)
        arrays[f"example_maps_{place}"] = one.example_maps.astype(np.float16)
        facts.append(
            {
                "box": list(one.box),
                "confirmed": one.confirmed,
                "members": len(one.members),
                "classes": list(one.classes),
                "relevance_share": one.relevance_share,
                "area_share": one.area_share,
                "examples": [f"training {i}" if i < training else f"test {i - training}" for i in shown.tolist()],
                "erase": asdict(one.erase),
                "paste": asdict(one.paste),
                "sentence": sentence(one, names),
            }
        )
    meta = {
        "suspects": facts,
        "pictures": len(pictures),
        "training_pictures": training,
        "method": hunt.method,
        "least_effect": hunt.least_effect,
        "controls": hunt.controls,
        "seed": hunt.seed,
        "seconds": seconds,
        "class_names": list(names),
        "model": trained.exhibit.name,
        "dataset": trained.meta.get("dataset"),
        "checkpoint_step": trained.checkpoint.step,
    }
    return ArtifactBlock(ARTIFACT_KIND, "pictures", trained.checkpoint.step, time.time(), meta, arrays)


def sentence(suspect: Suspect, class_names: Sequence[str]) -> str:
    """Say what a spot does, with the figures, and whether that confirms it."""
    box, erase, paste = suspect.box, suspect.erase, suspect.paste
    where = f"columns {box.left} to {box.right - 1}, rows {box.top} to {box.bottom - 1}"
    group = f"a group of {len(suspect.members)} pictures ({_classes(suspect, class_names)}) is hot there"
    taken = f"{100 * paste.changed:.0f} % of them are then taken for that"
    measured = (
        f"Erased in {erase.pictures} other pictures, it costs their class {_points(erase)}; pasted into pictures of "
        f"other classes, it gives its own class {_points(paste)}, and {taken}."
    )
    return f"{'Confirmed' if suspect.confirmed else 'Not confirmed'}: {where}; {group}. {measured}"


def _classes(suspect: Suspect, class_names: Sequence[str]) -> str:
    names = [class_names[label] if label < len(class_names) else str(label) for label in suspect.classes]
    more = len(names) - LISTED_CLASSES
    return ", ".join(names[:LISTED_CLASSES]) + (f" and {more} more" if more > 0 else "")


def _points(effect: Effect) -> str:
    return (
        f"{_tenths(effect.mean)} points of probability (random spots {_tenths(effect.control)}; "
        f"between {_tenths(effect.low)} and {_tenths(effect.high)} more than they)"
    )


def _tenths(share: float) -> str:
    """Per cent with one digit; a zero has no sign."""
    return f"{round(100 * share, 1) + 0.0:.1f}"
