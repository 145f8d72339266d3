"""Keeps other web sites out: a check of the Host header and strict headers on everything that the server sends."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from torchglass.dashboard import base_address

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def _hashes_of_inline_scripts() -> str:
    """The scripts inside Streamlit's own page and the one we add, by their hash: no other inline script runs."""
    page = (importlib.resources.files("streamlit") / "static" / "index.html").read_text(encoding="utf-8")
    scripts = [*re.findall(r"<script>(.*?)</script>", page, re.DOTALL), base_address.SCRIPT]
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    return "".join(f" 'sha256-{digest}'" for digest in digests)


# Plotly and Streamlit write inline styles, and both draw from data: and blob: pictures; nothing needs more than that.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src 'self'{_hashes_of_inline_scripts()}",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_RESPONSE_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class Guard:
    """ASGI middleware: answers 400 to a foreign Host and adds the security headers to every response.

    The Host check stops DNS rebinding, where a foreign name is made to resolve to this machine. It covers pages, routes
    and websockets alike; Streamlit's own `server.allowedHosts` covers the websocket alone.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = LOOPBACK_NAMES) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in _RESPONSE_STARTS:
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        if host_name(Headers(scope=scope).get("host", "")) in self._hosts:
            await self._app(scope, receive, send_with_headers)
        else:
            refusal = PlainTextResponse("this server answers to localhost only\n", status_code=400)
            await refusal(scope, receive, send_with_headers)


def host_name(header: str) -> str | None:
    """Name in a Host header, without its port; None when there is none."""
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
