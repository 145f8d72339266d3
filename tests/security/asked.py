"""A way to ask a middleware without a server: one request, one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    """The app that a middleware guards: it says which path it was asked for."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "headers": []})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"the secret of " + scope["path"].encode()})


def ask(
    app: ASGIApp,
    path: str = "/",
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    kind: str = "http",
    client: str = "192.0.2.7",
    server: str = "127.0.0.1",
    scheme: str = "http",
) -> Answer:
    """One request, as a server that listens on port 8501 of `server` would pass it on."""
    where, _, query = path.partition("?")
    sent = {"host": "127.0.0.1:8501", **{name.lower(): value for name, value in (headers or {}).items()}}
    scope: dict[str, Any] = {
        "type": kind,
        "method": method,
        "path": where,
        "raw_path": where.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
        "client": (client, 50000),
        "server": (server, 8501),
        "scheme": scheme,
        "root_path": "",
        "extensions": {"websocket.http.response": {}},
        "subprotocols": [],
    }
    said: list[Message] = []
    coming = [{"type": "http.request", "body": body, "more_body": False}] if kind == "http" else []
    coming += [{"type": "websocket.connect"}] if kind == "websocket" else []

    async def receive() -> Message:
        return coming.pop(0) if coming else {"type": f"{kind}.disconnect"}

    async def send(message: Message) -> None:
        said.append(message)

    finished(app(scope, receive, send))  # type: ignore[arg-type]
    starts = [each for each in said if "status" in each or each["type"] == "websocket.accept"]
    assert len(starts) == 1, said
    named = {name.decode().lower(): value.decode("latin-1") for name, value in starts[0].get("headers", [])}
    return Answer(starts[0].get("status", 101), named, b"".join(each.get("body", b"") for each in said))


def finished(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, run in a thread of its own: a browser that other tests drive has a loop in this one."""
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(asyncio.run, work).result()
