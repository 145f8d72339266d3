"""A run in the shape that trackers give it: a step that `log` advances, a config, a summary, alerts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal

from torch import nn

from torchglass.bridges.notices import Notices
from torchglass.bridges.optimizers import OptimizerSearch
from torchglass.bridges.tracker_alerts import AlertLevel, Alerts
from torchglass.bridges.tracker_config import Config
from torchglass.bridges.tracker_summary import Summary
from torchglass.bridges.tracker_values import Values
from torchglass.errors import OptionError, TorchglassError
from torchglass.instrumentation import Run as Recording
from torchglass.instrumentation import every
from torchglass.instrumentation.guard import Guard
from torchglass.instrumentation.labels import label
from torchglass.instrumentation.watching import Cadences, give_optimizer, unwatch, watch

NORMS_EVERY = 100  # steps, or `log_freq` where that is less
_FILE_CALLS = ("save", "restore", "log_code", "log_model", "use_model", "link_model", "log_artifact", "use_artifact")
_OTHER_CALLS = ("link_artifact", "upsert_artifact", "finish_artifact", "mark_preempting", "display", "pin_config_keys")


class Run:
    """What `init` returns. A context manager: left by an exception the run reads as failed with its text."""

    def __init__(
        self,
        recording: Recording,
        told: Mapping[str, Any],
        tags: Sequence[str] = (),
        notes: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.recording = recording
        self.project, self.entity = told.get("project"), told.get("entity")
        self.group, self.job_type = told.get("group"), told.get("job_type")
        self.id = str(told.get("id") or recording.id)
        self.resumed = recording.current_step > 0
        self.url = None
        self.config = Config(recording)
        self.summary = Summary(lambda values: recording.state("summary", dict(values)))
        self.step = recording.current_step
        self._name = recording.name
        self._tags: tuple[str, ...] = ()
        self._notes: str | None = None
        self._notices = Notices(recording)
        self._values = Values(recording, self._notices, self.summary)
        self._active = True
        self._guard = Guard(lambda reason: recording.state("warnings/watch", reason))
        self._watched: nn.Module | None = None
        self._search: OptimizerSearch | None = None
        self._alerts = Alerts(recording, clock)
        self._metrics: dict[str, dict[str, Any]] = {}
        recording.state("tracker", {name: value for name, value in told.items() if value is not None})
        if tags:
            self.tags = tuple(tags)
        if notes:
            self.notes = notes

    # What it is called

    @property
    def name(self) -> str:
        """Name in the store; assigning renames the run there, unless another has that name."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        if self._label(name=str(name)):
            self._name = str(name)

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags; assigning replaces them."""
        return self._tags

    @tags.setter
    def tags(self, tags: Sequence[str]) -> None:
        self._tags = tuple(str(tag) for tag in tags)
        self._label(tags=self._tags)

    @property
    def notes(self) -> str | None:
        """Notes; assigning replaces them."""
        return self._notes

    @notes.setter
    def notes(self, notes: str) -> None:
        self._notes = str(notes)
        self._label(note=self._notes)

    @property
    def dir(self) -> str:
        """A folder for the script's own files, beside the store; made when asked for."""
        folder = self.recording.folder / "torchglass-files" / self.recording.name.replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    @property
    def is_active(self) -> bool:
        """Whether the run has not been finished."""
        return self._active

    # What happens

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """Record values of any kind under names.

        Args:
            data: numbers, tensors, histograms, images, tables and texts by name; mappings within make names with
                slashes. An array or tensor of several numbers becomes a histogram.
            step: default is the run's own step, which each such call advances by one. A later step moves it there; an
                earlier one is recorded where it says, and moves nothing.
            commit: False leaves the step where it is, so that the next call adds to it; True advances it.

        Raises:
            OptionError: `data` is no mapping, a name is no text, or the step no whole number.
        """
        if not isinstance(data, Mapping):
            raise OptionError(f"log got a {type(data).__name__}: give a mapping from names to values")
        at = self.step if step is None else int(step)
        self.step = max(self.step, at)
        self._values.log(data, at)
        if (step is None and commit is None) or commit:
            self.step += 1

    def define_metric(
        self,
        name: str,
        step_metric: str | None = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        overwrite: bool | None = None,
        goal: Literal["minimize", "maximize"] | None = None,
    ) -> None:
        """Say what a metric is drawn against, and what the summary keeps of it.

        Args:
            name: of a metric, or the beginning of several followed by `*`.
            step_metric: another metric to draw it against; stated as the fact "metrics".
            summary: of "min", "max", "mean", "first", "last", "best", "none", one or several with commas between.
            goal: what "best" means; "minimize" unless it says "maximize".
            step_sync, hidden: kept with the fact.
            overwrite: forget what an earlier call said of this name.

        Raises:
            OptionError: the name or the summary cannot be used.
        """
        if not isinstance(name, str) or not name or "*" in name[:-1]:
            raise OptionError(f"define_metric({name!r}): give a name, or its beginning and a '*' at the end")
        chosen = [each.strip().lower() for each in summary.split(",")] if summary else []
        if chosen:
            self.summary.define(name, chosen, goal)
        news = {"step_metric": step_metric, "step_sync": step_sync, "hidden": hidden, "summary": summary, "goal": goal}
        before = {} if overwrite else self._metrics.get(name, {})
        self._metrics[name] = before | {key: value for key, value in news.items() if value is not None}
        self.recording.state("metrics", dict(self._metrics))

    def watch(
        self,
        models: nn.Module | Sequence[nn.Module],
        criterion: Any = None,
        log: Literal["gradients", "parameters", "all"] | None = "gradients",
        log_freq: int = 1000,
        idx: int | None = None,
        log_graph: bool = False,
        *,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
    ) -> None:
        """Record phases of the steps, norms and update ratios of a model's layers, and their histograms.

        The optimizer is found at its first step. Of several models, in one call or more, the first is watched.

        Args:
            log: None for norms alone; otherwise histograms of gradients and of weights.
            log_freq: steps between histograms; norms are read every 100 steps, or as often as that.
            include, exclude: patterns of parameters' names, as for `attach`.

        Raises:
            OptionError: what is given is no model, or it is watched already.
        """
        given: list[Any] = list(models) if isinstance(models, list | tuple) else [models]
        first: Any = self._watched if self._watched is not None else next(iter(given), None)
        if any(each is not first for each in given):
            self._notices.say("watch", f"of several models the first is watched, the {type(first).__name__}")
        if all(each is not first for each in given):
            return
        cadences = Cadences(
            every=every(min(NORMS_EVERY, log_freq)),
            histograms=None if log is None else every(log_freq),
            include=include,
            exclude=exclude,
        )
        watch(self.recording, first, None, cadences)
        self._watched = first
        self._search = OptimizerSearch(
            first, lambda optimizer: self._guard.call(give_optimizer, self.recording, optimizer)
        )

    def unwatch(self, models: nn.Module | Sequence[nn.Module] | None = None) -> None:
        """Take the hooks off again."""
        if self._search is not None:
            self._search.stop()
            self._search, self._watched = None, None
        unwatch(self.recording)

    def alert(
        self,
        title: str,
        text: str,
        level: str | AlertLevel | None = None,
        wait_duration: float | timedelta | None = None,
    ) -> None:
        """State an alert in the run and log it; one of the same title within `wait_duration` (60 s) is left out.

        Raises:
            OptionError: the level is none of INFO, WARN, ERROR.
        """
        self._alerts.add(title, text, level, wait_duration, step=self.step)

    def finish(self, exit_code: int | None = None, **_ignored: Any) -> None:
        """Write what waits and close the run, as failed where the exit code is not 0; again does nothing."""
        self._active = False
        self.unwatch()
        if exit_code:
            self.recording.finish("failed", f"exit code {exit_code}")
        else:
            self.recording.finish()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._active = False
        self.unwatch()
        self.recording.__exit__(kind, error, trace)

    def _label(self, **changed: Any) -> bool:
        try:
            label(self.recording, **changed)
        except TorchglassError as error:
            self._notices.say(f"label/{next(iter(changed))}", str(error))
            return False
        return True

    def __getattr__(self, name: str) -> Any:
        if name not in (*_FILE_CALLS, *_OTHER_CALLS):
            raise AttributeError(f"a run has no {name!r}")

        def accept(*arguments: Any, **_options: Any) -> Any:
            self._notices.say(f"not_kept/{name}", f"{name} is accepted and does nothing")
            return arguments[0] if arguments else None

        return accept
