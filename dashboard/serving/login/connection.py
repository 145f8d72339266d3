"""A websocket that lasts as long as the session which opened it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, cast

from starlette.types import Message, Receive, Send

from torchglass.dashboard.serving.login.sessions import Session, Sessions

POLICY_VIOLATION: Final = 1008  # closes a websocket (RFC 6455, 7.4.1)


def until_the_end(session: Session, sessions: Sessions, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """`receive` and `send` of a websocket: when the session is over it closes, and the app is told that it is gone.

    What the visitor sends counts as using the session; what the server sends does not.
    """
    coming: asyncio.Task[Message] | None = None
    is_closed = False

    async def receive_or_end() -> Message:
        nonlocal coming, is_closed
        if coming is None:
            coming = asyncio.create_task(cast(Coroutine[Any, Any, Message], receive()))
        await _first_of(coming, session, sessions)
        if coming.done() and not session.ended.is_set():
            message, coming = coming.result(), None
            sessions.use(session)
            return message
        coming.cancel()
        if not is_closed:
            is_closed = True
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "logged out"})
        return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}

    async def send_until_end(message: Message) -> None:
        if not is_closed:
            await send(message)

    return receive_or_end, send_until_end


async def _first_of(coming: asyncio.Task[Message], session: Session, sessions: Sessions) -> None:
    """Wait for a message or for the session's end, whichever comes first."""
    ending = asyncio.create_task(session.ended.wait())
    try:
        while not coming.done() and not session.ended.is_set():
            left = sessions.seconds_left(session)
            await asyncio.wait((coming, ending), timeout=left, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ending.cancel()
