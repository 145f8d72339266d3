"""`torchglass devices`: what the machine is doing, once or live, for people or for programs."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from torchglass.device_table import lines_of

if TYPE_CHECKING:
    from torchglass.instrumentation.devices import Gpus, Host, Reading
    from torchglass.managing import Verb

FIRST_SECONDS = 0.5  # rates need two readings, GPM's more than 0.1 s apart, and a core is counted in hundredths
SHORTEST_SECONDS, LONGEST_SECONDS = 0.2, 3600.0
PROCESSES_SECONDS = 10.0
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
CLEAR, HIDE_CURSOR, SHOW_CURSOR = "\x1b[2J", "\x1b[?25l", "\x1b[?25h"


def add_devices(verb: Verb) -> None:
    """Add the verb to a command line whose `verb(name, command, text)` adds one."""
    devices = verb("devices", _devices, "Show what the host and the GPUs are doing, live.")
    devices.epilog = (
        "Columns are named as nvidia-smi dmon -s pucvmet names them; smact, smocc, tensor and dram are GPM's, on "
        "Hopper and later. N/A is followed by its reason. --json prints a line for each reading; with --once one "
        "document that tells the unit, source and window of each figure too. Ctrl-C ends (130)."
    )
    devices.add_argument("--once", action="store_true", help="one reading, and end")
    devices.add_argument("--json", action="store_true", help="for a machine to read")
    devices.add_argument("--interval", type=_seconds, default=1.0, metavar="S", help="seconds between readings (1)")


def _devices(options: argparse.Namespace) -> int:
    from torchglass.instrumentation.devices import Gpus, Host

    host, gpus = Host(), Gpus(hidden_too=True)
    try:
        gpus.read()  # opens the windows of the rates
        if options.once:
            time.sleep(FIRST_SECONDS)
            print(_document(host, gpus) if options.json else _text(host, gpus, gpus.processes(), colors=_has_colors()))
        elif options.json:
            for line in _json_lines(host, gpus, options.interval):
                print(line, flush=True)
        else:
            _live(host, gpus, options.interval)
    finally:
        gpus.close()
    return 0


def _live(host: Host, gpus: Gpus, interval_seconds: float) -> None:
    """Print readings for ever: in place on a terminal, else one below the other."""
    in_place, colors = sys.stdout.isatty(), _has_colors()
    if in_place:
        sys.stdout.write(CLEAR + HIDE_CURSOR)
    try:
        processes: Mapping[str, Any] = {}
        listed_at = -PROCESSES_SECONDS
        for now in _ticks(interval_seconds):
            if now - listed_at >= PROCESSES_SECONDS:
                processes, listed_at = gpus.processes(), now
            title = f"{time.strftime('%H:%M:%S')}  torchglass devices, every {interval_seconds:g} s, Ctrl-C ends"
            told = f"{title}\n{_text(host, gpus, processes, colors=colors)}"
            sys.stdout.write(in_place_of(told, *shutil.get_terminal_size()) if in_place else f"{told}\n\n")
            sys.stdout.flush()
    finally:
        if in_place:
            sys.stdout.write(SHOW_CURSOR)
            sys.stdout.flush()


def in_place_of(text: str, columns: int, rows: int) -> str:
    """The text with what draws it over what stood on the terminal before, without a flicker; it must not scroll."""
    kept: list[str] = []
    left = rows - 1  # the cursor rests below the last line
    lines = text.splitlines()
    for line in lines:
        left -= max(1, math.ceil(len(line) / columns))
        if left < 1 and line is not lines[-1]:
            kept.append(f"… {len(lines) - len(kept)} more lines: make the terminal higher")
            break
        kept.append(line)
    return HOME + "".join(f"{line}{CLEAR_LINE}\n" for line in kept) + CLEAR_BELOW


def _ticks(
    interval_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[float]:
    """Moments at which to read, in seconds: the first soon, so that nobody looks at an empty screen."""
    sleep(min(FIRST_SECONDS, interval_seconds))
    while True:
        began = clock()
        yield began
        sleep(max(0.0, interval_seconds - (clock() - began)))


def _read(host: Host, gpus: Gpus) -> Reading:
    from torchglass.instrumentation.devices import merged

    return merged([host.read(), gpus.read()])


def _text(host: Host, gpus: Gpus, processes: Mapping[str, Any], *, colors: bool) -> str:
    width = shutil.get_terminal_size((120, 40)).columns
    warning = [f"warning: {gpus.warning}"] if gpus.warning else []
    return "\n".join([*warning, *lines_of(_read(host, gpus), gpus.facts(), processes, width=width, colors=colors)])


def _document(host: Host, gpus: Gpus) -> str:
    """One reading with all that is known of each figure."""
    from torchglass.instrumentation.devices.quantities import ordered, quantity_of

    reading = _read(host, gpus)
    told = {
        "time": time.time(),
        "host": host.facts(),
        **gpus.facts(),
        "values": {key: {"value": value, **asdict(quantity_of(key))} for key, value in ordered(reading.values).items()},
        "missing": dict(reading.missing),
        "words": dict(reading.words),
        "processes": gpus.processes(),
        "warning": gpus.warning,
    }
    return json.dumps(told, indent=2)


def _json_lines(host: Host, gpus: Gpus, interval_seconds: float) -> Iterator[str]:
    for _ in _ticks(interval_seconds):
        reading = _read(host, gpus)
        told = {"time": time.time(), "values": reading.values, "missing": reading.missing, "words": reading.words}
        yield json.dumps(told)


def _has_colors() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        wanted = f"give seconds from {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g}"
        raise argparse.ArgumentTypeError(f"{text!r} is no interval: {wanted}, for the driver answers no faster")
    return seconds
