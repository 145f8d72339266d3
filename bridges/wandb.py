"""The calls of wandb that training scripts make, recorded locally: `import torchglass.bridges.wandb as wandb`.

    run = wandb.init(project="cats", config={"lr": 0.1})
    wandb.watch(model)
    wandb.log({"loss": loss})
    wandb.finish()

Nothing leaves this machine. Kept: `init, log, config, summary, define_metric, watch, unwatch, alert, finish`, and
`Histogram`, `Image`, `Table`. Other media and calls are accepted with one notice each. Unlike wandb, a value of an
earlier step is recorded, a step's values can be read before the step is over, and NaN is never the smallest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from torchglass.bridges.tracker_alerts import AlertLevel
from torchglass.bridges.tracker_config import in_notebook, to_mapping
from torchglass.bridges.tracker_media import DeclinedPlots, Histogram, Image, Table, declined_class
from torchglass.bridges.tracker_run import Run
from torchglass.errors import OptionError, TorchglassError
from torchglass.instrumentation import start
from torchglass.instrumentation.guard import tell

__all__ = ["AlertLevel", "Error", "Histogram", "Image", "Run", "Settings", "Table", "finish", "init", "login"]

Error = TorchglassError
Audio, Video, Html, Object3D, Molecule, Plotly, Graph, Artifact = (
    declined_class(kind) for kind in ("Audio", "Video", "Html", "Object3D", "Molecule", "Plotly", "Graph", "Artifact")
)
plot = DeclinedPlots()

_VERBS = ("log", "define_metric", "watch", "unwatch", "alert")
_FORWARDED = (*_VERBS, "config", "summary", "save", "log_code", "log_model", "log_artifact", "use_artifact")
_SETTINGS = {
    "run_id": "id",
    "run_name": "name",
    "run_notes": "notes",
    "run_tags": "tags",
    "run_group": "group",
    "run_job_type": "job_type",
}  # what `init` calls it, by what `Settings` does
_current: Run | None = None
_told: set[str] = set()


class Settings:
    """Takes whatever it is given; `init` reads mode, project, reinit and the run's id, name, notes, tags and group."""

    def __init__(self, **settings: Any) -> None:
        vars(self).update(settings)


def init(
    entity: str | None = None,
    project: str | None = None,
    dir: Any = None,
    id: str | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: Sequence[str] | None = None,
    config: Any = None,
    config_exclude_keys: Sequence[str] | None = None,
    config_include_keys: Sequence[str] | None = None,
    allow_val_change: bool | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    force: bool | None = None,
    reinit: bool | str | None = None,
    resume: bool | str | None = None,
    resume_from: str | None = None,
    fork_from: str | None = None,
    save_code: bool | None = None,
    tensorboard: bool | None = None,
    sync_tensorboard: bool | None = None,
    monitor_gym: bool | None = None,
    settings: Settings | Mapping[str, Any] | None = None,
    anonymous: Any = None,
    **unknown: Any,
) -> Run:
    """Start a run in the store at `TORCHGLASS_STORE` (default `./torchglass.db`), or return the one that is active.

    While a run is active it is returned as it is, with a notice; with `reinit="finish_previous"` (or True, and by
    default in a notebook) it is finished first, with `reinit="create_new"` both go on.

    Args:
        name: of the run; default is the project's, else "run".
        config: hyper-parameters: a mapping or parsed arguments; `config_include_keys`, `config_exclude_keys` choose.
        mode: "disabled" records nothing, every other mode records here. `WANDB_MODE`, `WANDB_PROJECT`, `WANDB_NAME`,
            `WANDB_RUN_GROUP`, `WANDB_NOTES` and `WANDB_TAGS` count where an argument is left out.
        project, entity, group, job_type, id, tags, notes: stated as facts of the run.
        resume: "allow", "auto" or True lets the run of that name (or else id) go on, if there is one; "must" needs it.
        resume_from: "name?_step=100": that run goes on at this step, and what it recorded from there on is hidden.
        settings: see `Settings`.
        others: accepted and without effect; an unknown one with a notice.

    Raises:
        OptionError: the config is no mapping, or `resume_from` cannot be read.
        RunNotFoundError: there is no run to resume.
        StoreError: the store cannot be opened, or the run to resume is still being recorded.
    """
    global _current
    for keyword in unknown:
        _tell_once(f"init(..., {keyword}=...) is accepted and has no effect")
    given: dict[str, Any] = {"entity": entity, "project": project, "id": id, "name": name, "notes": notes, "tags": tags}
    given |= {"group": group, "job_type": job_type, "mode": mode, "reinit": reinit, "resume": resume}
    chosen = _from_environment() | _from_settings(settings) | _without_none(given)
    active = _active()
    how = chosen.get("reinit")
    if active is not None and how != "create_new":
        if how is True or how == "finish_previous" or (how in (None, "default") and in_notebook()):
            active.finish()
        else:
            _tell_once("init was called while a run is active: that run is returned (see its reinit argument)")
            return active
    if fork_from:
        _tell_once("fork_from has no effect: say `torchglass fork`, and resume the run that it makes")
    going_on = _resumption(chosen, resume_from)
    run = _start(chosen, going_on, _chosen_config(config, config_include_keys, config_exclude_keys))
    if how != "create_new" or active is None:
        _current = run
    return run


