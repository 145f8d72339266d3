"""A recording enters the store: as a run of its own, or as one that goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from torchglass.errors import RunNotFoundError, StoreError
from torchglass.instrumentation.guard import tell
from torchglass.instrumentation.identity import Identity
from torchglass.instrumentation.live import live_runs
from torchglass.instrumentation.options import Options, Resume
from torchglass.store import LOST_AFTER_SECONDS, Run, Store

CLEARLY_LOST_SECONDS = 2.0  # longer than that: clocks of two machines differ
LOOK_AGAIN_SECONDS = 0.5


def enter(store: Store, options: Options, identity: Identity) -> tuple[Run, int]:
    """Start a run or let one go on; return it and the number of its next step."""
    if options.resume is not None:
        try:
            return _resume(store, options.resume, options.config, identity)
        except RunNotFoundError:
            if not options.resume.or_start:
                raise
    started = store.start_run(
        options.run, options.config, host=identity.host, pid=identity.pid, launch_id=identity.launch_id
    )
    return started, (options.resume.step or 0) if options.resume is not None else 0


def _resume(store: Store, wanted: Resume, config: Mapping[str, Any], identity: Identity) -> tuple[Run, int]:
    """Let a run go on; where it may have died a moment ago on another machine, wait until that is clear."""
    give_up_at = time.monotonic() + LOST_AFTER_SECONDS + CLEARLY_LOST_SECONDS
    waits = False
    while True:
        try:
            return store.resume_run(
                wanted.run,
                step=wanted.step,
                config=config,
                rank=identity.rank,
                host=identity.host,
                pid=identity.pid,
                launch_id=identity.launch_id,
            )
        except StoreError as refusal:
            is_ours = any(run.name == wanted.run for run in live_runs())
            if not refusal.may_pass or is_ours or time.monotonic() > give_up_at:
                raise
            if not waits:
                tell(f"torchglass waits to see whether the run is lost: {refusal}")
            waits = True
        time.sleep(LOOK_AGAIN_SECONDS)
