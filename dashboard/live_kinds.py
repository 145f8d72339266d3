"""Which kinds of series are drawn live, and which of them run by the clock instead of by the step."""

from __future__ import annotations

LIVE_KINDS = frozenset({"scalar", "layer", "phase", "device", "self"})

# Sampled by the clock: several samples may carry the same training step, and each of them counts.
TIMED_KINDS = frozenset({"device", "self"})
