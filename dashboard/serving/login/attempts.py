"""How fast passwords may be guessed: each address is slowed by what it got wrong, and all of them together, too."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FREE_TRIES: Final = 5  # of an address, as people mistype
LONGEST_SECONDS: Final = 300.0
FORGET_SECONDS: Final = 3600.0
MOST_ADDRESSES: Final = 10_000  # the one that was heard of longest ago is forgotten
OVERALL_FREE: Final = 100  # wrong ones from anywhere; each costs memory and 80 ms of a core
OVERALL_SECONDS: Final = 2.0  # between two once these are used up; one is forgotten in as long


@dataclass
class _Tally:
    wrong: int = 0
    last: float = 0.0


class Attempts:
    """Counts guesses from the moment they are made, so that those made at the same time count, too.

    After five wrong guesses an address waits 1, 2, 4, ... up to 300 seconds; an hour of silence clears it. A hundred
    wrong ones from anywhere leave one guess in two seconds to all.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._addresses: OrderedDict[str, _Tally] = OrderedDict()
        self._overall = _Tally()

    def begin(self, address: str) -> float:
        """Count a guess as wrong until `succeeded` says otherwise; or return the seconds to wait, when it comes too
        early and must not be looked at."""
        now = self._clock()
        with self._lock:
            tally = self._tally_of(_neighbourhood(address), now)
            self._forget_overall(now)
            wait = max(_wait_of(tally, now), self._overall_wait(now))
            if wait > 0:
                return wait
            for each in (tally, self._overall):
                each.wrong, each.last = each.wrong + 1, now
            return 0.0

    def succeeded(self, address: str) -> None:
        """The guess begun last was right: the address starts anew."""
        with self._lock:
            self._addresses.pop(_neighbourhood(address), None)
            self._overall.wrong = max(0, self._overall.wrong - 1)

    def _tally_of(self, address: str, now: float) -> _Tally:
        tally = self._addresses.get(address)
        if tally is None or now - tally.last > FORGET_SECONDS:
            tally = self._addresses[address] = _Tally(last=now)
        self._addresses.move_to_end(address)
        while len(self._addresses) > MOST_ADDRESSES:
            self._addresses.popitem(last=False)
        return tally

    def _forget_overall(self, now: float) -> None:
        """Guesses fade at the pace at which they are let through, so a flood's end is felt soon."""
        faded = int((now - self._overall.last) / OVERALL_SECONDS)
        if faded > 0:
            self._overall.wrong = max(0, self._overall.wrong - faded)
            self._overall.last += faded * OVERALL_SECONDS

    def _overall_wait(self, now: float) -> float:
        if self._overall.wrong < OVERALL_FREE:
            return 0.0
        return max(0.0, self._overall.last + OVERALL_SECONDS - now)


def _wait_of(tally: _Tally, now: float) -> float:
    if tally.wrong < FREE_TRIES:
        return 0.0
    pause: float = min(2.0 ** min(tally.wrong - FREE_TRIES, 16), LONGEST_SECONDS)
    return max(0.0, tally.last + pause - now)


def _neighbourhood(address: str) -> str:
    """Whoever has one address of IPv6 has the 2**64 of its network; other texts stand for themselves."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(parsed.ipv4_mapped or ipaddress.ip_network(f"{parsed}/64", strict=False))