def finish(exit_code: int | None = None, **_ignored: Any) -> None:
    """Finish the active run, if there is one."""
    global _current
    if _current is not None:
        _current.finish(exit_code)
        _current = None


def login(*_arguments: Any, **_options: Any) -> bool:
    """Return True: there is nothing to log in to, and no key is read or kept."""
    return True


def setup(*_arguments: Any, **_options: Any) -> None:
    """Do nothing: there is nothing to set up."""


def __getattr__(name: str) -> Any:
    """The active run's own: `wandb.run`, `wandb.config`, `wandb.log`, ..."""
    if name == "run":
        return _active()
    if name in _FORWARDED:
        run = _active()
        return getattr(run, name) if run is not None else _BeforeInit(name)
    raise AttributeError(f"torchglass.bridges.wandb has no attribute {name!r}")


class _BeforeInit:
    """`wandb.log` or `wandb.config` before there is a run: using it says what is missing."""

    def __init__(self, name: str) -> None:
        vars(self)["_name"] = name

    def _refuse(self, *_arguments: Any, **_options: Any) -> Any:
        raise OptionError(f"wandb.{vars(self)['_name']} needs a run: call wandb.init() first")

    __call__ = __getitem__ = __setitem__ = __setattr__ = _refuse

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._refuse()


def _active() -> Run | None:
    return _current if _current is not None and _current.is_active else None


def _resumption(chosen: Mapping[str, Any], resume_from: str | None) -> dict[str, Any]:
    """What `start` is to be told about the run: its name, and whether and where it goes on."""
    if resume_from is not None:
        name, mark, step = resume_from.partition("?_step=")
        if not mark or not step.isdecimal():
            raise OptionError(f"resume_from={resume_from!r}: give the run's name and a step, as in 'name?_step=100'")
        return {"resume": name, "resume_step": int(step)}
    how = chosen.get("resume")
    own = chosen.get("name") or chosen.get("id")
    if how == "must":
        return {"resume": own or chosen.get("project") or "run"}
    if how in (True, "allow", "auto") and own:
        return {"run": own, "resume": True}
    return {"run": chosen.get("name") or chosen.get("project") or "run"}


def _start(chosen: Mapping[str, Any], going_on: Mapping[str, Any], config: Mapping[str, Any]) -> Run:
    recording = start(config=config, mode="disabled" if chosen.get("mode") == "disabled" else None, **going_on)
    told = {key: chosen.get(key) for key in ("project", "entity", "group", "job_type", "id")}
    tags = chosen.get("tags") or ()
    return Run(recording, told, (tags,) if isinstance(tags, str) else tuple(tags), chosen.get("notes"))


def _chosen_config(config: Any, include: Sequence[str] | None, exclude: Sequence[str] | None) -> dict[str, Any]:
    return {
        name: value
        for name, value in to_mapping(config).items()
        if (include is None or name in include) and name not in (exclude or ())
    }


def _from_environment() -> dict[str, Any]:
    names = {
        "mode": "MODE",
        "id": "RUN_ID",
        "resume": "RESUME",
        "project": "PROJECT",
        "name": "NAME",
        "group": "RUN_GROUP",
        "notes": "NOTES",
    }
    found: dict[str, Any] = {key: os.environ.get(f"WANDB_{name}") or None for key, name in names.items()}
    tags = os.environ.get("WANDB_TAGS")
    found["tags"] = tags.split(",") if tags else None
    return _without_none(found)


def _without_none(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


def _from_settings(settings: Settings | Mapping[str, Any] | None) -> dict[str, Any]:
    if settings is None:
        return {}
    given = settings if isinstance(settings, Mapping) else vars(settings)
    return {_SETTINGS.get(name, name): value for name, value in _without_none(given).items()}


def _tell_once(text: str) -> None:
    if text not in _told:
        _told.add(text)
        tell(f"torchglass: {text}")
