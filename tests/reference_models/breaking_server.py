"""A real web server on this machine that can break off in the middle, honour byte ranges or not, and lie."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Offer:
    """What the server has at every path, and what was asked of it.

    Each answer promises all that was asked for and ends after `at_most` bytes of it. Without `ranges` it always sends
    the whole; `shift` moves the part that it sends to a place that was not asked for.
    """

    url: str
    content: bytes
    at_most: int | None = None
    ranges: bool = True
    shift: int = 0
    asked: list[str | None] = field(default_factory=list)
    sent: int = 0


@contextmanager
def serving(content: bytes) -> Iterator[Offer]:
    """Serve bytes until the block ends."""
    offer = Offer("", content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            offer.asked.append(wanted)
            found = re.fullmatch(r"bytes=(\d+)-", wanted or "") if offer.ranges else None
            begin = int(found[1]) + offer.shift if found else 0
            if found and begin >= len(offer.content):
                self.send_error(416)
                return
            self.send_response(206 if found else 200)
            if found:
                total = len(offer.content)
                self.send_header("Content-Range", f"bytes {begin}-{total - 1}/{total}")
            self.send_header("Content-Length", str(len(offer.content) - begin))
            self.end_headers()
            part = offer.content[begin:]
            part = part if offer.at_most is None else part[: offer.at_most]
            offer.sent += len(part)
            self.wfile.write(part)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    offer.url = f"http://127.0.0.1:{server.server_port}/set.tar.gz"
    try:
        yield offer
    finally:
        server.shutdown()
        server.server_close()
