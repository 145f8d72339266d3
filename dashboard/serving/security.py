"""Keeps other web sites out: checks of the Host and Origin headers, and strict headers on everything that is sent."""

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

from torchglass.dashboard.serving import base_address

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
    and websockets alike; Streamlit's own `server.allowedHosts` covers the websocket alone. Besides `hosts` and this
    machine's own names, the address that a connection has reached is taken: nobody's name resolves to an address that
    is written out.

    With `only_here`, what comes in by an address that other machines can reach is refused, whatever its headers say:
    the last net below a server that was started in a way which nobody thought of.

    A websocket's Origin is looked at here, before Streamlit does, which would ask a service on the internet for this
    machine's outer address in order to compare.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = (), *, only_here: bool = True) -> None:
        self._app = app
        self._given = frozenset(hosts)
        self._only_here = only_here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in _RESPONSE_STARTS:
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)  # the log-in's own page allows its form, and no script
            await send(message)

        refusal = self._refusal(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        reached = (scope.get("server") or ("", 0))[0]
        if self._only_here and not is_loopback(reached):
            return PlainTextResponse("this server answers its own machine alone, as nobody has to log in\n", 403)
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host_name(host)
        if name is None or not (name in LOOPBACK_NAMES | self._given or _is_same_address(name, reached)):
            return PlainTextResponse("this server does not go by that name: --allow-host gives it one\n", 400)
        origin = headers.get("origin")
        if scope["type"] == "websocket" and origin is not None and _place(origin) != host:
            return PlainTextResponse("this server talks to its own pages alone\n", 403)
        return None


def host_name(header: str) -> str | None:
    """Name in a Host header, without its port; None when there is none."""
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def _place(origin: str) -> str | None:
    """Name and port of an origin, as its pages write them into the Host header."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


def _is_same_address(name: str, reached: str) -> bool:
    """Whether a Host header writes out the address that the connection came in by."""
    try:
        return _address(name) == _address(reached)
    except ValueError:
        return False


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address without its zone; one of IPv4 that came in on a socket of both is told as such."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return host == "localhost" or _address(host).is_loopback
    except ValueError:
        return False
