"""The page that asks for name and password: one document without scripts, which works before anything else loads."""

from __future__ import annotations

import base64
import hashlib
import html
from typing import Final
from urllib.parse import quote

from starlette.responses import HTMLResponse, Response

from torchglass.language import LANGUAGES, closest, language, spoken, tr

LOGIN_PATH: Final = "/login"
NEXT: Final = "next"
_MOST_NEXT: Final = 4096

_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 "Source Sans", system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center;
  background: light-dark(#f6f8f8, #0e1117); color: light-dark(#1f2933, #fafafa); }
main { width: min(22rem, calc(100vw - 3rem)); padding: 2rem; border-radius: 0.75rem; box-sizing: border-box;
  background: light-dark(#fff, #1a1f29); border: 1px solid light-dark(#d5dcdc, #343b49); }
h1 { margin: 0 0 0.25rem; font-size: 1.5rem; }
p { margin: 0 0 1.25rem; color: light-dark(#52606d, #b6bec9); }
p.trouble { color: light-dark(#b42318, #ffa198); }
label { display: block; margin: 0 0 0.25rem; font-size: 0.9rem; }
input { width: 100%; box-sizing: border-box; margin: 0 0 1rem; padding: 0.55rem 0.7rem; font: inherit; color: inherit;
  background: light-dark(#fff, #0e1117); border: 1px solid light-dark(#7b8794, #6b7688); border-radius: 0.5rem; }
button { width: 100%; padding: 0.6rem; font: inherit; font-weight: 600; color: #fff; background: #0f766e; border: 0;
  border-radius: 0.5rem; cursor: pointer; }
button:hover { background: #0b5f58; }
input:focus-visible, button:focus-visible { outline: 3px solid light-dark(#0f766e, #5eead4); outline-offset: 2px; }
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    # A form that is sent under `no-referrer` names no origin, and the answer to it is checked by that.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


def login_page(
    accept_language: str, wanted: str, *, status: int = 200, is_wrong: bool = False, wait: float = 0
) -> Response:
    """Ask for name and password in the reader's language, and say what became of the last try; `wait` is in seconds."""
    with spoken(preferred(accept_language)):
        headers = {**HEADERS, **({"retry-after": str(_whole(wait))} if wait else {})}
        return HTMLResponse(_document(wanted, _trouble(is_wrong=is_wrong, wait=wait)), status, headers)


def way_to_login(wanted: str) -> Response:
    """A document that goes on to the log-in by itself.

    Not a redirect: a browser that follows a link from another site leaves a `SameSite=Strict` cookie out, on redirects
    as well, and includes it in what a page of ours asks for. Whoever is logged in is then sent on at once.
    """
    target = html.escape(f"{LOGIN_PATH}?{NEXT}={quote(wanted, safe='/')}")
    document = f"""<!DOCTYPE html>
<meta charset="utf-8"><meta http-equiv="refresh" content="0;url={target}"><title>torchglass</title>
<a href="{target}">torchglass</a>
"""
    return HTMLResponse(document, 401, {**HEADERS, "www-authenticate": "Cookie"})


def preferred(accept_language: str) -> str:
    """The language that comes first in an Accept-Language header (RFC 9110, 12.5.4) and has a catalogue."""
    ranked = sorted((_ranked(part) for part in accept_language[:1000].split(",")), key=lambda pair: -pair[1])
    known = (closest(tag) for tag, weight in ranked if weight > 0 and tag.partition("-")[0] in LANGUAGES)
    return next(known, closest(None))


def safe_next(wanted: str | None) -> str:
    """Where to go after the log-in: a path of this server, never another one."""
    told = wanted or "/"
    is_path = told.startswith("/") and not told.startswith(("//", "/\\")) and told.isascii() and told.isprintable()
    return told if is_path and "\\" not in told and len(told) <= _MOST_NEXT else "/"


def _document(wanted: str, trouble: str) -> str:
    told = f'<p class="trouble" role="alert">{html.escape(trouble)}</p>' if trouble else ""
    return f"""<!DOCTYPE html>
<html lang="{language()}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(tr("Log in"))} · torchglass</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>torchglass</h1>
<p>{html.escape(tr("Log in to see the runs of this server."))}</p>
{told}
<form method="post" action="{LOGIN_PATH}">
<input type="hidden" name="{NEXT}" value="{html.escape(wanted)}">
<label for="name">{html.escape(tr("Name"))}</label>
<input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus>
<label for="password">{html.escape(tr("Password"))}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">{html.escape(tr("Log in"))}</button>
</form>
</main>
</body>
</html>
"""


def _trouble(*, is_wrong: bool, wait: float) -> str:
    if wait:
        return tr("Too many wrong tries. Wait {seconds} s, then try again.", seconds=_whole(wait))
    return tr("Name and password do not belong together.") if is_wrong else ""


def _whole(seconds: float) -> int:
    return max(1, round(seconds + 0.5))


def _ranked(part: str) -> tuple[str, float]:
    tag, _, weight = part.strip().lower().partition(";q=")
    try:
        return tag, float(weight) if weight else 1.0
    except ValueError:
        return tag, 0.0
