"""Lets in who has logged in: one middleware before every page, route, file and websocket of the server."""

from __future__ import annotations

import asyncio
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from torchglass.dashboard.serving.login.attempts import Attempts
from torchglass.dashboard.serving.login.connection import until_the_end
from torchglass.dashboard.serving.login.page import LOGIN_PATH, NEXT, login_page, safe_next, way_to_login
from torchglass.dashboard.serving.login.sessions import LONGEST_SECONDS, Sessions
from torchglass.passwords import MOST_CHARACTERS, Passwords

LOGOUT_PATH: Final = "/logout"
MOST_FORM_BYTES: Final = 16 * 1024
NO_STORE: Final = {"cache-control": "no-store"}


class PasswordLogin:
    """ASGI middleware: everything but the log-in itself needs the cookie of a session.

    A browser that asks for a page is sent to the log-in; whatever else asks gets 401. A session's end closes its
    websockets, so that no open page outlives it.
    """

    def __init__(
        self, app: ASGIApp, passwords: Passwords, sessions: Sessions | None = None, attempts: Attempts | None = None
    ) -> None:
        self._app = app
        self._passwords = passwords
        self._sessions = sessions if sessions is not None else Sessions()
        self._attempts = attempts if attempts is not None else Attempts()
        self._one_at_a_time = asyncio.Semaphore(1)  # a hash takes 32 MiB

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path, secret = scope["path"], _cookie(scope)
        if path == LOGIN_PATH:
            response = await self._log_in(request)
        elif path == LOGOUT_PATH:
            response = self._log_out(request, secret)
        elif self._sessions.find(secret) is not None:
            await self._app(scope, receive, send)
            return
        else:
            response = _ask_to_log_in(request)
        await response(scope, receive, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = self._sessions.find(_cookie(scope))
        if session is None:
            await PlainTextResponse("log in first\n", 401, NO_STORE)(scope, receive, send)
        else:
            await self._app(scope, *until_the_end(session, self._sessions, receive, send))

    async def _log_in(self, request: Request) -> Response:
        language = request.headers.get("accept-language", "")
        if request.method in ("GET", "HEAD"):
            wanted = safe_next(request.query_params.get(NEXT))
            is_known = self._sessions.find(_cookie(request.scope)) is not None
            return RedirectResponse(wanted, 303, NO_STORE) if is_known else login_page(language, wanted)
        if request.method != "POST" or not _comes_from_here(request):
            return PlainTextResponse("the log-in takes its own form alone\n", 403, NO_STORE)
        form = await _form(request)
        if form is None:
            return PlainTextResponse("that is no form of the log-in\n", 400, NO_STORE)
        wanted = safe_next(form.get(NEXT))
        address = request.client.host if request.client is not None else ""
        if wait := self._attempts.begin(address):
            return login_page(language, wanted, status=429, wait=wait)
        name = form.get("name", "")
        if not await self._is_right(name, form.get("password", "")):
            return login_page(language, wanted, status=401, is_wrong=True)
        self._attempts.succeeded(address)
        self._sessions.end(_cookie(request.scope))
        response = RedirectResponse(wanted, 303, NO_STORE)
        _set_cookie(request, response, self._sessions.begin(name), int(LONGEST_SECONDS))
        return response

    async def _is_right(self, name: str, password: str) -> bool:
        async with self._one_at_a_time:
            return await run_in_threadpool(self._passwords.admit, name, password[:MOST_CHARACTERS])

    def _log_out(self, request: Request, secret: str | None) -> Response:
        if request.method != "POST" or not _comes_from_here(request):
            return PlainTextResponse("logging out takes the button of the page\n", 403, NO_STORE)
        self._sessions.end(secret)
        response = JSONResponse({"next": LOGIN_PATH}, headers=NO_STORE)
        _set_cookie(request, response, "", 0)
        return response


def _ask_to_log_in(request: Request) -> Response:
    if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"error": "log in first"}, 401, {**NO_STORE, "www-authenticate": "Cookie"})
    query = f"?{request.url.query}" if request.url.query else ""
    return way_to_login(f"{request.url.path}{query}")


def _comes_from_here(request: Request) -> bool:
    """Whether a browser sent this from a page of ours; other programs name no origin and hold no cookie by accident."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form that is small enough, each once; None for anything else."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return None
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_FORM_BYTES:
                return None
        fields = parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=8)
    except (ValueError, ClientDisconnect):
        return None
    return {name: values[0] for name, values in fields.items()}


def _cookie_name(scope: Scope) -> str:
    """Browsers tell cookies of one machine's ports apart by nothing but their names."""
    server = scope.get("server")
    return f"torchglass_{server[1] if server else 0}"


def _cookie(scope: Scope) -> str | None:
    try:
        cookies = SimpleCookie(Headers(scope=scope).get("cookie", ""))
    except CookieError:
        return None
    morsel = cookies.get(_cookie_name(scope))
    return morsel.value if morsel is not None else None


def _set_cookie(request: Request, response: Response, secret: str, seconds: int) -> None:
    is_https = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    name = _cookie_name(request.scope)
    response.set_cookie(name, secret, max_age=seconds, path="/", secure=is_https, httponly=True, samesite="strict")
