"""Thirty people look at one training for a minute. `make bench BENCH=page_sessions` runs this, on this machine alone.

A session opens the page as a browser does, by Streamlit's websocket and its own messages, finds in them what the live
charts are drawn from, keeps the websocket open, and asks our route once a second for what is new in twelve charts.
`--sessions` and `--seconds` make it smaller; then no result is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import struct
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
from machine import machine
from page_serving import CHARTS, RUN, Server, serving, training
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect

RESULTS = Path(__file__).parent / "results" / "page-sessions-cpu.md"
SESSIONS, SECONDS = 30, 60
LIMIT_MS, LIMIT_MB = 250.0, 20.0
LIVE = "torchglass.live"
LENGTH_BYTES = 4


@dataclass
class Session:
    """What one viewer saw: milliseconds from each question to the end of its answer, and bytes of the bodies."""

    waits_ms: list[float] = field(default_factory=list)
    body_bytes: list[int] = field(default_factory=list)
    points: int = 0


class Connection:
    """One connection to the route, kept as a browser keeps it and opened again when the server has closed it."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter | None = None

    def __init__(self, host: str, port: int, token: str) -> None:
        self._host, self._port = host, port
        self._head = f"Host: {host}:{port}\r\nX-Torchglass-Token: {token}\r\n\r\n"

    async def ask(self, path: str, query: Mapping[str, object]) -> tuple[dict[str, Any], int]:
        """The header of an answer and the bytes of its body."""
        if self._writer is None or self._reader.at_eof():
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self._writer.write(f"GET {path}?{urlencode(query)} HTTP/1.1\r\n{self._head}".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        status, *lines = head.split("\r\n")
        if " 200 " not in f"{status} ":
            raise RuntimeError(f"the route answered {status}")
        size = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
        body = await self._reader.readexactly(size)
        (length,) = struct.unpack_from("<I", body)
        header: dict[str, Any] = json.loads(body[LENGTH_BYTES : LENGTH_BYTES + length])
        return header, size

    def close(self) -> None:
        """Let go."""
        if self._writer is not None:
            self._writer.close()


async def view(server: Server, seconds: float, begin: float) -> Session:
    """Open the page, wait for `begin` (of the clock of this loop), and ask once a second."""
    address = urlsplit(server.url)
    seen = Session()
    stream = f"ws://{address.netloc}/_stcore/stream"
    async with connect(stream, subprotocols=["streamlit"], origin=server.url, max_size=None) as websocket:  # type: ignore[arg-type,list-item]
        data = await _opened(websocket)
        listening = asyncio.create_task(_listen(websocket))
        connection = Connection(str(address.hostname), int(address.port or 0), data["token"])
        try:
            await _ask(connection, data, seconds, begin, seen)
        finally:
            listening.cancel()
            connection.close()
    return seen


async def _ask(connection: Connection, data: Mapping[str, Any], seconds: float, begin: float, seen: Session) -> None:
    path = data["paths"]["series"]
    query = {"run": data["runs"][0]["id"], "kinds": ",".join(data["kinds"]), "known": -1}
    catalogue = (await connection.ask(path, query))[0]["catalogue"]
    cursors = {series["id"]: -1 for series in catalogue}
    assert len(cursors) == CHARTS
    loop = asyncio.get_running_loop()
    for tick in range(int(seconds)):
        await asyncio.sleep(max(0.0, begin + tick - loop.time()))
        asked = ",".join(f"{one}:{cursor}" for one, cursor in cursors.items())
        started = time.perf_counter()
        header, size = await connection.ask(path, {**query, "known": CHARTS, "series": asked})
        seen.waits_ms.append(1e3 * (time.perf_counter() - started))
        seen.body_bytes.append(size)
        places = list(cursors)
        for place, cursor, count, *_ in header["series"]:
            cursors[places[place]] = cursor
            seen.points += count


async def _opened(websocket: Any) -> Mapping[str, Any]:
    """Ask for the page Training, and return what the live charts are drawn from."""
    hello = BackMsg()
    hello.rerun_script.query_string = f"run={RUN}"
    hello.rerun_script.page_name = "training"
    await websocket.send(hello.SerializeToString())
    found: Mapping[str, Any] | None = None
    async for message in websocket:
        told = ForwardMsg.FromString(message)
        if told.WhichOneof("type") == "delta":
            component = told.delta.new_element.bidi_component
            if component.component_name == LIVE:
                found = json.loads(component.json or component.mixed.json)
        elif told.WhichOneof("type") == "script_finished":
            break
    if found is None:
        raise RuntimeError("the page Training showed no live charts")
    return found


async def _listen(websocket: Any) -> None:
    """Take what the server sends, so that it never waits for this viewer."""
    async for _ in websocket:
        pass


async def everybody(server: Server, sessions: int, seconds: float) -> list[Session]:
    """All sessions; each begins at another moment of the second, as people do."""
    begin = asyncio.get_running_loop().time() + 2 + sessions * 0.3  # when all pages are open
    views = [view(server, seconds, begin + number / sessions) for number in range(sessions)]
    return await asyncio.gather(*views)


def measure(sessions: int, seconds: float) -> list[str]:
    """Lines of the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        with training(path), serving(path) as server:
            asyncio.run(everybody(server, 2, 3))  # what is loaded on first use is loaded
            memory, worked, began = server.memory_mb, server.cpu_seconds, time.perf_counter()
            found = asyncio.run(everybody(server, sessions, seconds))
            took = time.perf_counter() - began
            cpu, grown = 100 * (server.cpu_seconds - worked) / took, server.memory_mb - memory
    waits = np.concatenate([each.waits_ms for each in found])
    p50, p95, p99 = np.percentile(waits, [50, 95, 99])
    wanted = sessions * int(seconds)
    size = np.mean([each.body_bytes[1:] for each in found])
    reached = {True: "reached", False: "**not reached**"}
    return [
        f"| ticks served | all of {wanted:,} | {len(waits):,} | {reached[len(waits) == wanted]} |",
        f"| from question to answer, p95 | {LIMIT_MS:.0f} ms or less | {p95:.0f} ms (p50 {p50:.0f}, p99 {p99:.0f}) "
        f"| {reached[bool(p95 <= LIMIT_MS)]} |",
        f"| server's memory, grown by | less than {LIMIT_MB:.0f} MB | {grown:.1f} MB from {memory:.0f} MB "
        f"| {reached[grown < LIMIT_MB]} |",
        f"| server's processor, opening the pages included |  | {cpu:.0f} % of one core |  |",
        f"| body of an answer, on average |  | {size:.0f} bytes |  |",
    ]


def main() -> None:
    """Measure and, at full size, keep the page of results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    lines = measure(options.sessions, options.seconds)
    page = "\n".join(
        [
            "# Many viewers of one training",
            "",
            f"Machine: {machine()}. `make bench BENCH=page_sessions` ({time.strftime('%Y-%m-%d')}).",
            f"{options.sessions} sessions for {options.seconds:.0f} s; viewers, server and training share the cores.",
            f"Each asks once a second for what is new in {CHARTS} charts, which gain a point a second.",
            f"The machine's load while measuring: {os.getloadavg()[0]:.1f}.",
            "",
            "| what | wanted | measured | |",
            "|---|---|---|---|",
            *lines,
            "",
        ]
    )
    print(page)
    if (options.sessions, options.seconds) == (SESSIONS, SECONDS):
        RESULTS.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
