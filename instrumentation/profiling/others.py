"""Profilers that the program runs itself. Torch has room for one at a time, and the program's goes first."""

from __future__ import annotations

import gc
import weakref
from typing import Any, Literal

from torch.autograd import profiler as autograd_profiler
from torch.autograd.profiler import KinetoStepTracker
from torch.profiler import ProfilerAction, profile
from torch.profiler.profiler import PROFILER_STEP_NAME

HORIZON = 1000  # steps: a schedule that has nothing to do for so long keeps no window away
_OURS = 1  # as true as the True that torch sets when a profiler starts, and no True

_own: weakref.WeakSet[profile] = weakref.WeakSet()  # one that was dropped still reads as at work

Standing = Literal["none", "waiting", "at work"]


class OtherProfilers:
    """What the program's own `torch.profiler.profile` objects are up to."""

    def __init__(self) -> None:
        self._known: list[weakref.ref[profile]] = []

    def standing(self) -> Standing:
        """Tell whether one of them is at work, which warming up is part of, or waits for its turn by its schedule."""
        if _was_made():
            # By their type, for `isinstance` asks objects that only pretend.
            found = (each for each in gc.get_objects() if issubclass(type(each), profile))
            self._known = [weakref.ref(each) for each in found if each not in _own]
        started = [each for known in self._known if (each := known()) is not None and _has_started(each)]
        if any(each.current_action is not ProfilerAction.NONE for each in started):
            return "at work"
        return "waiting" if any(_will_work(each) for each in started) else "none"


def make_own(**options: Any) -> Any:
    """Make a profiler that does not count as the program's."""
    made = profile(**options)
    _own.add(made)
    _was_made()
    return made


def claim() -> None:
    """Note that the profiler which has just started is ours."""
    vars(autograd_profiler)["_is_profiler_enabled"] = _OURS


def is_claimed() -> bool:
    """Tell whether none was started or stopped since."""
    return autograd_profiler._is_profiler_enabled is _OURS


def _was_made() -> bool:
    """Tell, once, whether any was made: torch notes that, and takes the note back when it is missing."""
    return KinetoStepTracker.erase_step_count(PROFILER_STEP_NAME)


def _has_started(other: profile) -> bool:
    return other.step_rec_fn is not None  # from `start` to `stop`, where there is a schedule


def _will_work(other: profile) -> bool:
    steps = range(other.step_num, other.step_num + HORIZON)
    return any(other.schedule(step) is not ProfilerAction.NONE for step in steps)
