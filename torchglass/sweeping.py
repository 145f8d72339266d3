"""The verb `sweep`: search for a better recipe; processes and machines that name the same sweep share its trials."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchglass.errors import MissingExtraError, OptionError, TorchglassError
from torchglass.terminal import complain, say_json, terminal_text

if TYPE_CHECKING:
    from torchglass.analysis.sweeps import Sweep
    from torchglass.reference_models.sweeping.judging import SweepOrder
    from torchglass.store.trials import Trials

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]

EXIT_NOTHING, EXIT_INTERRUPTED = 1, 130
LOOK_AGAIN_SECONDS = 1.0
SETTLED_TRIALS, SETTLED_SHARE = 4, 0.34  # nothing is pruned before four trials ended, nor in the first third of one
EPILOG = """\
Each trial is an ordinary run, called NAME/NUMBER. Trial 0 is the model's own recipe; Optuna's TPE chooses the others,
by the score on samples held out of the training set. The test set chooses nothing. Trials are kept in the store, a file
or a PostgreSQL database: run the same command again, at once or later, here or on another machine, and it goes on with
the same sweep. A process that is killed loses no trial: another one begins it anew after three missed heartbeats.
A larger --trials makes a sweep longer."""


def add_sweep(verb: Verb) -> None:
    """Add the verb to a command line whose `verb(name, command, text)` adds one."""
    sweep = verb("sweep", _sweep, "Search for a better recipe for a reference model.")
    sweep.add_argument("model", help="name of a reference model, such as lenet5")
    sweep.add_argument("--trials", type=_count, default=20, help="how many the sweep has in all (20)")
    sweep.add_argument("--name", help="name of the sweep (default: MODEL-DATASET)")
    sweep.add_argument("--switches", type=_names, metavar="A,B", help="what is varied (default: all with a span)")
    sweep.add_argument("--dataset", help="a data set of the model (default: its first)")
    sweep.add_argument("--data", type=Path, help="a file or folder of your own, for a data set that needs one")
    sweep.add_argument("--model-path", type=Path, metavar="DIR", help="folder of a model of yours, for hf_classifier")
    sweep.add_argument("--epochs", type=_count, help="of each trial (default: the recipe's)")
    sweep.add_argument("--timeout", type=float, metavar="SECONDS", help="begin no trial after so long")
    sweep.add_argument("--seed", type=int, default=0, help="of the training and of the search (0)")
    sweep.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    sweep.add_argument("--workers", type=int, default=0, help="processes that load data")
    sweep.add_argument("--cache", type=Path, help="folder of downloaded data sets")
    sweep.add_argument("--limit", type=_count, help="use the first so many training samples")
    sweep.add_argument(
        "--heartbeat",
        type=_count,
        metavar="SECONDS",
        help="between signs of life; after three missed ones a trial is begun anew (10; the same in all processes)",
    )
    sweep.add_argument("--quiet", action="store_true", help="no progress")
    sweep.add_argument("--json", action="store_true", help="for a machine to read")
    sweep.formatter_class = argparse.RawDescriptionHelpFormatter
    sweep.epilog = EPILOG


def _sweep(options: argparse.Namespace) -> int:
    from torchglass.store import open_store
    from torchglass.store.location import locate

    _refuse_missing_optuna()
    from torchglass.analysis.sweeps import read_sweep
    from torchglass.reference_models.sweeping.judging import SweepOrder
    from torchglass.store.trials import HEARTBEAT_SECONDS, open_trials

    location = locate(options.store)
    order = SweepOrder(
        model=options.model,
        name=options.name or "",
        dataset=options.dataset,
        store=location.address,
        epochs=options.epochs,
        switches=options.switches,
        seed=options.seed,
        device=options.device,
        data=options.data,
        model_path=options.model_path,
        cache=options.cache,
        workers=options.workers,
        limit=options.limit,
        progress=not options.quiet and sys.stderr.isatty(),
    )
    with open_store(location):
        pass  # made, or found to be one
    interrupted = False
    with open_trials(location, heartbeat_seconds=options.heartbeat or HEARTBEAT_SECONDS) as trials:
        assert trials is not None
        try:
            _search(trials, order, options)
        except KeyboardInterrupt:
            interrupted = True
    found = read_sweep(location, order.name)
    if options.json:
        say_json(_as_json(found))
    else:
        from torchglass.sweep_table import print_sweep

        print_sweep(found)
    if interrupted:
        complain(f"torchglass: interrupted; the same command goes on with {order.name!r}")
        return EXIT_INTERRUPTED
    return 0 if found.best is not None else EXIT_NOTHING


def _refuse_missing_optuna() -> None:
    try:
        import optuna
    except ImportError as missing:
        raise MissingExtraError("optuna", "models") from missing
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what it says, the table says


def _search(trials: Trials, order: SweepOrder, options: argparse.Namespace) -> None:
    """Run trials until all of the sweep have ended, whoever runs them, or the time is over."""
    from torchglass.store.trials import NoTrialLeft

    study = _join(trials, order, options.trials)
    give_up_at = time.monotonic() + (float("inf") if options.timeout is None else options.timeout)
    is_waiting = False
    while time.monotonic() < give_up_at:
        try:
            study.optimize(lambda trial: _ended(trial, order, say=not options.quiet), n_trials=1, catch=(_Failed,))
            is_waiting = False
        except ValueError as error:
            if not str(error).startswith("Cannot tell a"):
                raise
            complain("a trial was given up as lost while this machine was held up: another one has it")
        except NoTrialLeft:
            running = _count_running(study)
            if not running:
                return
            if not is_waiting and not options.quiet:
                complain(f"waiting for {running} of {options.trials} trials that other processes run")
            is_waiting = True
            time.sleep(LOOK_AGAIN_SECONDS)


def _join(trials: Trials, order: SweepOrder, total: int) -> Any:
    """Make the study, or find that another process has, and meant the same."""
    import optuna

    from torchglass.reference_models.sweeping.sampling import NumberedSampler
    from torchglass.reference_models.sweeping.space import to_json

    epochs = order.recipe.epochs
    study = optuna.create_study(
        storage=trials,
        study_name=order.name,
        load_if_exists=True,
        direction="maximize",
        sampler=NumberedSampler(order.seed),
        pruner=optuna.pruners.MedianPruner(SETTLED_TRIALS, n_warmup_steps=round(SETTLED_SHARE * epochs)),
    )
    means = {
        "model": order.model,
        "dataset": order.options({}).dataset_name,
        "metric": order.metric,
        "epochs": epochs,
        "seed": order.seed,
        "limit": order.limit,
        "data": None if order.data is None else order.data.name,
        "space": to_json(order.space),
        "defaults": order.defaults,
    }
    known = study.user_attrs.get("means")
    if known is None and study.get_trials(deepcopy=False):
        raise OptionError(f"the study {order.name!r} in this store is no sweep of torchglass: give another --name")
    if known is not None and known != json.loads(json.dumps(means)):
        other = next(name for name in means if known.get(name) != json.loads(json.dumps(means[name])))
        raise OptionError(
            f"the sweep {order.name!r} was begun with {other} {known.get(other)!r}, not {means[other]!r}: "
            "say the same, or give another --name"
        )
    study.set_user_attr("means", means)
    study.set_user_attr("total", max(total, int(study.user_attrs.get("total", 0))))
    trials.total, trials.defaults = total, order.defaults
    return study


class _Failed(Exception):
    """A trial ended by an error of its own; the sweep goes on."""


def _ended(trial: Any, order: SweepOrder, *, say: bool) -> float:
    """Judge a trial, and write down why it ended where that is not by its value."""
    import optuna
    from optuna.exceptions import UpdateFinishedTrialError

    from torchglass.reference_models.sweeping.judging import Pruned, judge
    from torchglass.store.trials import ERROR, INTERRUPTED

    try:
        value = judge(trial, order)
    except Pruned:
        _tell(say, order, trial, "pruned")
        raise optuna.TrialPruned from None
    except UpdateFinishedTrialError:
        raise  # it was given up as lost; telling its end says so
    except (KeyboardInterrupt, TorchglassError):
        trial.set_user_attr(INTERRUPTED, True)
        raise
    except Exception as error:
        trial.set_user_attr(ERROR, f"{type(error).__name__}: {error}"[:500])
        _tell(say, order, trial, f"failed: {type(error).__name__}: {error}")
        raise _Failed from error
    _tell(say, order, trial, f"{order.metric} {value:.4f}")
    return value


def _tell(say: bool, order: SweepOrder, trial: Any, what: str) -> None:
    from torchglass.sweep_table import changes_told

    if say:
        told = f"{order.name}/{trial.number}: {what}  {changes_told(trial.params)}"
        complain(terminal_text(told))


def _count_running(study: Any) -> int:
    from optuna.trial import TrialState

    return len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def _as_json(found: Sweep) -> dict[str, Any]:
    return {
        "sweep": found.name,
        "model": found.model,
        "dataset": found.dataset,
        "metric": found.metric,
        "total": found.total,
        "best": None if found.best is None else found.best.number,
        "command": found.best_command,
        "trials": [trial._asdict() for trial in found.ranked],
    }


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return count


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip().replace("-", "_") for part in text.split(",") if part.strip())
