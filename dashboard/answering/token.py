"""The secret between this server and its pages: a new one for every server process, never in a URL."""

from __future__ import annotations

import secrets

HEADER = "X-Torchglass-Token"
TOKEN = secrets.token_urlsafe(32)


def is_token(given: str | None) -> bool:
    """Whether a request carries this process's token; takes the same time whatever was given."""
    return given is not None and secrets.compare_digest(given.encode(), TOKEN.encode())
