"""A door before a PostgreSQL server that falls shut at a chosen moment, as a network does."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

SOCKET = ".s.PGSQL.5432"
Moment = Literal["before", "after"]


class Door:
    """Passes bytes on; at the next message that holds `word` it cuts the connection, before or after it arrived."""

    def __init__(self, server: Path, folder: Path) -> None:
        self.folder = folder
        self._server = server / SOCKET
        self._cut: tuple[bytes, Moment] | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(folder / SOCKET))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def cut_at(self, word: bytes, moment: Moment) -> None:
        """Cut the connection at the next message with this word in it."""
        self._cut = (word, moment)

    def close(self) -> None:
        """Let nobody in any more."""
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(os.fspath(self._server))
            threading.Thread(target=_pour, args=(server, client), daemon=True).start()
            while said := client.recv(65536):
                if self._cut is not None and self._cut[0] in said:
                    moment, self._cut = self._cut[1], None
                    client.shutdown(socket.SHUT_WR)  # no answer gets through from here on
                    if moment == "after":
                        server.sendall(said)
                    server.shutdown(socket.SHUT_WR)
                    return
                server.sendall(said)


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while said := source.recv(65536):
            sink.sendall(said)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def door_before(server: Path) -> Iterator[Door]:
    """Open a door before the server whose socket lies in this folder."""
    with tempfile.TemporaryDirectory(prefix="torchglass-door-", dir="/tmp") as folder:
        door = Door(server, Path(folder))
        try:
            yield door
        finally:
            door.close()
