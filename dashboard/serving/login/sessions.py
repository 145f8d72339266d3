"""Who is logged in: random names that a browser keeps in a cookie, known to this process alone."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

IDLE_SECONDS: Final = 12 * 3600.0
LONGEST_SECONDS: Final = 7 * 24 * 3600.0
MOST_SESSIONS: Final = 1000  # the one used longest ago ends first


class Session:
    """One log-in: whose it is, until when, and a mark for those who wait for its end."""

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.ends_at = now + LONGEST_SECONDS
        self.used_at = now
        self.ended = asyncio.Event()

    def seconds_left(self, now: float) -> float:
        """Until it is too old, or was not used for too long."""
        return max(0.0, min(self.ends_at, self.used_at + IDLE_SECONDS) - now)


class Sessions:
    """All log-ins of this server. Used from its event loop alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, name: str) -> str:
        """Log somebody in and return the secret for their cookie."""
        secret = secrets.token_urlsafe(32)
        self._sessions[_key(secret)] = Session(name, self._clock())
        while len(self._sessions) > MOST_SESSIONS:
            self._end(next(iter(self._sessions)))
        return secret

    def find(self, secret: str | None) -> Session | None:
        """The session of a cookie, counted as used now; None when there is none, or it is over."""
        if secret is None:
            return None
        key, now = _key(secret), self._clock()
        session = self._sessions.get(key)
        if session is None or session.ended.is_set():
            return None
        if session.seconds_left(now) == 0:
            self._end(key)
            return None
        session.used_at = now
        self._sessions.move_to_end(key)
        return session

    def use(self, session: Session) -> None:
        """Count a session as used now."""
        session.used_at = self._clock()

    def seconds_left(self, session: Session) -> float:
        """Until a session ends by itself; it is ended here when that is now."""
        left = session.seconds_left(self._clock())
        if left == 0:
            session.ended.set()
        return left

    def end(self, secret: str | None) -> None:
        """Log out: open connections of the session are told."""
        if secret is not None:
            self._end(_key(secret))

    def _end(self, key: bytes) -> None:
        session = self._sessions.pop(key, None)
        if session is not None:
            session.ended.set()


def _key(secret: str) -> bytes:
    """Looking up a hash tells nothing about the secret by the time that it takes."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
